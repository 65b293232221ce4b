// `cora end`: what it makes, what it reads back, and that its sentence says what its JSON says.

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findProgram, runSync } from '../src/os/run.ts';
import { execute, isRoot, Sandbox } from './support/sandbox.ts';

let box: Sandbox;
beforeEach(() => {
  box = new Sandbox({ fast: true });
  mkdirSync(join(box.project, 'src'));
  writeFileSync(join(box.project, 'src/app.ts'), 'export const a = 1;\n');
  // A root without git needs a mark of its own.
  writeFileSync(join(box.project, 'cora.toml'), '');
});
afterEach(() => box.remove());

test('the sentence has the figures of the JSON, and the save is found by its note', async () => {
  const ended = await box.json(['end']);
  expect(ended.code).toBe(0);
  expect(ended.result).toMatchObject({ files: 2, records: 0, verified: true, backup: null, shipped: null });
  const again = await box.cora(['end', '-m', 'second']);
  expect(again.stdout).toMatch(/^Session ended: saved \S+ \(0 files changed\); it holds 2 files, 20 B, read back and whole \(\S+ s\)\n$/);
  const { snapshots } = (await box.json(['list'])).result as { snapshots: { note: string }[] };
  expect(snapshots.map(({ note }) => note)).toEqual(['end of session', 'second']);
});

test('a hook that ends a session in which nothing changed makes no snapshot', async () => {
  const { id } = await box.snapshot(['save']);
  const ended = await box.json(['end', '--trigger', 'assistant']);
  expect(ended.result).toMatchObject({ snapshot_id: id, save: { outcome: 'unchanged' }, verified: true });
});

test('--backup makes one when one is due', async () => {
  expect((await box.json(['end', '--backup'])).result).toMatchObject({ verified: true, backup: { outcome: 'made' } });
  expect((await box.json(['end', '--backup'])).result).toMatchObject({ verified: true, backup: { outcome: 'not_needed' } });
});

test.skipIf(findProgram('sqlite3') === undefined)('rows are counted, and a loss is said', async () => {
  const sqlite = findProgram('sqlite3') ?? '';
  const database = join(box.project, 'notes.db');
  expect(runSync(sqlite, [database, 'CREATE TABLE n(x); INSERT INTO n VALUES(1),(2),(3)']).exitCode).toBe(0);
  expect((await box.cora(['end'])).stdout).toContain(', 3 records, ');
  rmSync(database);
  const lost = await box.cora(['end']);
  expect(lost.code).toBe(3);
  expect(lost.stdout).toContain('SUSPECT: 1 loss since the last good save; cora lost lists them');
  expect((await box.cora(['end', '--trigger', 'assistant'])).stdout).toContain('SUSPECT: 1 loss not settled');
});

test('a pack that was damaged is named, and nothing is called whole', async () => {
  const { path } = await box.snapshot(['save']);
  const pack = join(path, 'objects.tar.zst');
  if (isRoot) await execute('chattr', ['-f', '-i', '--', pack]);
  expect(readdirSync(path)).toContain('objects.tar.zst');
  const content = readFileSync(pack);
  content[content.length >> 1] = (content[content.length >> 1] ?? 0) ^ 1;
  writeFileSync(pack, content);
  const ended = await box.cora(['end']);
  expect(ended.code).toBe(21);
  expect(ended.stdout).toContain('DAMAGED');
  expect(ended.stdout).not.toContain('and whole');
});

test('a remote that fails is exit 12, and the save stands', async () => {
  writeFileSync(join(box.project, 'cora.toml'), `[offsite]\nremote = "${join(box.root, 'nowhere')}"\nallow_plaintext = true\n`);
  const ended = await box.json(['end', '--backup']);
  expect(ended.code).toBe(12);
  expect(ended.result).toMatchObject({ verified: true, backup: { outcome: 'made' } });
  expect((await box.json(['end', '--no-ship'])).code).toBe(0);
});
