// Databases of a project: how each is captured, and what to do with one that cannot be copied.
// A database is never taken from its raw bytes in silence.

import { chmodSync, closeSync, copyFileSync, existsSync, openSync, readSync, rmSync, statSync } from 'node:fs';
import { type Bytes, bytes, dirnameBytes, toText } from '../base/bytes.ts';
import type { Problem } from '../base/context.ts';
import { CoraError, errnoOf, messageOf } from '../base/errors.ts';
import { pathFields } from '../base/path-fields.ts';
import type { DatabaseReport, UnitReport } from '../format/report.ts';
import { onPath } from '../os/long-path.ts';
import {
  type CopyCheck,
  type CopyPath,
  countTable,
  type DatabaseFacts,
  DatabaseLocked,
  isHealthy,
  type OnPages,
  rollBack,
  sameFile,
  sqliteCode,
  takeCopy,
} from '../os/sqlite.ts';

export type CaptureOptions = {
  /** Milliseconds to wait for a database that a writer keeps locked. */
  readonly timeout: number;
  readonly check: 'quick_check' | 'integrity_check';
  /** Checks the copy, perhaps on another thread. */
  readonly checkCopy: (copy: string, check: 'quick_check' | 'integrity_check') => Promise<CopyCheck>;
  /** Called now and then while it is copied, with pages done and in all; what it throws ends the copy, and is thrown on. */
  readonly onPages?: OnPages;
  /** Called when the copy is complete and not yet checked: work on it may begin, and counts only if the outcome is `copied`. */
  readonly onCopied?: (copy: string) => void;
};

const OUT_OF_MEMORY = 'Out of memory while it was copied (a damaged file, or a very large -wal); it is not in this snapshot';

export type CapturedDatabase =
  | { readonly outcome: 'copied'; readonly report: DatabaseReport; readonly problem?: Problem }
  | { readonly outcome: 'raw'; readonly report: DatabaseReport; readonly problem: Problem }
  | { readonly outcome: 'failed'; readonly problem: Problem };

/**
 * Captures one database into `target`, a new file.
 * @param source absolute; @param relative its path in the project
 * @throws CoraError db_integrity_check_failed where the copy of a healthy source fails its check; no_space, io and the like of our own disk
 */
