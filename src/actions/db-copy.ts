// A verified copy of one database, taken while its program uses it: what db backup keeps and db restore begins with. Each
// way in which it can fail has one answer.

import { statSync } from 'node:fs';
import { type Bytes, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError, errnoOf } from '../base/errors.ts';
import type { DatabaseReport } from '../format/report.ts';
import { databaseFailure, databaseLocked } from '../os/database-errors.ts';
import { findDatabaseHolders } from '../os/database-files.ts';
import { onPath } from '../os/long-path.ts';
import { countCopy } from '../os/sqlite.ts';
import { type CapturedDatabase, captureDatabase } from '../source/databases.ts';
import { WorkerPool } from '../store/pool.ts';
import { stopIfAborted } from './settle.ts';

export type CopyRequest = {
  /** Absolute. */
  readonly source: Bytes;
  /** A new file in a staging directory. */
  readonly target: string;
  /** False: rows are counted, and SQLite's check is left out. */
  readonly verify: boolean;
  /** Milliseconds that a writer may keep it locked. */
  readonly timeout: number;
};

/** What a copy holds. */
export type CopyFacts = {
  readonly rows: number;
  readonly tables: Readonly<Record<string, number>>;
  readonly userVersion: number;
  readonly schemaVersion: number;
  /** Of the database it was taken from. */
  readonly journalMode: string;
  readonly pageSize: number;
  /** Bytes of the copy. */
  readonly size: number;
  /** `ok`, with what could not be checked; undefined where no check was asked for. */
  readonly check: string | undefined;
};

/**
 * Copies a live database and checks the copy.
 * @throws CoraError not_found, db_open_failed (encrypted, no database), db_integrity_check_failed (the database is damaged), db_locked,
 * db_out_of_memory, no_space, validation_failed (the copy of a sound database fails its check), interrupted
 */
export async function copyDatabase(request: CopyRequest, ctx: Context): Promise<CopyFacts> {
  const { source, target, verify } = request;
  const name = toText(source);
  const bytes = sizeOf(source, name);
  // Checks run on another thread, so that this one can say that it takes long, and be stopped.
  const slots = new SharedArrayBuffer(4);
  const pool = new WorkerPool(Math.min(1, ctx.workers), { table: { records: new SharedArrayBuffer(56), slots, counter: slots }, packs: [] });
  let captured: CapturedDatabase;
  try {
    captured = await captureDatabase(source, source, target, {
      timeout: request.timeout,
      check: 'integrity_check',
      checkCopy: async (path, check) => (verify ? pool.run({ kind: 'check-database', path, check }) : { result: 'ok', ...(await countCopy(path)) }),
      onPages: (done, total) => {
        stopIfAborted(ctx);
        const copied = total === 0 ? 0 : Math.round((bytes * done) / total);
        ctx.monitor.progress({ phase: 'databases', files: 0, totalFiles: 1, bytes: copied, totalBytes: bytes });
      },
    });
  } catch (error) {
    if (error instanceof CoraError && error.code === 'db_integrity_check_failed') {
      throw new CoraError('validation_failed', `Backup verification failed: ${error.message}`, {
        hint: error.hint ?? 'run the command again',
        cause: error,
      });
    }
    throw databaseFailure(error, name, 'copied');
  } finally {
    await pool.close();
  }
  stopIfAborted(ctx);
  if (captured.outcome !== 'copied') throw answerTo(captured.problem.code, captured.problem.message, source);
  if (captured.problem?.code === 'db_hot_journal') ctx.monitor.problem({ ...captured.problem, path: name });
  return factsOf(captured.report, verify);
}

/** Says nothing about what is in the file. */
const UNREADABLE = { unreadable: true };

function sizeOf(source: Bytes, name: string): number {
  let stat: ReturnType<typeof statSync>;
  try {
    stat = onPath(source, (path) => statSync(path));
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'ENOTDIR') throw databaseFailure(error, name, 'copied');
    throw new CoraError('not_found', `There is no file ${name}`, { hint: 'check the path' });
  }
  if (!stat.isFile())
    throw new CoraError('db_open_failed', `${name} is no file`, { hint: 'give the path of a SQLite database', details: UNREADABLE });
  if (stat.size === 0) throw new CoraError('db_open_failed', `${name} is empty (0 bytes): there is no database in it`, { hint: 'check the path' });
  return stat.size;
}

function factsOf(report: DatabaseReport, verify: boolean): CopyFacts {
  return {
    rows: report.rows,
    tables: report.tables,
    userVersion: report.user_version,
    schemaVersion: report.schema_version,
    journalMode: report.journal_mode,
    pageSize: report.page_size,
    size: report.size,
    check: verify ? report.check_result : undefined,
  };
}

function answerTo(code: string, message: string, source: Bytes): CoraError {
  const name = toText(source);
  const said = (/\((.*)\)/s.exec(message)?.[1] ?? message).replace(/\s+/g, ' ');
  switch (code) {
    case 'db_locked':
      return databaseLocked(name, findDatabaseHolders(source).holders);
    case 'db_encrypted':
      return new CoraError('db_open_failed', `${name} is encrypted, or no SQLite database (${said})`, {
        hint: 'a SQLite database begins with "SQLite format 3" (head -c 15 FILE); an encrypted one only its own program can copy',
      });
    case 'db_corrupt':
      return new CoraError('db_integrity_check_failed', `Integrity check failed: ${name} is damaged (${said}); no copy was kept`, {
        hint: 'restore a good copy (cora db restore COPY --db FILE), or save what can be read: sqlite3 FILE .recover',
      });
    case 'db_out_of_memory':
      return databaseFailure(Object.assign(new Error('out of memory'), { code: 'SQLITE_NOMEM' }), name, 'copied');
    default:
      return new CoraError('db_open_failed', message.replace(/; it is not in this snapshot$/, ''), {
        hint: `check the owner and mode of ${name} and of its directory`,
        details: UNREADABLE,
      });
  }
}
