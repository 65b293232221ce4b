// Brings ledger/cora.db in step with the chain, and notes runs that failed. The table only answers questions
// quickly; it is never what a decision rests on, so no failure here ends a run.

import type { Context } from '../base/context.ts';
import { messageOf } from '../base/errors.ts';
import type { Report } from '../format/report.ts';
import { type BackupLog, isDamaged, type LoggedRun, type Missing, openLog, type Removal, remakeLog } from '../os/backup-log.ts';
import { exists } from '../os/files.ts';
import { type SnapshotRef, tryReport } from '../vault/catalog.ts';
import { type ChainLine, linesFrom, readHead } from '../vault/chain.ts';
import { NAMES, parseId, snapshotDirectory } from '../vault/layout.ts';
import { openLocated, type VaultLocation } from '../vault/locate.ts';
import type { Vault } from '../vault/vault.ts';
import { archiveName } from './backup-names.ts';
import { markMissing } from './ledger-witness.ts';
import { bytesBelow } from './list.ts';
import { isGood } from './report-state.ts';

/** The table, in step with the chain. The caller closes it. @throws SQLite's own errors */
export async function openLedger(vault: Vault): Promise<BackupLog> {
  const path = `${vault.root}/${NAMES.database}`;
  try {
    return inStep(await openLog(path), vault);
  } catch (error) {
    if (!isDamaged(error)) throw error;
    await rebuildLedger(vault);
    return openLog(path);
  }
}

/** The same in memory, for a vault that cannot be written. */
export async function openLedgerInMemory(vault: Vault): Promise<BackupLog> {
  return inStep(await openLog(':memory:'), vault);
}

function inStep(log: BackupLog, vault: Vault): BackupLog {
  try {
    const head = readHead(vault.root);
    const known = log.lastPlace();
    if (known.sequence === head.sequence && (known.hash === head.hash || head.sequence === 0)) return log;
    const lines = linesFrom(vault.root, known.sequence);
    const same = known.sequence === 0 || (lines[0]?.line.sequence === known.sequence && lines[0].hash === known.hash);
    if (!same) {
      markMissing(vault, log, known);
      throw Object.assign(new Error('the table knows lines that the ledger does not have'), { code: 'SQLITE_CORRUPT' });
    }
    log.add(missingIn(vault, known.sequence === 0 ? lines : lines.slice(1)));
    return log;
  } catch (error) {
    log.close();
    throw error;
  }
}

/**
 * Adds every run of the chain that the table lacks. Never throws.
 * @param whole also looks for damage in the whole file
 */
export async function recordRuns(vault: Vault, ctx: Context, whole = false): Promise<void> {
  try {
    const log = await openLedger(vault);
    const sound = !whole || log.isSound();
    log.close();
    if (!sound) await rebuildLedger(vault);
  } catch (error) {
    ctx.monitor.note(`The table ledger/cora.db is not in step with the ledger: ${messageOf(error)}`);
  }
}

/** What became of `cora ledger rebuild`. */
export type RebuiltLedger = { readonly path: string; readonly rows: number; readonly failures: number; readonly seconds: number };

/** Makes the table again from the vault alone: the chain and the reports. Failed runs, which no other place has, are kept where they can be read. */
export async function rebuildLedger(vault: Vault): Promise<RebuiltLedger> {
  const begun = performance.now();
  const path = `${vault.root}/${NAMES.database}`;
  const made = await remakeLog(path, missingIn(vault, linesFrom(vault.root, 1)));
  return { path, ...made, seconds: (performance.now() - begun) / 1000 };
}

/** What the row of a failed run says of it. */
export type RunFacts = { readonly kind: 'save' | 'backup'; readonly type: string };

/** Gives a run that failed a row. Never throws. */
export async function recordFailure(location: VaultLocation, { kind, type }: RunFacts, error: unknown, started: number, ctx: Context): Promise<void> {
  try {
    if (!exists(`${location.path}/${NAMES.ledger}`)) return;
    const vault = openLocated(location);
    const log = await openLedger(vault);
    log.addFailure({
      sequence: null,
      snapshotId: null,
      kind,
      type,
      path: vault.root,
      sizeBytes: null,
      rows: null,
      documents: null,
      walBytes: null,
      durationMs: Math.max(0, ctx.now() - started),
      success: false,
      message: messageOf(error),
      createdAt: ctx.now(),
    });
    log.close();
  } catch {
    // The run log has it; a full or read-only disk is what the run itself ends with.
  }
}

function missingIn(vault: Vault, lines: ReturnType<typeof linesFrom>): Missing {
  const removals: Removal[] = lines.flatMap(({ line: { kind, id, extra, time } }) =>
    kind === 'prune' ? [{ kind: extra, snapshotId: id, removedAt: Date.parse(time) }] : [],
  );
  const last = lines.at(-1);
  const upTo = { sequence: last?.line.sequence ?? 0, hash: last?.hash ?? '' };
  return { runs: lines.flatMap(({ line }) => loggedRun(vault, line)), removals, upTo };
}

function loggedRun(vault: Vault, line: ChainLine): LoggedRun[] {
  const id = parseId(line.id);
  if (id === undefined || !['save', 'backup', 'fallback', 'unchanged'].includes(line.kind)) return [];
  const kind = line.kind === 'backup' || line.kind === 'fallback' ? line.kind : 'save';
  const directory = snapshotDirectory(kind, id);
  const nothing = { sizeBytes: null, rows: null, documents: null, walBytes: null, durationMs: null };
  const base = { ...nothing, sequence: line.sequence, snapshotId: id, kind: line.kind, createdAt: Date.parse(line.time) };
  const path = `${vault.root}/${directory}`;
  if (line.kind === 'unchanged') return [{ ...base, type: 'save', path, success: true, message: null }];
  const ref: SnapshotRef = { id, kind, directory, sequence: line.sequence };
  const report = tryReport(vault, ref);
  // It succeeded, or it would have no line; that it is gone by now says nothing about the run.
  if (report === undefined) return [{ ...base, type: kind, path, success: true, message: exists(path) ? 'its report cannot be read' : null }];
  return [
    {
      ...base,
      type: report.type,
      path: kind === 'backup' ? `${path}/${archiveName(report.project.name)}` : path,
      sizeBytes: bytesBelow(path),
      rows: report.databases.reduce((sum, { rows }) => sum + rows, 0),
      documents: documentsOf(report),
      walBytes: report.databases.reduce((sum, { wal_size: size }) => sum + (size ?? 0), 0),
      durationMs: Math.round(report.total_duration * 1000),
      success: isGood(report),
      message: whatIsWrong(report),
    },
  ];
}

/** Over all vector stores; null where there is none. A save does not count them, but has the rows of their tables. */
function documentsOf({ units, databases }: Report): number | null {
  if (units.length === 0) return null;
  const tablesOf = (path: string) => databases.find((database) => database.path === path)?.tables;
  return units.reduce((sum, { documents, database }) => sum + (documents ?? tablesOf(database)?.['embeddings'] ?? 0), 0);
}

function whatIsWrong(report: Report): string | null {
  const errors = report.problems.filter(({ severity }) => severity === 'error').slice(0, 5);
  if (errors.length === 0) return report.status === 'complete' ? null : report.status;
  return errors.map(({ path, message }) => (path === undefined ? message : `${path}: ${message}`)).join('; ');
}
