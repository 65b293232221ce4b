// One SQLite file of a foreign backup: copied, with its log, into a directory of ours, and checked there.
// SQLite would write beside the original (a log to roll back, shared memory), and the original is never touched.

import { closeSync, constants, fstatSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { type Bytes, bytes, joinBytes, toText } from '../base/bytes.ts';
import { errnoOf, messageOf } from '../base/errors.ts';
import { freeBytes } from '../os/files.ts';
import { onPath } from '../os/long-path.ts';
import { checkCopy, rollBack } from '../os/sqlite.ts';

/** By its name: the files themselves tell the rest. */
export function isDatabaseName(path: string): boolean {
  return /\.(?:db|sqlite3?|db3)$/.test(path);
}

/** `foreign`: it is no SQLite database; `unknown`: it could not be told, for the reason. */
type DatabaseState = { readonly state: 'ok' | 'damaged' | 'foreign' | 'unknown'; readonly reason: string };

const MAGIC = 'SQLite format 3\0';
const CHUNK = 1 << 20;

/**
 * @param path absolute; only read
 * @param stage absolute; ours, left as it was
 */
export async function checkDatabaseFile(path: Bytes, stage: Bytes): Promise<DatabaseState> {
  const copy = toText(joinBytes(stage, '.check.db'));
  try {
    const size = sizeOf(path);
    if (size === 0) return { state: 'foreign', reason: 'db_open_failed: it is empty' };
    if (size * 2 > freeBytes(toText(stage))) return { state: 'unknown', reason: 'not opened: there is no room in the vault for a copy' };
    copyFile(path, bytes(copy));
    if (readMagic(copy) !== MAGIC) return { state: 'foreign', reason: 'db_open_failed: it is no SQLite database (or an encrypted one)' };
    // Committed rows may be in the log alone.
    for (const suffix of ['-wal', '-journal']) copyIfThere(bytes(path + suffix), bytes(copy + suffix));
    await rollBack(copy);
    const { result } = await checkCopy(copy, 'integrity_check');
    return result === 'ok' ? { state: 'ok', reason: '' } : { state: 'damaged', reason: `db_integrity_check_failed: ${result}` };
  } catch (error) {
    if (errnoOf(error)?.startsWith('SQLITE_') !== true) return { state: 'unknown', reason: `db_open_failed: ${messageOf(error)}` };
    return { state: 'damaged', reason: `db_open_failed: ${messageOf(error)}` };
  } finally {
    for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(copy + suffix, { force: true });
  }
}

function sizeOf(path: Bytes): number {
  return withFile(path, (fd) => fstatSync(fd).size);
}

function readMagic(path: string): string {
  const head = Buffer.alloc(MAGIC.length);
  return withFile(bytes(path), (fd) => head.toString('latin1', 0, readSync(fd, head, 0, head.length, 0)));
}

function withFile<T>(path: Bytes, use: (fd: number) => T): T {
  const fd = onPath(path, (reachable) => openSync(reachable, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK));
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

function copyFile(from: Bytes, to: Bytes): void {
  withFile(from, (source) => {
    const target = openSync(toText(to), 'wx', 0o600);
    try {
      const chunk = Buffer.allocUnsafe(CHUNK);
      for (let count = readSync(source, chunk); count > 0; count = readSync(source, chunk)) {
        for (let done = 0; done < count; ) done += writeSync(target, chunk, done, count - done);
      }
    } finally {
      closeSync(target);
    }
  });
}

function copyIfThere(from: Bytes, to: Bytes): void {
  try {
    copyFile(from, to);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
}
