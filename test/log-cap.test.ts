// A log over the cap: whole in every save, its newest part in a backup's archive. A restore of the
// backup takes it whole from the save, and puts the newest part beside it once the save is gone.

import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { execute, Sandbox } from './support/sandbox.ts';

const CAP = 100_000;
const LOG = Array.from({ length: 20_000 }, (_, line) => `line ${line} of the log\n`).join('');
let sandbox: Sandbox;

beforeEach(() => {
  sandbox = new Sandbox({ fast: true });
  write('cora.toml', `log_cap = ${CAP}\n[critical]\npatterns = ["audit.log"]\n`);
  write('app.log', LOG);
  write('audit.log', LOG);
  write('small.log', 'one line\n');
  write('notes.txt', LOG);
});
afterEach(() => sandbox.remove());

function write(name: string | Buffer, content: string): void {
  writeFileSync(Buffer.concat([Buffer.from(`${sandbox.project}/`), Buffer.from(name)]), content);
}

/** Without saves, as after a copy of the backup alone to another machine. */
function dropSaves(): void {
  rmSync(join(sandbox.vault, 'progress'), { recursive: true });
  rmSync(join(sandbox.vault, '.cache'), { recursive: true, force: true });
}

const out = (): string => join(sandbox.root, 'out');
const restored = (name: string): string => readFileSync(join(out(), name), 'utf8');

test('the archive holds the newest whole lines of a log over the cap, and all of everything else', async () => {
  const { path } = await sandbox.snapshot(['backup', 'now']);
  const names = (await execute('tar', ['-tzf', join(path, 'project-full.tar.gz')])).stdout.split('\n').sort();
  expect(names).toEqual(['', './', './app.log.tail', './audit.log', './cora.toml', './notes.txt', './small.log']);
  const tail = (await execute('tar', ['-xzOf', join(path, 'project-full.tar.gz'), './app.log.tail'])).stdout;
  expect(LOG.endsWith(tail)).toBe(true);
  expect(tail.startsWith('line ')).toBe(true);
  expect(tail.length).toBeLessThanOrEqual(CAP);
  expect(tail.length).toBeGreaterThan(CAP - 100);
  const report = JSON.parse(readFileSync(join(path, 'REPORT.json'), 'utf8')) as { capped: unknown };
  expect(report.capped).toMatchObject([{ path: 'app.log', size: LOG.length, stored: tail.length }]);
  expect(readFileSync(join(path, 'MANIFEST.txt'), 'utf8')).toContain('app.log');
});

test('a restore of the backup takes the log whole from the save', async () => {
  const { id } = await sandbox.snapshot(['backup', 'now']);
  expect(await sandbox.cora(['restore', id, '--to', out()])).toMatchObject({ code: 0 });
  for (const name of ['app.log', 'audit.log', 'notes.txt']) expect(restored(name) === LOG, name).toBe(true);
  expect(existsSync(join(out(), 'app.log.tail'))).toBe(false);
});

test('once the save is gone the newest part lies beside, and the restore says so', async () => {
  const { id } = await sandbox.snapshot(['backup', 'now']);
  dropSaves();
  const run = await sandbox.json(['restore', id, '--to', out()]);
  expect(run.problems).toMatchObject([{ code: 'log_capped', path: 'app.log' }]);
  expect(readdirSync(out()).sort()).toEqual(['app.log.tail', 'audit.log', 'cora.toml', 'notes.txt', 'small.log']);
  expect(LOG.endsWith(restored('app.log.tail'))).toBe(true);
  expect(restored('audit.log') === LOG).toBe(true);
});

test('a live log of the same size is not taken for the restored one', async () => {
  const { id } = await sandbox.snapshot(['backup', 'now']);
  dropSaves();
  const spoiled = LOG.replaceAll('line', 'LINE');
  write('app.log', spoiled);
  const run = await sandbox.json(['restore', id, 'app.log', '--yes']);
  expect(run.problems).toMatchObject([{ code: 'log_capped', path: 'app.log' }]);
  expect(readFileSync(join(sandbox.project, 'app.log'), 'utf8') === spoiled).toBe(true);
  expect(LOG.endsWith(readFileSync(join(sandbox.project, 'app.log.tail'), 'utf8'))).toBe(true);
});

test('names that differ only in bytes that are no text are not taken for one another', async () => {
  write(Buffer.from('x\xff.log', 'latin1'), LOG);
  write(Buffer.from('x\xfe.log', 'latin1'), 'small\n');
  const { id } = await sandbox.snapshot(['backup', 'now']);
  dropSaves();
  await sandbox.cora(['restore', id, '--to', out()]);
  const names = readdirSync(out(), { encoding: 'latin1' }).filter((name) => name.startsWith('x'));
  expect(names.sort()).toEqual(['x\xfe.log', 'x\xff.log.tail']);
});

test('restore.sh gives the newest part of the backup and, asked for the save, the whole log', async () => {
  const { id } = await sandbox.snapshot(['backup', 'now']);
  const script = await sandbox.restoreScript([id, out()]);
  expect(script).toMatchObject({ code: 0 });
  expect(script.stderr).toContain('app.log');
  expect(LOG.endsWith(restored('app.log.tail'))).toBe(true);
  const whole = join(sandbox.root, 'whole');
  expect(await sandbox.restoreScript(['--save', id, whole])).toMatchObject({ code: 0 });
  expect(readFileSync(join(whole, 'app.log'), 'utf8') === LOG).toBe(true);
});
