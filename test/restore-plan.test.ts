// What `cora restore` in place plans: who owns its record, what counts as changed, which directories were
// asked for, and what it leaves alone (mount points, links) or asks about (databases that are extras).

import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findProgram } from '../src/os/run.ts';
import { execute, isRoot, Sandbox } from './support/sandbox.ts';

const NOBODY = 65534;
const canMount = isRoot && findProgram('mount') !== undefined && findProgram('unshare') !== undefined;

let sandbox: Sandbox;
beforeEach(() => {
  sandbox = new Sandbox({ fast: true });
});
afterEach(() => sandbox.remove());

const at = (path: string) => join(sandbox.project, path);
const read = (path: string) => readFileSync(at(path), 'utf8');
const mode = (path: string) => statSync(at(path)).mode & 0o7777;
const YES = ['--yes', '--no-pre-snapshot'];

function makeDatabase(path: string, text = 'saved'): void {
  const database = new Database(path);
  database.pragma('journal_mode = wal');
  database.exec(`CREATE TABLE note (text); INSERT INTO note VALUES ('${text}')`);
  database.close();
}

function rowsOf(path: string): unknown[] {
  const database = new Database(path);
  try {
    return database.prepare('SELECT text FROM note ORDER BY rowid').pluck().all();
  } finally {
    database.close();
  }
}

test.skipIf(!isRoot)('what root restores in the project of somebody else leaves a record that this person can read', async () => {
  for (const path of ['.', 'a']) {
    if (path === 'a') writeFileSync(at('a'), 'saved');
    chownSync(at(path), NOBODY, NOBODY);
  }
  const { id } = await sandbox.snapshot(['save']);
  writeFileSync(at('a'), 'wrecked');
  expect((await sandbox.cora(['restore', id, ...YES])).code).toBe(0);
  const { run } = JSON.parse(read('.cora-restore/RESTORE.json')) as { run: string };
  for (const path of ['', '/lock', '/.gitignore', '/RESTORE.json', `/${run}`, `/${run}/moves.tsv`]) {
    const { uid, gid } = lstatSync(at(`.cora-restore${path}`));
    expect([path, uid, gid]).toEqual([path, NOBODY, NOBODY]);
  }
  expect(statSync(at('a')).uid).toBe(NOBODY);
});

test('a change that is only in the -wal is a change, for if-changed and for if-newer', async () => {
  makeDatabase(at('notes.db'));
  const { id } = await sandbox.snapshot(['backup', 'now']);
  const { mtime } = statSync(at('notes.db'));
  const program = new Database(at('notes.db'));
  program.pragma('wal_autocheckpoint = 0');
  program.exec("INSERT INTO note VALUES ('later')");
  utimesSync(at('notes.db'), mtime, mtime);
  const planned = async (when: string) => (await sandbox.json(['restore', id, 'notes.db', '--overwrite', when, '--dry-run'])).result;
  expect(await planned('if-changed')).toMatchObject({ replace: 1, keep: 0, live_databases: ['notes.db'] });
  // The snapshot's copy is younger than the file, and older than what the -wal holds.
  const past = new Date(mtime.getTime() - 60_000);
  utimesSync(at('notes.db'), past, past);
  expect(await planned('if-newer')).toMatchObject({ replace: 0, keep: 1 });
  program.close();
});

test('a directory that was asked for gets its saved mode with --modes snapshot; one that leads there does not', async () => {
  mkdirSync(at('above/d/in'), { recursive: true });
  writeFileSync(at('above/d/f'), 'saved');
  for (const path of ['above', 'above/d', 'above/d/in']) chmodSync(at(path), 0o750);
  const { id } = await sandbox.snapshot(['save']);
  const damage = () => {
    for (const path of ['above', 'above/d', 'above/d/in']) chmodSync(at(path), 0o711);
  };
  damage();
  expect((await sandbox.cora(['restore', id, 'above/d', ...YES])).code).toBe(0);
  expect(['above', 'above/d', 'above/d/in'].map(mode)).toEqual([0o711, 0o711, 0o711]);
  expect((await sandbox.cora(['restore', id, 'above/d', '--modes', 'snapshot', ...YES])).code).toBe(0);
  expect(['above', 'above/d', 'above/d/in'].map(mode)).toEqual([0o711, 0o750, 0o750]);
  expect((await sandbox.cora(['restore', '--undo', '--yes'])).code).toBe(0);
  expect(['above', 'above/d', 'above/d/in'].map(mode)).toEqual([0o711, 0o711, 0o711]);
  expect((await sandbox.cora(['restore', id, 'above/d/f', '--modes', 'snapshot', ...YES])).code).toBe(0);
  expect(['above', 'above/d', 'above/d/in'].map(mode)).toEqual([0o711, 0o711, 0o711]);
});

