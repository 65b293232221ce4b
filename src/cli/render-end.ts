// `cora end` as a sentence and as JSON. Pure.

import { type EndResult, VERIFY_LIMIT_MS } from '../actions/end.ts';
import { formatAge, formatBytes, formatDuration } from '../base/units.ts';
import { counted, saveLines, verifyLines } from './render.ts';
import { backupDocument, type Document, saveDocument, verifyDocument } from './results.ts';

const recordsOf = ({ report }: EndResult) => report.databases.reduce((sum, { rows }) => sum + rows, 0);

export const damagedBy = ({ verified }: EndResult) => verified?.snapshots.reduce((sum, { damaged }) => sum + damaged.length, 0) ?? 0;

/** One sentence with the figures; below it what a person must know besides. */
export function endLines(result: EndResult): string[] {
  const { report, save, backup, verified, seconds } = result;
  const records = recordsOf(result);
  const holds = [
    counted(report.total_files_processed, 'file'),
    formatBytes(report.total_bytes_processed),
    ...(records > 0 ? [counted(records, 'record')] : []),
  ];
  const checked =
    verified === undefined
      ? 'not read back in time'
      : damagedBy(result) > 0
        ? `read back, and ${counted(damagedBy(result), 'file')} DAMAGED`
        : 'read back and whole';
  return [
    `Session ended: ${madeText(result)}; it holds ${holds.join(', ')}, ${checked} (${formatDuration(seconds * 1000)})`,
    // The first line of a save is the sentence above; what follows says what is missing or lost.
    ...saveLines(save).slice(1),
    ...(save.outcome !== 'saved' && save.losses.length > 0
      ? [`SUSPECT: ${counted(save.losses.length, 'loss', 'losses')} not settled; cora lost lists them with the way back`]
      : []),
    ...(verified === undefined ? [`It was not read back within ${formatDuration(VERIFY_LIMIT_MS)}: cora verify ${backup?.id ?? save.id}`] : []),
    ...(verified === undefined || damagedBy(result) === 0 ? [] : verifyLines(verified)),
  ];
}

function madeText({ save, backup, report }: EndResult): string {
  const changed = counted(report.files_new + report.files_changed + report.files_removed, 'file');
  if (backup?.outcome === 'made') return `backup ${backup.id} made (${formatBytes(backup.bytes)})`;
  const rest = backup === undefined ? '' : `, and no backup was due (${backup.id} is ${formatAge(backup.ageMs)})`;
  if (save.outcome === 'saved') return `saved ${save.id} (${changed} changed)${rest}`;
  return `nothing changed since ${save.id} (${formatAge(save.ageMs)})${rest}`;
}

export function endDocument(result: EndResult): Document {
  const { report, save, backup, verified, seconds } = result;
  return {
    snapshot_id: save.id,
    files: report.total_files_processed,
    bytes: report.total_bytes_processed,
    records: recordsOf(result),
    save: saveDocument(save),
    backup: backup === undefined ? null : backupDocument(backup),
    verified: verified === undefined ? null : damagedBy(result) === 0,
    verify: verified === undefined ? null : verifyDocument(verified),
    seconds,
  };
}
