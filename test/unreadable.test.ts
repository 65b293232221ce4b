// What cannot be read is named, the run ends with 3, and everything else is saved all the same.
// Root reads everything, so there Cora runs as the user nobody.

import { chmodSync, chownSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { compareTrees, readTree } from './helpers/compare-trees.ts';
import { isRoot, Sandbox, whyNotNobody } from './support/sandbox.ts';

const reason = whyNotNobody();
const asNobody = test.skipIf(reason !== undefined);
const title = (text: string): string => (reason === undefined ? text : `${text} (skipped: ${reason})`);

let sandbox: Sandbox;
beforeEach(() => {
  if (reason !== undefined) return;
  sandbox = new Sandbox({ nobody: true });
  write('readable.txt', 'can be read');
  write('secret.txt', 'first secret');
  mkdirSync(join(sandbox.project, 'closed'));
  sandbox.own(join(sandbox.project, 'closed'));
  write('closed/inside.txt', 'inside');
});
afterEach(() => sandbox?.remove());

function write(name: string, content: string): void {
  writeFileSync(join(sandbox.project, name), content);
  sandbox.own(join(sandbox.project, name));
}

function close(mode: 'closed' | 'open'): void {
  chmodSync(join(sandbox.project, 'secret.txt'), mode === 'closed' ? 0 : 0o600);
  chmodSync(join(sandbox.project, 'closed'), mode === 'closed' ? 0 : 0o700);
}

asNobody.each(['save', 'backup now'])(title('unreadable files and directories: %s ends with 3, names them and keeps the rest'), async (command) => {
  close('closed');
  const run = await sandbox.json(command.split(' '));
  expect(run).toMatchObject({ code: 3, ok: true });
  expect(run.problems.map(({ code, path, severity }) => `${code} ${path} ${severity}`).sort()).toEqual([
    'unreadable closed error',
    'unreadable secret.txt error',
  ]);
  const path = String(run.result['path']);
  expect(JSON.parse(readFileSync(join(path, 'REPORT.json'), 'utf8'))).toMatchObject({ status: 'partial' });
  const manifest = readFileSync(join(path, 'MANIFEST.txt'), 'utf8');
  expect(manifest).toContain('INCOMPLETE');
  expect(manifest).toContain('secret.txt');
  const out = join(sandbox.root, 'out');
  const restored = await sandbox.cora(['restore', String(run.result['snapshot_id']), '--to', out]);
  expect(restored).toMatchObject({ code: 0 });
  expect(readdirSync(out).sort()).toEqual(['closed', 'readable.txt']);
  expect(readFileSync(join(out, 'readable.txt'), 'utf8')).toBe('can be read');
  // Still unreadable: still not a success, though nothing changed.
  expect((await sandbox.cora(['save'])).code).toBe(3);
  expect((await sandbox.cora(['verify', '--all'])).code).toBe(0);
  close('open');
  expect((await sandbox.json(['save'])).result).toMatchObject({ status: 'complete' });
});

asNobody(title('a file that became unreadable is still in the snapshot before'), async () => {
  const first = await sandbox.snapshot(['save']);
  write('secret.txt', 'second secret');
  close('closed');
  const second = await sandbox.snapshot(['save'], 3);
  expect(second.id).not.toBe(first.id);
  const out = join(sandbox.root, 'out');
  expect(await sandbox.cora(['restore', `${first.id}:secret.txt`, '--to', out])).toMatchObject({ code: 0 });
  expect(readFileSync(join(out, 'secret.txt'), 'utf8')).toBe('first secret');
});

test.skipIf(!isRoot || reason !== undefined)("restored by a user, files of other owners become that user's own (needs root)", async () => {
  chmodSync(join(sandbox.project, 'readable.txt'), 0o644);
  chownSync(join(sandbox.project, 'readable.txt'), 0, 0);
  const { id } = await sandbox.snapshot(['save']);
  const out = join(sandbox.root, 'out');
  expect(await sandbox.cora(['restore', id, '--to', out])).toMatchObject({ code: 0 });
  expect(readFileSync(join(out, 'readable.txt'), 'utf8')).toBe('can be read');
  expect(lstatSync(join(out, 'readable.txt')).uid).toBe(lstatSync(out).uid);
});

asNobody.each(['save', 'backup now'])(title('%s: files in a directory that its owner may not write into come back'), async (command) => {
  chmodSync(join(sandbox.project, 'closed'), 0o555);
  const before = readTree(sandbox.project);
  const { id } = await sandbox.snapshot(command.split(' '));
  const out = join(sandbox.root, 'out');
  expect(await sandbox.cora(['restore', id, '--to', out])).toMatchObject({ code: 0 });
  expect(compareTrees(before, readTree(out))).toEqual([]);
});

asNobody(title('a directory that cannot be written into: a restore names what it could not do and ends with an error'), async () => {
  const { id } = await sandbox.snapshot(['save']);
  const out = join(sandbox.root, 'out');
  mkdirSync(out, { mode: 0o555 });
  const run = await sandbox.json(['restore', id, '--to', out]);
  expect(run.code === 1 || run.code === 3).toBe(true);
  expect(existsSync(join(out, 'readable.txt'))).toBe(false);
});