test('a link in the place of a database is replaced, and what it leads to stays as it is, with --live too', async () => {
  makeDatabase(at('notes.db'));
  const { id } = await sandbox.snapshot(['backup', 'now']);
  const elsewhere = join(sandbox.root, 'elsewhere.db');
  for (const how of ['--live', '--confirm-service-stopped']) {
    renameSync(at('notes.db'), join(sandbox.root, `gone${how}`));
    if (!existsSync(elsewhere)) makeDatabase(elsewhere, 'of somebody else');
    symlinkSync(elsewhere, at('notes.db'));
    writeFileSync(at('notes.db-wal'), 'left over');
    const before = readFileSync(elsewhere);
    const run = await sandbox.cora(['restore', id, 'notes.db', how, ...YES]);
    expect([how, run.code, run.stderr]).toEqual([how, 0, expect.anything()]);
    expect([lstatSync(at('notes.db')).isFile(), existsSync(at('notes.db-wal'))]).toEqual([true, false]);
    expect(rowsOf(at('notes.db'))).toEqual(['saved']);
    expect(readFileSync(elsewhere).equals(before)).toBe(true);
    expect((await sandbox.cora(['restore', '--undo', '--yes', how])).code).toBe(0);
    expect([readlinkSync(at('notes.db')), read('notes.db-wal')]).toEqual([elsewhere, 'left over']);
    const redone = await sandbox.cora(['restore', '--undo', '--yes', how]);
    // What lay beside the link is nobody's database, so the save before the redo has not got it; that is said.
    expect([redone.code, redone.stderr]).toEqual([3, expect.stringContaining('notes.db-wal: What was there is not in')]);
  }
});

test('a database that --delete would move aside, whatever its name, needs a word of its own', async () => {
  writeFileSync(at('a'), 'saved');
  const { id } = await sandbox.snapshot(['save']);
  makeDatabase(at('cache'));
  const args = ['restore', id, '--delete', ...YES];
  expect(await sandbox.json(args)).toMatchObject({ code: 20, error: { code: 'refused', details: { live_databases: ['cache'] } } });
  expect(existsSync(at('cache'))).toBe(true);
  expect((await sandbox.cora([...args, '--confirm-service-stopped'])).code).toBe(0);
  expect(existsSync(at('cache'))).toBe(false);
});

test.skipIf(!canMount)('an extra that is a mount point, or holds one, stays with --delete; other extras go', async () => {
  writeFileSync(at('a'), 'saved');
  const { id } = await sandbox.snapshot(['save']);
  mkdirSync(at('new/mnt/sub'), { recursive: true });
  mkdirSync(join(sandbox.root, 'volume'));
  for (const path of ['new/beside', 'extra', 'bound', '../file']) writeFileSync(at(path), 'new');
  const script = `mount --bind "$ROOT/volume" new/mnt && mount --bind "$ROOT/file" bound && exec "$CORA" restore ${id} --delete ${YES.join(' ')}`;
  const env = { PATH: process.env['PATH'] ?? '', HOME: sandbox.home, CORA_VAULT: sandbox.vault, CORA_LOG: join(sandbox.root, 'cora.log') };
  const cora = join(import.meta.dirname, '../bin/cora');
  const run = await execute('unshare', ['--mount', '--', 'sh', '-c', script], {
    cwd: sandbox.project,
    env: { ...env, ROOT: sandbox.root, CORA: cora },
  });
  expect([run.code, run.stderr]).toEqual([0, expect.stringContaining('bound is not in the snapshot and stays: something is mounted there')]);
  expect(run.stderr).toContain('new/mnt');
  expect(['new/mnt', 'new/beside', 'extra', 'bound'].map((path) => existsSync(at(path)))).toEqual([true, false, false, true]);
});

test('a path may be written whole; another one of that name below the current directory is told of', async () => {
  await execute('git', ['init', '-q'], { cwd: sandbox.project });
  mkdirSync(at('s'));
  for (const path of ['f', 's/f']) writeFileSync(at(path), 'saved');
  const { id } = await sandbox.snapshot(['save']);
  const wreck = () => ['f', 's/f'].map((path) => writeFileSync(at(path), 'wrecked'));
  wreck();
  expect((await sandbox.cora(['restore', id, at('s/f'), ...YES])).code).toBe(0);
  expect(['f', 's/f'].map(read)).toEqual(['wrecked', 'saved']);
  wreck();
  const link = join(sandbox.root, 'link');
  symlinkSync(sandbox.project, link);
  expect((await sandbox.cora(['restore', id, join(link, 'f'), ...YES])).code).toBe(0);
  expect(['f', 's/f'].map(read)).toEqual(['saved', 'wrecked']);
  wreck();
  const run = await sandbox.cora(['restore', id, './f', ...YES], { cwd: at('s') });
  expect([run.code, run.stderr]).toEqual([0, expect.stringContaining(`./f is read as f of the project; s/f is in ${id} too`)]);
  expect(['f', 's/f'].map(read)).toEqual(['saved', 'wrecked']);
});

test('what does not go together with --undo is named', async () => {
  for (const args of [['f'], ['--delete'], ['--to', 'x'], ['--modes', 'snapshot'], ['--without', 'x'], ['--overwrite', 'never']]) {
    const run = await sandbox.json(['restore', '--undo', ...args]);
    expect(run).toMatchObject({ code: 2, error: { code: 'usage', message: expect.stringContaining(`with ${args[0]}`) } });
  }
});
