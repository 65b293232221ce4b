// `cora db backup` and `cora db restore` as a person types them: single databases, no project, no vault.

import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { execute, isRoot, Sandbox, whyNotNobody } from './support/sandbox.ts';

let sandbox: Sandbox;
let db: string;
const open: Database.Database[] = [];

beforeEach(() => {
  sandbox = new Sandbox();
  db = join(sandbox.project, 'app.db');
});

afterEach(async () => {
  for (const database of open.splice(0)) database.close();
  await sandbox.remove();
});

/** A WAL database with so many users; stays open where it is asked. */
function make(file: string, users: number, keep = false): Database.Database {
  const database = new Database(file);
  database.pragma('journal_mode = wal');
  database.pragma('user_version = 7');
  database.exec('CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT); CREATE TABLE empty (x)');
  const insert = database.prepare('INSERT INTO users (name) VALUES (?)');
  database.transaction(() => {
    for (let i = 0; i < users; i++) insert.run(`user ${i} ${'x'.repeat(100)}`);
  })();
  if (keep) open.push(database);
  else database.close();
  return database;
}

function users(file: string): number {
  const database = new Database(file, { readonly: true });
  try {
    return Number(database.prepare('SELECT count(*) FROM users').pluck().get());
  } finally {
    database.close();
  }
}

const files = () => readdirSync(sandbox.project).toSorted();

/** Damages a page in the middle of table users. */
function damage(file: string): void {
  const content = readFileSync(file);
  content.fill(0xee, 4096 * 3, 4096 * 4);
  writeFileSync(file, content);
}

/** Every page reads well, and a row breaks the table's own rule: only the check itself can tell. */
function breakRule(file: string): void {
  const database = new Database(file);
  database.exec('CREATE TABLE strict (a); INSERT INTO strict VALUES (NULL)');
  database.unsafeMode(true);
  database.pragma('writable_schema = ON');
  database.exec("UPDATE sqlite_schema SET sql = 'CREATE TABLE strict (a NOT NULL)' WHERE name = 'strict'");
  database.close();
}

test('a copy is one private file with every row, and says so table by table', async () => {
  make(db, 1204);
  const run = await sandbox.cora(['db', 'backup', 'app.db']);
  expect(run).toMatchObject({ code: 0, stderr: '' });
  const name = files().find((each) => each.startsWith('app-backup-')) ?? '';
  expect(name).toMatch(/^app-backup-\d{8}-\d{6}\.db$/);
  expect(files()).toEqual([name, 'app.db'].toSorted());
  expect(run.stdout).toContain(join(sandbox.project, name));
  expect(run.stdout).toMatch(/^ {2}users +1204 rows$/m);
  expect(run.stdout).toMatch(/^ {2}empty +0 rows$/m);
  expect(run.stdout).toContain('integrity_check: ok');
  expect(statSync(join(sandbox.project, name)).mode & 0o777).toBe(0o600);
  expect(users(join(sandbox.project, name))).toBe(1204);
  expect(existsSync(sandbox.vault)).toBe(false);
});

test('a second copy in the same second has a name of its own', async () => {
  make(db, 1);
  const made = await Promise.all([1, 2].map(() => sandbox.json(['db', 'backup', 'app.db'])));
  const paths = made.filter(({ ok }) => ok).map(({ result }) => result['path']);
  expect(new Set(paths).size).toBe(paths.length);
  expect(files().filter((name) => name.includes('backup'))).toHaveLength(paths.length);
  for (const { ok, error } of made) if (!ok) expect(error.code).toBe('target_exists');
});

test('a database in use is copied with what is only in its -wal, and its -wal is left alone', async () => {
  make(db, 50, true);
  const wal = statSync(`${db}-wal`).size;
  expect(wal).toBeGreaterThan(0);
  const made = await sandbox.json(['db', 'backup', '--db', 'app.db', '--backup', 'out.db']);
  expect(made).toMatchObject({ code: 0, result: { rows: 50, tables: { users: 50, empty: 0 }, user_version: 7, checkpoint: 'held', verified: true } });
  expect(statSync(`${db}-wal`).size).toBe(wal);
  expect(users(join(sandbox.project, 'out.db'))).toBe(50);
});

