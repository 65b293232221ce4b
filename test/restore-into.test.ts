// A copy brought into a live SQLite file through SQLite: programs that have it open, and whoever comes after a kill,
// see wholly old or wholly new content.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { bytes, fromText } from '../src/base/bytes.ts';
import { findDatabaseHolders } from '../src/os/database-files.ts';
import { putBack, replaceDatabase } from '../src/os/database-replace.ts';
import { restoreInto } from '../src/os/sqlite-restore.ts';
import { LiveProgram, makeContent, sideOf } from './support/live-program.ts';

const PADS = [3000, 4000] as const;
const KILLS = process.env['CORA_TEST_SLOW'] === '1' ? 200 : 12;
let root: string;
let live: string;
let copy: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'cora-into-'));
  live = join(root, 'app.db');
  copy = join(root, 'copy.db');
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

const into = (timeout = 5000) => restoreInto(fromText(copy), fromText(live), { timeout });
const sidecars = () => ['-wal', '-shm', '-journal'].filter((suffix) => existsSync(live + suffix));

test.each(['wal', 'delete'] as const)(
  'a program that reads and writes all the time sees old or new content only (%s)',
  async (mode) => {
    makeContent(live, 0, PADS[0], mode);
    makeContent(copy, 1, PADS[1], 'delete');
    const program = new LiveProgram(live);
    try {
      await program.go(20);
      const result = await into(20_000);
      expect(result.journalMode).toBe(mode);
      expect(result.tables).toEqual({ era: 1, item: 50, pad: PADS[1] });
      expect(result.holders).toContainEqual({ pid: program.pid, program: 'node' });
      await program.go(20);
      expect(program.errors).toBe('');
      expect(program.sides).toBe('01');
    } finally {
      await program.stop();
    }
    expect(sideOf(live, PADS)).toBe(1);
  },
  60_000,
);

test.each([
  ['wal', true],
  ['delete', false],
] as const)(
  'killed at any moment it leaves wholly old or wholly new content (%s)',
  async (mode, open) => {
    makeContent(copy, 1, PADS[1], 'delete');
    const fresh = join(root, 'fresh.db');
    makeContent(fresh, 0, PADS[0], mode);
    const program = `
    const { restoreInto } = await import(process.argv[1]);
    process.stdout.write('go');
    await restoreInto(process.argv[2], process.argv[3], { timeout: 5000 });
    process.stdout.write('done');`;
    const module = join(import.meta.dirname, '../src/os/sqlite-restore.ts');
    const seen = new Set<number>();
    const run = async (delay: number): Promise<number> => {
      for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(live + suffix, { force: true });
      copyFileSync(fresh, live);
      const holder = open ? new Database(live) : undefined;
      try {
        holder?.prepare('SELECT count(*) FROM item').get();
        const child = spawn(process.execPath, ['--input-type=module', '-e', program, module, copy, live], { stdio: ['ignore', 'pipe', 'inherit'] });
        const closed = once(child, 'close');
        await once(child.stdout, 'data');
        const begun = performance.now();
        if (Number.isFinite(delay)) setTimeout(() => child.kill('SIGKILL'), delay);
        await closed;
        const took = performance.now() - begun;
        seen.add(sideOf(live, PADS));
        return took;
      } finally {
        holder?.close();
      }
    };
    const whole = await run(Number.POSITIVE_INFINITY);
    expect([...seen]).toEqual([1]);
    for (let i = 0; i < KILLS / 2; i++) await run((whole * i) / (KILLS / 2));
    expect([...seen].toSorted()).toEqual([0, 1]);
  },
  600_000,
);

test('rows that were only in an old -wal do not come back, and a stale journal is not played in', async () => {
  makeContent(live, 0, 10, 'wal');
  makeContent(copy, 1, 20, 'delete');
  const dead = spawn(process.execPath, [
    '--input-type=module',
    '-e',
    "import Database from 'better-sqlite3'; const d = new Database(process.argv[1]); d.exec('INSERT INTO pad VALUES (0, 1)'); process.kill(process.pid, 'SIGKILL')",
    live,
  ]);
  await once(dead, 'close');
  expect(statSync(`${live}-wal`).size).toBeGreaterThan(0);
  const result = await into();
  expect(result).toMatchObject({ tables: { pad: 20 }, moved: [], holders: [], journalMode: 'wal' });
  expect(sideOf(live, [10, 20])).toBe(1);
  expect(sidecars()).toEqual([]);
});

