// The time line's columns as days. Pure.

import type { TimelineColumns } from './types.ts';

export type DayCount = { readonly day: string; readonly saves: number; readonly backups: number; readonly suspect: number; readonly bytes: number };

/** Bits of `flags` (docs/http.md). */
const SAVE = 1;
const BACKUP = 2;
const FALLBACK = 4;
const ADOPTED = 8;
const SUSPECT = 256;

const two = (value: number): string => String(value).padStart(2, '0');

/** A day on the clock of who looks, as `2026-11-21`. */
export function dayKey(time: number | string): string {
  const at = new Date(time);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

/** The last days, oldest first; days without anything are days too. */
export function lastDays({ times, flags, sizes }: TimelineColumns, count: number, now: number): readonly DayCount[] {
  const days = new Map<string, DayCount>();
  for (let back = count - 1; back >= 0; back -= 1) {
    const at = new Date(now);
    at.setDate(at.getDate() - back);
    const day = dayKey(at.getTime());
    days.set(day, { day, saves: 0, backups: 0, suspect: 0, bytes: 0 });
  }
  for (const [index, time] of times.entries()) {
    const day = days.get(dayKey(time));
    const bits = flags[index] ?? 0;
    if (day === undefined) continue;
    days.set(day.day, {
      day: day.day,
      saves: day.saves + ((bits & (SAVE | FALLBACK)) === 0 ? 0 : 1),
      backups: day.backups + ((bits & (BACKUP | ADOPTED)) === 0 ? 0 : 1),
      suspect: day.suspect + ((bits & SUSPECT) === 0 ? 0 : 1),
      bytes: day.bytes + (sizes[index] ?? 0),
    });
  }
  return [...days.values()];
}
