// Moments as people say them, in several time zones and over the days on which clocks are changed.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CoraError } from '../src/base/errors.ts';
import { readWhen } from '../src/language/when.ts';
import { instantsOf, wallAt } from '../src/language/zone.ts';

/** A Saturday. */
const NOW = '2026-11-21T10:30:15Z';

async function when(text: string, zone = 'UTC', now = NOW): Promise<string> {
  const result = await readWhen(text, Date.parse(now), zone);
  return result.kind === 'moment' ? new Date(result.time).toISOString().replace('.000Z', 'Z') : `before ${result.name}`;
}

async function refusal(text: string, zone = 'UTC', now = NOW): Promise<CoraError> {
  const error: unknown = await readWhen(text, Date.parse(now), zone).catch((thrown: unknown) => thrown);
  if (!(error instanceof CoraError)) throw new Error(`${text} was understood`);
  return error;
}

type Listed = { readonly text: string; readonly time: string };
const listed = (error: CoraError): readonly Listed[] => (error.details?.['readings'] ?? []) as Listed[];
const readings = (error: CoraError): string[] => listed(error).map(({ text }) => text);

test.each([
  ['2 hours ago', '2026-11-21T08:30:15Z'],
  ['2h', '2026-11-21T08:30:15Z'],
  ['half an hour ago', '2026-11-21T10:00:15Z'],
  ['2 hours and 30 minutes ago', '2026-11-21T08:00:15Z'],
  ['3 days ago', '2026-11-18T10:30:15Z'],
  ['a couple of weeks ago', '2026-11-07T10:30:15Z'],
  ['2 days ago at 4pm', '2026-11-19T16:00:00Z'],
  ['one month ago', '2026-10-21T10:30:15Z'],
  ['10:30', '2026-11-21T10:30:00Z'],
  ['23:10', '2026-11-20T23:10:00Z'],
  ['at 5pm', '2026-11-20T17:00:00Z'],
  ['noon', '2026-11-20T12:00:00Z'],
  ['midnight', '2026-11-21T00:00:00Z'],
  ['14:30 yesterday', '2026-11-20T14:30:00Z'],
  ['Yesterday at 9:30pm', '2026-11-20T21:30:00Z'],
  ['last friday 3pm', '2026-11-20T15:00:00Z'],
  ['monday 9am', '2026-11-16T09:00:00Z'],
  ['2026-11-20 14:30', '2026-11-20T14:30:00Z'],
  ['2026-11-20T14:30:05Z', '2026-11-20T14:30:05Z'],
  ['2026-11-20 14:30+02:00', '2026-11-20T12:30:00Z'],
  ['20261120T031500Z', '2026-11-20T03:15:00Z'],
  ['20261120-031500-1a2b3c4', '2026-11-20T03:15:00Z'],
  ['1732000000', '2024-11-19T07:06:40Z'],
  ['@1732000000', '2024-11-19T07:06:40Z'],
  ['november 20 2025 at 4pm', '2025-11-20T16:00:00Z'],
  ['20th of november, 3pm', '2026-11-20T15:00:00Z'],
  ['before pre-upgrade-2.0', 'before pre-upgrade-2.0'],
])('%s is %s', async (text, expected) => {
  expect(await when(text)).toBe(expected);
});

test.each([
  ['yesterday', '2026-11-20'],
  ['the day before yesterday', '2026-11-19'],
  ['friday', '2026-11-20'],
  ['last saturday', '2026-11-14'],
  ['20 November', '2026-11-20'],
  ['december 24', '2025-12-24'],
  ['21/10/2026', '2026-10-21'],
  ['31.12.', '2025-12-31'],
  ['the 20th', '2026-11-20'],
  ['2026-11-20', '2026-11-20'],
  ['2026-10', '2026-10-31'],
  ['march 2026', '2026-03-31'],
])('the day %s is its end, %s', async (text, day) => {
  expect(await when(text)).toBe(`${day}T23:59:59.999Z`);
});

