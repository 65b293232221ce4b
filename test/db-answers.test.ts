// The answers of DB-5 that take a small disk, a running program or a clock: what is said, and that nothing half made stays.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { backupDatabase } from '../src/actions/db-backup.ts';
import { applyDatabaseRestore } from '../src/actions/db-restore.ts';
import { planDatabaseRestore } from '../src/actions/db-restore-plan.ts';
import { fromText, toText } from '../src/base/bytes.ts';
import { type Context, type Problem, SILENT } from '../src/base/context.ts';
import { databaseFailure } from '../src/os/database-errors.ts';
import { restoreInto } from '../src/os/sqlite-restore.ts';
import { makeContent, sideOf } from './support/live-program.ts';
import { execute, isRoot } from './support/sandbox.ts';

let root: string;
let live: string;
let copy: string;
let mounted: string | undefined;
const problems: Problem[] = [];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'cora-answers-'));
  live = join(root, 'app.db');
  copy = join(root, 'copy.db');
  problems.length = 0;
});

afterEach(async () => {
  if (mounted !== undefined) await execute('umount', [mounted]);
  mounted = undefined;
  rmSync(root, { recursive: true, force: true });
});

const context = (signal = new AbortController().signal): Context => ({
  monitor: { ...SILENT, problem: (problem) => problems.push(problem) },
  now: Date.now,
  signal,
  workers: 1,
  lockWait: 1000,
  version: 'test',
});

const backup = (output: string, options: { slowAfter?: number; signal?: AbortSignal } = {}) =>
  backupDatabase(
    {
      source: fromText(live),
      output: fromText(output),
      checkpoint: true,
      verify: true,
      timeout: 1000,
      ...(options.slowAfter === undefined ? {} : { slowAfter: options.slowAfter }),
    },
    context(options.signal),
  );

function restore(options: { slowAfter?: number; signal?: AbortSignal; target?: string } = {}) {
  const ctx = context(options.signal);
  const asked = { copy: fromText(copy), target: fromText(options.target ?? live), force: true, timeout: 1000 };
  return applyDatabaseRestore(planDatabaseRestore(options.slowAfter === undefined ? asked : { ...asked, slowAfter: options.slowAfter }, ctx), ctx);
}

/** A memory file system of so many MiB. */
async function small(size: number): Promise<string> {
  const place = join(root, 'small');
  mkdirSync(place);
  expect((await execute('mount', ['-t', 'tmpfs', '-o', `size=${size}m`, 'cora-test', place])).code).toBe(0);
  mounted = place;
  return place;
}

test.skipIf(!isRoot)('no space: said before it begins, or when it runs out on the way; nothing stays (needs root)', async () => {
  makeContent(live, 0, 6000, 'wal');
  const place = await small(4);
  await expect(backup(join(place, 'out.db'))).rejects.toMatchObject({ code: 'no_space', message: expect.stringContaining('bytes') });
  expect(readdirSync(place)).toEqual([]);
  // Only its -wal is large: that it does not fit shows on the way.
  rmSync(live);
  makeContent(live, 0, 1, 'wal');
  const holder = new Database(live);
  try {
    holder.pragma('wal_autocheckpoint = 0');
    holder.exec('INSERT INTO pad SELECT 0, zeroblob(6000000)');
    await expect(backup(join(place, 'out.db'))).rejects.toMatchObject({
      code: 'no_space',
      exitCode: 1,
      message: expect.stringMatching(/No space left/),
    });
    expect(readdirSync(place)).toEqual([]);
    copy = live;
    await expect(restore({ target: join(place, 'new.db') })).rejects.toMatchObject({ code: 'no_space' });
    expect(readdirSync(place)).toEqual([]);
  } finally {
    holder.close();
  }
});

test.skipIf(!isRoot)('no space for a database in use: it stays as it was, and nothing stays beside it (needs root)', async () => {
  const place = await small(8);
  live = join(place, 'app.db');
  makeContent(live, 0, 10, 'wal');
  makeContent(copy, 1, 3000, 'delete');
  // A file of two names is written into, as one that a program has open.
  linkSync(live, join(place, 'other.db'));
  const before = readdirSync(place);
  // The staged copy fits beside it, and so would the -wal or the grown file, but not all of them.
  await expect(restore()).rejects.toMatchObject({ code: 'no_space' });
  expect(readdirSync(place)).toEqual(before);
  expect(sideOf(live, [10, 3000])).toBe(0);
  await expect(restoreInto(fromText(copy), fromText(live), { timeout: 500 })).resolves.toBeDefined();
  expect(sideOf(live, [10, 3000])).toBe(1);
});

