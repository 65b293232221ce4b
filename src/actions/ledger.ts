// Brings ledger/cora.db in step with the chain. The table only answers questions quickly; it is
// never what a decision rests on, so no failure here ends a run.

import type { Context } from '../base/context.ts';
import { messageOf } from '../base/errors.ts';
import { appendRuns, type LoggedRun } from '../os/backup-log.ts';
import { exists } from '../os/files.ts';
import { type SnapshotRef, tryReport } from '../vault/catalog.ts';
import { type ChainLine, readChain } from '../vault/chain.ts';
import { NAMES, parseId, snapshotDirectory } from '../vault/layout.ts';
import type { Vault } from '../vault/vault.ts';
import { archiveName } from './backup-names.ts';
import { bytesBelow } from './list.ts';

/** Adds every run of the chain that the table lacks. */
export async function recordRuns(vault: Vault, ctx: Context): Promise<void> {
  try {
    await appendRuns(`${vault.root}/${NAMES.database}`, (after) =>
      readChain(vault.root)
        .filter(({ line }) => line.sequence > after)
        .flatMap(({ line }) => loggedRun(vault, line)),
    );
  } catch (error) {
    ctx.monitor.note(`The table ledger/cora.db is not in step with the ledger: ${messageOf(error)}`);
  }
}

function loggedRun(vault: Vault, line: ChainLine): LoggedRun[] {
  const id = parseId(line.id);
  if (id === undefined || !['save', 'backup', 'fallback', 'unchanged'].includes(line.kind)) return [];
  const kind = line.kind === 'backup' || line.kind === 'fallback' ? line.kind : 'save';
  const directory = snapshotDirectory(kind, id);
  const base = { sequence: line.sequence, snapshotId: id, kind: line.kind, createdAt: line.time };
  if (line.kind === 'unchanged') {
    return [
      {
        ...base,
        type: 'save',
        path: `${vault.root}/${directory}`,
        sizeBytes: 0,
        rows: null,
        documents: null,
        durationMs: null,
        success: true,
        message: null,
      },
    ];
  }
  const ref: SnapshotRef = { id, kind, directory, sequence: line.sequence };
  const report = tryReport(vault, ref);
  const there = exists(`${vault.root}/${directory}`);
  const failures = report?.problems.filter(({ severity }) => severity === 'error') ?? [];
  const archive = report === undefined ? '' : `/${archiveName(report.project.name)}`;
  return [
    {
      ...base,
      type: report?.type ?? kind,
      path: `${vault.root}/${directory}${kind === 'backup' ? archive : ''}`,
      sizeBytes: there ? bytesBelow(`${vault.root}/${directory}`) : 0,
      rows: report === undefined ? null : report.databases.reduce((sum, { rows }) => sum + rows, 0),
      documents: report === undefined ? null : report.units.reduce((sum, { documents }) => sum + (documents ?? 0), 0),
      durationMs: report === undefined ? null : Math.round(report.total_duration * 1000),
      success: report !== undefined && report.status === 'complete',
      message:
        report === undefined
          ? 'its report cannot be read'
          : failures.length === 0
            ? null
            : failures
                .map(({ path, message }) => `${path ?? ''}: ${message}`)
                .slice(0, 5)
                .join('; '),
    },
  ];
}