test('a part of a day is its end, and never later than now', async () => {
  expect(await when('friday morning')).toBe('2026-11-20T11:59:59.999Z');
  expect(await when('yesterday evening')).toBe('2026-11-20T23:59:59.999Z');
  expect(await when('last night')).toBe('2026-11-21T05:59:59.999Z');
  expect(await when('this morning')).toBe(NOW);
  expect(await when('this morning', 'UTC', '2026-11-21T15:00:00Z')).toBe('2026-11-21T11:59:59.999Z');
  expect(await when('today')).toBe(NOW);
  expect(await when('evening')).toBe('2026-11-20T23:59:59.999Z');
});

test.each(['tomorrow', 'in 2 hours', 'next friday', '2026-12-01', '2026-11-21 10:31', 'this evening', '2222222222', 'today at 11am'])(
  'the future is refused: %s',
  async (text) => {
    expect(await refusal(text)).toMatchObject({ code: 'usage', exitCode: 2, message: `${text} lies in the future` });
  },
);

test.each([
  '',
  'banana',
  'christmas',
  '2026-02-30',
  'yesterday 25:00',
  '13pm',
  'november 31',
  '2025',
  'the march report',
  '5 bananas ago',
  '-1 days ago',
])('what is no moment is not guessed at: "%s"', async (text) => {
  expect(await refusal(text)).toMatchObject({ code: 'usage', exitCode: 2 });
});

test.each([
  ['march', ['2026-03', '2025-03']],
  ['may', ['2026-05', '2025-05']],
  ['05/06', ['2026-06-05', '2026-05-06']],
  ['05/06/2025', ['2025-06-05', '2025-05-06']],
  ['saturday', ['2026-11-21', '2026-11-14']],
  ['saturday 9am', ['2026-11-21 09:00', '2026-11-14 09:00']],
  ['yesterday at 5', ['2026-11-20 05:00', '2026-11-20 17:00']],
  ["3 o'clock", ['2026-11-21 03:00', '2026-11-20 15:00']],
  ['last month', ['1 month ago', '2026-10-31']],
  ['last week', ['1 week ago', '2026-11-15']],
])('%s asks, with the readings', async (text, expected) => {
  const error = await refusal(text);
  expect(error).toMatchObject({ code: 'ambiguous_moment', exitCode: 2 });
  expect(readings(error)).toEqual(expected);
  // What it lists to be typed has one meaning, the one that it lists.
  for (const { text: reading, time } of listed(error)) {
    expect(await when(reading)).toBe(time.replace('.000Z', 'Z'));
  }
});

test('a day with one possible reading does not ask', async () => {
  expect(await when('11/20')).toBe('2026-11-20T23:59:59.999Z');
  expect(await when('06/06')).toBe('2026-06-06T23:59:59.999Z');
  // Its other reading is later today.
  expect(await when('saturday 3pm')).toBe('2026-11-14T15:00:00Z');
});

