// SQLite, and the only place that loads better-sqlite3: online copies of live databases, checks of
// stored copies, journal modes. A live database is opened read-only and left as it was.

import { accessSync, closeSync, constants, existsSync, openSync, readSync, rmSync, statSync, symlinkSync } from 'node:fs';
import type { Database, Options } from 'better-sqlite3';
import { type Bytes, bytes, isText, toBuffer, toText } from '../base/bytes.ts';
import { CoraError } from '../base/errors.ts';
import { onPath } from './long-path.ts';
import { pause } from './pause.ts';
import { countRows, quoted, runCheck, schemaHash } from './sqlite-check.ts';

export type DatabaseFacts = {
  readonly journalMode: string;
  readonly pageSize: number;
  readonly userVersion: number;
  readonly applicationId: number;
  readonly schemaVersion: number;
};

export type CopyCheck = {
  /** `ok`, or the first lines of what the check found. */
  readonly result: string;
  /** Over all ordinary tables; virtual tables and their shadows are left out. */
  readonly rows: number;
  readonly tables: Readonly<Record<string, number>>;
  /** Of what is declared in it; undefined where the check failed. */
  readonly schema?: string;
  /** Tables that SQLite cannot check without their program (its collations, its functions), and why; absent where all were checked. */
  readonly unchecked?: string;
};

/** An open database of Cora's own. */
export type CoraDatabase = Database;

/** Opens a database; SQLite's own errors are thrown. */
type Open = (path: string, options: Options) => Database;
let opener: Open | undefined;

/** Pages between two looks at how far a copy is: 16 MiB of the usual 4 KiB. */
const STEP_PAGES = 4096;

/** Loads the native module. Below N-API 10 it would crash the process instead of failing, so that is asked first. */
export async function loadOpener(): Promise<Open> {
  if (opener !== undefined) return opener;
  if (Number(process.versions['napi']) < 10) {
    throw new CoraError('tool_missing', `Node ${process.version} cannot load the SQLite module`, {
      hint: 'start Cora with bin/cora, or install Node 22.15 or newer',
    });
  }
  try {
    const { default: Sqlite } = await import('better-sqlite3');
    // Its native part is loaded by the first database.
    new Sqlite(':memory:').close();
    opener = (path, options) => new Sqlite(path, options);
  } catch (error) {
    throw new CoraError('engine_broken', 'The SQLite module cannot be loaded', { hint: 'run npm ci in the directory of Cora', cause: error });
  }
  return opener;
}

/**
 * Opens a database of Cora's own (the ledger) for reading and writing; made where it is missing.
 * @throws SQLite's own errors
 */
export async function openDatabase(path: string): Promise<Database> {
  return (await loadOpener())(path, { timeout: 5000 });
}

/** The word that SQLite gives an error (`SQLITE_BUSY`), or undefined. */
export function sqliteCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return undefined;
  return error.code.startsWith('SQLITE_') ? error.code : undefined;
}

/** A database that stayed locked for longer than the time limit. */
export class DatabaseLocked extends Error {}

/**
 * A WAL database that nobody has open and that we may not write: opening it would make -wal and -shm files that we could not
 * take away again, and that would shut its owner out.
 */
class OpeningLeavesFiles extends Error {}

/**
 * Copies a live database in one step of SQLite's online backup interface. The copy is in journal mode DELETE and
 * stands alone. Not synced: the caller stores its content elsewhere.
 * @param source absolute
 * @param target a new file in a directory of ours
 * @param timeout milliseconds that a writer may keep it locked
 * @param onPages called now and then with pages done and in all; what it throws ends the copy
 * @throws DatabaseLocked; SQLite's own errors (`sqliteCode`)
 */
