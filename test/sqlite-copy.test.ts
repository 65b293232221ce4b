// Copies of live SQLite databases, with real writers in other processes: every row that was acknowledged before
// a copy began is in it, the live database is left as it was, and what cannot be copied is said, never guessed.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';
import { type Bytes, bytes, fromText, fsPath, joinBytes } from '../src/base/bytes.ts';
import { CoraError } from '../src/base/errors.ts';
import { isSqliteHeader } from '../src/format/sqlite-header.ts';
import { findProgram } from '../src/os/run.ts';
import { checkCopy, setJournalMode, takeCopy } from '../src/os/sqlite.ts';
import { type CapturedDatabase, captureDatabase, countChromaDocuments, findUnits, looksEncrypted } from '../src/source/databases.ts';

const slow = process.env['CORA_TEST_SLOW'] === '1';
const repository = join(import.meta.dirname, '..');
const isRoot = process.geteuid?.() === 0;
const NOBODY = 65_534;

const base = mkdtempSync(join(tmpdir(), 'cora-sqlite-'));
chmodSync(base, 0o755);
afterAll(() => rmSync(base, { recursive: true, force: true }));

let count = 0;
let live = '';
let stage = '';
const children: ChildProcess[] = [];
beforeEach(() => {
  const directory = join(base, String(++count));
  live = join(directory, 'live');
  stage = join(directory, 'stage');
  for (const path of [directory, live, stage]) mkdirSync(path, { mode: 0o755 });
});
afterEach(async () => {
  for (const child of children.splice(0)) await kill(child);
});

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

/** A process with `database` open at `path`. What it prints goes to a file, so that it can be read at one instant. */
async function startWriter(path: string, code: string): Promise<{ child: ChildProcess; printed: () => string[] }> {
  const output = join(base, `output-${++count}`);
  const fd = openSync(output, 'w');
  const program = `
    import Database from 'better-sqlite3';
    import { writeSync } from 'node:fs';
    const say = (text) => writeSync(1, text + '\\n');
    const sleep = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
    const database = new Database(${JSON.stringify(path)}, { timeout: 20000 });
    ${code}`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { cwd: repository, stdio: ['ignore', fd, 'inherit'] });
  closeSync(fd);
  children.push(child);
  const printed = (): string[] => readFileSync(output, 'latin1').split('\n').slice(0, -1);
  await until(() => printed().length > 0 || child.exitCode !== null);
  expect(child.exitCode).toBe(null);
  return { child, printed };
}

async function until(condition: () => boolean, limit = 20_000): Promise<void> {
  const end = performance.now() + limit;
  while (!condition()) {
    if (performance.now() > end) throw new Error('waited for too long');
    await sleep(5);
  }
}

/** About 500 commits a second, each told when it is done. */
const COUNTING = (mode: string): string => `
  database.pragma('journal_mode = ${mode}');
  database.exec('CREATE TABLE IF NOT EXISTS t(n INTEGER PRIMARY KEY, filling TEXT)');
  const insert = database.prepare("INSERT INTO t VALUES(?, 'a row that takes some room in its page, so that there are many pages')");
  for (let n = 1; ; n++) { insert.run(n); say(String(n)); sleep(1); }`;

function make(path: string, sql: string, mode = 'DELETE'): void {
  const database = new Database(path);
  database.pragma(`journal_mode = ${mode}`);
  database.exec(sql);
  database.close();
}

const FILLED = (rows: number): string =>
  `CREATE TABLE t(n INTEGER PRIMARY KEY, x TEXT);
   WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < ${rows}) INSERT INTO t SELECT i, printf('%.200d', i) FROM c`;

let copies = 0;
const newTarget = (): string => join(stage, `copy-${++copies}`);

