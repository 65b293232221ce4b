// How things went over time: duration, size and WAL of each run, days, drills, and what is kept of each day. Pure over a view.

import type { SnapshotKind } from '../format/report.ts';
import type { RecordedDrill } from './drill-ledger.ts';
import type { SnapshotRow, VaultView } from './view.ts';
import type { Facts } from './view-facts.ts';
import { verifiedOf } from './view-snapshots.ts';

const DAY = 86_400_000;

/** One snapshot as a point. Times are milliseconds since 1970. */
export type TrendPoint = {
  readonly id: string;
  readonly kind: SnapshotKind;
  readonly time: number;
  readonly storedBytes: number;
  readonly facts: Facts;
};

export type TrendDay = { readonly day: string; readonly runs: number; readonly ok: number; readonly failed: number };

export type Trends = {
  readonly points: readonly TrendPoint[];
  /** Before they were thinned. */
  readonly total: number;
  readonly days: readonly TrendDay[];
  /** Oldest first. */
  readonly drills: readonly RecordedDrill[];
};

export type TrendQuery = {
  readonly from: number | undefined;
  readonly to: number | undefined;
  readonly kind: SnapshotKind | undefined;
  /** At most so many points. */
  readonly points: number;
};

/** @param failures when runs failed, in milliseconds since 1970: they left no snapshot */
export function trendsOf(view: VaultView, { from, to, kind, points }: TrendQuery, failures: readonly number[], now: number): Trends {
  const isIn = (time: number): boolean => (from === undefined || time >= from) && (to === undefined || time <= to);
  const all = view
    .rows()
    .flatMap(({ refs, time }): TrendPoint[] =>
      isIn(time)
        ? refs
            .filter((ref) => kind === undefined || ref.kind === kind)
            .map((ref) => ({ id: ref.id, kind: ref.kind, time, storedBytes: view.facts(ref).storedBytes, facts: view.facts(ref) }))
        : [],
    );
  const days = new Map<number, { runs: number; ok: number; failed: number }>();
  const count = (time: number, ok: boolean): void => {
    const day = days.get(dayOf(time)) ?? { runs: 0, ok: 0, failed: 0 };
    days.set(dayOf(time), day);
    day.runs += 1;
    day[ok ? 'ok' : 'failed'] += 1;
  };
  for (const { time, facts } of all) count(time, facts.good);
  for (const time of failures) if (isIn(time)) count(time, false);
  return {
    points: thinned(all, points),
    total: all.length,
    days: [...days].sort(([a], [b]) => a - b).map(([day, counts]) => ({ day: dayText(day), ...counts })),
    drills: view.marks(now).drills.filter(({ time }) => isIn(time)),
  };
}

/** Evenly, the first and the last included; backups are few and stay before saves do. */
function thinned(all: readonly TrendPoint[], most: number): readonly TrendPoint[] {
  if (all.length <= most) return all;
  const few = all.filter(({ kind }) => kind !== 'save');
  const kept = new Set(few.length <= most / 2 ? few : every(few, Math.floor(most / 2)));
  const saves = all.filter(({ kind }) => kind === 'save');
  for (const point of every(saves, most - kept.size)) kept.add(point);
  return all.filter((point) => kept.has(point));
}

function every<T>(all: readonly T[], most: number): readonly T[] {
  if (all.length <= most || most < 2) return all.slice(0, most);
  return Array.from({ length: most }, (_, n) => all[Math.round((n * (all.length - 1)) / (most - 1))] as T);
}

export type StoredDay = { readonly day: string; readonly saves: number; readonly backups: number; readonly bytes: number; readonly total: number };

/** What the snapshots that are there took of each day, and all of them up to it; days without any are left out. */
export function storedByDay(rows: readonly SnapshotRow[], storedOf: (row: SnapshotRow) => number): StoredDay[] {
  const days = new Map<number, { saves: number; backups: number; bytes: number }>();
  for (const row of rows) {
    const day = days.get(dayOf(row.time)) ?? { saves: 0, backups: 0, bytes: 0 };
    for (const { kind } of row.refs) {
      if (kind === 'backup') day.backups += 1;
      else day.saves += 1;
    }
    day.bytes += storedOf(row);
    days.set(dayOf(row.time), day);
  }
  let total = 0;
  return [...days]
    .sort(([a], [b]) => a - b)
    .map(([day, counts]) => {
      total += counts.bytes;
      return { day: dayText(day), ...counts, total };
    });
}

/** Days are those of UTC, as in ids. */
const dayOf = (time: number): number => Math.floor(time / DAY);
const dayText = (day: number): string => new Date(day * DAY).toISOString().slice(0, 10);

/** What a mark on the time line can say, as bits. */
export const FLAG = {
  save: 1,
  backup: 2,
  fallback: 4,
  adopted: 8,
  sealed: 16,
  verified: 32,
  damaged: 64,
  offsite: 128,
  suspect: 256,
  partial: 512,
  pinned: 1024,
  drilled: 2048,
} as const;

/** The marks of a snapshot of this vault. */
export function flagsOf(view: VaultView, row: SnapshotRow, now: number): number {
  const marks = view.marks(now);
  const verified = verifiedOf(row, marks);
  let flags = 0;
  for (const { kind } of row.refs) flags |= FLAG[kind];
  if (row.main.kind === 'backup' && view.protections(now).get(row.id) === 'kernel') flags |= FLAG.sealed;
  if (verified !== undefined) flags |= verified.ok ? FLAG.verified : FLAG.damaged;
  if (marks.offsite.has(row.id)) flags |= FLAG.offsite;
  if (row.facts.status !== 'complete') flags |= row.facts.status === 'suspect' ? FLAG.suspect : FLAG.partial;
  if (marks.pins.has(row.id)) flags |= FLAG.pinned;
  if (marks.drilled.get(row.id)?.ok === true) flags |= FLAG.drilled;
  return flags;
}