export async function takeCopy(source: Bytes, target: string, timeout: number, onPages?: OnPages): Promise<DatabaseFacts> {
  const open = await loadOpener();
  const facts = await withLive(source, `${target}-link`, timeout, async (database) => {
    const journalMode = String(database.pragma('journal_mode', { simple: true }));
    // One read transaction over facts and copy: nobody can lock us out between them. better-sqlite3 takes a first step
    // that is answered with "busy" for a copy that is complete.
    database.exec('BEGIN');
    const read = { ...readFacts(database), journalMode };
    await copyInOneStep(database, target, timeout, onPages);
    return read;
  });
  const copy = open(target, { fileMustExist: true });
  try {
    copy.pragma('journal_mode = DELETE');
  } finally {
    copy.close();
  }
  return facts;
}

/** How far a copy is, in pages. */
export type OnPages = (done: number, total: number) => void;

/** Copies with all pages in one call, or, where somebody wants to know how far it is, in large steps: the open read transaction pins what is read. */
async function copyInOneStep(database: Database, target: string, timeout: number, onPages?: OnPages): Promise<void> {
  const deadline = performance.now() + timeout;
  let left = Number.POSITIVE_INFINITY;
  await database.backup(target, {
    progress: ({ totalPages, remainingPages }) => {
      onPages?.(totalPages - remainingPages, totalPages);
      if (remainingPages >= left) {
        if (performance.now() > deadline) throw new DatabaseLocked(`still locked after ${timeout} ms`);
        pause(20);
      }
      left = remainingPages;
      return onPages === undefined ? 0x7fffffff : STEP_PAGES;
    },
  });
}

/** Opens a live database read-only for the time of `use`, and leaves beside it what was there before, whatever happens. */
export async function withLive<T>(source: Bytes, link: string, timeout: number, use: (database: Database) => T | Promise<T>): Promise<T> {
  const open = await loadOpener();
  const hasWal = onPath(bytes(`${source}-wal`), existsSync);
  const complete = hasWal && onPath(bytes(`${source}-shm`), existsSync);
  if (!complete && isWalDatabase(source) && !isWritable(source)) throw new OpeningLeavesFiles('its directory or the file may not be written');
  const { path, release } = reachable(source, link);
  try {
    const database = open(path, { readonly: true, fileMustExist: true, timeout });
    try {
      return await use(database);
    } finally {
      database.close();
      if (!hasWal) removeOwnSidecars(open, path, source);
    }
  } finally {
    release();
  }
}

/** Bytes 18 and 19 of the header are 2 in a WAL database. */
function isWalDatabase(source: Bytes): boolean {
  const version = Buffer.alloc(2);
  const fd = onPath(source, (path) => openSync(path, constants.O_RDONLY | constants.O_NONBLOCK));
  try {
    return readSync(fd, version, 0, 2, 18) === 2 && version[0] === 2 && version[1] === 2;
  } finally {
    closeSync(fd);
  }
}

function isWritable(path: Bytes): boolean {
  try {
    onPath(path, (reachablePath) => accessSync(reachablePath, constants.W_OK));
    return true;
  } catch {
    return false;
  }
}

/**
 * Opening an idle WAL database makes -wal and -shm beside it. SQLite itself takes them away when the last connection that
 * may write closes, under its own locks: so a program that opened the database meanwhile is never disturbed.
 */
function removeOwnSidecars(open: Open, path: string, source: Bytes): void {
  try {
    if (onPath(bytes(`${source}-wal`), (wal) => statSync(wal)).size > 0) return;
    const database = open(path, { fileMustExist: true, timeout: 1000 });
    try {
      database.pragma('schema_version');
    } finally {
      database.close();
    }
  } catch {
    // No such files; or busy: then somebody else has it open, and the files are theirs.
  }
}

/**
 * A name as SQLite gets it. It takes text, and better-sqlite3 cuts white space off its ends (and would open another database):
 * such a name is reached through a link of ours, which SQLite resolves before it looks for the journal.
 */
function reachable(source: Bytes, link: string): { path: string; release: () => void } {
  const text = toText(source);
  if (isText(source) && text.trim() === text) return { path: text, release: () => {} };
  rmSync(link, { force: true });
  symlinkSync(toBuffer(source), link);
  return { path: link, release: () => rmSync(link, { force: true }) };
}