export async function captureDatabase(source: Bytes, relative: Bytes, target: string, options: CaptureOptions): Promise<CapturedDatabase> {
  const problem = (code: string, message: string, severity: Problem['severity'] = 'error'): Problem => ({
    code,
    ...pathFields(relative),
    message,
    severity,
  });
  let facts: DatabaseFacts;
  let hot: Problem | undefined;
  try {
    facts = await takeCopy(source, target, options.timeout, options.onPages);
  } catch (error) {
    removeCopy(target);
    // Without the SQLite module no database can be kept: that is no problem of this one file.
    if (error instanceof CoraError && (error.code === 'engine_broken' || error.code === 'interrupted')) throw error;
    const code = sqliteCode(error);
    if (error instanceof DatabaseLocked || code?.startsWith('SQLITE_BUSY') === true || code?.startsWith('SQLITE_LOCKED') === true) {
      return {
        outcome: 'failed',
        problem: problem(
          'db_locked',
          `The database is locked: its writer did not let go within ${options.timeout / 1000} s; it is not in this snapshot`,
        ),
      };
    }
    if (code === 'SQLITE_NOTADB' || code?.startsWith('SQLITE_CORRUPT') === true) {
      await stopIfSound(source, relative, target, options.check, error);
      return takeRaw(
        source,
        relative,
        target,
        problem(
          code === 'SQLITE_NOTADB' ? 'db_encrypted' : 'db_corrupt',
          `SQLite cannot read it (${messageOf(error)}); its bytes are stored as they are`,
        ),
      );
    }
    if (code?.startsWith('SQLITE_NOMEM') === true) return { outcome: 'failed', problem: problem('db_out_of_memory', OUT_OF_MEMORY) };
    if (errnoOf(error) === 'ENOSPC' || code === 'SQLITE_FULL') throw Object.assign(new Error(messageOf(error)), { code: 'ENOSPC' });
    await stopIfSound(source, relative, target, options.check, error);
    const other = await copyAnotherWay(source, target);
    if (other === undefined)
      return {
        outcome: 'failed',
        problem: problem('db_unreadable', `The database cannot be opened (${messageOf(error)}); it is not in this snapshot`),
      };
    facts = other.facts;
    if (other.rolledBack)
      hot = problem('db_hot_journal', 'Its program died in the middle of a write; the copy is as SQLite rolls it back', 'warning');
  }
  let checked: CopyCheck;
  try {
    options.onCopied?.(target);
    checked = await options.checkCopy(target, options.check);
  } catch (error) {
    // The run was stopped, or our own disk failed: that says nothing about the database.
    if (error instanceof CoraError) throw error;
    checked = { result: messageOf(error), rows: 0, tables: {} };
  }
  if (checked.result !== 'ok') {
    if (await isHealthy(source, `${target}-link`, options.check)) {
      removeCopy(target);
      throw new CoraError(
        'db_integrity_check_failed',
        `The copy of ${toText(relative)} fails its check although the database is sound: ${checked.result.slice(0, 200)}`,
        {
          hint: "check the vault's disk (dmesg, smartctl), then run the command again",
        },
      );
    }
    const damage = `The database is damaged (${checked.result.slice(0, 200)})`;
    if (holdsCommits(source)) {
      // The file alone would lack what is only in its -wal; our copy has both, page by page.
      return keepRaw(relative, target, problem('db_corrupt', `${damage}; its pages are stored as they are, those of its -wal included`));
    }
    removeCopy(target);
    return takeRaw(source, relative, target, problem('db_corrupt', `${damage}; its bytes are stored as they are`));
  }
  const wal = walSize(source);
  const report = { ...makeReport(relative, facts, options.check, checked, statSync(target).size), ...(wal === 0 ? {} : { wal_size: wal }) };
  const note =
    hot ??
    (checked.unchecked === undefined
      ? undefined
      : problem('db_unchecked', `Tables that only their own program can check were copied unchecked: ${checked.unchecked.slice(0, 300)}`, 'warning'));
  return note === undefined ? { outcome: 'copied', report } : { outcome: 'copied', report, problem: note };
}

/**
 * A copy that could not be made says nothing about a database that is sound: then our own disk failed, and there is no snapshot.
 * @throws CoraError io
 */
async function stopIfSound(source: Bytes, relative: Bytes, target: string, check: CaptureOptions['check'], cause: unknown): Promise<void> {
  const sound = await isHealthy(source, `${target}-link`, check);
  removeCopy(target);
  if (!sound) return;
  throw new CoraError('io', `${toText(relative)} could not be copied although the database is sound: ${messageOf(cause)}`, {
    hint: "check the vault's disk (dmesg, smartctl), then run the command again",
    cause,
  });
}

/** True where a -wal with content lies beside the database. */
const holdsCommits = (source: Bytes): boolean => walSize(source) > 0;

/** Bytes of the -wal beside a database; 0 where there is none. */
export function walSize(source: Bytes): number {
  try {
    return onPath(bytes(`${source}-wal`), (path) => statSync(path)).size;
  } catch {
    return 0;
  }
}

function makeReport(relative: Bytes, facts: DatabaseFacts, check: DatabaseReport['check'], checked: CopyCheck, size: number): DatabaseReport {
  return {
    ...pathFields(relative),
    stored: 'copy',
    journal_mode: facts.journalMode,
    page_size: facts.pageSize,
    user_version: facts.userVersion,
    application_id: facts.applicationId,
    schema_version: facts.schemaVersion,
    ...(checked.schema === undefined ? {} : { schema_sha256: checked.schema }),
    check,
    check_result: checked.unchecked === undefined ? checked.result : `${checked.result}, but not checked: ${checked.unchecked}`,
    rows: checked.rows,
    tables: checked.tables,
    size,
  };
}

/** A copy, and whatever SQLite may have left beside it. */
export function removeCopy(target: string): void {
  for (const suffix of ['', '-journal', '-wal', '-shm', '-link']) rmSync(target + suffix, { force: true });
}

