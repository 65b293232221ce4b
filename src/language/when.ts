// What people call a moment of the past, as an instant: "2 hours ago", "last friday 3pm", "2026-11-20
// 14:30". Our own rules decide; chrono-node only reads dates that are written out. Invariants: never the
// future, and never a guess: what can mean two moments is an error that lists both.

import { CoraError } from '../base/errors.ts';
import { type Clock, takeClock } from './when-clock.ts';
import { type Day, dayOf } from './when-day.ts';
import { addDays, addMonths, dateText, instantsOf, momentText, offsetText, type Wall, wallAt, wallText } from './zone.ts';

/** One thing that a phrase can mean: from `start` to `end`, milliseconds since 1970; both the same for an instant. */
export type Reading = { readonly start: number; readonly end: number; readonly text: string };

/** A moment, or what came before a thing that has a name. */
export type When =
  | {
      readonly kind: 'moment';
      /** The last instant of it, never later than now: of a day that is past its end. */
      readonly time: number;
    }
  | {
      readonly kind: 'before';
      /** A commit or a label, as it was typed. */
      readonly name: string;
      /** Where the name is a moment too ("before monday"), its first instant. */
      readonly time: number | undefined;
    };

const HINT = 'write it as "2 hours ago", "yesterday 15:00", "last friday 3pm" or "2026-11-20 14:30"';
const AMOUNT = /^(?:a couple of|an|a|one|half(?: an?)?|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\d+(?:\.\d+)?)/;
const NUMBERS = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten', 'eleven', 'twelve'];

/**
 * @param text as it was typed, with or without a leading `@`
 * @param now milliseconds since 1970
 * @param zone IANA name of the time zone that clock times and days are meant in
 * @throws CoraError usage for what is not understood or lies in the future, ambiguous_moment with the readings
 */
export async function readWhen(text: string, now: number, zone: string): Promise<When> {
  const phrase = text.replace(/^@/, '').trim().replace(/\s+/g, ' ');
  const before = /^before (\S.*)$/i.exec(phrase)?.[1];
  if (before !== undefined) return { kind: 'before', name: before, time: await startOf(before, now, zone) };
  const readings = await readingsOf(phrase, now, zone);
  const past = readings.filter(({ start }) => start <= now).map((reading) => ({ ...reading, end: Math.min(reading.end, now) }));
  const distinct = past.filter(({ end }, index) => past.findIndex((other) => other.end === end) === index);
  const [only, second] = distinct;
  if (only === undefined) {
    if (readings.length === 0) throw new CoraError('usage', `Not a moment that is understood: ${text}`, { hint: HINT });
    throw new CoraError('usage', `${text} lies in the future`, { hint: 'name a moment that is past' });
  }
  if (second === undefined) return { kind: 'moment', time: only.end };
  throw new CoraError('ambiguous_moment', `"${text}" can mean ${distinct.map((reading) => readingText(reading, zone)).join(' or ')}`, {
    hint: `write it as ${distinct.map((reading) => `"${reading.text}"`).join(' or ')}`,
    details: { readings: distinct.map((reading) => ({ text: reading.text, time: new Date(reading.end).toISOString() })) },
  });
}

function readingText({ text, end }: Reading, zone: string): string {
  const moment = momentText(end, zone);
  return moment.startsWith(text) ? moment : `${text} (${moment})`;
}

/** For "before monday": the first instant of it, undefined where it is no moment, a future one, or could be two. */
async function startOf(name: string, now: number, zone: string): Promise<number | undefined> {
  const starts = new Set((await readingsOf(name, now, zone)).map(({ start }) => start).filter((start) => start <= now));
  const [only] = starts;
  return starts.size === 1 ? only : undefined;
}