/** Leaves a -wal behind that nobody has open, as a program does that was killed. */
function leaveWal(rows: number): void {
  make(`${db}.origin`, rows, true);
  for (const suffix of ['', '-wal']) copyFileSync(`${db}.origin${suffix}`, db + suffix);
  open.pop()?.close();
}

test('an idle -wal is written back, but not where that is turned off', async () => {
  leaveWal(50);
  const kept = await sandbox.json(['db', 'backup', 'app.db', '--backup', 'a.db', '--checkpoint=false']);
  expect(kept).toMatchObject({ code: 0, result: { rows: 50, checkpoint: 'off' } });
  expect(statSync(`${db}-wal`).size).toBeGreaterThan(0);
  const done = await sandbox.json(['db', 'backup', 'app.db', '--backup', 'b.db', '--verify=false']);
  expect(done).toMatchObject({ code: 0, result: { rows: 50, checkpoint: 'done', verified: false, check: null } });
  expect(statSync(`${db}-wal`, { throwIfNoEntry: false })?.size ?? 0).toBe(0);
  expect(users(db)).toBe(50);
});

test('restore: a new file, then refused without consent, then with the old rows kept', async () => {
  make(db, 10);
  await sandbox.cora(['db', 'backup', 'app.db', '--backup', 'copy.db']);
  expect(await sandbox.json(['db', 'restore', 'copy.db', '--db', 'new.db'])).toMatchObject({ code: 0, result: { way: 'new', kept: null, rows: 10 } });
  expect(users(join(sandbox.project, 'new.db'))).toBe(10);

  const database = new Database(db);
  database.exec('DELETE FROM users WHERE id > 4');
  database.close();
  const refused = await sandbox.json(['db', 'restore', 'copy.db', '--db', 'app.db']);
  expect(refused).toMatchObject({ code: 20, error: { code: 'target_exists' } });
  expect(users(db)).toBe(4);

  const before = files();
  const dry = await sandbox.json(['db', 'restore', '--backup', 'copy.db', '--db', 'app.db', '--dry-run']);
  expect(dry).toMatchObject({ code: 0, result: { dry_run: true, needs_force: true, tables: { users: 10 }, current: { users: 4 } } });
  expect(files()).toEqual(before);

  const run = await sandbox.cora(['db', 'restore', 'copy.db', '--db', 'app.db', '--force']);
  expect(run).toMatchObject({ code: 0, stderr: '' });
  expect(run.stdout).toMatch(/^ {2}users +10 rows$/m);
  expect(users(db)).toBe(10);
  const [kept] = files().filter((name) => name.startsWith('app.db.pre-restore-'));
  expect(kept).toMatch(/^app\.db\.pre-restore-\d{8}-\d{6}$/);
  expect(users(join(sandbox.project, kept ?? ''))).toBe(4);
  expect(readFileSync(db)[18]).toBe(2);
});

test('rows that were only in a -wal are in what is kept, and do not come back', async () => {
  make(join(sandbox.project, 'copy.db'), 3);
  leaveWal(50);
  const made = await sandbox.json(['db', 'restore', 'copy.db', '--db', 'app.db', '--force']);
  expect(made).toMatchObject({ code: 0, result: { way: 'replace', rows: 3 } });
  expect(users(db)).toBe(3);
  expect(users(String(made.result['kept']))).toBe(50);
});

test('a database that a program has open is restored through SQLite, and the program sees it', async () => {
  make(join(sandbox.project, 'copy.db'), 3);
  const program = make(db, 50, true);
  const count = program.prepare('SELECT count(*) FROM users').pluck();
  expect(count.get()).toBe(50);
  const made = await sandbox.json(['db', 'restore', 'copy.db', '--db', 'app.db', '--force']);
  expect(made).toMatchObject({ code: 0, result: { way: 'into', rows: 3, journal_mode: 'wal', moved: [] } });
  expect(made.result['holders']).toEqual([{ pid: process.pid, program: expect.any(String) }]);
  expect(count.get()).toBe(3);
  expect(users(String(made.result['kept']))).toBe(50);
});

