// Snapshots named by a moment: `@WHEN`, `--at WHEN`, `--latest TYPE`, "before COMMIT". The clock is the test's.

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { bytes } from '../src/base/bytes.ts';
import { engine } from '../src/cli/engine.ts';
import { type CliRun, cli } from './support/cli-run.ts';
import { Sandbox } from './support/sandbox.ts';

const sandbox = new Sandbox({ fast: true });
afterAll(async () => {
  vi.useRealTimers();
  await sandbox.remove();
});

function at(now: string, args: readonly string[]): Promise<CliRun> {
  // The scan of a save asks the clock itself.
  vi.setSystemTime(now);
  const env = { HOME: sandbox.home, CORA_VAULT: sandbox.vault, CORA_LOG: '', CORA_WORKERS: '0' };
  return cli(args, engine, env, { cwd: () => bytes(sandbox.project), now: () => Date.parse(now) });
}

async function made(now: string, args: readonly string[]): Promise<string> {
  writeFileSync(join(sandbox.project, 'a.txt'), `${now}\n`);
  const run = await at(now, [...args, '--json']);
  if (run.code !== 0) throw new Error(`cora ${args.join(' ')} ended with ${run.code}: ${run.stderr}`);
  return (JSON.parse(run.stdout) as { result: { snapshot_id: string } }).result.snapshot_id;
}

function git(date: string, ...args: string[]): string {
  const who = ['-c', 'user.name=t', '-c', 'user.email=t@example.org'];
  const env = { PATH: process.env['PATH'], HOME: sandbox.home, GIT_AUTHOR_DATE: '2020-01-01T00:00:00Z', GIT_COMMITTER_DATE: date };
  return execFileSync('git', [...who, ...args], { cwd: sandbox.project, env, encoding: 'utf8' }).trim();
}

type Shown = {
  readonly ok: boolean;
  readonly result: { readonly snapshot_id: string; readonly moment?: Record<string, unknown> };
  readonly error: { code: string };
};
async function shown(args: readonly string[], now = NOW): Promise<Shown & { readonly code: number; readonly stderr: string }> {
  const run = await at(now, ['show', ...args, '--json']);
  return { ...(JSON.parse(run.stdout) as Shown), code: run.code, stderr: run.stderr };
}

const NOW = '2026-11-21T14:10:00Z';
const ids: Record<string, string> = {};

beforeAll(async () => {
  process.env['TZ'] = 'UTC';
  vi.useFakeTimers({ toFake: ['Date'] });
  git('2026-11-15T12:00:00Z', 'init', '-q', '-b', 'main');
  git('2026-11-15T12:00:00Z', 'commit', '-q', '--allow-empty', '-m', 'one');
  ids['monthly'] = await made('2026-11-01T03:15:00Z', ['backup', 'now', '--trigger', 'timer']);
  ids['friday'] = await made('2026-11-13T15:00:00Z', ['save', '-l', 'pre-migration']);
  ids['weekly'] = await made('2026-11-15T03:15:00Z', ['backup', 'now', '--trigger', 'timer']);
  git('2026-11-18T09:00:00Z', 'commit', '-q', '--allow-empty', '-m', 'two');
  git('2026-11-18T09:00:00Z', 'tag', 'v1.2');
  ids['daily'] = await made('2026-11-20T03:15:00Z', ['backup', 'now', '--trigger', 'timer']);
  ids['evening'] = await made('2026-11-20T22:00:00Z', ['save']);
  ids['manual'] = await made('2026-11-21T09:00:00Z', ['backup', 'now']);
  ids['noon'] = await made('2026-11-21T12:05:00Z', ['save', '-m', 'after lunch']);
  ids['newest'] = await made('2026-11-21T14:00:00Z', ['save']);
}, 60_000);

test.each([
  ['@yesterday', 'evening'],
  ['@2 hours ago', 'noon'],
  ['@3 hours ago', 'manual'],
  ['@last friday 3pm', 'daily'],
  ['@2026-11-20 14:30', 'daily'],
  ['@this morning', 'manual'],
  ['@2026-11-13T15:00:00Z', 'friday'],
  ['@now', 'newest'],
  ['@1795176000', 'daily'],
  ['@before v1.2', 'weekly'],
  ['@before HEAD', 'weekly'],
  ['@before HEAD~1', 'weekly'],
  ['@before after lunch', 'manual'],
  ['@before pre-migration', 'monthly'],
  ['@before friday', 'weekly'],
])('cora show "%s" shows the newest not after it', async (name, expected) => {
  const run = await shown([name]);
  expect(run).toMatchObject({ code: 0, result: { snapshot_id: ids[expected] } });
  expect(await shown(['--at', name.slice(1)])).toMatchObject({ code: 0, result: { snapshot_id: ids[expected] } });
});