function takeRaw(source: Bytes, relative: Bytes, target: string, problem: Problem): CapturedDatabase {
  try {
    copyBytes(source, target);
  } catch (error) {
    if (errnoOf(error) === 'ENOSPC') throw error;
    return {
      outcome: 'failed',
      problem: { ...problem, message: `${problem.message}; but they cannot be read (${errnoOf(error) ?? 'unknown error'})` },
    };
  }
  const lost = holdsCommits(source) ? { ...problem, message: `${problem.message}, without what is only in its -wal` } : problem;
  return keepRaw(relative, target, lost);
}

function keepRaw(relative: Bytes, target: string, problem: Problem): CapturedDatabase {
  const unknown: DatabaseFacts = { journalMode: 'unknown', pageSize: 0, userVersion: 0, applicationId: 0, schemaVersion: 0 };
  const report = makeReport(relative, unknown, 'none', { result: problem.message, rows: 0, tables: {} }, statSync(target).size);
  return { outcome: 'raw', report: { ...report, stored: 'raw' }, problem };
}

/** The copy's mode is ours, not the source's: SQLite must be able to write it. */
function copyBytes(source: Bytes, target: string): void {
  onPath(source, (path) => copyFileSync(path, target));
  chmodSync(target, 0o600);
}

/**
 * Two cases that a read-only connection cannot open: a hot journal (its writer is dead), which SQLite rolls back in a copy of ours;
 * and an idle WAL database in a directory that we may not write, whose file is whole as it stands.
 */
async function copyAnotherWay(source: Bytes, target: string): Promise<{ facts: DatabaseFacts; rolledBack: boolean } | undefined> {
  const journal = bytes(`${source}-journal`);
  const wal = bytes(`${source}-wal`);
  const hasJournal = onPath(journal, existsSync);
  try {
    for (let attempt = 0; attempt < 3; attempt++) {
      if (onPath(wal, existsSync)) return undefined;
      const before = onPath(source, (path) => statSync(path, { bigint: true }));
      copyBytes(source, target);
      if (hasJournal) copyBytes(journal, `${target}-journal`);
      if (sameFile(source, before) && onPath(journal, existsSync) === hasJournal && !onPath(wal, existsSync)) {
        return { facts: await rollBack(target), rolledBack: hasJournal };
      }
      removeCopy(target);
    }
  } catch (error) {
    removeCopy(target);
    if (errnoOf(error) === 'ENOSPC') throw error;
  }
  return undefined;
}

const RANDOM_BITS = 7.5;

/** True for a file that is named like a database, has no SQLite header, and looks like noise: an encrypted one. */
export function looksEncrypted(path: Bytes, size: number, absolute: Bytes): boolean {
  if (!/\.(?:db|sqlite|sqlite3)$/i.test(path) || size < 1024 || size % 512 !== 0) return false;
  const head = Buffer.alloc(4096);
  let length: number;
  try {
    const fd = onPath(absolute, (reachable) => openSync(reachable, 'r'));
    try {
      length = readSync(fd, head, 0, head.length, 0);
    } finally {
      closeSync(fd);
    }
  } catch {
    return false;
  }
  const counts = new Map<number, number>();
  for (const byte of head.subarray(0, length)) counts.set(byte, (counts.get(byte) ?? 0) + 1);
  let entropy = 0;
  for (const count of counts.values()) entropy -= (count / length) * Math.log2(count / length);
  // A sample of 1 KiB of noise has about 7.8 bits a byte, one of 4 KiB about 7.95.
  return entropy > RANDOM_BITS;
}

/** Directories that are one unit with their database: a Chroma vector store. */
export function findUnits(databasePaths: readonly Bytes[]): UnitReport[] {
  return databasePaths
    .filter((path) => path === 'chroma.sqlite3' || path.endsWith('/chroma.sqlite3'))
    .map((path) => ({ kind: 'chroma', path: toText(dirnameBytes(path)), database: toText(path) }));
}

/** Documents in a stored copy of a Chroma database; undefined where it has no such table. */
export async function countChromaDocuments(copy: CopyPath): Promise<number | undefined> {
  try {
    return await countTable(copy, 'embeddings');
  } catch {
    return undefined;
  }
}