test.each([
  ['backup', 'db_locked'],
  ['restore', 'db_locked'],
])('a locked database: %s says who has it, ends with 11 and leaves nothing', async (verb, code) => {
  const holder = make(db, 10, true);
  holder.pragma('journal_mode = delete');
  make(join(sandbox.project, 'copy.db'), 3);
  holder.pragma('locking_mode = exclusive');
  holder.exec('BEGIN EXCLUSIVE');
  const before = files();
  const args = verb === 'backup' ? ['db', 'backup', 'app.db', '--backup', 'out.db'] : ['db', 'restore', 'copy.db', '--db', 'app.db', '--force'];
  const run = await sandbox.cora([...args, '--lock-wait', '300ms']);
  expect(run).toMatchObject({ code: 11, stdout: '' });
  expect(run.stderr).toMatch(/database is locked: .*app\.db; it is open in .+ \(pid \d+\); nothing was changed/);
  expect(await sandbox.json([...args, '--lock-wait', '100ms'])).toMatchObject({ code: 11, error: { code } });
  expect(files()).toEqual(before);
  holder.exec('COMMIT');
});

test('a damaged database is not copied, and the answer says so', async () => {
  make(db, 500);
  damage(db);
  const run = await sandbox.cora(['db', 'backup', 'app.db', '--backup', 'out.db']);
  expect(run.code).toBe(1);
  expect(run.stderr).toContain('Integrity check failed');
  expect(files()).toEqual(['app.db']);
});

test.each(['damaged', 'inconsistent', 'encrypted', 'cut', 'empty'])('a %s copy is damage found (21); the target is not touched', async (what) => {
  make(db, 10);
  const copy = join(sandbox.project, 'copy.db');
  make(copy, 500);
  if (what === 'damaged') damage(copy);
  if (what === 'inconsistent') breakRule(copy);
  if (what === 'encrypted') writeFileSync(copy, Buffer.alloc(8192, 0xa7));
  if (what === 'cut') truncateSync(copy, 8192);
  if (what === 'empty') truncateSync(copy, 0);
  const before = files();
  const content = readFileSync(db);
  const args = ['db', 'restore', 'copy.db', '--db', 'app.db'];
  for (const extra of ['--force', '--dry-run']) {
    const run = await sandbox.cora([...args, extra]);
    expect(run).toMatchObject({ code: 21, stdout: '' });
    expect(run.stderr).toContain('Backup verification failed');
  }
  expect(files()).toEqual(before);
  expect(readFileSync(db).equals(content)).toBe(true);
});

test('a damaged target is replaced, its -wal kept with it', async () => {
  make(join(sandbox.project, 'copy.db'), 3);
  leaveWal(50);
  writeFileSync(db, 'not a database any more');
  const wal = readFileSync(`${db}-wal`);
  const made = await sandbox.json(['db', 'restore', 'copy.db', '--db', 'app.db', '--force']);
  expect(made).toMatchObject({ code: 0, result: { way: 'replace' } });
  expect(users(db)).toBe(3);
  expect(readFileSync(`${String(made.result['kept'])}-wal`).equals(wal)).toBe(true);
});

test('what is not there, is no database or is taken has one answer each, and nothing is left', async () => {
  make(db, 1);
  writeFileSync(join(sandbox.project, 'noise.db'), Buffer.alloc(8192, 0x5a));
  writeFileSync(join(sandbox.project, 'zero.db'), '');
  mkdirSync(join(sandbox.project, 'dir.db'));
  const before = files();
  const answers: readonly (readonly [answer: string, ...args: string[]])[] = [
    ['2 usage', 'backup'],
    ['2 usage', 'backup', 'app.db', '--db', 'app.db'],
    ['2 usage', 'backup', 'app.db', '--verify=maybe'],
    ['1 not_found', 'backup', 'gone.db'],
    ['1 db_open_failed', 'backup', 'noise.db'],
    ['1 db_open_failed', 'backup', 'zero.db'],
    ['1 db_open_failed', 'backup', 'dir.db'],
    ['20 target_exists', 'backup', 'app.db', '--backup', 'app.db'],
    ['1 not_found', 'backup', 'app.db', '--backup', 'no/where.db'],
    ['2 usage', 'restore', 'app.db'],
    ['2 usage', 'restore', 'app.db', '--db', 'app.db', '--force'],
    ['2 usage', 'restore', 'app.db', '--db', 'dir.db', '--force'],
    ['1 not_found', 'restore', 'gone.db', '--db', 'new.db'],
    ['1 not_found', 'restore', 'app.db', '--db', 'no/where.db'],
  ];
  const given = answers.map(async ([, ...args]) => {
    const made = await sandbox.json(['db', ...args]);
    return [`${made.code} ${made.error.code}`, ...args];
  });
  expect(await Promise.all(given)).toEqual(answers);
  expect(files()).toEqual(before);
});