/** Everything that the phrase can mean, future moments too; empty where it is not understood. */
async function readingsOf(phrase: string, now: number, zone: string): Promise<readonly Reading[]> {
  const lower = phrase
    .toLowerCase()
    .replace(/^(?:as of|from|on|since) /, '')
    .replace(/[.,!?]+$/, '');
  const exact = readExact(lower, zone) ?? readAgo(lower, now, zone) ?? readLast(lower, now, zone);
  if (exact !== undefined) return exact;
  // A clock time with a zone of its own decides the zone of its day too.
  const inUtc = /^(.*\d.*?) ?(?:utc|gmt|z)$/.exec(lower)?.[1];
  const clock = takeClock(inUtc ?? lower);
  const where = inUtc === undefined ? zone : 'UTC';
  const today = wallAt(now, where);
  const days = await dayOf(clock.rest, today, clock.clocks.length > 0);
  return days.flatMap((day) => readDay(day, clock.clocks, now, where));
}

/** What leaves nothing open: unix seconds, an id's or AtoCore's stamp, ISO 8601, now. */
function readExact(text: string, zone: string): readonly Reading[] | undefined {
  if (/^\d{9,11}$/.test(text)) return [instant(Number(text) * 1000, text)];
  const stamp = /^(\d{4})(\d\d)(\d\d)(?:-(\d\d)(\d\d)(\d\d)|t(\d\d)(\d\d)(\d\d)z)(?:-[0-9a-z-]+)?$/.exec(text);
  if (stamp !== null) {
    const [hour, minute, second] = [stamp[4] ?? stamp[7], stamp[5] ?? stamp[8], stamp[6] ?? stamp[9]];
    const wall = wallOf(stamp[1], stamp[2], stamp[3], hour, minute, second);
    return wall === undefined ? [] : instantsOf(wall, 'UTC').map((time) => instant(time, text));
  }
  const iso = /^(\d{4})-(\d\d)-(\d\d)(?:t| )(\d\d?):(\d\d)(?::(\d\d)(?:[.,]\d+)?)? ?(z|utc|gmt|[+-]\d\d:?\d\d)?$/.exec(text);
  if (iso === null) return undefined;
  const wall = wallOf(iso[1], iso[2], iso[3], iso[4], iso[5], iso[6]);
  if (wall === undefined) return [];
  const offset = /^([+-])(\d\d):?(\d\d)$/.exec(iso[7] ?? '');
  if (offset === null) return instantsIn(wall, iso[7] === undefined ? zone : 'UTC');
  const minutes = (Number(offset[2]) * 60 + Number(offset[3])) * (offset[1] === '-' ? -1 : 1);
  return instantsOf(wall, 'UTC').map((time) => instant(time - minutes * 60_000, text));
}

function wallOf(...fields: (string | undefined)[]): Wall | undefined {
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = fields.map((field) => Number(field ?? 0));
  const wall = { year, month, day, hour, minute, second };
  const there = new Date(Date.UTC(year, month - 1, day)).getUTCDate() === day && month >= 1 && month <= 12 && day >= 1;
  return there && hour < 24 && minute < 60 && second < 60 ? wall : undefined;
}

const instant = (time: number, text: string): Reading => ({ start: time, end: time, text });

/** A wall clock; two readings where clocks were set back over it. */
function instantsIn(wall: Wall, zone: string): Reading[] {
  const found = instantsOf(wall, zone);
  return found.map((time) => instant(time, found.length > 1 ? offsetText(time, zone) : wallText(wallAt(time, zone))));
}

