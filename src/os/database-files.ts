// A SQLite database as files: the main file with its -wal, -shm and -journal, and who holds them.
// Only looks.

import { constants, existsSync, lstatSync, openSync, readSync, realpathSync, statSync } from 'node:fs';
import { type Bytes, bytes, fromBuffer } from '../base/bytes.ts';
import { closing } from './files.ts';
import { findHolders, type Holders } from './holders.ts';
import { onPath } from './long-path.ts';

/** What SQLite keeps beside a main file. */
const SIDECARS = ['-wal', '-shm', '-journal'] as const;

/** The file itself, links followed: SQLite keeps its own files beside that one. */
export function realDatabase(path: Bytes): Bytes {
  return onPath(path, (reachable) => fromBuffer(realpathSync.native(reachable, { encoding: 'buffer' })));
}

/** The absolute paths of a database's files that are there, the main file first. */
export function databaseFiles(live: Bytes): Bytes[] {
  return ['', ...SIDECARS].map((suffix) => bytes(`${live}${suffix}`)).filter((path) => onPath(path, isThere));
}

/** Which processes have the database, its -wal, -shm or -journal open, for reading too. This process is left out. */
export function findDatabaseHolders(live: Bytes): Holders {
  const real = onPath(live, existsSync) ? realDatabase(live) : live;
  const files = databaseFiles(real).map((path) => onPath(path, (reachable) => statSync(reachable, { throwIfNoEntry: false })));
  return findHolders(files.filter((file) => file !== undefined));
}

/**
 * The first bytes of a database file (sqlite.org/fileformat.html); empty where it cannot be read. Not while a connection of
 * ours has it open: closing it would drop that one's locks.
 */
export function databaseHeader(path: Bytes): Buffer {
  const head = Buffer.alloc(100);
  try {
    const fd = onPath(path, (reachable) => openSync(reachable, constants.O_RDONLY | constants.O_NONBLOCK));
    return head.subarray(
      0,
      closing(fd, () => readSync(fd, head, 0, head.length, 0)),
    );
  } catch {
    return Buffer.alloc(0);
  }
}

/** Also a link to nothing. */
export function isThere(path: string | Buffer): boolean {
  return existsSync(path) || lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}
