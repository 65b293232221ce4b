// What the ledger knows of drills and of recovery points: the last drill, where the next sample begins, how old the newest
// good snapshot is, and the longest time without one (docs/format.md, kind `drill`).

import type { Context } from '../base/context.ts';
import { messageOf } from '../base/errors.ts';
import { tryReport } from '../vault/catalog.ts';
import { appendLine, type ChainLine, findLast, readHead, readLines } from '../vault/chain.ts';
import { parseId, snapshotDirectory, timeOfId } from '../vault/layout.ts';
import { adoptUnrecorded } from '../vault/snapshot.ts';
import { lockForWriting, type Vault } from '../vault/vault.ts';
import { isGood } from './report-state.ts';

export type DrillOutcome = 'ok' | 'damaged' | 'failed' | 'stopped';

/** A drill as its line has it. */
export type RecordedDrill = {
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly outcome: DrillOutcome;
  /** Of Cora's own restore; undefined where it did not come to its end. */
  readonly seconds: number | undefined;
  /** All of the snapshot, or a sample of it. */
  readonly whole: boolean;
  /** Where the next sample begins. */
  readonly cursor: string;
};

export function lastDrill(vault: Vault): RecordedDrill | undefined {
  const line = findLast(vault.root, ({ kind }) => kind === 'drill');
  return line === undefined ? undefined : parseDrill(line);
}

/** The end of the last sample; empty where there was none. */
export function lastCursor(vault: Vault): string {
  const line = findLast(vault.root, (one) => one.kind === 'drill' && parseDrill(one).cursor !== '');
  return line === undefined ? '' : parseDrill(line).cursor;
}

/** A `drill` line of the ledger. */
export function parseDrill({ id, time, extra }: ChainLine): RecordedDrill {
  const [, outcome, seconds, scope, cursor] = extra.split(',');
  return {
    id,
    time: Date.parse(time),
    outcome: outcome === 'ok' || outcome === 'damaged' || outcome === 'stopped' ? outcome : 'failed',
    seconds: seconds === undefined || seconds === '-' ? undefined : Number(seconds),
    whole: scope === 'all',
    cursor: cursor === undefined || cursor === '-' ? '' : cursor,
  };
}

export type DrillLine = Omit<RecordedDrill, 'time'> & { readonly kind: string; readonly targets: 'met' | 'missed' | '-' };

/** Where it cannot be written (read-only vault, another run) it is said, and left out. */
export function recordDrill(vault: Vault, { id, kind, outcome, seconds, whole, cursor, targets }: DrillLine, ctx: Context): void {
  try {
    const lock = lockForWriting(vault, ctx.lockWait);
    try {
      // What a crash kept out of the ledger comes before a line of ours, or it could never be put in again.
      adoptUnrecorded(vault);
      const fields = [kind, outcome, seconds?.toFixed(3) ?? '-', whole ? 'all' : 'sample', cursor === '' ? '-' : cursor, targets];
      appendLine(vault.root, readHead(vault.root), {
        kind: 'drill',
        id,
        time: new Date(ctx.now()).toISOString(),
        sums: '-',
        extra: fields.join(','),
      });
    } finally {
      lock.release();
    }
  } catch (error) {
    ctx.monitor.problem({ code: 'not_recorded', message: `This drill is not in the ledger: ${messageOf(error)}`, severity: 'warning' });
  }
}

const WEEK = 7 * 86_400_000;
/** Dated later than this a snapshot comes from a clock that was wrong. */
const AHEAD = 120_000;

/** Milliseconds; undefined where there is no good snapshot. */
export type RecoveryPoint = { readonly age: number | undefined; readonly worstGap: number | undefined };

/** From the instants that good saves and backups stand for; a save that found nothing changed is one. */
export function recoveryPoint(vault: Vault, now: number): RecoveryPoint {
  // Newest first, up to the last one before the week: the gap that reaches into it counts whole.
  const instants: number[] = [];
  for (const { line } of readLines(vault.root).reverse()) {
    const time = line === undefined ? undefined : instantOf(vault, line);
    if (time === undefined || time > now + AHEAD) continue;
    instants.push(time);
    if (time < now - WEEK) break;
  }
  const points = instants.sort((a, b) => a - b);
  const newest = points.at(-1);
  if (newest === undefined) return { age: undefined, worstGap: undefined };
  const gaps = [...points.slice(1), Math.max(now, newest)].map((time, index) => time - (points[index] ?? time));
  return { age: Math.max(0, now - newest), worstGap: Math.max(...gaps) };
}

function instantOf(vault: Vault, line: ChainLine): number | undefined {
  const id = parseId(line.id);
  if (id === undefined) return undefined;
  if (line.kind === 'unchanged') return Date.parse(line.time);
  if (line.kind !== 'save' && line.kind !== 'backup') return undefined;
  const report = tryReport(vault, { id, kind: line.kind, directory: snapshotDirectory(line.kind, id), sequence: line.sequence });
  // What clean-up took since then was there then.
  return report === undefined || isGood(report) ? timeOfId(id) : undefined;
}