/** `2 hours ago`, `1 day and 3 hours ago`, `2h`, `3 days ago at 4pm`: hours are counted, days keep the clock. */
function readAgo(text: string, now: number, zone: string): readonly Reading[] | undefined {
  if (text === 'now' || text === 'just now') return [instant(now, 'now')];
  const short = /^\d+(?:\.\d+)?(?:s|m|min|h|d|w)$/.test(text);
  const match = /^(.+?) ago(?: (at .+|\d.*))?$/.exec(short ? `${text} ago` : text);
  if (match === null) return undefined;
  let wall = wallAt(now, zone);
  let milliseconds = 0;
  let calendar = false;
  for (const part of (match[1] ?? '').split(/(?:,| and|(?<=[a-z])(?<!half)) (?=\d|an? |one |half )/)) {
    const amount = AMOUNT.exec(part.trim())?.[0] ?? '';
    const unit = /^ ?(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?|months?|y|years?)$/.exec(
      part.trim().slice(amount.length),
    )?.[1];
    const count = amountOf(amount);
    if (unit === undefined || count === undefined) return [];
    const seconds = { s: 1, mi: 60, m: 60, h: 3600 }[unit.startsWith('mi') ? 'mi' : unit.startsWith('mo') ? 'mo' : (unit[0] ?? '')];
    if (seconds !== undefined) {
      milliseconds += count * seconds * 1000;
      continue;
    }
    calendar = true;
    if (!Number.isInteger(count) && !/^[dw]/.test(unit)) return [];
    if (/^[dw]/.test(unit)) {
      const days = count * (unit.startsWith('w') ? 7 : 1);
      wall = addDays(wall, -Math.floor(days));
      milliseconds += (days % 1) * 86_400_000;
    } else wall = addMonths(wall, -count * (unit.startsWith('y') ? 12 : 1));
  }
  if (match[2] !== undefined) {
    const { clocks, rest } = takeClock(match[2]);
    if (rest !== '' || clocks.length === 0 || milliseconds !== 0) return [];
    return readDay({ wall, span: 'day' }, clocks, now, zone);
  }
  // An hour that comes twice is no question here: the later one is nearer to what was said.
  const base = calendar ? (instantsOf(wall, zone).at(-1) ?? now) + (now % 1000) : now;
  return [instant(base - milliseconds, text)];
}

function amountOf(word: string): number | undefined {
  if (/^\d/.test(word)) return Number(word);
  if (word === 'a' || word === 'an') return 1;
  if (word.startsWith('half')) return 0.5;
  if (word === 'a couple of') return 2;
  const index = NUMBERS.indexOf(word);
  return index < 0 ? undefined : index;
}

/** "last week", "last month": its end, or so long ago? */
function readLast(text: string, now: number, zone: string): readonly Reading[] | undefined {
  const unit = /^(?:the )?(?:last|past) (week|month|year)$/.exec(text)?.[1];
  if (unit === undefined) return undefined;
  const today = { ...wallAt(now, zone), hour: 0, minute: 0, second: 0 };
  const sunday = addDays(today, -(((new Date(Date.UTC(today.year, today.month - 1, today.day)).getUTCDay() + 6) % 7) + 1));
  const end =
    unit === 'week' ? sunday : unit === 'month' ? addDays({ ...today, day: 1 }, -1) : { ...today, year: today.year - 1, month: 12, day: 31 };
  const day: Day = { wall: end, span: 'day' };
  return [...(readAgo(`1 ${unit} ago`, now, zone) ?? []), ...readDay(day, [], now, zone)];
}

/** A day, or a longer span, at each clock time that was said of it. */
function readDay(day: Day, clocks: readonly Clock[], now: number, zone: string): Reading[] {
  const midnight = { ...day.wall, hour: 0, minute: 0, second: 0 };
  if (clocks.length === 0) {
    const after = day.span === 'month' ? addMonths(midnight, 1) : addDays(midnight, 1);
    const text = day.span === 'month' ? dateText(midnight).slice(0, 7) : dateText(midnight);
    return [{ start: instantsOf(midnight, zone)[0] ?? now, end: (instantsOf(after, zone)[0] ?? now) - 1, text }];
  }
  return clocks.flatMap((clock) => {
    if (clock.kind === 'part') {
      const part = (date: Wall): Reading => {
        const at = (hour: number): Wall => addDays({ ...date, hour: hour % 24 }, Math.floor(hour / 24));
        const start = instantsOf(at(clock.from), zone)[0] ?? now;
        return { start, end: (instantsOf(at(clock.to), zone).at(-1) ?? now) - 1, text: `${dateText(date)} ${clock.text}` };
      };
      const said = part(midnight);
      return [day.floating === true && said.start > now ? part(addDays(midnight, -1)) : said];
    }
    const wall = addDays({ ...midnight, hour: clock.hour % 24, minute: clock.minute, second: clock.second }, Math.floor(clock.hour / 24));
    const found = instantsIn(wall, zone);
    // A clock time alone was today, or else yesterday.
    return day.floating === true && found.every(({ start }) => start > now) ? instantsIn(addDays(wall, -1), zone) : found;
  });
}