test('a link stays a link, and names of any bytes work', async () => {
  const odd = join(sandbox.project, ' odd name\n.db ');
  make(db, 5);
  renameSync(db, odd);
  symlinkSync(odd, db);
  expect(await sandbox.json(['db', 'backup', 'app.db', '--backup', ' out '])).toMatchObject({ code: 0, result: { rows: 5 } });
  make(join(sandbox.project, 'copy.db'), 3);
  expect(await sandbox.json(['db', 'restore', 'copy.db', '--db', 'app.db', '--force'])).toMatchObject({ code: 0, result: { rows: 3 } });
  expect(readFileSync(db).equals(readFileSync(odd))).toBe(true);
  expect(statSync(odd).isFile()).toBe(true);
  const bytes = Buffer.concat([Buffer.from(`${sandbox.project}/caf`), Buffer.from([0xe9])]);
  mkdirSync(bytes);
  copyFileSync(odd, Buffer.concat([bytes, Buffer.from('/app.db')]));
  const script = 'exec "$1" db backup "$(printf "caf\\351")/app.db" --json';
  const env = { PATH: process.env['PATH'], HOME: sandbox.home, CORA_LOG: join(sandbox.root, 'log') };
  const made = await execute('/bin/sh', ['-c', script, 'sh', join(import.meta.dirname, '../bin/cora')], { cwd: sandbox.project, env });
  expect(made).toMatchObject({ code: 0, stdout: expect.stringContaining('path_base64') });
  expect(readdirSync(bytes)).toHaveLength(2);
});

const notNobody = whyNotNobody();
test.skipIf(!isRoot || notNobody !== undefined)(
  `an ordinary user: his database, and one he may only read (needs root; ${notNobody ?? 'ok'})`,
  async () => {
    const user = new Sandbox({ nobody: true });
    try {
      const mine = join(user.project, 'app.db');
      make(mine, 5);
      make(join(user.project, 'copy.db'), 3);
      for (const path of [mine, join(user.project, 'copy.db')]) user.own(path);
      expect(await user.json(['db', 'backup', 'app.db', '--backup', 'out.db'])).toMatchObject({ code: 0, result: { rows: 5 } });
      const made = await user.json(['db', 'restore', 'copy.db', '--db', 'app.db', '--force']);
      expect(made).toMatchObject({ code: 0, result: { way: 'into', rows: 3 } });
      expect(users(mine)).toBe(3);
      chmodSync(mine, 0o444);
      expect(await user.json(['db', 'backup', 'app.db', '--backup', 'out2.db'])).toMatchObject({ code: 0, result: { rows: 3 } });
      const shut = join(user.root, 'shut');
      mkdirSync(shut);
      make(join(shut, 'theirs.db'), 4);
      expect(await user.json(['db', 'backup', join(shut, 'theirs.db'), '--backup', 'out3.db'])).toMatchObject({
        code: 0,
        result: { rows: 4, checkpoint: 'failed' },
      });
      expect(await user.json(['db', 'backup', 'app.db', '--backup', join(shut, 'out.db')])).toMatchObject({ code: 1, error: { code: 'read_only' } });
      const refused = await user.json(['db', 'restore', 'copy.db', '--db', join(shut, 'theirs.db'), '--force']);
      expect(refused.code).toBe(1);
      expect(readdirSync(shut)).toEqual(['theirs.db']);
    } finally {
      await user.remove();
    }
  },
);
