// ledger/cora.db: the table backup_log (ATLAS-4's columns, ours after them). It is made from the
// chain and the snapshots' reports, so a damaged one is thrown away and made again.

import { chmodSync, rmSync } from 'node:fs';
import { type CoraDatabase, openDatabase } from './sqlite.ts';

/** One run. Times are RFC 3339. */
export type LoggedRun = {
  readonly sequence: number;
  readonly snapshotId: string;
  readonly kind: string;
  readonly type: string;
  /** Absolute path of the archive, or of the snapshot's directory. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly rows: number | null;
  readonly documents: number | null;
  readonly durationMs: number | null;
  readonly success: boolean;
  readonly message: string | null;
  readonly createdAt: string;
};

const SCHEMA_VERSION = 1;
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
  sequence INTEGER UNIQUE,
  snapshot_id TEXT,
  kind TEXT
);
PRAGMA user_version = ${SCHEMA_VERSION};`;

const INSERT = `INSERT OR IGNORE INTO backup_log
  (archive_path, backup_type, size_bytes, db_row_count, chroma_doc_count, duration_ms, success, error_message, created_at, sequence, snapshot_id, kind)
  VALUES (@path, @type, @sizeBytes, @rows, @documents, @durationMs, @success, @message, @createdAt, @sequence, @snapshotId, @kind)`;

/**
 * Adds the runs that the table does not have yet.
 * @param missing gives the runs after a sequence; called once
 * @throws SQLite's own errors where the file cannot be written
 */
export async function appendRuns(path: string, missing: (after: number) => readonly LoggedRun[]): Promise<void> {
  const database = await openOrRemake(path);
  try {
    const last = Number(database.prepare('SELECT coalesce(max(sequence), 0) FROM backup_log').pluck().get());
    const insert = database.prepare(INSERT);
    const all = database.transaction((runs: readonly LoggedRun[]) => {
      for (const run of runs) insert.run({ ...run, success: run.success ? 1 : 0 });
    });
    all(missing(last));
  } finally {
    database.close();
  }
  chmodSync(path, 0o600);
}

async function openOrRemake(path: string): Promise<CoraDatabase> {
  try {
    return await prepare(path);
  } catch {
    for (const suffix of ['', '-journal', '-wal', '-shm']) rmSync(path + suffix, { force: true });
    return prepare(path);
  }
}

async function prepare(path: string): Promise<CoraDatabase> {
  const database = await openDatabase(path);
  try {
    database.pragma('journal_mode = DELETE');
    database.exec(SCHEMA);
    if (database.pragma('quick_check(1)', { simple: true }) !== 'ok') throw new RangeError('the ledger database is damaged');
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}