export function readFacts(database: Database): DatabaseFacts {
  const value = (name: string): number => Number(database.pragma(name, { simple: true }));
  return {
    journalMode: String(database.pragma('journal_mode', { simple: true })),
    pageSize: value('page_size'),
    userVersion: value('user_version'),
    applicationId: value('application_id'),
    schemaVersion: value('schema_version'),
  };
}

/**
 * Checks a stored copy (journal mode DELETE) and counts its rows. Opened read-only; leaves nothing beside it.
 * @throws SQLite's own errors where it does not open
 */
export async function checkCopy(path: CopyPath, check: 'quick_check' | 'integrity_check'): Promise<CopyCheck> {
  return withCopy(path, { readonly: true, fileMustExist: true }, (database) => {
    database.pragma('cache_size = -8192');
    const checked = runCheck(database, check);
    return { ...checked, ...(checked.result === 'ok' ? { ...countRows(database), schema: schemaHash(database) } : { rows: 0, tables: {} }) };
  });
}

/** Rows of a stored copy, without any check. */
export async function countCopy(path: CopyPath): Promise<{ rows: number; tables: Record<string, number> }> {
  return withCopy(path, { readonly: true, fileMustExist: true }, countRows);
}

/** A path as text, or its exact bytes where it may be no UTF-8. */
export type CopyPath = string | Uint8Array;

/** A name that SQLite does not get whole as text is given as a descriptor of ours, which SQLite resolves to the name. */
async function withCopy<T>(path: CopyPath, options: Options, use: (database: Database) => T): Promise<T> {
  const open = await loadOpener();
  const text = typeof path === 'string' ? path : Buffer.from(path).toString();
  const isWhole = text.trim() === text && (typeof path === 'string' || Buffer.from(text).equals(path));
  const fd = isWhole ? undefined : openSync(typeof path === 'string' ? path : Buffer.from(path), constants.O_RDONLY);
  try {
    const database = open(fd === undefined ? text : `/proc/self/fd/${fd}`, options);
    try {
      return use(database);
    } finally {
      database.close();
    }
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** Rows of one table of a stored copy, undefined where there is no such table. */
export async function countTable(path: CopyPath, table: string): Promise<number | undefined> {
  return withCopy(path, { readonly: true, fileMustExist: true }, (database) => {
    const there = database.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?").get(table);
    if (there === undefined) return undefined;
    const count = database.prepare(`SELECT count(*) FROM ${quoted(table)}`);
    return Number(count.pluck().get());
  });
}

/** Whether a live database passes the check that its copy failed: tells a damaged source from a failed copy. */
export async function isHealthy(source: Bytes, link: string, check: 'quick_check' | 'integrity_check'): Promise<boolean> {
  try {
    return await withLive(source, link, 5000, (database) => runCheck(database, check).result === 'ok');
  } catch {
    return false;
  }
}

/** Opens a copy of ours for writing once, so that SQLite rolls back the hot journal that lies beside it. */
export async function rollBack(copy: string): Promise<DatabaseFacts> {
  const open = await loadOpener();
  const database = open(copy, { fileMustExist: true });
  try {
    const facts = readFacts(database);
    database.pragma('journal_mode = DELETE');
    return facts;
  } finally {
    database.close();
  }
}

/**
 * Sets a restored database's journal mode again.
 * @throws CoraError io where SQLite keeps another mode
 */
export async function setJournalMode(path: CopyPath, mode: string): Promise<void> {
  await withCopy(path, { fileMustExist: true }, (database) => {
    const now = database.pragma(`journal_mode = ${/^[a-z]+$/.test(mode) ? mode : 'delete'}`, { simple: true });
    if (now !== mode) throw new CoraError('io', `${Buffer.from(path).toString()} stays in journal mode ${String(now)}`);
  });
}

/** True where nobody but the file's owner may have changed it since: same inode, size, change time. */
export function sameFile(path: Bytes, before: { readonly ino: bigint; readonly size: bigint; readonly ctimeNs: bigint }): boolean {
  const now = onPath(path, (reachablePath) => statSync(reachablePath, { bigint: true }));
  return now.ino === before.ino && now.size === before.size && now.ctimeNs === before.ctimeNs;
}
