// Clock and calendar of a time zone: which wall clock an instant shows there, and which instants a wall
// clock stands for. Pure; the rules of each zone come from the runtime's own tables.

/** What a calendar and a clock show. Months from 1, hours from 0. */
export type Wall = {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
};

const DAY_MS = 86_400_000;
const formats = new Map<string, Intl.DateTimeFormat>();

function formatFor(zone: string): Intl.DateTimeFormat {
  let format = formats.get(zone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
      timeZoneName: 'short',
    });
    formats.set(zone, format);
  }
  return format;
}

/** @param instant milliseconds since 1970 */
export function wallAt(instant: number, zone: string): Wall {
  const parts = new Map(
    formatFor(zone)
      .formatToParts(instant)
      .map(({ type, value }) => [type, Number(value)]),
  );
  const part = (type: Intl.DateTimeFormatPartTypes): number => parts.get(type) ?? 0;
  return { year: part('year'), month: part('month'), day: part('day'), hour: part('hour'), minute: part('minute'), second: part('second') };
}

/** A wall clock as if it were UTC: to compare and to count with. */
export function asUtc(wall: Wall): number {
  return Date.UTC(wall.year, wall.month - 1, wall.day, wall.hour, wall.minute, wall.second);
}

/**
 * The instants at which clocks of the zone show this: two where they were set back, else one. What they never showed, because they
 * were set forward over it, is as much later as they were set.
 * @param wall hours, days and months may be out of their range, as in `Date.UTC`
 */
export function instantsOf(wall: Wall, zone: string): readonly number[] {
  const utc = asUtc(wall);
  const offset = (instant: number): number => asUtc(wallAt(instant, zone)) - Math.floor(instant / 1000) * 1000;
  const before = offset(utc - DAY_MS);
  const candidates = [...new Set([before, offset(utc + DAY_MS)])].map((by) => utc - by);
  const shown = candidates.filter((instant) => asUtc(wallAt(instant, zone)) === utc);
  return shown.length > 0 ? shown.sort((a, b) => a - b) : [utc - before];
}

/** 0 for Sunday to 6 for Saturday. */
export function weekdayOf(wall: Wall): number {
  return new Date(asUtc(wall)).getUTCDay();
}

/** The same clock on another day. */
export function addDays(wall: Wall, days: number): Wall {
  return fromUtc(asUtc({ ...wall, day: wall.day + days }));
}

/** The same clock and day of another month; the month's last day where it is shorter. */
export function addMonths(wall: Wall, months: number): Wall {
  const first = fromUtc(asUtc({ ...wall, day: 1, month: wall.month + months }));
  return { ...first, day: Math.min(wall.day, daysIn(first.year, first.month)) };
}

export function daysIn(year: number, month: number): number {
  return new Date(Date.UTC(year, month, 0)).getUTCDate();
}

function fromUtc(utc: number): Wall {
  const date = new Date(utc);
  return {
    year: date.getUTCFullYear(),
    month: date.getUTCMonth() + 1,
    day: date.getUTCDate(),
    hour: date.getUTCHours(),
    minute: date.getUTCMinutes(),
    second: date.getUTCSeconds(),
  };
}

const two = (value: number): string => String(value).padStart(2, '0');

/** `2026-11-20`. */
export function dateText(wall: Wall): string {
  return `${wall.year}-${two(wall.month)}-${two(wall.day)}`;
}

/** `2026-11-20 14:30`, with seconds where there are any. */
export function wallText(wall: Wall): string {
  return `${dateText(wall)} ${two(wall.hour)}:${two(wall.minute)}${wall.second === 0 ? '' : `:${two(wall.second)}`}`;
}

/** `2026-11-20 14:30 CET`: an instant on the zone's clocks, with the zone's short name. */
export function momentText(instant: number, zone: string): string {
  const name = formatFor(zone)
    .formatToParts(instant)
    .find(({ type }) => type === 'timeZoneName')?.value;
  return `${wallText({ ...wallAt(instant, zone), second: 0 })} ${name ?? zone}`;
}

/** `2026-10-25 02:30+02:00`: the one way to write an instant that no zone changes. */
export function offsetText(instant: number, zone: string): string {
  const wall = wallAt(instant, zone);
  const minutes = Math.round((asUtc(wall) - Math.floor(instant / 1000) * 1000) / 60_000);
  const size = Math.abs(minutes);
  return `${wallText(wall)}${minutes < 0 ? '-' : '+'}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}
