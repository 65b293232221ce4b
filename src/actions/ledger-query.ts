// Questions that the ledger's table answers in milliseconds: when the last run was, how large what is kept, how it went
// over time. It says what the record says; whether a snapshot is sound is asked of the snapshot.

import { type BackupLog, type LoggedRun, runOf } from '../os/backup-log.ts';
import type { Vault } from '../vault/vault.ts';
import { openLedger, openLedgerInMemory } from './ledger.ts';

/** What is kept of one type of snapshot (`daily`, `manual`, `save`, ...). */
export type KeptOfType = {
  readonly type: string;
  readonly count: number;
  readonly bytes: number;
  /** Milliseconds since 1970. */
  readonly oldest: number;
  readonly newest: number;
};

export type LedgerFacts = {
  /** The newest run that succeeded, also one that found nothing to do. */
  readonly lastSuccess: LoggedRun | undefined;
  readonly lastBackup: LoggedRun | undefined;
  readonly lastSave: LoggedRun | undefined;
  /** The newest run that failed, whenever that was. */
  readonly lastFailure: LoggedRun | undefined;
  /** What is still in the vault, the type with most bytes first. */
  readonly kept: readonly KeptOfType[];
};

/** @throws SQLite's own errors where neither the table nor one in memory can be made */
export function ledgerFacts(vault: Vault): Promise<LedgerFacts> {
  return withLedger(vault, (log) => ({
    lastSuccess: one(log, "WHERE success = 1 AND kind IN ('save', 'backup', 'fallback', 'unchanged')"),
    lastBackup: one(log, "WHERE success = 1 AND kind = 'backup'"),
    lastSave: one(log, "WHERE success = 1 AND kind IN ('save', 'fallback', 'unchanged')"),
    lastFailure: one(log, 'WHERE success = 0'),
    kept: keptByType(log),
  }));
}

/** The newest backups of the vault, oldest first, those that clean-up took too; failed ones are left out. */
export function backupsOverTime(vault: Vault, count: number): Promise<readonly LoggedRun[]> {
  return withLedger(vault, (log) =>
    log.rows("SELECT * FROM backup_log WHERE kind = 'backup' AND sequence IS NOT NULL ORDER BY sequence DESC LIMIT ?", count).map(runOf).reverse(),
  );
}

/** Opens the table for the time of `use`; of a vault that cannot be written one is made in memory. */
async function withLedger<T>(vault: Vault, use: (log: BackupLog) => T): Promise<T> {
  const log = await openLedger(vault).catch(() => openLedgerInMemory(vault));
  try {
    return use(log);
  } finally {
    log.close();
  }
}

function one(log: BackupLog, where: string): LoggedRun | undefined {
  const [row] = log.rows(`SELECT * FROM backup_log ${where} ORDER BY id DESC LIMIT 1`);
  return row === undefined ? undefined : runOf(row);
}

function keptByType(log: BackupLog): KeptOfType[] {
  const rows = log.rows(
    `SELECT backup_type AS type, count(*) AS count, sum(size_bytes) AS bytes,
      CAST(strftime('%s', min(created_at)) AS INTEGER) AS oldest, CAST(strftime('%s', max(created_at)) AS INTEGER) AS newest
      FROM backup_log WHERE size_bytes IS NOT NULL AND removed_at IS NULL AND sequence IS NOT NULL GROUP BY backup_type ORDER BY bytes DESC`,
  );
  return rows.map(({ type, count, bytes, oldest, newest }) => ({
    type: String(type),
    count: Number(count),
    bytes: Number(bytes),
    oldest: Number(oldest) * 1000,
    newest: Number(newest) * 1000,
  }));
}
