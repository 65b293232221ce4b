// MANIFEST.txt and LARGE_FILES.txt: REPORT.json for people. Names are shown so that none can forge a line.

import { printable } from '../base/bytes.ts';
import { formatBytes, formatDuration } from '../base/units.ts';
import type { Report } from './report.ts';

export function manifestText(report: Report, files: readonly { readonly path: string; readonly size: number }[]): string {
  const lines = [
    `Cora ${report.kind} ${report.snapshot_id}`,
    '',
    row('Project', `${report.project.name} (${report.project.root})`),
    row('Time', `${report.backup_start} to ${report.backup_end} (${formatDuration(report.total_duration * 1000)})`),
    row(
      'Status',
      report.status === 'complete'
        ? 'complete'
        : report.status === 'suspect'
          ? 'SUSPECT: something was lost, see Problems'
          : 'INCOMPLETE: see Problems',
    ),
    row('Type', report.type),
    row('Note', report.note),
    row('Label', report.label),
    row('Trigger', report.trigger),
    row('Host', `${report.host.hostname}, ${report.host.os}, kernel ${report.host.kernel}, ${report.host.arch}`),
    row('Software', `Cora ${report.host.cora}, Node ${report.host.node}`),
    row('Git', report.git === null ? 'none' : `${report.git.sha} ${report.git.branch ?? '(detached)'}`),
    row(
      'Files',
      `${report.total_files_processed} (${formatBytes(report.total_bytes_processed)}): ${report.files_new} new, ${report.files_changed} changed, ${report.files_unmodified} unchanged`,
    ),
    row('Others', `${report.dirs} directories, ${report.links} links, ${report.specials} special files`),
    row('Sequence', `${report.sequence}, after ${report.previous}`),
    row('Keyframe', report.keyframe),
    '',
    `Restore: sh restore.sh ${report.snapshot_id} DIR    (in the vault; or: cora restore ${report.snapshot_id} --to DIR)`,
    'Check:   sha256sum -c SHA256SUMS.txt',
  ].filter((line) => line !== undefined);
  section(
    lines,
    'Files of this snapshot',
    files.map((file) => `${printable(file.path)}  ${file.size}`),
  );
  section(
    lines,
    'Databases',
    report.databases.map((db) => {
      const where = db.stored === 'copy' ? `${db.check} ${db.check_result}, ${db.rows} rows` : 'RAW bytes: not a consistent copy';
      return `${printable(db.path)}  ${db.size}  ${db.journal_mode}  ${where}${db.plain === false ? '; in the archive only (over db_plain_max)' : ''}`;
    }),
  );
  section(
    lines,
    'Units (a directory with its database)',
    report.units.map((unit) => `${printable(unit.path)}  ${unit.kind}  ${unit.documents ?? '?'} documents`),
  );
  section(
    lines,
    'Artefacts',
    (report.artefacts ?? []).map(
      (one) =>
        `${one.name}  ${one.kind}  ${printable(one.path)}  ${one.ok ? `${one.bytes} bytes` : 'NOT GOOD: see Problems'}  ${one.captured_at ?? '-'}`,
    ),
  );
  section(lines, 'Critical files', report.critical.map(printable));
  section(
    lines,
    'Logs in the archive by their newest part only (<path>.tail)',
    report.capped.map((log) => `${printable(log.path)}  ${log.stored} of ${log.size}  sha256 ${log.sha256}`),
  );
  section(
    lines,
    'Not covered',
    report.not_covered.map((item) => `${printable(item.path)}  ${item.reason}`),
  );
  section(
    lines,
    'Extended attributes, ACLs and capabilities that are not kept',
    (report.attributes_lost ?? []).map((item) => `${printable(item.path)}  ${item.names.map(printable).join(' ')}`),
  );
  section(
    lines,
    'Problems',
    report.problems.map((problem) => `${problem.severity}  ${problem.code}  ${printable(problem.path ?? '')}  ${printable(problem.message)}`),
  );
  return `${lines.join('\n')}\n`;
}

function row(name: string, value: string | null): string | undefined {
  return value === null ? undefined : `${name.padEnd(9)} ${printable(value)}`;
}

function section(lines: (string | undefined)[], title: string, items: readonly string[]): void {
  if (items.length === 0) return;
  lines.push('', title, ...items.map((item) => `  ${item}`));
}

export function largeFilesText(report: Report): string {
  const head = report.large_files.length === 0 ? 'No file is over the large-file limit.\n' : '';
  return (
    head +
    report.large_files.map((file) => `${String(file.size).padStart(14)}  ${formatBytes(file.size).padStart(8)}  ${printable(file.path)}\n`).join('')
  );
}
