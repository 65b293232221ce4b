// Hours, days, weeks, months and years as a clock on the wall of some zone shows them. Pure. Invariant: two
// moments have one key only where that clock shows the same period for both, daylight saving included.

import type { Tier } from '../base/retention-rules.ts';

/** 0 is Sunday, 1 Monday, 6 Saturday. */
export type Weekday = 0 | 1 | 2 | 3 | 4 | 5 | 6;

export type Period = {
  /** Equal for moments of one period. */
  readonly key: string;
  /** For people: `2026-11-20`, `the week of 2026-11-16`, `2026-11`. */
  readonly name: string;
};

const DAY = 86_400_000;
const formats = new Map<string, Intl.DateTimeFormat>();

/**
 * The period of a tier that a moment lies in.
 * @param time milliseconds since 1970
 * @param zone IANA name; one that this machine does not know counts as UTC
 * @param weekStart the first day of a week
 */
export function periodOf(tier: Tier, time: number, zone: string, weekStart: Weekday): Period {
  const wall = wallClock(time, zone);
  const iso = new Date(wall).toISOString();
  const day = iso.slice(0, 10);
  switch (tier) {
    case 'hourly':
      // In autumn one hour is shown twice: its distance from UTC tells which of the two it is.
      return { key: `${iso.slice(0, 13)} ${wall - Math.floor(time / 1000) * 1000}`, name: `${day} ${iso.slice(11, 13)}h` };
    case 'daily':
      return { key: day, name: day };
    case 'weekly': {
      const back = (new Date(wall).getUTCDay() - weekStart + 7) % 7;
      const first = new Date(wall - back * DAY).toISOString().slice(0, 10);
      return { key: first, name: `the week of ${first}` };
    }
    case 'monthly':
      return { key: iso.slice(0, 7), name: iso.slice(0, 7) };
    case 'yearly':
      return { key: iso.slice(0, 4), name: iso.slice(0, 4) };
  }
}

/** What the zone's clock shows, as if it were UTC, in whole seconds. */
function wallClock(time: number, zone: string): number {
  const parts: Record<string, number> = {};
  for (const { type, value } of formatOf(zone).formatToParts(time)) parts[type] = Number(value);
  const { year = 1970, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

function formatOf(zone: string): Intl.DateTimeFormat {
  let format = formats.get(zone);
  if (format === undefined) {
    format = makeFormat(zone);
    formats.set(zone, format);
  }
  return format;
}

function makeFormat(zone: string): Intl.DateTimeFormat {
  const options = { year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric' } as const;
  try {
    return new Intl.DateTimeFormat('en-US', { ...options, hourCycle: 'h23', calendar: 'gregory', timeZone: zone });
  } catch {
    return new Intl.DateTimeFormat('en-US', { ...options, hourCycle: 'h23', calendar: 'gregory', timeZone: 'UTC' });
  }
}
