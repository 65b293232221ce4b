// Databases of a restore in place: what is kept of them for the way back, and whether they hold what was saved.

import { type Bytes, dirnameBytes, joinBytes, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { messageOf } from '../base/errors.ts';
import { pathFields } from '../base/path-fields.ts';
import { databaseLocked } from '../os/database-errors.ts';
import { findDatabaseHolders } from '../os/database-files.ts';
import { makePath, tryRemove } from '../os/files.ts';
import { DatabaseLocked, takeCopy } from '../os/sqlite.ts';
import { countRows, runCheck } from '../os/sqlite-check.ts';
import { openLive } from '../os/sqlite-open.ts';
import { restoreInto } from '../os/sqlite-restore.ts';
import type { Move } from './restore-journal.ts';
import type { RestorePlan } from './restore-plan.ts';

/** Milliseconds to wait for a program that keeps a database locked. */
const LOCK_WAIT = 30_000;

export type DatabaseCheck = { readonly path: Bytes; readonly ok: boolean; readonly rows: number; readonly error: string | undefined };

/** A consistent copy of a database that programs use; it stands alone. False where SQLite cannot read it, and nothing is kept. */
export async function keepDatabase(live: Bytes, kept: Bytes): Promise<boolean> {
  makePath(dirnameBytes(kept));
  try {
    await takeCopy(live, toText(kept), LOCK_WAIT);
    return true;
  } catch (error) {
    for (const suffix of ['', '-journal', '-wal', '-shm']) tryRemove(toText(kept) + suffix);
    if (error instanceof DatabaseLocked) throw databaseLocked(toText(live), findDatabaseHolders(live).holders, error);
    return false;
  }
}

/** @throws CoraError db_locked and what else `restoreInto` throws; the live database is then as it was */
export async function bringInto(copy: Bytes, live: Bytes): Promise<void> {
  await restoreInto(copy, live, { timeout: LOCK_WAIT });
}

/** Integrity, and rows a table against the snapshot's record. What a running program writes at once is no difference. */
export async function checkRestored(root: Bytes, moves: readonly Move[], plan: RestorePlan, ctx: Context): Promise<DatabaseCheck[]> {
  const checks: DatabaseCheck[] = [];
  for (const { kind, path } of moves) {
    if (kind !== 'database' && kind !== 'live') continue;
    const check = await checkOne(joinBytes(root, path), path, kind, plan);
    if (!check.ok)
      ctx.monitor.problem({
        code: 'db_restore_check',
        ...pathFields(path),
        message: check.error ?? 'It does not hold what was saved',
        severity: 'error',
      });
    checks.push(check);
  }
  return checks;
}

async function checkOne(live: Bytes, path: Bytes, kind: Move['kind'], plan: RestorePlan): Promise<DatabaseCheck> {
  const record = plan.work.report.databases.find((database) => database.path === toText(path));
  try {
    // For writing: the last to close a database in WAL mode takes its -wal and -shm away.
    const { database, release } = await openLive(live, LOCK_WAIT);
    try {
      const { result } = runCheck(database, 'integrity_check');
      const { rows, tables } = countRows(database);
      const different = kind === 'live' ? undefined : Object.entries(record?.tables ?? {}).find(([table, count]) => tables[table] !== count);
      if (result !== 'ok') return { path, ok: false, rows, error: `After the restore its check says: ${result.slice(0, 200)}` };
      if (different !== undefined) {
        const [table, count] = different;
        return { path, ok: false, rows, error: `After the restore ${table} has ${tables[table] ?? 'no'} rows, and ${count} were saved` };
      }
      return { path, ok: true, rows, error: undefined };
    } finally {
      release();
    }
  } catch (error) {
    return { path, ok: false, rows: 0, error: `It cannot be opened after the restore: ${messageOf(error)}` };
  }
}
