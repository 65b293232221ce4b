// The run log: one line a run, whatever happens in it, and what status makes of it.

import { mkdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { growthOf } from '../src/actions/status-runs.ts';
import type { Report } from '../src/format/report.ts';
import { appendRun, formatRun, parseRun, type RunEntry, readRuns, runLogPaths } from '../src/os/run-log.ts';
import { Sandbox } from './support/sandbox.ts';

let sandbox: Sandbox;
beforeEach(() => {
  sandbox = new Sandbox();
});
afterEach(() => sandbox.remove());

const log = () => join(sandbox.root, 'cora.log');
const lines = () => readFileSync(log(), 'utf8').trim().split('\n');

type Status = {
  readonly failures: { readonly count: number; readonly pushes_without_save: number; readonly last: { readonly message: string } | null };
  readonly growth: readonly { readonly path: string; readonly grown: number }[];
  readonly warnings: readonly { readonly message: string; readonly next: string }[];
};
const status = async () => (await sandbox.json(['status'])).result as Status;

test('an entry survives writing and reading, whatever its text holds', () => {
  const entry: RunEntry = {
    time: Date.UTC(2026, 10, 21, 3, 15, 4),
    level: 'error',
    command: 'backup now',
    trigger: 'timer',
    project: '/srv/a "b"\\c\nd=e',
    vault: '/var/backups/app',
    exit: 1,
    seconds: 4.2,
    id: '20261121-031504-nogit',
    message: 'No space left while writing /x; level=info command="save"',
  };
  expect(formatRun(entry)).not.toContain('\n');
  expect(parseRun(formatRun(entry))).toEqual(entry);
  expect(parseRun('2026-11-21T03:15:04Z level=warn command="hook pre-push" reason=x message="skipped: CORA=0"')).toEqual({
    time: entry.time,
    level: 'warn',
    command: 'hook pre-push',
    message: 'skipped: CORA=0',
  });
  expect(parseRun('garbage')).toBeUndefined();
});

test('every run that saves, verifies or restores is one line, a failed one too; looking at things is none', async () => {
  writeFileSync(join(sandbox.project, 'a.txt'), 'a\n');
  const { id } = await sandbox.snapshot(['save', '--trigger', 'timer']);
  await sandbox.cora(['status']);
  await sandbox.cora(['list']);
  await sandbox.cora(['verify']);
  await sandbox.cora(['restore', 'nothing-like-it', '--to', join(sandbox.root, 'out')]);
  const entries = lines().map((line) => parseRun(line));
  expect(entries.map((entry) => [entry?.level, entry?.command, entry?.trigger, entry?.exit])).toEqual([
    ['info', 'save', 'timer', 0],
    ['info', 'verify', 'manual', 0],
    ['error', 'restore', 'manual', 2],
  ]);
  expect(entries[0]).toMatchObject({ project: sandbox.project, vault: sandbox.vault, id });
  expect(statSync(log()).mode & 0o777).toBe(0o600);
});

test('a save that fails is counted until one succeeds, and status says why it failed', async () => {
  writeFileSync(join(sandbox.project, 'a.txt'), 'a\n');
  mkdirSync(sandbox.vault);
  writeFileSync(join(sandbox.vault, 'something'), '');
  for (let n = 0; n < 2; n++) expect((await sandbox.cora(['save'])).code).toBe(10);
  // A vault at another place is fine; the project's failures are still told.
  const env = { CORA_VAULT: join(sandbox.root, 'other') };
  const failed = (await sandbox.json(['status'], { env })).result as Status;
  expect(failed.failures.count).toBe(2);
  expect(failed.warnings.some(({ message }) => message.startsWith('2 runs failed since the last success: '))).toBe(true);
  expect((await sandbox.cora(['save'], { env })).code).toBe(0);
  const mended = (await sandbox.json(['status'], { env })).result as Status;
  expect(mended.failures).toEqual({ count: 0, last: null, pushes_without_save: 0 });
});

test('a push without a save is counted for a week, for its own project alone', async () => {
  writeFileSync(join(sandbox.project, 'a.txt'), 'a\n');
  await sandbox.cora(['save']);
  const skipped = (days: number, project: string): RunEntry => ({
    time: Date.now() - days * 86_400_000,
    level: 'warn',
    command: 'hook pre-push',
    project,
    message: 'skipped: CORA=0',
  });
  appendRun([log()], skipped(8, sandbox.project));
  appendRun([log()], skipped(1, sandbox.project));
  appendRun([log()], skipped(1, '/srv/other'));
  expect((await status()).failures.pushes_without_save).toBe(1);
});

test('no log can be written: the run is as good as any', async () => {
  writeFileSync(join(sandbox.project, 'a.txt'), 'a\n');
  const run = await sandbox.cora(['save'], { env: { CORA_LOG: join(sandbox.project, 'a.txt', 'cora.log') } });
  expect([run.code, run.stderr]).toEqual([0, '']);
});

test('a log that grew too large is moved aside, and both are read', () => {
  const entry: RunEntry = { time: Date.UTC(2026, 10, 21), level: 'info', command: 'save' };
  appendRun([log()], entry);
  truncateSync(log(), 10_000_001);
  appendRun([log()], entry);
  expect(statSync(`${log()}.1`).size).toBe(10_000_001);
  expect(readRuns([log()])).toEqual([entry]);
});

test('where the first place cannot be written, the second is taken', () => {
  expect(appendRun(['/proc/none/cora.log', log()], { time: 0, level: 'info', command: 'save' })).toBe(log());
});

test('the log of root lies in /var/log, that of a user in the state directory, unless one is named', () => {
  expect(runLogPaths(undefined, 0, '/var/lib/cora')).toEqual(['/var/log/cora-backup.log', '/var/lib/cora/cora-backup.log']);
  expect(runLogPaths(undefined, 1000, '/home/u/.local/state/cora')).toEqual(['/home/u/.local/state/cora/cora-backup.log']);
  expect(runLogPaths('/tmp/x.log', 0, '/var/lib/cora')).toEqual(['/tmp/x.log']);
  expect(runLogPaths('', 0, '/var/lib/cora')).toEqual([]);
});

test('status names critical files that grow, by their reports', async () => {
  const path = join(sandbox.project, 'AI_WORK_LOG.md');
  writeFileSync(path, 'x\n'.repeat(1000));
  await sandbox.cora(['save']);
  writeFileSync(path, 'x\n'.repeat(5000));
  await sandbox.cora(['save']);
  expect((await status()).growth).toMatchObject([{ path: 'AI_WORK_LOG.md', size: 10_000, grown: 8_000 }]);
  const then = { backup_start: '2026-11-14T00:00:00Z', critical_sizes: { a: 5, b: 9 } } as unknown as Report;
  const now = { backup_start: '2026-11-21T00:00:00Z', critical_sizes: { a: 7, b: 3, c: 8 } } as unknown as Report;
  expect(growthOf(then, now)).toEqual([{ path: 'a', size: 7, grown: 2, days: 7 }]);
});