test('a writer that keeps the write lock: refused, and no copy of before is left over', async () => {
  makeContent(live, 0, 10, 'wal');
  makeContent(copy, 1, 20, 'delete');
  const holder = new Database(live);
  try {
    holder.exec('BEGIN IMMEDIATE');
    const before = readdirSync(root);
    const program = [process.execPath, ['--input-type=module', '-e', HOLD, live]] as const;
    const other = spawn(...program, { stdio: ['ignore', 'pipe', 'inherit'], cwd: join(import.meta.dirname, '..') });
    holder.exec('COMMIT');
    await once(other.stdout, 'data');
    const failure: unknown = await restore().catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'db_locked', exitCode: 11, message: expect.stringContaining(`(pid ${other.pid})`) });
    expect(readdirSync(root)).toEqual(before);
    other.kill('SIGKILL');
    await once(other, 'close');
  } finally {
    holder.close();
  }
  expect(sideOf(live, [10, 20])).toBe(0);
});

const HOLD = `
import Database from 'better-sqlite3';
const database = new Database(process.argv[1], { timeout: 5000 });
database.exec('BEGIN IMMEDIATE');
process.stdout.write('held');
setInterval(() => {}, 1000);
`;

test('a table that its program removes at once is missed by name', async () => {
  makeContent(live, 0, 10, 'wal');
  makeContent(copy, 1, 20, 'delete');
  const program = new Database(live);
  try {
    const onPages = (done: number, total: number) => {
      if (done === total) program.exec('DROP TABLE era');
    };
    await expect(restoreInto(fromText(copy), fromText(live), { timeout: 500, onPages })).rejects.toMatchObject({
      code: 'db_table_missing',
      message: expect.stringContaining('no table era'),
    });
  } finally {
    program.close();
  }
});

test('rows that its program adds at once are told; without a program they are an error', async () => {
  makeContent(live, 0, 10, 'wal');
  makeContent(copy, 1, 20, 'delete');
  const add = (database: Database.Database) => (done: number, total: number) => {
    if (done === total) database.exec('INSERT INTO era VALUES (1)');
  };
  const own = new Database(live);
  // This process is no holder in its own eyes.
  await expect(restoreInto(fromText(copy), fromText(live), { timeout: 500, onPages: add(own) })).rejects.toMatchObject({ code: 'validation_failed' });
  own.close();
});

test('over its time it says so while it runs, once, with what to do', async () => {
  makeContent(live, 0, 100, 'delete');
  makeContent(copy, 1, 100, 'delete');
  await backup(join(root, 'out.db'), { slowAfter: 0 });
  expect(problems).toEqual([{ code: 'db_slow', severity: 'warning', message: expect.stringContaining('5 minutes') }]);
  problems.length = 0;
  await restore({ slowAfter: 0 });
  expect(problems).toEqual([{ code: 'db_slow', severity: 'warning', message: expect.stringContaining('10 minutes') }]);
  problems.length = 0;
  await backup(join(root, 'out2.db'));
  expect(problems).toEqual([]);
});

test('stopped on the way, nothing stays', async () => {
  makeContent(live, 0, 100, 'delete');
  makeContent(copy, 1, 100, 'delete');
  const before = readdirSync(root);
  const signal = AbortSignal.abort();
  await expect(backup(join(root, 'out.db'), { signal })).rejects.toMatchObject({ code: 'interrupted' });
  await expect(restore({ signal })).rejects.toMatchObject({ code: 'interrupted' });
  expect(readdirSync(root)).toEqual(before);
});

test('out of memory has an answer of its own', () => {
  for (const code of ['SQLITE_NOMEM', 'SQLITE_IOERR_NOMEM', 'ERR_WORKER_OUT_OF_MEMORY']) {
    const failure = databaseFailure(Object.assign(new Error('out of memory'), { code }), '/x.db', 'copied');
    expect(failure).toMatchObject({ code: 'db_out_of_memory', exitCode: 1, hint: expect.stringContaining('wal_checkpoint') });
  }
});

test('a target that appears between plan and restore is not replaced', async () => {
  makeContent(copy, 1, 20, 'delete');
  const ctx = context();
  const plan = planDatabaseRestore({ copy: fromText(copy), target: fromText(live), force: true, timeout: 1000 }, ctx);
  makeContent(live, 0, 10, 'delete');
  const before = readdirSync(root);
  await expect(applyDatabaseRestore(plan, ctx)).rejects.toMatchObject({ code: 'target_exists' });
  expect(readdirSync(root)).toEqual(before);
  expect(sideOf(live, [10, 20])).toBe(0);
});

test('a file of two names stays one file', async () => {
  makeContent(live, 0, 10, 'wal');
  makeContent(copy, 1, 20, 'delete');
  linkSync(live, join(root, 'other.db'));
  const result = await restore();
  expect(result).toMatchObject({ way: 'into' });
  expect(statSync(join(root, 'other.db')).ino).toBe(statSync(live).ino);
  expect(sideOf(toText(result.kept ?? fromText('')), [10, 20])).toBe(0);
});
