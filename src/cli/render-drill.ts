// `cora drill` as lines for people and as a JSON document. Pure.

import type { DrillResult, Objective } from '../actions/drill-result.ts';
import type { Step } from '../actions/drill-steps.ts';
import { formatBytes, formatDuration } from '../base/units.ts';
import { counted, grouped, visible } from './render.ts';
import { type Document, pathFields } from './results.ts';

const SHOWN_DAMAGE = 50;

export function drillLines(result: DrillResult): string[] {
  const { id, kind, whole, files, bytes, totalFiles, totalBytes, steps, databases, checks, damaged } = result;
  const what = whole ? '' : ` of ${grouped(totalFiles)} (${formatBytes(totalBytes)}): a sample`;
  const sound = databases.filter(({ ok }) => ok);
  return [
    `Drill     ${kind} ${id}: ${counted(files, 'file')} (${formatBytes(bytes)})${what}`,
    ...damaged
      .slice(0, SHOWN_DAMAGE)
      .map(({ path, file, reason }) => `DAMAGED   ${visible(path)}: ${visible(reason)}${file === path ? '' : ` (${visible(file)})`}`),
    ...(damaged.length > SHOWN_DAMAGE ? [`  and ${grouped(damaged.length - SHOWN_DAMAGE)} more (--json lists all)`] : []),
    `Steps     ${steps.map(stepText).join(', ')}`,
    ...(databases.length === 0
      ? []
      : [`Databases ${sound.length} of ${databases.length} opened, checked, with ${counted(sum(sound.map(({ rows }) => rows)), 'row')} as recorded`]),
    ...checks.map(({ name, ok, message }) => `Check     ${visible(name)}: ${ok ? 'ok' : visible(message)}`),
    `RTO       ${rtoText(result)}`,
    `RPO       ${rpoText(result)}`,
    `Result    ${resultText(result)}`,
  ];
}

const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);

function stepText({ name, done, seconds, files, totalFiles }: Step): string {
  const time = formatDuration(seconds * 1000);
  if (done) return `${name} ${time}`;
  if (seconds === 0) return `${name} not begun`;
  return `${name} NOT DONE (${time}${files === undefined || totalFiles === undefined || totalFiles === 0 ? '' : `, ${grouped(files)} of ${grouped(totalFiles)} files`})`;
}

const targetText = ({ target, met }: Objective) => `target ${formatDuration(target * 1000)}${met === undefined ? '' : met ? ': met' : ': MISSED'}`;

function rtoText({ rto, whole }: DrillResult): string {
  if (rto.seconds === undefined) return `not measured (${targetText(rto)})`;
  return `${rto.seconds.toFixed(1)} seconds to restore${whole ? '' : ' the sample; the time for all was not measured'} (${targetText(rto)})`;
}

function rpoText({ rpo }: DrillResult): string {
  if (rpo.age === undefined) return `there is no good snapshot (${targetText(rpo)})`;
  const gap = rpo.worstGap === undefined ? '' : `, worst gap in 7 days ${formatDuration(rpo.worstGap * 1000)}`;
  return `newest good snapshot ${formatDuration(rpo.age * 1000)} old${gap} (${targetText(rpo)})`;
}

function resultText({ outcome, whole, seconds, rto, rpo }: DrillResult): string {
  const time = `in ${formatDuration(seconds * 1000)}`;
  switch (outcome) {
    case 'ok': {
      const late = rto.met === false || rpo.met === false ? '; a target is MISSED' : '';
      return `${whole ? 'the restore is proven' : 'the sample came back'}, ${time}${late}`;
    }
    case 'damaged':
      return `DAMAGED, ${time}`;
    case 'stopped':
      return `stopped by the time limit, ${time}: not proven. Give it more time, or a part: --sample 10%`;
    case 'failed':
      return `NOT PROVEN, ${time}: a step or a check failed, as told above`;
  }
}

export function drillDocument(result: DrillResult): Document {
  const { id, kind, outcome, whole, files, bytes, totalFiles, totalBytes, rto, rpo, seconds } = result;
  return {
    snapshot_id: id,
    kind,
    outcome,
    whole,
    files,
    bytes,
    total_files: totalFiles,
    total_bytes: totalBytes,
    rto: { seconds: rto.seconds ?? null, target_seconds: rto.target, met: rto.met ?? null },
    rpo: { age_seconds: rpo.age ?? null, worst_gap_seconds: rpo.worstGap ?? null, target_seconds: rpo.target, met: rpo.met ?? null },
    damaged: result.damaged,
    databases: result.databases.map(({ path, ok, rows, error }) => ({ ...pathFields('path', path), ok, rows, error: error ?? null })),
    checks: result.checks,
    steps: result.steps.map(({ name, done, seconds: took, files: far, totalFiles: of }) => ({
      name,
      done,
      seconds: took,
      ...(far === undefined || of === undefined ? {} : { files: far, total_files: of }),
    })),
    scratch: result.scratch,
    seconds,
  };
}