async function capture(
  path: string | Bytes,
  check: 'quick_check' | 'integrity_check' = 'quick_check',
  timeout = 400,
): Promise<CapturedDatabase & { target: string }> {
  const target = newTarget();
  const source = typeof path === 'string' && !(path as string).includes('\xff') ? fromText(path) : bytes(path);
  return { ...(await captureDatabase(source, fromText('some/x.db'), target, { timeout, check, checkCopy })), target };
}

function query(path: string, sql: string): unknown {
  const database = new Database(path, { readonly: true });
  try {
    return database.prepare(sql).pluck().get();
  } finally {
    database.close();
  }
}

/** Nothing beside the copy, and the copy in journal mode DELETE. */
function expectAlone(target: string): void {
  const name = target.slice(stage.length + 1);
  expect(readdirSync(stage).filter((other) => other.startsWith(name))).toEqual([name]);
  expect([...readFileSync(target).subarray(18, 20)]).toEqual([1, 1]);
}

test.each(['WAL', 'DELETE'])(
  'copies of a %s database under constant writing hold every row acknowledged before',
  async (mode) => {
    const path = join(live, 'busy.db');
    const { printed, child } = await startWriter(path, COUNTING(mode));
    await until(() => printed().length > 50);
    const rounds = slow ? 300 : mode === 'WAL' ? 100 : 30;
    const sidecar = mode === 'WAL' ? statSync(`${path}-wal`).ino : 0;
    for (let round = 0; round < rounds; round++) {
      const acknowledged = Number(printed().at(-1));
      const result = await capture(path, 'integrity_check', 20_000);
      expect(result.outcome).toBe('copied');
      expectAlone(result.target);
      const rows = Number(query(result.target, 'SELECT count(*) FROM t'));
      expect(rows).toBeGreaterThanOrEqual(acknowledged);
      expect(rows).toBe(query(result.target, 'SELECT max(n) FROM t'));
      expect(result).toMatchObject({ report: { journal_mode: mode.toLowerCase(), rows, stored: 'copy', check_result: 'ok' } });
      rmSync(result.target);
      await sleep(5);
    }
    if (mode === 'WAL') expect(statSync(`${path}-wal`).ino).toBe(sidecar);
    const before = printed().length;
    await until(() => printed().length > before + 20);
    expect(child.exitCode).toBe(null);
  },
  120_000,
);

test('what makes a database itself is kept or recorded: page size, versions, rows by table', async () => {
  const path = join(live, 'facts.db');
  const database = new Database(path);
  database.pragma('page_size = 65536');
  database.pragma('user_version = 7');
  database.pragma('application_id = 99');
  database.pragma('journal_mode = WAL');
  database.exec(`${FILLED(3000)};
    CREATE TABLE "a ""quoted"" name"(x); INSERT INTO "a ""quoted"" name" VALUES (1), (2);
    CREATE TABLE __proto__(x); INSERT INTO __proto__ VALUES (1);
    CREATE TABLE w(k TEXT PRIMARY KEY) WITHOUT ROWID; INSERT INTO w VALUES ('a');
    CREATE TABLE auto(id INTEGER PRIMARY KEY AUTOINCREMENT);
    CREATE VIRTUAL TABLE words USING fts5(body); INSERT INTO words VALUES ('hello');
    CREATE VIEW v AS SELECT * FROM t`);
  const schemaVersion = Number(database.pragma('schema_version', { simple: true }));
  database.close();
  const { target, ...result } = await capture(path, 'integrity_check');
  if (result.outcome !== 'copied') throw new Error('not copied');
  expect(result.report).toMatchObject({
    page_size: 65_536,
    user_version: 7,
    application_id: 99,
    schema_version: schemaVersion,
    journal_mode: 'wal',
    check: 'integrity_check',
    check_result: 'ok',
    rows: 3004,
    size: statSync(target).size,
  });
  expect(Object.entries(result.report.tables).toSorted()).toEqual([
    ['__proto__', 1],
    ['a "quoted" name', 2],
    ['auto', 0],
    ['t', 3000],
    ['w', 1],
  ]);
  expect([query(target, 'PRAGMA user_version'), query(target, 'PRAGMA application_id'), query(target, 'PRAGMA page_size')]).toEqual([7, 99, 65_536]);
  expectAlone(target);
  await setJournalMode(target, 'wal');
  expect(readdirSync(stage)).toEqual([target.slice(stage.length + 1)]);
  expect(query(target, 'PRAGMA journal_mode')).toBe('wal');
});