describe('time zones', () => {
  test('days and clocks are those of the zone', async () => {
    // In Auckland it is 23:30 on Saturday, in Los Angeles 02:30, in Kathmandu 16:15.
    expect(await when('yesterday', 'Pacific/Auckland')).toBe('2026-11-20T10:59:59.999Z');
    expect(await when('yesterday', 'America/Los_Angeles')).toBe('2026-11-21T07:59:59.999Z');
    expect(await when('3pm', 'Asia/Kathmandu')).toBe('2026-11-21T09:15:00Z');
    expect(await when('3pm', 'America/Los_Angeles')).toBe('2026-11-20T23:00:00Z');
    expect(await when('2026-11-20 14:30', 'Europe/Berlin')).toBe('2026-11-20T13:30:00Z');
    // In Los Angeles it is still Friday.
    expect(readings(await refusal('friday', 'America/Los_Angeles', '2026-11-21T06:00:00Z'))).toEqual(['2026-11-20', '2026-11-13']);
  });

  test('a zone that is written wins', async () => {
    expect(await when('3pm utc', 'Europe/Berlin')).toBe('2026-11-20T15:00:00Z');
    expect(await when('2026-11-20 14:30 UTC', 'Europe/Berlin')).toBe('2026-11-20T14:30:00Z');
    expect(await when('2026-11-20T14:30Z', 'America/New_York')).toBe('2026-11-20T14:30:00Z');
  });

  test('an hour that came twice asks which', async () => {
    const error = await refusal('2026-10-25 02:30', 'Europe/Berlin');
    expect(error.code).toBe('ambiguous_moment');
    expect(readings(error)).toEqual(['2026-10-25 02:30+02:00', '2026-10-25 02:30+01:00']);
    expect(await when('2026-10-25 02:30+02:00', 'Europe/Berlin')).toBe('2026-10-25T00:30:00Z');
    expect(await when('2026-10-25 02:30+01:00', 'Europe/Berlin')).toBe('2026-10-25T01:30:00Z');
    // While the second one is still to come, the first is meant.
    expect(await when('02:30', 'Europe/Berlin', '2026-10-25T00:45:00Z')).toBe('2026-10-25T00:30:00Z');
  });

  test('an hour that never was is as much later', async () => {
    expect(await when('2026-03-29 02:30', 'Europe/Berlin', '2026-03-30T00:00:00Z')).toBe('2026-03-29T01:30:00Z');
  });

  test('hours are counted through a change of clocks, days keep the clock', async () => {
    // Berlin set its clocks back at 01:00 UTC on the 25th: one clock day is 25 hours.
    expect(await when('24 hours ago', 'Europe/Berlin', '2026-10-25T11:00:00Z')).toBe('2026-10-24T11:00:00Z');
    expect(await when('1 day ago', 'Europe/Berlin', '2026-10-25T11:00:00Z')).toBe('2026-10-24T10:00:00Z');
    expect(await when('1 day ago', 'Europe/Berlin', '2026-03-29T10:00:00Z')).toBe('2026-03-28T11:00:00Z');
    expect(await when('yesterday', 'Europe/Berlin', '2026-10-26T11:00:00Z')).toBe('2026-10-25T22:59:59.999Z');
    // Lord Howe Island sets its clocks by half an hour.
    expect(await when('1 day ago', 'Australia/Lord_Howe', '2026-04-05T02:00:00Z')).toBe('2026-04-04T01:30:00Z');
  });

  test('a month that is shorter ends on its last day', async () => {
    expect(await when('1 month ago', 'UTC', '2026-03-31T12:00:00Z')).toBe('2026-02-28T12:00:00Z');
    expect(await when('1 year ago', 'UTC', '2028-02-29T12:00:00Z')).toBe('2027-02-28T12:00:00Z');
  });
});

const ZONES = ['UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kathmandu', 'Pacific/Apia', 'Africa/Casablanca'];

test('what a clock of any zone shows stands for an instant at which it shows that', () => {
  const instant = fc.integer({ min: Date.UTC(1990, 0), max: Date.UTC(2036, 0) }).map((time) => time - (time % 1000));
  fc.assert(
    fc.property(instant, fc.constantFrom(...ZONES), (time, zone) => {
      const found = instantsOf(wallAt(time, zone), zone);
      expect(found).toContain(time);
      expect(found.length).toBeLessThanOrEqual(2);
    }),
    { numRuns: 400 },
  );
});

test('no phrase is ever the future, whatever the time and the zone', async () => {
  const phrases = [
    'yesterday',
    'today',
    'this morning',
    'last night',
    '23:59',
    '00:00',
    'noon',
    'last friday 3pm',
    '1 day ago',
    'the 31st',
    'nov 30',
    'evening',
  ];
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: Date.UTC(2020, 0), max: Date.UTC(2030, 0) }),
      fc.constantFrom(...ZONES),
      fc.constantFrom(...phrases),
      async (now, zone, phrase) => {
        const result = await readWhen(phrase, now, zone).catch((error: unknown) => {
          if (error instanceof CoraError && error.code === 'ambiguous_moment') return undefined;
          throw error;
        });
        if (result?.kind === 'moment') expect(result.time).toBeLessThanOrEqual(now);
      },
    ),
    { numRuns: 300 },
  );
});

test('"before" a day is its first instant', async () => {
  expect(await readWhen('before yesterday', Date.parse(NOW), 'UTC')).toEqual({
    kind: 'before',
    name: 'yesterday',
    time: Date.parse('2026-11-20T00:00:00Z'),
  });
  expect(await readWhen('before v1.2', Date.parse(NOW), 'UTC')).toEqual({ kind: 'before', name: 'v1.2', time: undefined });
});
