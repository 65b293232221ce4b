// Sizes, durations and ages as people read them, and as they type them.

import { CoraError } from './errors.ts';

/** Bytes as `0 B`, `1.2 kB`, `247 MB` (powers of 1000, as df -H and disk makers count). */
export function formatBytes(count: number): string {
  if (count < 1000) return `${count} B`;
  const units = ['kB', 'MB', 'GB', 'TB', 'PB'];
  let value = count;
  let unit = 'B';
  for (const next of units) {
    if (value < 999.5) break;
    value /= 1000;
    unit = next;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${unit}`;
}

/** Milliseconds as `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`. */
export function formatDuration(milliseconds: number): string {
  const seconds = milliseconds / 1000;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** An age as `12 s ago`, `3 min ago`, `5 h ago`, `2 days ago`; a time to come is `in the future`. */
export function formatAge(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000);
  if (seconds < 0) return 'in the future';
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} days ago`;
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** An instant on the clock of this machine, as short as it is clear: `16:34` today, `Nov 20 16:34` this year, else `2025-11-20 16:34`. */
export function formatWhen(time: number, now: number): string {
  const [at, today] = [new Date(time), new Date(now)];
  const two = (value: number) => String(value).padStart(2, '0');
  const clock = `${two(at.getHours())}:${two(at.getMinutes())}`;
  if (at.toDateString() === today.toDateString()) return clock;
  const sameYear = at.getFullYear() === today.getFullYear();
  return `${sameYear ? MONTHS[at.getMonth()] : `${at.getFullYear()}-${two(at.getMonth() + 1)}`}${sameYear ? ' ' : '-'}${two(at.getDate())} ${clock}`;
}

/**
 * `60s`, `5m`, `36h`, `2d`, `500ms` as milliseconds.
 * @throws CoraError usage for anything else
 */
export function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text.trim());
  if (match === null) throw new CoraError('usage', `Not a duration: ${text}`, { hint: 'write it as 60s, 5m, 36h or 2d' });
  const factor = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }[match[2] as 'ms' | 's' | 'm' | 'h' | 'd'];
  return Number(match[1]) * factor;
}

/**
 * `50MB`, `2GiB`, `1024` as bytes (kB, MB, GB, TB are powers of 1000; KiB, MiB, GiB, TiB of 1024).
 * @throws CoraError usage for anything else
 */
export function parseBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(B|[kKMGT]B|[KMGT]iB)?$/.exec(text.trim());
  if (match === null) throw new CoraError('usage', `Not a size: ${text}`, { hint: 'write it as 50MB or 2GiB' });
  const unit = match[2] ?? 'B';
  const power = ' KMGT'.indexOf(unit[0]?.toUpperCase() ?? ' ');
  const base = unit.endsWith('iB') ? 1024 : 1000;
  return Math.round(Number(match[1]) * (power > 0 ? base ** power : 1));
}