test('an idle WAL database stays byte for byte and second for second as it was, alone, and nothing of it becomes ours', async () => {
  const path = join(live, 'idle.db');
  make(path, FILLED(500), 'WAL');
  if (isRoot) for (const own of [live, path]) chownSync(own, NOBODY, NOBODY);
  const before = { stat: statSync(path, { bigint: true }), content: readFileSync(path) };
  const result = await capture(path);
  expect(result).toMatchObject({ outcome: 'copied', report: { journal_mode: 'wal', rows: 500 } });
  const after = statSync(path, { bigint: true });
  expect([after.mtimeNs, after.ctimeNs, after.ino, after.uid]).toEqual([before.stat.mtimeNs, before.stat.ctimeNs, before.stat.ino, before.stat.uid]);
  expect(readFileSync(path).equals(before.content)).toBe(true);
  expect(readdirSync(live)).toEqual(['idle.db']);
  expectAlone(result.target);
});

test("an open program's -wal and -shm stay, its commits are in the copy and its open transaction is not", async () => {
  const path = join(live, 'open.db');
  const database = new Database(path);
  database.pragma('journal_mode = WAL');
  database.exec('CREATE TABLE t(x); INSERT INTO t VALUES (1), (2); BEGIN; INSERT INTO t VALUES (3)');
  const inodes = (): number[] => ['-wal', '-shm'].map((suffix) => statSync(path + suffix).ino);
  const before = { inodes: inodes(), wal: readFileSync(`${path}-wal`) };
  const result = await capture(path);
  expect(result).toMatchObject({ outcome: 'copied', report: { rows: 2 } });
  expect(inodes()).toEqual(before.inodes);
  expect(readFileSync(`${path}-wal`).equals(before.wal)).toBe(true);
  database.exec('COMMIT');
  expect(await capture(path)).toMatchObject({ outcome: 'copied', report: { rows: 3 } });
  database.close();
});

test('a program that opens an idle WAL database during the copy is not disturbed', async () => {
  const path = join(live, 'woken.db');
  make(path, FILLED(2000), 'WAL');
  let writer: Database.Database | undefined;
  const target = newTarget();
  const result = await captureDatabase(fromText(path), fromText('woken.db'), target, {
    timeout: 400,
    check: 'quick_check',
    checkCopy: (copy, check) => {
      writer = new Database(path);
      writer.exec('INSERT INTO t(x) VALUES (1)');
      return checkCopy(copy, check);
    },
  });
  expect(result.outcome).toBe('copied');
  expect((await capture(path)).outcome).toBe('copied');
  writer?.exec('INSERT INTO t(x) VALUES (2)');
  expect(query(path, 'SELECT count(*) FROM t')).toBe(2002);
  writer?.close();
  expect(query(path, 'SELECT count(*) FROM t')).toBe(2002);
});

function damage(path: string, offset: number, length = 8192): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, Buffer.alloc(length, 0x55), 0, length, offset);
  closeSync(fd);
}

test.each(['DELETE', 'WAL'])('a damaged %s database is stored as its bytes are, and left alone', async (mode) => {
  const path = join(live, 'damaged.db');
  make(path, FILLED(3000), mode);
  damage(path, 40_960);
  const content = readFileSync(path);
  const result = await capture(path);
  expect(result).toMatchObject({
    outcome: 'raw',
    problem: { code: 'db_corrupt', severity: 'error' },
    report: { stored: 'raw', check: 'none', rows: 0 },
  });
  expect(readFileSync(result.target).equals(content)).toBe(true);
  expect(readFileSync(path).equals(content)).toBe(true);
  expect(readdirSync(live)).toEqual(['damaged.db']);
});

