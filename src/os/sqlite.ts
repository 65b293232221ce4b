// SQLite, and the only place that loads better-sqlite3: online copies of live databases, checks of
// stored copies, journal modes. A live database is opened read-only and left as it was.

import { existsSync, lstatSync, rmSync, statSync, symlinkSync } from 'node:fs';
import type { Database, Options } from 'better-sqlite3';
import { type Bytes, basenameBytes, dirnameBytes, fsPath, isText, joinBytes, toBuffer, toText } from '../base/bytes.ts';
import { CoraError } from '../base/errors.ts';

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
};

/** An open database of Cora's own. */
export type CoraDatabase = Database;

type Open = (path: string, options: Options) => Database;
let opener: Open | undefined;

/** Loads the native module. Below N-API 10 it would crash the process instead of failing, so that is asked first. */
async function loadOpener(): Promise<Open> {
  if (opener !== undefined) return opener;
  if (Number(process.versions['napi']) < 10) {
    throw new CoraError('tool_missing', `Node ${process.version} cannot load the SQLite module`, {
      hint: 'start Cora with bin/cora, or install Node 22.15 or newer',
    });
  }
  const { default: Sqlite } = await import('better-sqlite3');
  opener = (path, options) => new Sqlite(path, options);
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
 * Copies a live database in one step of SQLite's online backup interface. The copy is in journal mode DELETE and
 * stands alone. Not synced: the caller stores its content elsewhere.
 * @param source absolute
 * @param target a new file in a directory of ours
 * @param timeout milliseconds that a writer may keep it locked
 * @throws DatabaseLocked; SQLite's own errors (`sqliteCode`)
 */
export async function takeCopy(source: Bytes, target: string, timeout: number): Promise<DatabaseFacts> {
  const open = await loadOpener();
  const wal = joinBytes(dirnameBytes(source), `${basenameBytes(source)}-wal`);
  const idle = !existsSync(fsPath(wal));
  const { path, release } = reachable(source, `${target}-link`);
  try {
    const database = open(path, { readonly: true, fileMustExist: true, timeout });
    let facts: DatabaseFacts;
    try {
      facts = readFacts(database);
      await copyInOneStep(database, target, timeout);
    } finally {
      database.close();
    }
    if (idle) removeOwnSidecars(open, path, wal);
    const copy = open(target, { fileMustExist: true });
    try {
      copy.pragma('journal_mode = DELETE');
    } finally {
      copy.close();
    }
    return facts;
  } finally {
    release();
  }
}

/** Copies with all pages in one call: a copy in steps would begin again at each foreign commit. */
async function copyInOneStep(database: Database, target: string, timeout: number): Promise<void> {
  const deadline = performance.now() + timeout;
  let left = Number.POSITIVE_INFINITY;
  await database.backup(target, {
    progress: ({ remainingPages }) => {
      if (remainingPages >= left) {
        if (performance.now() > deadline) throw new DatabaseLocked(`still locked after ${timeout} ms`);
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
      }
      left = remainingPages;
      return 0x7fffffff;
    },
  });
}

/**
 * Opening an idle WAL database makes -wal and -shm beside it. SQLite itself takes them away when the last connection that
 * may write closes, under its own locks: so a program that opened the database meanwhile is never disturbed.
 */
function removeOwnSidecars(open: Open, path: string, wal: Bytes): void {
  const stat = lstatSync(fsPath(wal), { throwIfNoEntry: false });
  if (stat === undefined || stat.size > 0) return;
  try {
    const database = open(path, { fileMustExist: true, timeout: 1000 });
    try {
      database.pragma('schema_version');
    } finally {
      database.close();
    }
  } catch {
    // Busy or not ours to write: then somebody else has it open, and the files are theirs.
  }
}

/** SQLite takes text; a name of other bytes is reached through a link of ours, which SQLite resolves. */
function reachable(source: Bytes, link: string): { path: string; release: () => void } {
  if (isText(source)) return { path: toText(source), release: () => {} };
  symlinkSync(toBuffer(source), link);
  return { path: link, release: () => rmSync(link, { force: true }) };
}

function readFacts(database: Database): DatabaseFacts {
  const value = (name: string): number => Number(database.pragma(name, { simple: true }));
  return {
    journalMode: String(database.pragma('journal_mode', { simple: true })),
    pageSize: value('page_size'),
    userVersion: value('user_version'),
    applicationId: value('application_id'),
    schemaVersion: value('schema_version'),
  };
}

/** Lines of a failed check that are kept. */
const CHECK_LINES = 10;

/**
 * Checks a stored copy (journal mode DELETE) and counts its rows. Opened read-only; leaves nothing beside it.
 * @throws SQLite's own errors where it does not open
 */
export async function checkCopy(path: string, check: 'quick_check' | 'integrity_check'): Promise<CopyCheck> {
  const open = await loadOpener();
  const database = open(path, { readonly: true, fileMustExist: true });
  try {
    database.pragma('cache_size = -8192');
    const lines = (database.pragma(`${check}(${CHECK_LINES})`) as Record<string, unknown>[]).map((row) => String(Object.values(row)[0]));
    const result = lines.length === 1 && lines[0] === 'ok' ? 'ok' : lines.join('; ');
    return { result, ...(result === 'ok' ? countRows(database) : { rows: 0, tables: {} }) };
  } finally {
    database.close();
  }
}

function countRows(database: Database): { rows: number; tables: Record<string, number> } {
  const tables: Record<string, number> = {};
  let rows = 0;
  for (const { schema, name, type } of database.pragma('table_list') as { schema: string; name: string; type: string }[]) {
    if (schema !== 'main' || type !== 'table' || name.startsWith('sqlite_')) continue;
    const count = Number(
      database
        .prepare(`SELECT count(*) FROM "${name.replaceAll('"', '""')}"`)
        .pluck()
        .get(),
    );
    tables[name] = count;
    rows += count;
  }
  return { rows, tables };
}

/** Rows of one table of a stored copy, undefined where there is no such table. */
export async function countTable(path: string, table: string): Promise<number | undefined> {
  const open = await loadOpener();
  const database = open(path, { readonly: true, fileMustExist: true });
  try {
    const there = database.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?").get(table);
    return there === undefined
      ? undefined
      : Number(
          database
            .prepare(`SELECT count(*) FROM "${table.replaceAll('"', '""')}"`)
            .pluck()
            .get(),
        );
  } finally {
    database.close();
  }
}

/** Whether a live database passes quick_check: tells a damaged source from a failed copy. */
export async function isHealthy(source: Bytes, link: string): Promise<boolean> {
  const open = await loadOpener();
  const { path, release } = reachable(source, link);
  try {
    const database = open(path, { readonly: true, fileMustExist: true, timeout: 5000 });
    try {
      return database.pragma('quick_check(1)', { simple: true }) === 'ok';
    } finally {
      database.close();
    }
  } catch {
    return false;
  } finally {
    release();
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
export async function setJournalMode(path: string, mode: string): Promise<void> {
  const open = await loadOpener();
  const database = open(path, { fileMustExist: true });
  try {
    const now = database.pragma(`journal_mode = ${/^[a-z]+$/.test(mode) ? mode : 'delete'}`, { simple: true });
    if (now !== mode) throw new CoraError('io', `${path} stays in journal mode ${String(now)}`);
  } finally {
    database.close();
  }
}

/** True where nobody but the file's owner may have changed it since: same inode, size, change time. */
export function sameFile(path: Bytes, before: { readonly ino: bigint; readonly size: bigint; readonly ctimeNs: bigint }): boolean {
  const now = statSync(fsPath(path), { bigint: true });
  return now.ino === before.ino && now.size === before.size && now.ctimeNs === before.ctimeNs;
}
