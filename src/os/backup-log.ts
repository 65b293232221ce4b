// ledger/cora.db: the table backup_log (ATLAS-4's columns, ours after them). It is made from the chain and the snapshots' reports;
// only rows of runs that failed stand nowhere else. A damaged table is thrown away and made again. Nothing is decided by it.

import { chmodSync, chownSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { type CoraDatabase, openDatabase } from './sqlite.ts';

/** One run. Times are milliseconds since 1970. */
export type LoggedRun = {
  /** Place in the chain; null for a run that failed. */
  readonly sequence: number | null;
  readonly snapshotId: string | null;
  /** `save`, `backup`, `fallback`, or `unchanged`: a save that found nothing to do. */
  readonly kind: string;
  readonly type: string;
  /** Absolute path of the archive, or of the snapshot's directory; of a failed run the vault's. */
  readonly path: string;
  readonly sizeBytes: number | null;
  readonly rows: number | null;
  readonly documents: number | null;
  readonly walBytes: number | null;
  readonly durationMs: number | null;
  readonly success: boolean;
  readonly message: string | null;
  readonly createdAt: number;
};

/** A snapshot that clean-up took. */
export type Removal = { readonly kind: string; readonly snapshotId: string; readonly removedAt: number };

/** A line of the chain: its place, and its hash. */
export type ChainPlace = { readonly sequence: number; readonly hash: string };

/** What the table lacks, up to a line of the chain. */
export type Missing = { readonly runs: readonly LoggedRun[]; readonly removals: readonly Removal[]; readonly upTo: ChainPlace };

export type BackupLog = {
  /** The last line of the chain that the table knows; sequence 0 where it knows none. */
  lastPlace(): ChainPlace;
  add(missing: Missing): void;
  /** A row without a place in the chain. */
  addFailure(run: LoggedRun): void;
  /** @param sql with `?` for each value; rows are objects by column name */
  rows(sql: string, ...values: readonly (string | number)[]): Record<string, unknown>[];
  /** True where SQLite finds nothing wrong with the whole file. */
  isSound(): boolean;
  close(): void;
};

const SCHEMA_VERSION = 3;
const SCHEMA = `
CREATE TABLE IF NOT EXISTS backup_log (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  archive_path TEXT NOT NULL,
  backup_type TEXT NOT NULL,
  size_bytes INTEGER,
  db_row_count INTEGER,
  chroma_doc_count INTEGER,
  duration_ms INTEGER,
  success BOOLEAN DEFAULT TRUE,
  error_message TEXT,
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  kind TEXT,
  snapshot_id TEXT,
  sequence INTEGER UNIQUE,
  wal_bytes INTEGER,
  removed_at TIMESTAMP
);
CREATE INDEX IF NOT EXISTS backup_log_kind ON backup_log (kind, id);
CREATE INDEX IF NOT EXISTS backup_log_snapshot ON backup_log (snapshot_id);
CREATE TABLE IF NOT EXISTS ledger_state (last_sequence INTEGER NOT NULL, last_hash TEXT NOT NULL);
INSERT INTO ledger_state SELECT 0, '' WHERE NOT EXISTS (SELECT 1 FROM ledger_state);
PRAGMA user_version = ${SCHEMA_VERSION};`;

const INSERT = `INSERT OR IGNORE INTO backup_log
  (archive_path, backup_type, size_bytes, db_row_count, chroma_doc_count, duration_ms, success, error_message, created_at, kind, snapshot_id, sequence, wal_bytes)
  VALUES (@path, @type, @sizeBytes, @rows, @documents, @durationMs, @success, @message, @createdAt, @kind, @snapshotId, @sequence, @walBytes)`;

/**
 * Opens the table, made where it is missing, and made anew where it is damaged or from another version.
 * @param path `:memory:` for one that is not kept
 * @throws SQLite's own errors where the file cannot be written
 */
export async function openLog(path: string): Promise<BackupLog> {
  try {
    return await open(path);
  } catch (error) {
    if (!isDamaged(error)) throw error;
    removeFiles(path);
    return open(path);
  }
}

/** Makes the table anew beside the old one and puts it in its place; rows of failed runs are taken along where they can be read. */
export async function remakeLog(path: string, missing: Missing): Promise<{ readonly rows: number; readonly failures: number }> {
  const failures = await failuresIn(path);
  const fresh = `${path}.new`;
  removeFiles(fresh);
  const log = await open(fresh);
  try {
    for (const run of failures) log.addFailure(run);
    log.add(missing);
  } finally {
    log.close();
  }
  for (const suffix of ['-journal', '-wal', '-shm']) rmSync(path + suffix, { force: true });
  renameSync(fresh, path);
  return { rows: missing.runs.length, failures: failures.length };
}

/** SQLite says that the file is none of its own, or damaged, or it is a table of another Cora. */
export function isDamaged(error: unknown): boolean {
  if (error instanceof OtherVersion) return true;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return code === 'SQLITE_NOTADB' || code === 'SQLITE_ERROR' || code.startsWith('SQLITE_CORRUPT');
}

class OtherVersion extends Error {}

async function open(path: string): Promise<BackupLog> {
  const database = await openDatabase(path);
  try {
    if (path !== ':memory:') ownLikeDirectory(path);
    prepare(database);
  } catch (error) {
    database.close();
    throw error;
  }
  return logOf(database);
}

/** For its owner alone; one that root makes in a user's vault is the user's. */
function ownLikeDirectory(path: string): void {
  const { mode, uid, gid } = statSync(path);
  if ((mode & 0o777) !== 0o600) chmodSync(path, 0o600);
  const directory = statSync(dirname(path));
  if (process.geteuid?.() === 0 && (uid !== directory.uid || gid !== directory.gid)) chownSync(path, directory.uid, directory.gid);
}

function prepare(database: CoraDatabase): void {
  // What a power cut takes from it is made again from the chain.
  database.pragma('synchronous = OFF');
  const version = Number(database.pragma('user_version', { simple: true }));
  if (version === SCHEMA_VERSION) return;
  if (Number(database.prepare('SELECT count(*) FROM sqlite_schema').pluck().get()) > 0) throw new OtherVersion(`schema ${version}`);
  database.exec(SCHEMA);
}

function logOf(database: CoraDatabase): BackupLog {
  const insert = (run: LoggedRun) => database.prepare(INSERT).run({ ...run, success: run.success ? 1 : 0, createdAt: sqlTime(run.createdAt) });
  return {
    lastPlace: () => {
      const row = database.prepare('SELECT last_sequence, last_hash FROM ledger_state').get() as Record<string, unknown>;
      return { sequence: Number(row['last_sequence']), hash: String(row['last_hash']) };
    },
    add: database.transaction(({ runs, removals, upTo }: Missing) => {
      for (const run of runs) insert(run);
      const remove = database.prepare('UPDATE backup_log SET removed_at = ? WHERE snapshot_id = ? AND kind = ? AND removed_at IS NULL');
      for (const { kind, snapshotId, removedAt } of removals) remove.run(sqlTime(removedAt), snapshotId, kind);
      database
        .prepare('UPDATE ledger_state SET last_sequence = ?, last_hash = ? WHERE last_sequence < ?')
        .run(upTo.sequence, upTo.hash, upTo.sequence);
    }),
    addFailure: (run) => void insert(run),
    rows: (sql, ...values) => database.prepare(sql).all(...values) as Record<string, unknown>[],
    isSound: () => database.pragma('quick_check(1)', { simple: true }) === 'ok',
    close: () => database.close(),
  };
}

async function failuresIn(path: string): Promise<LoggedRun[]> {
  try {
    const log = await open(path);
    try {
      return log.rows('SELECT * FROM backup_log WHERE sequence IS NULL ORDER BY id').map(runOf);
    } finally {
      log.close();
    }
  } catch {
    return [];
  }
}

/** A row of the table as a run. */
export function runOf(row: Readonly<Record<string, unknown>>): LoggedRun {
  const text = (key: string) => (typeof row[key] === 'string' ? row[key] : null);
  const number = (key: string) => (typeof row[key] === 'number' ? row[key] : null);
  return {
    sequence: number('sequence'),
    snapshotId: text('snapshot_id'),
    kind: text('kind') ?? '',
    type: text('backup_type') ?? '',
    path: text('archive_path') ?? '',
    sizeBytes: number('size_bytes'),
    rows: number('db_row_count'),
    documents: number('chroma_doc_count'),
    walBytes: number('wal_bytes'),
    durationMs: number('duration_ms'),
    success: row['success'] === 1,
    message: text('error_message'),
    createdAt: Date.parse(`${(text('created_at') ?? '').replace(' ', 'T')}Z`),
  };
}

/** As SQLite's own CURRENT_TIMESTAMP, so that rows compare with `datetime('now')`. */
function sqlTime(time: number): string {
  return new Date(time).toISOString().slice(0, 19).replace('T', ' ');
}

function removeFiles(path: string): void {
  for (const suffix of ['', '-journal', '-wal', '-shm']) rmSync(path + suffix, { force: true });
}
