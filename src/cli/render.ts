// Results as lines of text for people. Pure: no colours, no clock, no console. Every name that
// comes from a disk goes through `visible` first.

import type { BackupResult } from '../actions/backup.ts';
import type { ListResult, SnapshotSummary } from '../actions/list.ts';
import type { SaveResult } from '../actions/save.ts';
import type { ShowResult } from '../actions/show.ts';
import type { VerifiedSnapshot, VerifyResult } from '../actions/verify.ts';
import { pinText } from '../base/retention-rules.ts';
import { escapeSteering } from '../base/steering.ts';
import { formatAge, formatBytes, formatDuration, formatWhen } from '../base/units.ts';
import type { Report } from '../format/report.ts';
import type { AdoptedLayout } from '../vault/adopted.ts';
import type { SealState } from '../vault/seal.ts';
import { table } from './columns.ts';

/** Text that cannot steer a terminal: control characters and those that turn the direction of text are shown as escapes. */
export function visible(text: string): string {
  return escapeSteering(text, (code) => (code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`));
}

/** What people call the layouts of adopted backups. */
export const LAYOUT_NAMES: Readonly<Record<AdoptedLayout, string>> = {
  cora: 'CORA backup',
  atlas: 'Atlas archive',
  atocore: 'AtoCore snapshot',
  cortex: 'Cortex database copy',
};

/** `49000` as `49,000`. */
export function grouped(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** `1 file`, `12 files`; the plural is given where an s does not make it. */
export function counted(count: number, noun: string, plural = `${noun}s`): string {
  return `${grouped(count)} ${count === 1 ? noun : plural}`;
}

export function saveLines(result: SaveResult): string[] {
  const report = result.report;
  if (result.outcome === 'recent') return [`The newest save is ${result.id} (${formatAge(result.ageMs)}); none was due`];
  if (result.outcome === 'unchanged' || report === undefined)
    return [`Nothing changed since ${result.id} (${formatAge(result.ageMs)}); no new snapshot`];
  const parts = [`${counted(changedFiles(report), 'file')} changed (${formatBytes(report.data_added)})`];
  if (report.databases.length > 0) parts.push(counted(report.databases.length, 'database'));
  parts.push(formatDuration(report.total_duration * 1000));
  return [`Saved ${result.id}: ${parts.join(', ')}`, ...incompleteLines(report)];
}

const changedFiles = (report: Report) => report.files_new + report.files_changed + report.files_removed;

function incompleteLines(report: Report): string[] {
  if (report.status === 'complete') return [];
  if (report.status === 'suspect')
    return [`SUSPECT: ${counted(report.losses?.length ?? 0, 'loss', 'losses')} since the last good save; cora lost lists them with the way back`];
  const errors = report.problems.filter((problem) => problem.severity === 'error').length;
  return [`INCOMPLETE: ${counted(errors, 'problem')}; cora show ${report.snapshot_id} lists them`];
}

export function backupLines(result: BackupResult): string[] {
  const report = result.report;
  if (result.outcome === 'not_needed' || report === undefined) {
    return [
      ...(result.save === undefined ? [] : saveLines(result.save)),
      `The newest backup is ${result.id} (${formatAge(result.ageMs)}); none was due`,
    ];
  }
  const rows = report.databases.reduce((sum, database) => sum + database.rows, 0);
  return [
    `Backup ${result.id}`,
    `Path      ${visible(result.path)}`,
    `Files     ${grouped(report.total_files_processed)} (${formatBytes(report.total_bytes_processed)}), ${counted(report.critical.length, 'critical file')}`,
    `Databases ${grouped(report.databases.length)}${rows > 0 ? ` (${counted(rows, 'row')})` : ''}`,
    `Size      ${formatBytes(result.bytes)} (${grouped(result.bytes)} bytes), verified`,
    `Sealed    ${sealText(result.seal)}`,
    `Time      ${formatDuration(report.total_duration * 1000)} (${report.total_duration.toFixed(1)} seconds)`,
    ...incompleteLines(report),
    `Restore: cora restore ${result.id} --to DIR`,
  ];
}

/** What lsattr says of a backup, in one line. */
export function sealText(seal: SealState | undefined): string {
  if (seal === undefined) return 'no';
  if (seal.protection === 'kernel') return 'yes: the kernel lets nobody change or delete it (chattr +i)';
  const held = seal.protection === 'permissions' ? 'only permissions protect it' : 'nothing protects it';
  return `no: ${held}${seal.reason === undefined ? '' : `; ${seal.reason}`}`;
}

/** @param width columns of the terminal; undefined where lines may be of any length */
export function listLines(result: ListResult, now: number, width: number | undefined): string[] {
  if (result.snapshots.length === 0) return ['No snapshots yet. Make one: cora save'];
  const rows = result.snapshots.map((snapshot) => [
    snapshot.id,
    snapshot.kinds.join('+'),
    formatAge(now - snapshot.time),
    formatWhen(snapshot.time, now),
    snapshot.files === undefined ? '-' : grouped(snapshot.files),
    formatBytes(snapshot.storedBytes),
    remarks(snapshot),
  ]);
  // Where there is no room the number of files goes first; last the time, which the id tells too (in UTC).
  const lines = table([['ID', 'KIND', 'AGE', 'TIME', 'FILES', 'SIZE', 'LABEL AND NOTE'], ...rows], new Set([4, 5]), {
    width,
    dispensable: [4, 5, 3],
  });
  const hidden = result.total - result.snapshots.length;
  return hidden > 0 ? [...lines, `${grouped(hidden)} older not shown`] : lines;
}

function remarks(snapshot: SnapshotSummary): string {
  const parts: string[] = [];
  if (snapshot.layout !== undefined) parts.push(`${LAYOUT_NAMES[snapshot.layout]}: ${visible(snapshot.path)}`);
  else if (snapshot.status !== 'complete') parts.push(snapshot.status === 'suspect' ? 'SUSPECT' : 'INCOMPLETE');
  if (snapshot.protection === 'kernel') parts.push('sealed');
  if (snapshot.pin !== undefined) parts.push(pinText(snapshot.pin));
  if (snapshot.label !== null) parts.push(`[${visible(snapshot.label)}]`);
  if (snapshot.note !== null) parts.push(visible(snapshot.note));
  return parts.join(' ');
}

export function showLines(result: ShowResult, now: number): string[] {
  const lines: string[] = [];
  for (const { path, report, seal } of result.forms) {
    if (lines.length > 0) lines.push('');
    const started = Date.parse(report.backup_start);
    const fields: (readonly [string, string])[] = [
      [{ save: 'Save', backup: 'Backup', fallback: 'Fallback' }[report.kind], report.snapshot_id],
      ['Path', visible(path)],
      ['Made', `${report.backup_start} (${formatAge(now - started)}) by ${visible(report.trigger)}, type ${report.type}`],
      ['State', report.status === 'complete' ? 'complete' : report.status === 'suspect' ? 'SUSPECT: something critical was lost' : 'INCOMPLETE'],
      ['Project', `${visible(report.project.name)} at ${visible(report.project.root)}`],
      ['Host', `${visible(report.host.hostname)}, ${visible(report.host.os)}, Node ${report.host.node}, Cora ${report.host.cora}`],
      [
        'Git',
        report.git === null
          ? 'none'
          : `${report.git.sha.slice(0, 12)} on ${report.git.branch === null ? 'a detached HEAD' : visible(report.git.branch)}`,
      ],
    ];
    if (seal !== undefined) fields.push(['Sealed', sealText(seal)]);
    if (result.pin !== undefined) fields.push(['Kept', `${pinText(result.pin)}; cora unpin ${result.id} ends it`]);
    if (report.label !== null) fields.push(['Label', visible(report.label)]);
    if (report.note !== null) fields.push(['Note', visible(report.note)]);
    fields.push(
      [
        'Files',
        `${grouped(report.total_files_processed)} (${formatBytes(report.total_bytes_processed)}), ${grouped(report.dirs)} directories, ${grouped(report.links)} links`,
      ],
      [
        'Changed',
        `${grouped(report.files_new)} new, ${grouped(report.files_changed)} changed, ${grouped(report.files_removed)} removed, ${formatBytes(report.data_added)} added`,
      ],
      ['Time', formatDuration(report.total_duration * 1000)],
    );
    for (const [key, value] of fields) lines.push(`${key.padEnd(9)} ${value}`);
    section(
      lines,
      'Databases',
      report.databases.map((database) => {
        const check = database.check_result === 'ok' ? `${database.check} ok` : `${database.check}: ${visible(database.check_result)}`;
        return `${visible(database.path)}: ${counted(database.rows, 'row')}, ${formatBytes(database.size)}, ${database.stored === 'copy' ? check : 'raw bytes, not a consistent copy'}`;
      }),
    );
    section(lines, 'Critical files', report.critical.map(visible));
    section(
      lines,
      'Large files',
      report.large_files.map((file) => `${visible(file.path)}: ${formatBytes(file.size)}`),
    );
    section(
      lines,
      'Cut in the archive (saves hold them whole)',
      report.capped.map((file) => `${visible(file.path)}: newest ${formatBytes(file.stored)} of ${formatBytes(file.size)}`),
    );
    section(
      lines,
      'Not covered',
      report.not_covered.map((entry) => `${visible(entry.path)}: ${visible(entry.reason)}`),
    );
    section(
      lines,
      'Problems',
      report.problems.map(
        (problem) => `${problem.severity}: ${problem.path === undefined ? '' : `${visible(problem.path)}: `}${visible(problem.message)}`,
      ),
    );
  }
  return lines;
}

function section(lines: string[], title: string, items: readonly string[]): void {
  if (items.length === 0) return;
  lines.push(`${title}:`);
  for (const item of items) lines.push(`  ${item}`);
}

export function verifyLines(result: VerifyResult): string[] {
  const lines = result.snapshots.flatMap(verifiedLines);
  if (result.remaining > 0) lines.push(`${counted(result.remaining, 'snapshot')} left for the next run (--max-duration)`);
  if (lines.length === 0) lines.push('No snapshots to verify yet');
  return lines;
}

function verifiedLines(snapshot: VerifiedSnapshot): string[] {
  const read = `${counted(snapshot.files, 'file')}, ${formatBytes(snapshot.bytes)} ${snapshot.cold ? 'read from the disk' : 'read, in part from memory (this file system hides the disk)'}, ${formatDuration(snapshot.seconds * 1000)}`;
  const seal = snapshot.sealMissing ? [`  NOT SEALED ANY MORE: ${snapshot.seal?.reason ?? 'the flag is gone'}; cora protect seals it again`] : [];
  if (snapshot.damaged.length === 0) return [`OK ${snapshot.id}: ${read}`, ...seal];
  return [
    `DAMAGED ${snapshot.id}: ${counted(snapshot.damaged.length, 'file')} of ${read}`,
    ...snapshot.damaged.map(
      (damage) => `  ${visible(damage.path)}: ${visible(damage.reason)}${damage.file === damage.path ? '' : ` (${visible(damage.file)})`}`,
    ),
    snapshot.kind === 'save'
      ? '  Restore other files as usual; make a good copy now: cora backup now'
      : `  Restore from another snapshot (cora list), and make a good one now: cora backup now`,
  ];
}
