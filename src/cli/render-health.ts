// What the ledger and health look like, for people and as JSON (docs/json.md). Pure: no colours, no clock, no console.

import type { HealthResult } from '../actions/health.ts';
import type { Notified } from '../actions/health-notify.ts';
import type { ChainCheck } from '../actions/verify-chain.ts';
import { formatAge, formatBytes, formatDuration } from '../base/units.ts';
import type { LoggedRun } from '../os/backup-log.ts';
import { counted, visible } from './render.ts';

export function chainDocument(chain: ChainCheck): object {
  return {
    ok: chain.damaged.length === 0,
    lines: chain.lines,
    snapshots: chain.snapshots,
    head: chain.head ?? null,
    goes_on_after: chain.goesOnAfter ?? null,
    damaged: chain.damaged.map(({ path, file, reason }) => ({ path, file, reason })),
    seconds: chain.seconds,
  };
}

export function chainLines({ damaged, lines, snapshots, seconds, goesOnAfter }: ChainCheck): string[] {
  const what = `${counted(lines, 'line')}, ${counted(snapshots, 'snapshot')}, ${formatDuration(seconds * 1000)}`;
  const older =
    goesOnAfter === undefined
      ? []
      : [`  rebuilt: it goes on after line ${goesOnAfter.sequence} of the ledger that was lost; what is older is at ${visible(goesOnAfter.source)}`];
  if (damaged.length === 0) return [`OK ledger: ${what}`, ...older];
  return [
    `BROKEN ledger: ${counted(damaged.length, 'break', 'breaks')} in ${what}`,
    ...damaged.map(({ path, file, reason }) => `  ${visible(path)}: ${visible(reason)} (${visible(file)})`),
    ...older,
  ];
}

export function healthDocument(result: HealthResult, notified: Notified | undefined): Readonly<Record<string, unknown>> {
  return {
    health: result.state,
    vault: result.vault,
    checks: result.checks.map(({ name, level, message, next }) => ({ name, level, message, next: next ?? null })),
    backups:
      result.backups?.map((run) => ({
        snapshot_id: run.snapshotId,
        type: run.type,
        time: new Date(run.createdAt).toISOString(),
        size: run.sizeBytes,
        duration: run.durationMs === null ? null : run.durationMs / 1000,
        wal_size: run.walBytes,
        ok: run.success,
      })) ?? null,
    drills: { count: result.drills.count, succeeded: result.drills.succeeded, last: result.drills.last?.time ?? null },
    notified: notified === undefined ? null : { changed: notified.changed, told: notified.told },
    seconds: result.seconds,
  };
}

/** What is wrong first, then what is well in one line, then how it went over time. */
export function healthLines({ state, checks, backups, drills }: HealthResult, now: number): string[] {
  const bad = checks.filter(({ level }) => level === 'critical' || level === 'warning');
  const order = { critical: 0, warning: 1, note: 2, ok: 3 };
  const told = checks.filter(({ level }) => level !== 'ok').toSorted((a, b) => order[a.level] - order[b.level]);
  const fine = checks.filter(({ level }) => level === 'ok').map(({ name }) => name);
  const age = checks.find(({ name, level }) => name === 'backup' && level === 'ok');
  return [
    `${{ ok: 'HEALTHY', warning: 'WARNING', critical: 'CRITICAL' }[state]}${bad.length === 0 ? `: ${visible((age?.message ?? 'nothing needs attention').replace(/^T/, 't'))}` : `: ${counted(bad.length, 'thing needs', 'things need')} attention`}`,
    ...told.map(
      ({ level, name, message, next }) => `${level.padEnd(8)} ${name}: ${visible(message)}${next === undefined ? '' : `. ${visible(next)}`}`,
    ),
    ...(fine.length === 0 ? [] : [`well     ${[...new Set(fine)].join(', ')}`]),
    ...trendLines(backups ?? [], now),
    ...(drills.count === 0 ? [] : [`Drills   ${drills.succeeded} of ${counted(drills.count, 'restore test')} succeeded`]),
  ];
}

function trendLines(backups: readonly LoggedRun[], now: number): string[] {
  const first = backups[0];
  if (first === undefined || backups.length < 2) return [];
  const series = (pick: (run: LoggedRun) => number | null) => backups.flatMap((run) => pick(run) ?? []);
  const line = (title: string, values: readonly number[], format: (value: number) => string) => {
    const last = values.at(-1);
    if (last === undefined || values.length < 2 || Math.max(...values) === 0) return [];
    return [`${title.padEnd(8)} ${sparkline(values)}  ${format(last)}, of ${format(Math.min(...values))} to ${format(Math.max(...values))}`];
  };
  return [
    `Trend    ${counted(backups.length, 'backup')}, the first ${formatAge(now - first.createdAt)}`,
    ...line(
      'size',
      series(({ sizeBytes }) => sizeBytes),
      formatBytes,
    ),
    ...line(
      'time',
      series(({ durationMs }) => durationMs),
      formatDuration,
    ),
    ...line(
      'wal',
      series(({ walBytes }) => walBytes),
      formatBytes,
    ),
  ];
}

const BARS = '▁▂▃▄▅▆▇█';

/** Values as bars from nothing to the largest, so that half as high is half as much. */
export function sparkline(values: readonly number[]): string {
  const most = Math.max(...values);
  return values.map((value) => BARS[most === 0 ? 0 : Math.min(BARS.length - 1, Math.floor((value / most) * BARS.length))]).join('');
}

export function notifiedLines({ changed, told }: Notified, test: boolean): string[] {
  if (!changed) return [];
  const what = test ? 'Test sent' : 'Told';
  return told.map(({ channel, ok, message }) => `${ok ? what : 'NOT delivered'} by ${channel}: ${visible(message)}`);
}