test('of a damaged database what is only in its -wal is stored too', async () => {
  const path = join(live, 'damaged.db');
  make(path, FILLED(3000), 'WAL');
  damage(path, 40_960);
  const writer = new Database(path);
  writer.exec("UPDATE t SET x = 'only in the wal' WHERE n = 3000");
  const result = await capture(path);
  expect(result).toMatchObject({ outcome: 'raw', problem: { code: 'db_corrupt' }, report: { stored: 'raw' } });
  expect(readFileSync(result.target, 'latin1')).toContain('only in the wal');
  expect(readFileSync(path, 'latin1')).not.toContain('only in the wal');
  writer.close();
});

/** An index that holds another value than its table; only integrity_check compares them. */
function makeWrongIndex(path: string): void {
  const edit = (sql: string): void => {
    const database = new Database(path);
    database.unsafeMode(true);
    database.pragma('writable_schema = ON');
    database.exec(sql);
    database.close();
  };
  make(path, "CREATE TABLE t(a, b); CREATE INDEX i ON t(b); INSERT INTO t VALUES (1, 'x'), (2, 'y'), (3, 'z')");
  edit("CREATE TABLE keep AS SELECT * FROM sqlite_schema WHERE name = 'i'; DELETE FROM sqlite_schema WHERE name = 'i'");
  edit("UPDATE t SET b = 'w' WHERE a = 3");
  edit('INSERT INTO sqlite_schema SELECT * FROM keep');
}

test('a database whose damage only integrity_check finds is stored raw, not taken for a failed copy', async () => {
  const path = join(live, 'index.db');
  makeWrongIndex(path);
  expect((await capture(path, 'quick_check')).outcome).toBe('copied');
  const result = await capture(path, 'integrity_check');
  expect(result).toMatchObject({ outcome: 'raw', problem: { code: 'db_corrupt' } });
  expect(readFileSync(result.target).equals(readFileSync(path))).toBe(true);
});

