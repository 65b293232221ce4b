// What a save knows before and after its capture: the newest save that is there, which databases want a
// better look, and what is told of each database.

import { bytes, toText } from '../base/bytes.ts';
import type { DatabaseReport } from '../format/report.ts';
import { exists } from '../os/files.ts';
import { FLAG_DATABASE, type Tree } from '../store/stat-cache.ts';
import { findLast } from '../vault/chain.ts';
import { NAMES, parseId, type SnapshotId, saveDirectory } from '../vault/layout.ts';
import type { Vault } from '../vault/vault.ts';
import type { Scanned } from './capture.ts';
import { databaseNotes } from './describe.ts';
import type { Captured } from './save-capture.ts';

/** Adds unchanged databases to what is read whose last check was the quick one. */
export function readQuicklyChecked({ scan, diff }: Scanned, old: Tree | undefined): void {
  const known = databaseNotes(old);
  scan.paths.forEach((path, row) => {
    const isDatabase = ((old?.flags[diff.oldRow[row] ?? -1] ?? 0) & FLAG_DATABASE) !== 0;
    if (isDatabase && known[toText(bytes(path))]?.check === 'quick_check' && !diff.toRead.includes(row)) diff.toRead.push(row);
  });
}

/** The newest save that still lies in the vault. */
export function lastSave(vault: Vault): SnapshotId | undefined {
  const line = findLast(
    vault.root,
    ({ kind, id }) => kind === 'save' && exists(`${vault.root}/${saveDirectory(parseId(id) ?? ('' as SnapshotId))}/${NAMES.sums}`),
  );
  return parseId(line?.id ?? '');
}

/** The report of each database of the new state: of this run, or of the save before. */
export function collectDatabases(tree: Tree, captured: Captured, old: Tree | undefined): DatabaseReport[] {
  const known = databaseNotes(old);
  const reports: DatabaseReport[] = [];
  const { paths } = captured.scanned.scan;
  for (let row = 0; row < tree.count; row++) {
    if (((tree.flags[row] ?? 0) & FLAG_DATABASE) === 0) continue;
    const report = captured.stored.databases.get(row) ?? known[Buffer.from(paths[row] ?? '', 'latin1').toString()];
    if (report !== undefined) reports.push(report);
  }
  return reports;
}
