// Opens live databases by any name, and makes what was written to them durable. A descriptor of ours on a database
// is never closed while a connection of ours is open: closing it would drop the connection's locks.

import { closeSync, constants, fsyncSync, openSync } from 'node:fs';
import { type Bytes, bytes, dirnameBytes, isText, toText } from '../base/bytes.ts';
import { errnoOf } from '../base/errors.ts';
import { closing, syncDirectory } from './files.ts';
import { onPath } from './long-path.ts';
import { type CopyCheck, type CoraDatabase, type DatabaseFacts, loadOpener, readFacts, withLive } from './sqlite.ts';
import { countRows, runCheck } from './sqlite-check.ts';

/** An open connection of ours, and the name that SQLite was given. */
type OpenDatabase = { readonly database: CoraDatabase; readonly path: string; readonly release: () => void };

/**
 * Opens an existing database. A name that SQLite does not get whole as text (other bytes, white space at its ends) is given
 * as a descriptor of ours, which SQLite resolves to the name; it is closed after the connection, whose locks it would drop.
 * @param timeout milliseconds to wait for locks
 */
export async function openLive(path: Bytes, timeout: number, readonly = false): Promise<OpenDatabase> {
  const open = await loadOpener();
  const text = toText(path);
  const isWhole = isText(path) && text.trim() === text;
  const fd = isWhole ? undefined : onPath(path, (reachable) => openSync(reachable, constants.O_RDONLY | constants.O_NONBLOCK));
  const given = fd === undefined ? text : `/proc/self/fd/${fd}`;
  try {
    const database = open(given, { fileMustExist: true, timeout: Math.max(1, Math.round(timeout)), readonly });
    const release = () => {
      database.close();
      if (fd !== undefined) closeSync(fd);
    };
    return { database, path: given, release };
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    throw error;
  }
}

/** fsync of a database's main file, its -wal and their directory. No connection of ours may be open. */
export function syncDatabase(live: Bytes): void {
  for (const path of [live, bytes(`${live}-wal`)]) {
    try {
      const fd = onPath(path, (reachable) => openSync(reachable, constants.O_RDONLY));
      closing(fd, () => fsyncSync(fd));
    } catch (error) {
      // A -wal goes away when the last program closes the database.
      if (errnoOf(error) !== 'ENOENT') throw error;
    }
  }
  onPath(dirnameBytes(live), syncDirectory);
}

/**
 * Checks a database where it lies, that of its -wal included, and counts its rows; leaves beside it what was there.
 * @param link a name of ours for a path that SQLite does not get whole as text
 * @throws SQLite's own errors where it does not open
 */
export async function inspect(source: Bytes, link: string, timeout: number, check: 'quick_check' | 'integrity_check') {
  return withLive(source, link, timeout, (database): { readonly facts: DatabaseFacts; readonly check: CopyCheck } => {
    const facts = readFacts(database);
    const checked = runCheck(database, check);
    return { facts, check: { ...checked, ...(checked.result === 'ok' ? countRows(database) : { rows: 0, tables: {} }) } };
  });
}