test("tables with their program's own collations and functions are copied, commits in the -wal included, and said to be unchecked", async () => {
  const path = join(live, 'own.db');
  const database = new Database(path);
  database.pragma('journal_mode = WAL');
  database.exec(
    "CREATE TABLE a(x TEXT); CREATE INDEX i ON a(x); CREATE TABLE b(x); CREATE INDEX j ON b(x); CREATE TABLE c(x); INSERT INTO a VALUES ('1'), ('2'); INSERT INTO c VALUES (1)",
  );
  database.unsafeMode(true);
  database.pragma('writable_schema = ON');
  database.exec(`UPDATE sqlite_schema SET sql = 'CREATE TABLE a(x TEXT COLLATE german)' WHERE name = 'a';
    UPDATE sqlite_schema SET sql = 'CREATE INDEX j ON b(own(x))' WHERE name = 'j'`);
  const result = await capture(path, 'integrity_check');
  expect(result).toMatchObject({
    outcome: 'copied',
    problem: { code: 'db_unchecked', severity: 'warning' },
    report: { rows: 3, stored: 'copy', check_result: expect.stringMatching(/^ok, but not checked: a \(.*german.*b \(.*own/) },
  });
  // What can be checked is, and damage there counts.
  database.exec(`CREATE TABLE d(x, y); CREATE INDEX k ON d(x); INSERT INTO d VALUES (1, 2);
    UPDATE sqlite_schema SET sql = 'CREATE INDEX k ON d(y)' WHERE name = 'k'`);
  expect(await capture(path, 'integrity_check')).toMatchObject({ outcome: 'raw', problem: { code: 'db_corrupt' } });
  database.close();
});

test('a copy that fails its check while its database is sound ends the run; so does what has nothing to do with the database', async () => {
  const path = join(live, 'sound.db');
  make(path, FILLED(10));
  const captureWith = (check: () => Promise<never> | ReturnType<typeof checkCopy>): Promise<CapturedDatabase> =>
    captureDatabase(fromText(path), fromText('sound.db'), newTarget(), { timeout: 400, check: 'quick_check', checkCopy: check });
  await expect(captureWith(async () => ({ result: 'row 1 missing', rows: 0, tables: {} }))).rejects.toMatchObject({
    code: 'db_integrity_check_failed',
  });
  await expect(captureWith(() => Promise.reject(new CoraError('interrupted', 'Interrupted')))).rejects.toMatchObject({ code: 'interrupted' });
  expect(readdirSync(stage).filter((name) => name.endsWith('-link'))).toEqual([]);
});

test('a copy that our own disk refuses ends the snapshot where the database is sound, and is a problem of the database where it is not', async () => {
  const path = join(live, 'ours.db');
  const database = new Database(path);
  database.exec('CREATE TABLE t (x); INSERT INTO t VALUES (1)');
  database.close();
  const capture = (target: string) => captureDatabase(fromText(path), fromText('ours.db'), target, { timeout: 400, check: 'quick_check', checkCopy });
  await expect(capture(join(stage, 'missing/copy'))).rejects.toMatchObject({ code: 'io', message: expect.stringContaining('is sound') as string });
  expect(readdirSync(stage)).toEqual([]);
  writeFileSync(path, Buffer.alloc(4096, 7), { flag: 'r+' });
  expect((await capture(join(stage, 'copy'))).outcome).toBe('raw');
});

test('a file with the header that SQLite does not take for a database is stored raw', async () => {
  const path = join(live, 'odd.db');
  writeFileSync(path, Buffer.concat([Buffer.from('SQLite format 3\0'), randomBytes(8192 - 16)]));
  const result = await capture(path);
  expect(result).toMatchObject({ outcome: 'raw', problem: { code: 'db_encrypted', severity: 'error' } });
  expect(readFileSync(result.target).equals(readFileSync(path))).toBe(true);
});

test('a file named like a database is taken for an encrypted one only when it is noise in whole sectors', () => {
  const looks = (name: string, content: Uint8Array): boolean => {
    const path = join(live, name);
    writeFileSync(path, content);
    return looksEncrypted(fromText(name), content.length, fromText(path));
  };
  for (const name of ['a.db', 'a.sqlite', 'A.SQLITE3']) expect(looks(name, randomBytes(4096))).toBe(true);
  expect(looks('small.db', randomBytes(1024))).toBe(true);
  expect(looks('odd.db', randomBytes(4097))).toBe(false);
  expect(looks('noise.bin', randomBytes(4096))).toBe(false);
  expect(looks('text.db', Buffer.alloc(4096, 'a line of text\n'))).toBe(false);
  expect(looks('zero.db', Buffer.alloc(4096))).toBe(false);
  expect(looks('empty.db', new Uint8Array())).toBe(false);
  expect(looksEncrypted(fromText('gone.db'), 4096, fromText(join(live, 'gone.db')))).toBe(false);
});

test('the header is 16 bytes, the last one zero', () => {
  const header = Buffer.from('SQLite format 3\0');
  expect(
    [header, Buffer.concat([header, header]), header.subarray(0, 15), Buffer.from('SQLite format 3 '), new Uint8Array()].map(isSqliteHeader),
  ).toEqual([true, true, false, false, false]);
});

/** A transaction that has changed pages in the file itself: they do not fit the cache. */
const SPILLED = `
  database.pragma('cache_size = 5');
  database.exec("BEGIN IMMEDIATE; UPDATE t SET x = printf('%.200d', -n)");
  say('spilled');
  sleep(60000);`;

test('the half-written transaction of a killed program is rolled back in the copy, and the live files are not touched', async () => {
  const path = join(live, 'hot.db');
  make(path, FILLED(5000));
  const sound = readFileSync(path);
  const { child } = await startWriter(path, SPILLED);
  await kill(child);
  const before = [readFileSync(path), readFileSync(`${path}-journal`)];
  expect(before[0]?.equals(sound)).toBe(false);
  const result = await capture(path, 'integrity_check');
  expect(result).toMatchObject({
    outcome: 'copied',
    problem: { code: 'db_hot_journal', severity: 'warning' },
    report: { rows: 5000, journal_mode: 'delete' },
  });
  expect(query(result.target, "SELECT count(*) FROM t WHERE x LIKE '-%'")).toBe(0);
  expectAlone(result.target);
  expect([readFileSync(path), readFileSync(`${path}-journal`)].map((content, at) => content.equals(before[at] ?? Buffer.alloc(0)))).toEqual([
    true,
    true,
  ]);
  expect(readdirSync(live).toSorted()).toEqual(['hot.db', 'hot.db-journal']);
});

test.each([
  ['in the middle of a transaction that has reached the file', SPILLED],
  ['exclusively', "database.exec('BEGIN EXCLUSIVE'); say('locked'); sleep(60000)"],
  ['exclusively without a journal', `database.pragma('journal_mode = MEMORY');${SPILLED}`],
  [
    'in exclusive WAL mode',
    "database.pragma('locking_mode = EXCLUSIVE'); database.pragma('journal_mode = WAL'); database.exec('DELETE FROM t WHERE n = 1'); say('locked'); sleep(60000)",
  ],
])('a database locked %s is missing with a clear problem, never copied raw', async (_how, code) => {
  const path = join(live, 'locked.db');
  make(path, FILLED(5000));
  await startWriter(path, code);
  const names = readdirSync(live).toSorted();
  const start = performance.now();
  const result = await capture(path, 'quick_check', 300);
  expect(performance.now() - start).toBeLessThan(3000);
  expect(result).toMatchObject({ outcome: 'failed', problem: { code: 'db_locked', severity: 'error', path: 'some/x.db' } });
  expect(readdirSync(stage)).toEqual([]);
  expect(readdirSync(live).toSorted()).toEqual(names);
});

test('a lock that is let go within the limit is waited for', async () => {
  const path = join(live, 'waited.db');
  make(path, FILLED(10));
  await startWriter(
    path,
    "database.exec('BEGIN EXCLUSIVE; INSERT INTO t(x) VALUES (1)'); say('locked'); sleep(400); database.exec('COMMIT'); sleep(60000)",
  );
  expect(await capture(path, 'quick_check', 10_000)).toMatchObject({ outcome: 'copied', report: { rows: 11 } });
});

test('nobody can lock the database between the first look at it and its copy', async () => {
  const path = join(live, 'gap.db');
  make(path, FILLED(500));
  const writer = new Database(path, { timeout: 50 });
  writer.pragma('journal_mode = MEMORY');
  let refused = '';
  // The real backup, begun at the one moment that matters: better-sqlite3 takes a busy first step for a finished copy.
  const backup = Database.prototype.backup;
  Database.prototype.backup = async function (this: Database.Database, ...args: Parameters<typeof backup>) {
    try {
      writer.exec('BEGIN EXCLUSIVE');
    } catch (error) {
      refused = String(error);
    }
    return backup.apply(this, args);
  };
  try {
    expect(await capture(path)).toMatchObject({ outcome: 'copied', report: { rows: 500 } });
  } finally {
    Database.prototype.backup = backup;
    writer.close();
  }
  expect(refused).toContain('database is locked');
});

test('every name is copied from its own file, a live -wal beside it included', async () => {
  const names = [
    'with space.db',
    '100%.db',
    'what?.db',
    'a#b.db',
    'file:x.db?mode=memory',
    ':memory:',
    'quo\'te".db',
    'new\nline.db',
    'back\\slash.db',
    'trailing ',
    ' leading',
    '\u00a0no-break\u00a0',
    'umlaut-ä.db',
    '-rf',
  ].map((name) => fromText(name) as string);
  names.push('not\xffutf8.db', 'n'.repeat(247), 'l'.repeat(255));
  // A twin under the name that a careless reader would open.
  for (const twin of ['trailing', 'leading', 'no-break']) make(join(live, twin), 'CREATE TABLE twin(x)');
  for (const [at, name] of names.entries()) {
    const source = joinBytes(fromText(live), name);
    // With room for -journal, without which no program can write it.
    const isLive = name.length <= 247;
    const made = join(live, 'made.db');
    make(made, `CREATE TABLE t(x); INSERT INTO t VALUES (${at})`, 'DELETE');
    renameSync(made, fsPath(source));
    const link = join(stage, 'writer-link');
    symlinkSync(fsPath(source), link);
    const writer = new Database(link);
    if (isLive) {
      writer.pragma('journal_mode = WAL');
      writer.exec(`INSERT INTO t VALUES (${at})`);
      expect(existsSync(fsPath(bytes(`${source}-wal`)))).toBe(true);
    }
    const target = newTarget();
    const result = await captureDatabase(source, bytes(name), target, { timeout: 400, check: 'quick_check', checkCopy });
    writer.close();
    rmSync(link);
    expect([name, result.outcome, query(target, 'SELECT sum(x) FROM t'), query(target, 'SELECT count(*) FROM t')]).toEqual([
      name,
      'copied',
      isLive ? 2 * at : at,
      isLive ? 2 : 1,
    ]);
    expectAlone(target);
  }
});

test('a database below a path that is too long for SQLite is copied while it is idle', async () => {
  let directory = live;
  for (let i = 0; i < 4; i++) directory = join(directory, String(i).repeat(200));
  mkdirSync(directory, { recursive: true });
  const short = join(live, 'short.db');
  make(short, FILLED(20), 'WAL');
  linkSync(short, join(directory, 'long.db'));
  expect(await capture(join(directory, 'long.db'))).toMatchObject({ outcome: 'copied', report: { rows: 20, journal_mode: 'wal' } });
});

test('a file that is gone, or whose -wal cannot be opened, is a problem and not a copy', async () => {
  expect(await capture(join(live, 'gone.db'))).toMatchObject({ outcome: 'failed', problem: { code: 'db_unreadable', severity: 'error' } });
  expect(readdirSync(stage)).toEqual([]);
});

/** What captureDatabase gives another user. */
function captureAsNobody(path: string): { outcome: string; code?: string; rows?: number; mode?: string } {
  const target = newTarget();
  const program = `
    import { captureDatabase } from './src/source/databases.ts';
    import { checkCopy } from './src/os/sqlite.ts';
    const result = await captureDatabase(${JSON.stringify(path)}, 'x.db', ${JSON.stringify(target)}, { timeout: 300, check: 'quick_check', checkCopy });
    console.log(JSON.stringify({ outcome: result.outcome, code: result.problem?.code, rows: result.report?.rows, mode: result.report?.journal_mode }));`;
  const args = ['--reuid', String(NOBODY), '--regid', String(NOBODY), '--clear-groups', process.execPath, '--input-type=module', '-e', program];
  return JSON.parse(
    execFileSync(findProgram('setpriv') ?? 'setpriv', args, { cwd: repository, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }),
  );
}

function nobodyCanRun(): boolean {
  const setpriv = findProgram('setpriv');
  if (!isRoot || setpriv === undefined) return false;
  try {
    const args = ['--reuid', String(NOBODY), '--regid', String(NOBODY), '--clear-groups', process.execPath, '--input-type=module'];
    execFileSync(setpriv, [...args, '-e', "import 'better-sqlite3'; import './src/os/sqlite.ts'"], { cwd: repository, stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

test.skipIf(!nobodyCanRun())("another user's idle WAL database is copied without leaving a file that would shut its owner out", () => {
  chmodSync(stage, 0o777);
  const path = join(live, 'theirs.db');
  make(path, FILLED(30), 'WAL');
  chmodSync(path, 0o444);
  for (const mode of [0o755, 0o777]) {
    chmodSync(live, mode);
    expect(captureAsNobody(path)).toEqual({ outcome: 'copied', rows: 30, mode: 'wal' });
    expect(readdirSync(live)).toEqual(['theirs.db']);
  }
  // In use: read where the program's -shm can be read, else missing with a problem; never the file alone.
  const writer = new Database(path);
  writer.exec('INSERT INTO t(x) VALUES (1)');
  const owners = (): number[] => readdirSync(live).map((name) => lstatSync(join(live, name)).uid);
  expect(captureAsNobody(path)).toEqual({ outcome: 'copied', rows: 31, mode: 'wal' });
  chmodSync(`${path}-shm`, 0o600);
  expect(captureAsNobody(path)).toMatchObject({ outcome: 'failed', code: 'db_unreadable' });
  expect(owners()).toEqual([0, 0, 0]);
  writer.close();
  chmodSync(path, 0o400);
  expect(captureAsNobody(path)).toMatchObject({ outcome: 'failed', code: 'db_unreadable' });
});

test('a stored copy is checked, counted and set to its mode whatever the bytes of its name', async () => {
  for (const name of ['trailing.db ', ' leading.db', 'not\xffutf8.db', 'plain.db']) {
    const made = join(stage, 'made');
    make(made, 'CREATE TABLE embeddings(x); INSERT INTO embeddings VALUES (1), (2)');
    const path = Buffer.from(join(stage, name), 'latin1');
    renameSync(made, path);
    for (const form of name.includes('\xff') ? [path] : [path, path.toString()]) {
      expect(await checkCopy(form, 'integrity_check')).toEqual({
        schema: expect.stringMatching(/^[0-9a-f]{64}$/),
        result: 'ok',
        rows: 2,
        tables: { embeddings: 2 },
      });
      expect(await countChromaDocuments(form)).toBe(2);
      await setJournalMode(form, 'wal');
      expect([...readFileSync(path).subarray(18, 20)]).toEqual([2, 2]);
      await setJournalMode(form, 'delete');
      expect([...readFileSync(path).subarray(18, 20)]).toEqual([1, 1]);
    }
    rmSync(path);
    expect(readdirSync(stage)).toEqual([]);
  }
});

test('a copy that has no room for itself is no copy', async () => {
  const path = join(live, 'room.db');
  make(path, FILLED(10));
  await expect(takeCopy(fromText(path), join(stage, 'no', 'such', 'directory'), 300)).rejects.toThrow();
});

test('a Chroma store is one unit with its database, and its documents are counted', async () => {
  const path = join(live, 'chroma.sqlite3');
  make(path, 'CREATE TABLE embeddings(id INTEGER PRIMARY KEY); INSERT INTO embeddings VALUES (1), (2), (3)');
  expect(findUnits(['a/chroma.sqlite3', 'b/other.db', 'chroma.sqlite3', 'c/my-chroma.sqlite3'].map((name) => fromText(name)))).toEqual([
    { kind: 'chroma', path: 'a', database: 'a/chroma.sqlite3' },
    { kind: 'chroma', path: '.', database: 'chroma.sqlite3' },
  ]);
  expect(await countChromaDocuments(path)).toBe(3);
  make(join(live, 'plain.db'), 'CREATE TABLE t(x)');
  expect(await countChromaDocuments(join(live, 'plain.db'))).toBe(undefined);
  expect(await countChromaDocuments(join(live, 'gone.db'))).toBe(undefined);
});
