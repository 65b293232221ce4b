// Brings the content of a copy into a live SQLite file through SQLite's own backup interface, while programs have it
// open. Invariant: a reader or writer, and whoever comes after a crash at any moment, sees all of the old content or all of
// the new. While a connection of ours is open nothing here opens and closes the file itself: that would drop its locks.

import { statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Bytes, dirnameBytes, toText } from '../base/bytes.ts';
import { CoraError } from '../base/errors.ts';
import { databaseFailure, databaseLocked, holdersText } from './database-errors.ts';
import { databaseHeader, findDatabaseHolders, realDatabase } from './database-files.ts';
import { freeBytes } from './files.ts';
import type { Holder } from './holders.ts';
import { onPath } from './long-path.ts';
import { pause } from './pause.ts';
import { type CoraDatabase, DatabaseLocked } from './sqlite.ts';
import { countRows, runCheck } from './sqlite-check.ts';
import { openLive, syncDatabase } from './sqlite-open.ts';

export type IntoOptions = {
  /** Milliseconds to wait for a program that keeps the live file locked. */
  readonly timeout: number;
  /** What the live file shall be in afterwards (`wal`, `delete`); absent: the mode it is in. */
  readonly journalMode?: string;
  /** Default `integrity_check`. */
  readonly check?: 'quick_check' | 'integrity_check';
  /** Called now and then with pages done and pages in all. */
  readonly onPages?: (done: number, total: number) => void;
  /** Ends it with nothing changed, as long as the last page is not copied. */
  readonly signal?: AbortSignal;
};

export type IntoResult = {
  /** As it is afterwards: other than asked where a program that has it open stands in the way. */
  readonly journalMode: string;
  readonly pages: number;
  /** Rows of the live file after the restore. */
  readonly rows: number;
  readonly tables: Readonly<Record<string, number>>;
  /** Tables whose rows differ from the copy's, because a program went on writing at once; empty as a rule. */
  readonly moved: readonly { readonly table: string; readonly copy: number; readonly live: number }[];
  /** Tables that only their own program can check, and why. */
  readonly unchecked?: string;
  /** Who had the file open before or after. */
  readonly holders: readonly Holder[];
  readonly milliseconds: number;
};

/** Pages between two looks at the clock and the signal; nobody gets in between, for the lock is held. */
const STEP_PAGES = 4096;
const RETRY_MS = 10;
const MOMENT_MS = 250;

/**
 * Replaces the content of a live database with a copy's, in one transaction of SQLite.
 * @param copy absolute; a stored copy that stands alone (journal mode DELETE), already verified
 * @param live absolute; an existing database, open in other programs or not; owner and mode stay
 * @throws CoraError db_locked, no_space, db_open_failed, db_integrity_check_failed, refused (page size), interrupted: the live file is as
 * it was; validation_failed, db_table_missing: it was written, and does not hold what the copy holds
 */
export async function restoreInto(copy: Bytes, live: Bytes, options: IntoOptions): Promise<IntoResult> {
  const begun = performance.now();
  const target = realLive(live);
  const name = toText(live);
  checkStandsAlone(copy);
  checkSpace(copy, target);
  const { holders: before, unseen } = findDatabaseHolders(target);
  const source = await openLive(copy, 1000, true);
  let result: Omit<IntoResult, 'holders' | 'milliseconds' | 'moved'>;
  let differing: IntoResult['moved'];
  let written = false;
  try {
    const own = await openLive(target, Math.min(options.timeout, 5000));
    try {
      const mode = journalModeOf(own.database, name);
      const asked = options.journalMode ?? mode;
      allowPageSize(source.database, own.database, mode, before, name);
      const pages = await copyPages(source.database, own.path, name, before, options);
      written = true;
      const found = compare(source.database, own.database, name, options.check ?? 'integrity_check');
      differing = found.differing;
      result = { ...found.live, pages, journalMode: setMode(own.database, asked) };
      foldBack(own.database);
    } finally {
      own.release();
    }
  } catch (error) {
    const failure = databaseFailure(error, name, 'restored');
    if (!written || failure.code !== 'db_locked') throw failure;
    throw new CoraError('validation_failed', `${name} was restored, and could not be checked: its program keeps it locked`, {
      hint: 'stop the program, then compare: cora db backup FILE prints the rows of each table',
      cause: error,
    });
  } finally {
    source.release();
  }
  try {
    syncDatabase(target);
  } catch (error) {
    throw databaseFailure(error, name, 'restored');
  }
  const holders = union(before, findDatabaseHolders(target).holders);
  const first = differing[0];
  if (first !== undefined && holders.length === 0 && unseen === 0) {
    throw new CoraError('validation_failed', `After the restore ${name} has ${first.live} rows in ${first.table}, and the copy has ${first.copy}`, {
      hint: 'restore it again, with its program stopped',
      details: { tables: differing },
    });
  }
  return { ...result, moved: differing, holders, milliseconds: performance.now() - begun };
}

function realLive(live: Bytes): Bytes {
  try {
    return realDatabase(live);
  } catch (error) {
    throw databaseFailure(error, toText(live), 'restored');
  }
}

/** A copy in WAL mode would carry that mode over in a way that programs do not expect, and may lack what is in its -wal. */
function checkStandsAlone(copy: Bytes): void {
  if (databaseHeader(copy)[18] === 1) return;
  throw new CoraError('refused', `${toText(copy)} is no copy that stands alone`, { hint: 'copy it with cora db backup, and restore that copy' });
}

