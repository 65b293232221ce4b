// The day in a phrase: "yesterday", "last friday", "05/06", "20 november 2025". Pure; chrono-node is
// loaded only for dates that are written out, and only the parts that the text itself names are taken from it.

import { addDays, addMonths, asUtc, dateText, daysIn, type Wall, weekdayOf } from './zone.ts';

/** A day or a month; its clock is of no interest. */
export type Day = {
  readonly wall: Wall;
  readonly span: 'day' | 'month';
  /** No day was said: a clock time later than now is of the day before. */
  readonly floating?: true;
};

const WEEKDAYS = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'];
const MONTHS = ['january', 'february', 'march', 'april', 'may', 'june', 'july', 'august', 'september', 'october', 'november', 'december'];

/**
 * Every day that the words can mean; none where they are not understood.
 * @param words in lower case, without a clock time
 * @param hasClock a clock time was said with it
 */
export async function dayOf(words: string, today: Wall, hasClock: boolean): Promise<readonly Day[]> {
  const text = words.replace(/^(?:on|from|of|the state of) /, '').trim();
  if (text === '') return hasClock ? [{ ...oneDay(today), floating: true }] : [];
  return (
    readRelative(text, today) ?? readWeekday(text, today) ?? readNumbers(text, today) ?? readMonth(text, today) ?? (await readWritten(text, today))
  );
}

const oneDay = (wall: Wall): Day => ({ wall, span: 'day' });

function readRelative(text: string, today: Wall): readonly Day[] | undefined {
  const days = { today: 0, tonight: 0, yesterday: 1, 'day before yesterday': 2, 'the day before yesterday': 2, tomorrow: -1 }[text];
  return days === undefined ? undefined : [oneDay(addDays(today, -days))];
}

/** The last one that is past. On the day itself its bare name can mean today or a week ago. */
function readWeekday(text: string, today: Wall): readonly Day[] | undefined {
  const match = /^(?:(last|past|this|next) )?([a-z]{3,9})$/.exec(text);
  const name = match?.[2] ?? '';
  const weekday = WEEKDAYS.findIndex((full) => full === name || (name.length <= 5 && name.length >= 3 && full.startsWith(name)));
  if (match === null || weekday < 0) return undefined;
  const back = (weekdayOf(today) - weekday + 7) % 7;
  if (match[1] === 'next') return [oneDay(addDays(today, 7 - back))];
  if (match[1] === 'this') return [oneDay(addDays(today, ((weekday + 6) % 7) - ((weekdayOf(today) + 6) % 7)))];
  if (back > 0) return [oneDay(addDays(today, -back))];
  return match[1] === undefined ? [oneDay(today), oneDay(addDays(today, -7))] : [oneDay(addDays(today, -7))];
}

/** `2026-11-20`, `2026/11`, and what countries read differently: `05/06`, `5.6.2026`. */
function readNumbers(text: string, today: Wall): readonly Day[] | undefined {
  const iso = /^(\d{4})[-/.](\d{1,2})(?:[-/.](\d{1,2}))?$/.exec(text) ?? /^(\d{4})(\d\d)(\d\d)$/.exec(text);
  if (iso !== null) {
    const day = validDay(Number(iso[1]), Number(iso[2]), Number(iso[3] ?? 1));
    return day === undefined ? [] : [{ ...day, span: iso[3] === undefined ? 'month' : 'day' }];
  }
  const match = /^(\d{1,2})[-/.](\d{1,2})(?:[-/.](\d{4}|\d\d))?\.?$/.exec(text);
  if (match === null) return undefined;
  const [a, b] = [Number(match[1]), Number(match[2])];
  const year = match[3] === undefined ? undefined : Number(match[3]) + (match[3].length === 2 ? 2000 : 0);
  const found = [dayIn(year, b, a, today), dayIn(year, a, b, today)].filter((day) => day !== undefined);
  return found.filter((day, index) => found.findIndex((other) => dateText(other.wall) === dateText(day.wall)) === index);
}

/** A month's name alone can be this year's or another's; with a year it is that month. */
function readMonth(text: string, today: Wall): readonly Day[] | undefined {
  const match = /^(?:(last|past) |in )?([a-z]{3,9})\.?(?: (?:of )?(\d{4}))?$/.exec(text);
  const name = match?.[2] ?? '';
  const month = MONTHS.findIndex((full) => full === name || name === full.slice(0, 3)) + 1;
  if (match === null || month === 0) return undefined;
  const of = (year: number): Day => ({ wall: { ...today, year, month, day: 1 }, span: 'month' });
  if (match[3] !== undefined) return [of(Number(match[3]))];
  const latest = month < today.month ? today.year : today.year - 1;
  return match[1] === undefined ? [...(month === today.month ? [of(today.year)] : []), of(latest), of(latest - 1)] : [of(latest)];
}

function validDay(year: number, month: number, day: number): Day | undefined {
  if (month < 1 || month > 12 || day < 1 || day > daysIn(year, month)) return undefined;
  return oneDay({ year, month, day, hour: 0, minute: 0, second: 0 });
}

/** A day of a year; without a year the newest one that is not in the future. */
function dayIn(year: number | undefined, month: number, day: number, today: Wall): Day | undefined {
  if (year !== undefined) return validDay(year, month, day);
  // 29 February may be up to eight years back.
  for (let back = 0; back <= 8; back++) {
    const found = validDay(today.year - back, month, day);
    if (found !== undefined && asUtc(found.wall) <= asUtc(today)) return found;
  }
  return undefined;
}

/** `20 november`, `Nov 20th, 2025`, `the 20th`: chrono-node finds the numbers, our rules the year. */
async function readWritten(text: string, today: Wall): Promise<readonly Day[]> {
  const ordinal = /^(?:the )?(\d{1,2})(?:st|nd|rd|th)$/.exec(text);
  if (ordinal !== null) return dayOfMonth(Number(ordinal[1]), today);
  // Its time zone is a fixed one: nothing that depends on the machine's clock is taken from it.
  const { parse } = await import('chrono-node/en');
  const found = parse(text, { instant: new Date(asUtc(today)), timezone: 0 });
  const [result] = found;
  if (result === undefined || found.length !== 1 || result.end != null || result.index !== 0 || result.text.length !== text.length) return [];
  const { start } = result;
  const get = (part: 'year' | 'month' | 'day'): number | undefined => (start.isCertain(part) ? (start.get(part) ?? undefined) : undefined);
  if (start.isCertain('hour')) return relativeFuture(start.date(), today);
  const [year, month, day] = [get('year'), get('month'), get('day')];
  if (month === undefined || day === undefined) return [];
  const one = dayIn(year, month, day, today);
  return one === undefined ? [] : [one];
}

/** "in 2 hours" is understood, to be refused as what it is. */
function relativeFuture(date: Date, today: Wall): readonly Day[] {
  return date.getTime() > asUtc(today) ? [oneDay(addDays(today, Math.max(1, Math.ceil((date.getTime() - asUtc(today)) / 86_400_000))))] : [];
}

function dayOfMonth(day: number, today: Wall): readonly Day[] {
  for (let back = 0; back <= 12; back++) {
    const { year, month } = addMonths({ ...today, day: 1 }, -back);
    const found = validDay(year, month, day);
    if (found !== undefined && asUtc(found.wall) <= asUtc(today)) return [found];
  }
  return [];
}