test('before a full sha is before its committer made it', async () => {
  const sha = git('2026-11-18T09:00:00Z', 'rev-parse', 'HEAD');
  expect(await shown([`@before ${sha}`])).toMatchObject({ code: 0, result: { snapshot_id: ids['weekly'] } });
  expect(await shown([`@before ${sha.slice(0, 8)}`])).toMatchObject({ code: 0, result: { snapshot_id: ids['weekly'] } });
});

test('what a moment came to is said first, and in the document', async () => {
  const run = await shown(['@2 hours ago']);
  expect(run.stderr).toBe(`2 hours ago = 2026-11-21 12:10 UTC: ${ids['noon']}, 5 min before it\n`);
  expect(run.result.moment).toEqual({ said: '2 hours ago', time: '2026-11-21T12:10:00.000Z', snapshot_id: ids['noon'], seconds_before: 300 });
});

test.each(['monthly', 'weekly', 'daily', 'manual'])('--latest %s', async (type) => {
  const run = await shown(['--latest', type]);
  expect(run).toMatchObject({ code: 0, result: { snapshot_id: ids[type] } });
  expect(run.stderr).toMatch(new RegExp(`^latest ${type} = ${ids[type]}, made \\d+ (h|days) ago\n$`));
});

test('--latest any is the newest snapshot, and a type that there is not is said', async () => {
  expect(await shown(['--latest', 'any'])).toMatchObject({ code: 0, result: { snapshot_id: ids['newest'] } });
  expect(await shown(['--latest', 'auto'])).toMatchObject({ code: 2, error: { code: 'unknown_snapshot' } });
});

test('verify takes moments too', async () => {
  const run = await at(NOW, ['verify', '@yesterday', '--json']);
  expect(run.code).toBe(0);
  expect(JSON.parse(run.stdout)).toMatchObject({ result: { snapshots: [{ snapshot_id: ids['evening'], ok: true }], moment: { said: 'yesterday' } } });
  const daily = await at(NOW, ['backup', 'verify', '--latest', 'daily', '--json']);
  expect(JSON.parse(daily.stdout)).toMatchObject({ result: { snapshots: [{ snapshot_id: ids['daily'] }, { snapshot_id: ids['daily'] }] } });
});

test('pin takes a moment', async () => {
  const run = await at(NOW, ['pin', '@yesterday', '--json']);
  expect(run.code).toBe(0);
  expect(run.stderr).toContain(`: ${ids['evening']}, `);
  expect(JSON.stringify((JSON.parse(run.stdout) as { result: unknown }).result)).toContain(ids['evening']);
  expect((await at(NOW, ['unpin', '@yesterday'])).code).toBe(0);
});

test('backup verify takes the newest backup of then', async () => {
  const run = await at(NOW, ['backup', 'verify', '@yesterday', '--json']);
  expect(JSON.parse(run.stdout)).toMatchObject({ result: { moment: { snapshot_id: ids['daily'] } } });
});

test('the future, the ambiguous, the unknown and the too early are refused with what to write', async () => {
  expect(await shown(['@tomorrow'])).toMatchObject({ code: 2, error: { code: 'usage' } });
  expect(await shown(['@march'])).toMatchObject({ code: 2, error: { code: 'ambiguous_moment' } });
  expect(await shown(['@before nothing-of-that-name'])).toMatchObject({ code: 2, error: { code: 'unknown_snapshot' } });
  expect(await shown(['@2026-10-01'])).toMatchObject({
    code: 2,
    error: { code: 'unknown_snapshot', hint: expect.stringContaining(ids['monthly']!) },
  });
});

test('two names at once are a usage error', async () => {
  for (const args of [
    ['latest', '--at', 'yesterday'],
    ['--at', 'yesterday', '--latest', 'daily'],
  ]) {
    expect(await shown(args)).toMatchObject({ code: 2, error: { code: 'usage' } });
  }
  expect((await at(NOW, ['verify', '--all', '--at', 'yesterday'])).code).toBe(2);
});

test('a name that is a commit and a label asks which', async () => {
  await made('2026-11-21T14:05:00Z', ['save', '-l', 'v1.2']);
  const run = await shown(['@before v1.2']);
  expect(run).toMatchObject({ code: 2, error: { code: 'ambiguous_moment' } });
});

test('a suspect snapshot is not taken while there is a good one', async () => {
  writeFileSync(join(sandbox.project, 'AI_WORK_LOG.md'), 'x\n'.repeat(1000));
  const good = await made('2026-11-22T10:00:00Z', ['save']);
  writeFileSync(join(sandbox.project, 'AI_WORK_LOG.md'), '');
  expect((await at('2026-11-22T10:30:00Z', ['save'])).code).toBe(3);
  expect(await shown(['@5 minutes ago'], '2026-11-22T11:00:00Z')).toMatchObject({ code: 0, result: { snapshot_id: good } });
});
