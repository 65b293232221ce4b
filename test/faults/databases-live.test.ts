// Databases as programs use them, through the whole command: under write load, locked, damaged, under any
// name, beside index files. What a snapshot says of a database is what a restore of it gives.

import { copyFileSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { DatabaseReport, Report } from '../../src/format/report.ts';
import { LiveWriter } from '../support/live-writer.ts';
import { execute, Sandbox } from '../support/sandbox.ts';
import { canTrace, traceCora } from '../support/trace-opens.ts';

const SLOW = process.env['CORA_TEST_SLOW'] === '1';
let sandbox: Sandbox;
let closing: (() => unknown)[] = [];
const at = (path: string): string => join(sandbox.project, path);

beforeEach(() => {
  sandbox = new Sandbox({ fast: true });
});
afterEach(async () => {
  for (const close of closing) await close();
  closing = [];
  await sandbox.remove();
});

function make(path: string, rows: number, mode = 'delete'): void {
  mkdirSync(dirname(at(path)), { recursive: true });
  const database = new Database(at(path));
  database.pragma(`journal_mode = ${mode}`);
  database.exec('CREATE TABLE t (n INTEGER PRIMARY KEY, pad TEXT)');
  const insert = database.prepare('INSERT INTO t (pad) VALUES (?)');
  database.transaction(() => {
    for (let n = 0; n < rows; n++) insert.run(`row ${n} `.repeat(20));
  })();
  database.close();
}

function query<T>(path: string, statement: string): T {
  const database = new Database(path, { readonly: true, fileMustExist: true });
  try {
    return database.prepare(statement).pluck().get() as T;
  } finally {
    database.close();
  }
}

function reportOf(snapshot: string): Report {
  return JSON.parse(readFileSync(join(snapshot, 'REPORT.json'), 'utf8')) as Report;
}

async function restored(id: string): Promise<string> {
  const to = join(sandbox.root, `restored-${readdirSync(sandbox.root).length}`);
  const run = await sandbox.cora(['restore', id, '--to', to]);
  expect([run.code, run.stderr]).toEqual([0, expect.not.stringContaining('error')]);
  return to;
}

const SIDECAR = /-(?:wal|shm|journal)$/;

test.each(['wal', 'delete'])(
  'a database under 500 writes a second (%s): every copy is sound and holds every row that was acknowledged before',
  async (mode) => {
    const writer = new LiveWriter(at('live.db'), mode);
    closing.push(() => writer.stop());
    await writer.reach(200);
    const [startedAt, rowsAtStart] = [Date.now(), writer.acknowledged];
    for (let round = 0; round < (SLOW ? 100 : 6); round++) {
      const before = writer.acknowledged;
      const made = await sandbox.snapshot(round % 2 === 0 ? ['save'] : ['backup', 'now']);
      const [database] = reportOf(made.path).databases;
      expect(database).toMatchObject({ path: 'live.db', stored: 'copy', journal_mode: mode, check_result: 'ok' });
      expect(database?.rows).toBeGreaterThanOrEqual(before);
      const to = await restored(made.id);
      expect(readdirSync(to)).toEqual(['live.db']);
      const copy = join(to, 'live.db');
      expect(query(copy, 'PRAGMA integrity_check')).toBe('ok');
      expect(query(copy, 'PRAGMA journal_mode')).toBe(mode);
      // Rows 1 to max with nothing left out, each whole.
      expect(query(copy, 'SELECT count(*) = max(n) AND sum(twice) = 2 * sum(n) AND min(length(pad)) = 200 FROM t')).toBe(1);
      expect(query<number>(copy, 'SELECT max(n) FROM t')).toBe(database?.rows);
      if (round % 2 === 1) {
        const listing = gunzipSync(readFileSync(join(made.path, 'FILES.tsv.gz'))).toString();
        const paths = listing.split('\n').flatMap((row) => row.split('\t')[7] ?? []);
        const archived = await execute('tar', ['-tzf', join(made.path, 'project-full.tar.gz')]);
        expect([...paths, ...archived.stdout.trim().split('\n'), ...readdirSync(join(made.path, 'db'))].filter((path) => SIDECAR.test(path))).toEqual(
          [],
        );
      }
      rmSync(to, { recursive: true });
    }
    expect([writer.running, writer.errors]).toEqual([true, '']);
    // The load was there: half the rate at least, on a machine that has other work too.
    if (mode === 'wal') expect((writer.acknowledged - rowsAtStart) / ((Date.now() - startedAt) / 1000)).toBeGreaterThan(250);
    expect((await sandbox.cora(['verify', '--all', '--deep'])).code).toBe(0);
  },
);

test('a database is one whatever its name and place, and a file that is only named like one is none', async () => {
  const names = ['notes', 'cache.bin', 'a b/-rf', 'x.tar.gz', 'd\u00e9j\u00e0/.hidden', 'new\nline.db', 'thing-wal', 'q?mode=memory', '%41.db'];
  for (const name of names) make(name, 3, 'wal');
  writeFileSync(at('no.db'), 'text\n');
  writeFileSync(at('empty.sqlite'), '');
  const made = await sandbox.snapshot(['backup', 'now']);
  const { databases, status } = reportOf(made.path);
  expect([status, databases.map(({ path, rows, journal_mode }) => [path, rows, journal_mode]).sort()]).toEqual([
    'complete',
    names.map((name) => [name, 3, 'wal']).sort(),
  ]);
  const to = await restored(made.id);
  for (const name of names) {
    expect([name, query(join(to, name), 'SELECT count(*) FROM t'), query(join(to, name), 'PRAGMA journal_mode')]).toEqual([name, 3, 'wal']);
    expect([name, query(join(made.path, 'db', name), 'SELECT count(*) FROM t')]).toEqual([name, 3]);
  }
  expect(readFileSync(join(to, 'no.db'), 'utf8')).toBe('text\n');
});

test.skipIf(!canTrace)(
  'an unchanged database is not copied again, not even for a backup; a row in its -wal makes it a changed one (needs strace)',
  async () => {
    make('big.db', 20_000);
    make('used.db', 10, 'wal');
    const user = new Database(at('used.db'));
    closing.push(() => user.close());
    user.exec("INSERT INTO t (pad) VALUES ('in the wal')");
    await new Promise((resolve) => setTimeout(resolve, 2100));
    await sandbox.snapshot(['save']);
    writeFileSync(at('other.txt'), 'new\n');
    const save = await traceCora(sandbox, ['save', '--json']);
    expect([save.code, [...new Set(save.opened)]]).toEqual([0, ['other.txt']]);
    const { result } = JSON.parse(save.stdout) as { result: { databases: DatabaseReport[]; data_added: number } };
    expect([result.databases.map(({ path, rows }) => [path, rows]), result.data_added]).toEqual([
      [
        ['big.db', 20_000],
        ['used.db', 11],
      ],
      4,
    ]);
    user.exec("INSERT INTO t (pad) VALUES ('one more')");
    const changed = await traceCora(sandbox, ['backup', 'now', '--json']);
    expect([changed.code, changed.opened.includes('used.db'), changed.opened.includes('big.db')]).toEqual([0, true, false]);
    expect(reportOf((JSON.parse(changed.stdout) as { result: { path: string } }).result.path).databases[1]).toMatchObject({
      path: 'used.db',
      rows: 12,
    });
  },
);

test('a Chroma store is one unit: its index files, its database, and the number of its documents', async () => {
  const segment = 'vectors/0b5b1b1e-0000-4000-8000-000000000000';
  mkdirSync(at(segment), { recursive: true });
  for (const name of ['header.bin', 'data_level0.bin', 'length.bin', 'link_lists.bin'])
    writeFileSync(at(join(segment, name)), Buffer.alloc(5000, name));
  const database = new Database(at('vectors/chroma.sqlite3'));
  closing.push(() => database.close());
  database.pragma('journal_mode = wal');
  database.exec(
    "CREATE TABLE embeddings (id INTEGER PRIMARY KEY, segment_id TEXT, embedding_id TEXT); INSERT INTO embeddings (embedding_id) VALUES ('a'), ('b'), ('c')",
  );
  const made = await sandbox.snapshot(['backup', 'now']);
  const unit = { kind: 'chroma', path: 'vectors', database: 'vectors/chroma.sqlite3', documents: 3 };
  expect(reportOf(made.path).units).toEqual([unit]);
  const to = await restored(made.id);
  expect(query(join(to, 'vectors/chroma.sqlite3'), 'SELECT count(*) FROM embeddings')).toBe(3);
  expect(readFileSync(join(to, segment, 'link_lists.bin'))).toEqual(readFileSync(at(join(segment, 'link_lists.bin'))));
  // A second backup of the unchanged store says the same.
  expect(reportOf((await sandbox.snapshot(['backup', 'now'])).path).units).toEqual([unit]);
});

test('a damaged database is kept byte for byte, named, and the snapshot counts, with a warning', async () => {
  make('sound.db', 100);
  make('damaged.db', 1000);
  const bytes = readFileSync(at('damaged.db'));
  bytes.fill(0x5a, 8192, 60_000);
  writeFileSync(at('damaged.db'), bytes);
  const first = await sandbox.json(['backup', 'now']);
  expect([first.code, first.problems.map(({ code, path }) => [code, path])]).toEqual([3, [['db_corrupt', 'damaged.db']]]);
  const id = String(first.result['snapshot_id']);
  const { databases, status } = reportOf(String(first.result['path']));
  expect([status, databases.map(({ path, stored }) => [path, stored])]).toEqual([
    'partial',
    [
      ['damaged.db', 'raw'],
      ['sound.db', 'copy'],
    ],
  ]);
  expect(readFileSync(join(String(first.result['path']), 'db/damaged.db')).equals(bytes)).toBe(true);
  const to = await restored(id);
  expect(readFileSync(join(to, 'damaged.db')).equals(bytes)).toBe(true);
  expect(query(join(to, 'sound.db'), 'SELECT count(*) FROM t')).toBe(100);
  expect((await sandbox.cora(['verify', '--all', '--deep'])).code).toBe(0);
  // It is as good a backup as there can be: `auto` does not make one after the other, and `status` says what is amiss.
  expect((await sandbox.json(['backup', 'auto'])).result).toMatchObject({ outcome: 'not_needed', snapshot_id: id });
  const { warnings } = (await sandbox.json(['status'])).result as { warnings: { message: string }[] };
  expect(warnings.map(({ message }) => message).filter((message) => message.includes(id))).toEqual([
    `The save ${id} counts, but is not complete`,
    `The backup ${id} counts, but is not complete`,
  ]);
  // Put right, it is a database again.
  rmSync(at('damaged.db'));
  make('damaged.db', 7);
  const mended = await sandbox.json(['backup', 'now']);
  expect([mended.code, mended.problems]).toEqual([0, []]);
});

test('damage that only the full check sees does not keep a project without backups', async () => {
  // Two indexes with each other's pages: quick_check, which a save makes, compares their counts alone with the table.
  const database = new Database(at('index.db'));
  database.exec('CREATE TABLE t (a, b); CREATE INDEX i ON t (a); CREATE INDEX j ON t (b); INSERT INTO t VALUES (1, 2)');
  database.unsafeMode(true);
  database.pragma('writable_schema = ON');
  database.exec("UPDATE sqlite_schema SET rootpage = CASE rootpage WHEN 3 THEN 4 ELSE 3 END WHERE type = 'index'");
  database.close();
  expect(query(at('index.db'), 'PRAGMA quick_check')).toBe('ok');
  expect(query(at('index.db'), 'PRAGMA integrity_check')).not.toBe('ok');
  expect((await sandbox.json(['save'])).code).toBe(0);
  const backup = await sandbox.json(['backup', 'now']);
  expect([backup.code, backup.problems.map(({ code, path }) => [code, path])]).toEqual([3, [['db_corrupt', 'index.db']]]);
  const path = String(backup.result['path']);
  expect(readFileSync(join(path, 'db/index.db')).equals(readFileSync(at('index.db')))).toBe(true);
  expect((await sandbox.cora(['verify', '--all', '--deep'])).code).toBe(0);
});

test('a database that stays locked is named and left out, all else is saved, and the next save has it', async () => {
  make('locked.db', 10);
  make('free.db', 10);
  writeFileSync(at('a.txt'), 'a\n');
  writeFileSync(at('cora.toml'), '[databases]\ntimeout = "1s"\n');
  const holder = new Database(at('locked.db'));
  closing.push(() => holder.close());
  holder.exec('BEGIN EXCLUSIVE; INSERT INTO t (pad) VALUES (1)');
  for (const command of [['save'], ['save'], ['backup', 'now']]) {
    const { code, problems, result } = await sandbox.json(command);
    expect([command, code, problems.map((problem) => [problem.code, problem.path])]).toEqual([command, 3, [['db_locked', 'locked.db']]]);
    const to = await restored(String(result['snapshot_id']));
    expect(readdirSync(to).sort()).toEqual(['a.txt', 'cora.toml', 'free.db']);
  }
  // No good backup: a database is missing.
  const { last_backup: lastBackup } = (await sandbox.json(['status'])).result as { last_backup: { ok: boolean } };
  expect(lastBackup.ok).toBe(false);
  holder.exec('COMMIT');
  const { code, problems, result } = await sandbox.json(['save']);
  expect([code, problems]).toEqual([0, []]);
  expect(query(join(await restored(String(result['snapshot_id'])), 'locked.db'), 'SELECT count(*) FROM t')).toBe(11);
});

test('a database over db_plain_max is in the archive alone, and comes back from there', async () => {
  writeFileSync(at('cora.toml'), 'db_plain_max = "20KB"\n');
  make('small.db', 5);
  make('large.db', 500, 'wal');
  const made = await sandbox.snapshot(['backup', 'now']);
  expect(readdirSync(join(made.path, 'db'))).toEqual(['small.db']);
  expect(reportOf(made.path).databases.map(({ path, plain }) => [path, plain])).toEqual([
    ['large.db', false],
    ['small.db', true],
  ]);
  expect(readFileSync(join(made.path, 'MANIFEST.txt'), 'utf8')).toMatch(/large\.db.*archive only/);
  expect((await execute('sha256sum', ['--quiet', '-c', 'SHA256SUMS.txt'], { cwd: made.path })).code).toBe(0);
  // The backup is complete without the saves.
  renameSync(join(sandbox.vault, 'progress'), join(sandbox.root, 'progress-aside'));
  rmSync(join(sandbox.vault, '.cache'), { recursive: true });
  const to = await restored(made.id);
  expect([query(join(to, 'large.db'), 'SELECT count(*) FROM t'), query(join(to, 'large.db'), 'PRAGMA journal_mode')]).toEqual([500, 'wal']);
  const byScript = join(sandbox.root, 'by-script');
  expect((await sandbox.restoreScript([made.id, byScript])).code).toBe(0);
  expect(query(join(byScript, 'large.db'), 'PRAGMA integrity_check')).toBe('ok');
  expect(query(join(byScript, 'large.db'), 'SELECT count(*) FROM t')).toBe(500);
});

test('a live database that is replaced, emptied or taken away between saves is each time what it then was', async () => {
  make('app.db', 50, 'wal');
  const ids = [(await sandbox.snapshot(['save'])).id];
  const size = statSync(at('app.db')).size;
  // As programs replace a database: another file of the same name and size.
  make('next.db', 50, 'wal');
  const next = new Database(at('next.db'));
  next.exec("UPDATE t SET pad = replace(pad, 'row', 'ROW')");
  next.close();
  expect(statSync(at('next.db')).size).toBe(size);
  renameSync(at('next.db'), at('app.db'));
  ids.push((await sandbox.snapshot(['save'])).id);
  writeFileSync(at('app.db'), '');
  ids.push((await sandbox.snapshot(['save'], 3)).id);
  rmSync(at('app.db'));
  writeFileSync(at('else.txt'), 'x');
  ids.push((await sandbox.snapshot(['save'], 3)).id);
  copyFileSync(at('else.txt'), at('app.db'));
  ids.push((await sandbox.snapshot(['save'], 3)).id);
  const [first = '', second = '', empty = '', gone = '', text = ''] = ids;
  const statement = 'SELECT pad FROM t WHERE n = 7';
  expect(query<string>(join(await restored(first), 'app.db'), statement)).toMatch(/^row 6/);
  expect(query<string>(join(await restored(second), 'app.db'), statement)).toMatch(/^ROW 6/);
  expect(statSync(join(await restored(empty), 'app.db')).size).toBe(0);
  expect(readdirSync(await restored(gone))).toEqual(['else.txt']);
  expect(readFileSync(join(await restored(text), 'app.db'), 'utf8')).toBe('x');
});