/** Old or new content goes into the -wal or the journal before the file itself is written. */
function checkSpace(copy: Bytes, live: Bytes): void {
  const size = onPath(copy, (path) => statSync(path)).size;
  const old = onPath(live, (path) => statSync(path)).size;
  const needed = size + Math.max(0, size - old) + (1 << 20);
  const free = onPath(dirnameBytes(live), (path) => freeBytes(path));
  if (free >= needed) return;
  throw new CoraError('no_space', `Restoring ${toText(live)} needs ${needed} bytes beside it, and ${free} are free; nothing was changed`, {
    hint: 'free space (df -h), then run the command again',
    details: { needed, free },
  });
}

function journalModeOf(database: CoraDatabase, name: string): string {
  try {
    return String(database.pragma('journal_mode', { simple: true }));
  } catch (error) {
    throw databaseFailure(error, name, 'restored');
  }
}

/** SQLite cannot change the page size of a file in WAL mode; alone with it, that mode can be left for the time. */
function allowPageSize(source: CoraDatabase, own: CoraDatabase, mode: string, holders: readonly Holder[], name: string): void {
  const wanted = Number(source.pragma('page_size', { simple: true }));
  const size = Number(own.pragma('page_size', { simple: true }));
  if (mode !== 'wal' || wanted === size) return;
  if (setMode(own, 'delete') === 'delete') return;
  const who = holders.length === 0 ? '' : `, and ${holdersText(holders)}`;
  throw new CoraError('refused', `${name} has pages of ${size} bytes and the copy of ${wanted}${who}: nothing was changed`, {
    hint: 'stop the program, then run the command again',
    details: { holders },
  });
}

/** All pages under one lock. better-sqlite3 takes a first step that is answered with "busy" for a finished copy of no pages. */
async function copyPages(source: CoraDatabase, path: string, name: string, holders: readonly Holder[], options: IntoOptions): Promise<number> {
  const deadline = performance.now() + options.timeout;
  const stopIfAsked = (): void => {
    if (options.signal?.aborted === true)
      throw new CoraError('interrupted', `The restore of ${name} was stopped; nothing was changed`, { hint: 'run the command again' });
  };
  for (;;) {
    stopIfAsked();
    let left = Number.POSITIVE_INFINITY;
    try {
      const { totalPages } = await source.backup(path, {
        progress: ({ totalPages: total, remainingPages }) => {
          stopIfAsked();
          if (remainingPages >= left) waitOrGiveUp(deadline, options.timeout);
          left = remainingPages;
          options.onPages?.(total - remainingPages, total);
          return STEP_PAGES;
        },
      });
      if (totalPages > 0) {
        options.onPages?.(totalPages, totalPages);
        return totalPages;
      }
    } catch (error) {
      if (error instanceof DatabaseLocked) throw databaseLocked(name, holders, error);
      throw error;
    }
    if (performance.now() > deadline) throw databaseLocked(name, holders);
    await sleep(RETRY_MS);
  }
}

function waitOrGiveUp(deadline: number, timeout: number): void {
  if (performance.now() > deadline) throw new DatabaseLocked(`still locked after ${timeout} ms`);
  pause(RETRY_MS);
}

type Compared = {
  readonly live: { readonly rows: number; readonly tables: Readonly<Record<string, number>>; readonly unchecked?: string };
  readonly differing: IntoResult['moved'];
};

/** Content of the live file, in one read transaction, against the copy's. */
function compare(source: CoraDatabase, own: CoraDatabase, name: string, check: 'quick_check' | 'integrity_check'): Compared {
  const expected = countRows(source).tables;
  own.exec('BEGIN');
  try {
    const { rows, tables } = countRows(own);
    const differing: { table: string; copy: number; live: number }[] = [];
    for (const [table, count] of Object.entries(expected)) {
      const live = Object.hasOwn(tables, table) ? tables[table] : undefined;
      if (live === undefined) {
        throw new CoraError('db_table_missing', `After the restore ${name} has no table ${table}`, {
          hint: 'its program may have removed it; stop the program, then restore again',
          details: { table },
        });
      }
      if (live !== count) differing.push({ table, copy: count, live });
    }
    const checked = runCheck(own, check);
    if (checked.result !== 'ok') {
      throw new CoraError('db_integrity_check_failed', `After the restore ${name} fails its check: ${checked.result.slice(0, 200)}`, {
        hint: 'check the disk (dmesg, smartctl), then restore again',
      });
    }
    return { live: { rows, tables, ...(checked.unchecked === undefined ? {} : { unchecked: checked.unchecked }) }, differing };
  } finally {
    own.exec('COMMIT');
  }
}

/** Sets a journal mode where nobody stands in the way; gives the mode that it is in then. */
function setMode(database: CoraDatabase, mode: string): string {
  const word = /^[a-z]+$/.test(mode) ? mode : 'delete';
  try {
    return String(database.pragma(`journal_mode = ${word}`, { simple: true }));
  } catch {
    return String(database.pragma('journal_mode', { simple: true }));
  }
}

/**
 * A whole database lies in the -wal now: written back as far as nobody reads the old content, without making anyone wait; then,
 * where that takes but a moment, the -wal is emptied, or it would stay as large as the database until its programs end.
 */
function foldBack(database: CoraDatabase): void {
  try {
    database.pragma('wal_checkpoint(PASSIVE)');
    database.pragma(`busy_timeout = ${MOMENT_MS}`);
    // Busy at once where the program is just writing back itself.
    for (let attempt = 0; attempt < 3; attempt++) {
      const [state] = database.pragma('wal_checkpoint(TRUNCATE)') as { busy: number }[];
      if (state?.busy === 0) return;
    }
  } catch {
    // Somebody else writes it back.
  }
}

function union(some: readonly Holder[], others: readonly Holder[]): Holder[] {
  return [...some, ...others.filter(({ pid }) => !some.some((holder) => holder.pid === pid))];
}