test('a database that stays locked is refused after the time that was given, with nothing changed', async () => {
  makeContent(live, 0, 10, 'wal');
  makeContent(copy, 1, 20, 'delete');
  const holder = new Database(live);
  try {
    holder.exec('BEGIN IMMEDIATE');
    await expect(into(200)).rejects.toMatchObject({ code: 'db_locked', exitCode: 11, message: expect.stringContaining('database is locked') });
    holder.exec('COMMIT');
    expect(sideOf(live, [10, 20])).toBe(0);
    await expect(into(200)).resolves.toMatchObject({ tables: { pad: 20 } });
    // A -wal as large as the database does not stay.
    expect(statSync(`${live}-wal`).size).toBe(0);
  } finally {
    holder.close();
  }
});

test('another page size is taken over alone, and refused while a program has a WAL database open', async () => {
  makeContent(live, 0, 10, 'wal');
  const other = new Database(copy);
  other.pragma('page_size = 8192');
  other.exec('CREATE TABLE t (n)');
  other.close();
  const holder = new Database(live);
  holder.prepare('SELECT count(*) FROM item').get();
  await expect(into()).rejects.toMatchObject({ code: 'refused' });
  expect(sideOf(live, [10, 20])).toBe(0);
  holder.close();
  await expect(into()).resolves.toMatchObject({ tables: { t: 0 }, journalMode: 'wal' });
});

test('what is no database is left as it is', async () => {
  makeContent(copy, 1, 20, 'delete');
  writeFileSync(live, 'no database at all, and long enough to have a header of its own'.repeat(100));
  const before = statSync(live).mtimeMs;
  await expect(into()).rejects.toMatchObject({ code: 'db_open_failed' });
  expect(statSync(live).mtimeMs).toBe(before);
});

test('a name that is no UTF-8 is restored into as well', async () => {
  const odd = bytes(`${root}/caf\xe9 .db`);
  makeContent(copy, 1, 20, 'delete');
  makeContent(live, 0, 10, 'wal');
  copyFileSync(live, Buffer.from(odd, 'latin1'));
  await expect(restoreInto(fromText(copy), odd, { timeout: 1000 })).resolves.toMatchObject({ tables: { pad: 20 } });
  copyFileSync(Buffer.from(odd, 'latin1'), live);
  expect(sideOf(live, [10, 20])).toBe(1);
});

test('holders of the database and of its -wal are found and named', async () => {
  makeContent(live, 0, 10, 'wal');
  expect(findDatabaseHolders(fromText(live)).holders).toEqual([]);
  const program = new LiveProgram(live);
  try {
    await program.go(1);
    expect(findDatabaseHolders(fromText(live)).holders.map(({ pid }) => pid)).toEqual([program.pid]);
  } finally {
    await program.stop();
  }
});

test.each(['sound', 'damaged'])('a stopped database is replaced and put back with all that was in its -wal (%s)', async (state) => {
  makeContent(live, 0, 10, 'wal');
  makeContent(copy, 1, 20, 'delete');
  const dead = spawn(process.execPath, [
    '--input-type=module',
    '-e',
    "import Database from 'better-sqlite3'; const d = new Database(process.argv[1]); d.exec('INSERT INTO pad VALUES (0, 1)'); process.kill(process.pid, 'SIGKILL')",
    live,
  ]);
  await once(dead, 'close');
  if (state === 'damaged') writeFileSync(live, 'gone');
  const aside = `${live}.aside`;
  const replaced = await replaceDatabase(fromText(copy), fromText(live), fromText(aside));
  expect(sideOf(live, [10, 20])).toBe(1);
  expect(sidecars()).toEqual([]);
  expect(existsSync(copy)).toBe(false);
  if (state === 'sound') expect(sideOf(aside, [11, 0])).toBe(0);
  else expect(existsSync(`${aside}-wal`)).toBe(true);
  expect(replaced.atomic).toBe(state === 'sound');
  putBack(replaced, fromText(live));
  expect(existsSync(aside)).toBe(false);
  if (state === 'sound') {
    expect(readFileSync(live)[18]).toBe(2);
    expect(sideOf(live, [11, 0])).toBe(0);
  } else expect(existsSync(`${live}-wal`)).toBe(true);
});
