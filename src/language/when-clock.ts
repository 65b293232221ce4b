// The clock time in a phrase: "3pm", "14:30", "noon", "in the evening", at its end or its beginning. Pure.

/** A clock time, or a part of the day; hours of 24 and more lie in the next day. */
export type Clock =
  | { readonly kind: 'time'; readonly hour: number; readonly minute: number; readonly second: number }
  | { readonly kind: 'part'; readonly from: number; readonly to: number; readonly text: string };

/** `clocks` is empty where the phrase has no clock time, and has two where it can be two. */
export type TakenClock = { readonly clocks: readonly Clock[]; readonly rest: string };

const TIME = String.raw`(?<word>noon|midday|midnight)|(?<hour>\d{1,2}):(?<minute>\d\d)(?::(?<second>\d\d))?(?: ?(?<half>[ap])\.?m\.?)?|(?<bare>\d{1,2}) ?(?<bareHalf>[ap])\.?m\.?|at (?<open>\d{1,2})(?: o'?clock)?|(?<clock>\d{1,2}) o'?clock`;
const AT_END = new RegExp(`^(?<rest>.*?)(?:^|,? )(?:at )?(?:${TIME})$`);
const AT_START = new RegExp(`^(?:at )?(?:${TIME})(?: on| of|,)? (?<rest>.+)$`);
const PART = /^(?<rest>.*?)(?:^| )(?:in the )?(?<part>morning|afternoon|evening|night)$/;

// The night belongs to the evening that it began with; the morning begins at midnight.
const PARTS: Readonly<Record<string, readonly [from: number, to: number]>> = {
  morning: [0, 12],
  afternoon: [12, 18],
  evening: [18, 24],
  night: [18, 30],
};

/** Takes the clock time out of a phrase in lower case. */
export function takeClock(phrase: string): TakenClock {
  if (phrase === 'tonight') return { clocks: [partOf('night')], rest: 'today' };
  if (phrase === 'last night') return { clocks: [partOf('night')], rest: 'yesterday' };
  const part = PART.exec(phrase)?.groups;
  if (part !== undefined) {
    const rest = (part['rest'] ?? '').trim();
    return { clocks: [partOf(part['part'] ?? '')], rest: rest === 'this' ? 'today' : rest };
  }
  const groups = AT_END.exec(phrase)?.groups ?? AT_START.exec(phrase)?.groups;
  if (groups === undefined) return { clocks: [], rest: phrase };
  const clocks = clocksOf(groups);
  return clocks === undefined ? { clocks: [], rest: phrase } : { clocks, rest: (groups['rest'] ?? '').trim() };
}

function partOf(name: string): Clock {
  const [from, to] = PARTS[name] ?? [0, 24];
  return { kind: 'part', from, to, text: name };
}

function clocksOf(groups: Readonly<Record<string, string | undefined>>): readonly Clock[] | undefined {
  const time = (hour: number, minute = 0, second = 0): Clock => ({ kind: 'time', hour, minute, second });
  if (groups['word'] !== undefined) return groups['word'] === 'midnight' ? [time(0), time(24)] : [time(12)];
  const half = groups['half'] ?? groups['bareHalf'];
  const open = groups['open'] ?? groups['clock'];
  const hour = Number(groups['hour'] ?? groups['bare'] ?? open);
  const minute = Number(groups['minute'] ?? 0);
  const second = Number(groups['second'] ?? 0);
  if (hour > 23 || minute > 59 || second > 59 || (half !== undefined && (hour > 12 || hour === 0))) return undefined;
  if (half !== undefined) return [time((hour % 12) + (half === 'p' ? 12 : 0), minute, second)];
  // "at 5" is 5 or 17 o'clock; "5:00" is written as clocks show it.
  return open !== undefined && hour >= 1 && hour <= 12 ? [time(hour % 12), time((hour % 12) + 12)] : [time(hour, minute, second)];
}
