// Numbers and moments as the page shows them; sizes, durations and ages come from src/base/units.ts, as on the terminal.
// Moments are on the clock of who looks.

import { formatAge, formatBytes } from '../src/base/units.ts';
import type { Loss } from './types.ts';
import { plain } from './visible.ts';

const NUMBER = new Intl.NumberFormat('en');
const CLOCK = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
const DAY = new Intl.DateTimeFormat('en-GB', { weekday: 'short', day: 'numeric', month: 'short', year: 'numeric' });
const MONTH = new Intl.DateTimeFormat('en-GB', { month: 'short', year: 'numeric' });
const SHORT_DAY = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });

export const grouped = (count: number): string => NUMBER.format(count);

/** `1 file`, `12 files`. */
export const counted = (count: number, noun: string, plural = `${noun}s`): string => `${grouped(count)} ${count === 1 ? noun : plural}`;

export const clockOf = (time: string | number): string => CLOCK.format(new Date(time));

/** `Today`, `Yesterday`, or `Sat, 21 Nov 2026`. */
export function dayOf(time: string | number): string {
  const midnight = new Date();
  midnight.setHours(0, 0, 0, 0);
  const at = new Date(time).getTime();
  if (at >= midnight.getTime() && at < midnight.getTime() + 86_400_000) return 'Today';
  if (at < midnight.getTime() && at >= midnight.getTime() - 86_400_000) return 'Yesterday';
  return DAY.format(at);
}

export const monthOf = (time: string | number): string => MONTH.format(new Date(time));

export const shortDay = (time: string | number): string => SHORT_DAY.format(new Date(time));

export const momentOf = (time: string | number): string => `${dayOf(time)}, ${clockOf(time)}`;

const SECONDS = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });

/** Names moments of a list: with their seconds where two of them lie in the same minute. */
export function momentsOf(times: readonly (string | number)[]): (time: string | number) => string {
  const seen = new Map<string, Set<number>>();
  for (const time of times) seen.set(momentOf(time), (seen.get(momentOf(time)) ?? new Set()).add(new Date(time).getTime()));
  return (time) => ((seen.get(momentOf(time))?.size ?? 0) > 1 ? `${dayOf(time)}, ${SECONDS.format(new Date(time))}` : momentOf(time));
}

export const ageOf = (time: string | number): string => formatAge(Date.now() - new Date(time).getTime());

/** The instant that an id begins with (UTC), or undefined for an id of another form. */
export function timeOfId(id: string): number | undefined {
  const found = /^(\d{4})(\d{2})(\d{2})-(\d{2})(\d{2})(\d{2})-/.exec(id);
  if (found === null) return undefined;
  const [year, month, day, hour, minute, second] = found.slice(1).map(Number) as [number, number, number, number, number, number];
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

/** What happened to something critical, after its name. */
export function lossText({ kind, before, after, table }: Loss): string {
  const rows = table === undefined ? '' : `table ${plain(table)} `;
  if (kind === 'gone') return 'is gone';
  if (kind === 'emptied') return `is empty, and had ${formatBytes(before)}`;
  if (kind === 'shrunk') return `has ${formatBytes(after)}, and had ${formatBytes(before)}`;
  return `${rows}has ${counted(after, 'row')}, and had ${grouped(before)}`;
}
