// What SQLite and the system say about a database, as a sentence and the next thing to do (docs/databases.md).

import { printable } from '../base/bytes.ts';
import { CoraError, errnoOf, messageOf } from '../base/errors.ts';
import type { Holder } from './holders.ts';
import { DatabaseLocked, sqliteCode } from './sqlite.ts';

/** What Node calls it. */
const OUT_OF_MEMORY = ['ENOMEM', 'ERR_MEMORY_ALLOCATION_FAILED', 'ERR_WORKER_OUT_OF_MEMORY'];

/**
 * Any error met while a database was read or written, as one that a person can act on.
 * @param what the path, as text
 * @param during a verb for the sentence: `copied`, `restored`, `checked`
 */
export function databaseFailure(error: unknown, what: string, during: string): CoraError {
  if (error instanceof CoraError) return error;
  const options = { cause: error };
  const code = sqliteCode(error) ?? errnoOf(error) ?? '';
  const said = messageOf(error);
  if (error instanceof DatabaseLocked || /^SQLITE_(?:BUSY|LOCKED)/.test(code)) return databaseLocked(what, [], error);
  if (/^SQLITE_NOTADB/.test(code)) {
    return new CoraError('db_open_failed', `${what} is encrypted, or no SQLite database (${said})`, {
      hint: 'look at its first bytes: head -c 16 FILE shows "SQLite format 3" for a database',
      ...options,
    });
  }
  if (/^SQLITE_CORRUPT/.test(code)) {
    return new CoraError('db_integrity_check_failed', `${what} is damaged (${said})`, {
      hint: 'restore a good copy (cora db restore COPY), or save what can be read: sqlite3 FILE .recover',
      ...options,
    });
  }
  if (/^SQLITE_(?:IOERR_)?NOMEM/.test(code) || OUT_OF_MEMORY.includes(code)) {
    return new CoraError('db_out_of_memory', `Out of memory while ${what} was ${during}: the file may be damaged, or its -wal very large`, {
      hint: 'check it (sqlite3 FILE "PRAGMA integrity_check"), have its program write the -wal back (PRAGMA wal_checkpoint(TRUNCATE)), then run the command again',
      ...options,
    });
  }
  if (/^SQLITE_FULL/.test(code) || ['ENOSPC', 'EDQUOT', 'EFBIG'].includes(code)) {
    return new CoraError('no_space', `No space left while ${what} was ${during}`, {
      hint: 'free space (df -h, df -i), then run the command again',
      ...options,
    });
  }
  if (/^SQLITE_READONLY/.test(code) || code === 'EROFS' || code === 'EACCES' || code === 'EPERM') {
    return new CoraError('read_only', `${what} may not be written (${said})`, {
      hint: 'check the owner and mode of the file and of its directory, or run it as their owner',
      ...options,
    });
  }
  if (/^SQLITE_CANTOPEN/.test(code) || code === 'ENOENT') {
    return new CoraError('db_open_failed', `${what} cannot be opened (${said})`, { hint: 'check its path, owner and mode', ...options });
  }
  return new CoraError('io', `${what} could not be ${during}: ${said}`, { hint: 'check the disk (dmesg), then run the command again', ...options });
}

/** The answer for a database that its writer does not let go of. */
export function databaseLocked(what: string, holders: readonly Holder[], cause?: unknown): CoraError {
  const who = holders.length === 0 ? '' : `; ${holdersText(holders)}`;
  return new CoraError('db_locked', `The database is locked: ${what}${who}; nothing was changed`, {
    hint: 'wait until its program has finished its write, or stop the program; then run the command again',
    details: { holders },
    ...(cause === undefined ? {} : { cause }),
  });
}

/** `it is open in node (pid 12) and sqlite3 (pid 14)`. */
export function holdersText(holders: readonly Holder[]): string {
  const names = holders.slice(0, 5).map(({ pid, program }) => `${printable(program)} (pid ${pid})`);
  const more = holders.length > 5 ? [`${holders.length - 5} more`] : [];
  return `it is open in ${[...names, ...more].join(', ')}`;
}
