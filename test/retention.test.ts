// Which snapshots are kept: random histories against a naive model, and what people rely on in words.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PRESETS, type Rules, rulesOf, TIERS } from '../src/base/retention-rules.ts';
import { periodOf, type Weekday } from '../src/vault/periods.ts';
import { type Candidate, fitInto, planRetention, type RetentionPolicy } from '../src/vault/retention.ts';
import { naiveKeeps, naivePeriod } from './support/naive-retention.ts';

const RUNS = process.env['CORA_TEST_SLOW'] === '1' ? 10_000 : 300;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** Half hours and whole days that clocks leave out or show twice, a zone with half-hour summer time, one that skipped a day, and none. */
const ZONES = [
  'UTC',
  'Europe/Berlin',
  'America/New_York',
  'Asia/Kolkata',
  'Australia/Lord_Howe',
  'Pacific/Apia',
  'Africa/Casablanca',
  'Nowhere/At_All',
];
const NONE = PRESETS.all;

function make(sequence: number | undefined, time: number, more: Partial<Candidate> = {}): Candidate {
  return {
    ...{ id: `s${sequence ?? `x${time}`}`, kind: 'backup', sequence, time, timezone: 'UTC', state: 'good', type: 'daily' },
    ...{ byHand: false, verified: false, hold: undefined, need: undefined },
    ...more,
  } as Candidate;
}

const policyWith = (rules: Partial<Rules>, more: Partial<RetentionPolicy> = {}): RetentionPolicy => {
  const both = { ...NONE, ...rules };
  return { saves: both, backups: both, weekStart: 1, maxSize: undefined, automatic: false, ...more };
};
const keptIds = (candidates: readonly Candidate[], policy: RetentionPolicy, now: number) =>
  planRetention(candidates, policy, now)
    .decisions.filter(({ keep }) => keep)
    .map(({ candidate }) => candidate.id);

const gap = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(15 * MINUTE, 20 * MINUTE, HOUR, 90 * MINUTE, 6 * HOUR, DAY, DAY + 1, 7 * DAY) },
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 3 * DAY }) },
  // Off for weeks; a clock that was set back, or ahead.
  { weight: 1, arbitrary: fc.integer({ min: 10 * DAY, max: 400 * DAY }) },
  { weight: 1, arbitrary: fc.integer({ min: -40 * DAY, max: -1 }) },
);
const step = fc.record({
  gap,
  zone: fc.oneof({ weight: 4, arbitrary: fc.constant(-1) }, { weight: 1, arbitrary: fc.nat(ZONES.length - 1) }),
  kind: fc.constantFrom('save', 'save', 'backup', 'backup', 'fallback'),
  state: fc.oneof(
    { weight: 12, arbitrary: fc.constant('good') },
    { weight: 4, arbitrary: fc.constantFrom('incomplete', 'suspect', 'damaged', 'unknown') },
  ),
  type: fc.constantFrom('daily', 'daily', 'weekly', 'monthly', 'manual', 'auto', 'save'),
  ahead: fc.oneof({ weight: 20, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: MINUTE, max: 900 * DAY }) }),
  bits: fc.nat(255),
});
const history = fc.record({
  // Around the changes of daylight saving, the turn of the year, and anywhere.
  start: fc.oneof(
    fc.constantFrom(Date.UTC(2026, 2, 27), Date.UTC(2026, 9, 23), Date.UTC(2026, 11, 29)),
    fc.integer({ min: Date.UTC(2015, 0), max: Date.UTC(2030, 0) }),
  ),
  zone: fc.nat(ZONES.length - 1),
  steps: fc.array(step, { maxLength: 60 }),
  /** Of the clock that decides, against the last snapshot's. */
  off: fc.oneof(
    { weight: 5, arbitrary: fc.integer({ min: 0, max: 30 * DAY }) },
    { weight: 1, arbitrary: fc.integer({ min: -20 * DAY, max: 4000 * DAY }) },
  ),
});
const count = fc.oneof(fc.constant(0), fc.nat(8));
const rules = fc.record({
  ...{ last: count, hourly: count, daily: count, weekly: count, monthly: count, yearly: count },
  within: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(60 * DAY) }),
});
const policies = fc.record({
  ...{ saves: rules, backups: rules, weekStart: fc.constantFrom<Weekday>(0, 1, 2, 3, 4, 5, 6) },
  ...{ maxSize: fc.constant(undefined), automatic: fc.boolean() },
});

function lived({ start, zone, steps }: { start: number; zone: number; steps: readonly (typeof step extends fc.Arbitrary<infer S> ? S : never)[] }): {
  candidates: Candidate[];
  last: number;
} {
  let clock = start;
  const candidates = steps.map((one, index) => {
    clock += one.gap;
    const bit = (n: number) => (one.bits & (1 << n)) !== 0;
    const rare = bit(0) && bit(1) && bit(2);
    return make(one.state === 'unknown' && bit(3) ? undefined : index + 1, clock + one.ahead, {
      id: `s${index + 1}`,
      kind: one.kind as Candidate['kind'],
      state: one.state as Candidate['state'],
      type: one.type as Candidate['type'],
      timezone: ZONES[one.zone < 0 ? zone : one.zone] ?? 'UTC',
      byHand: one.type === 'manual',
      verified: bit(4) && bit(5),
      hold: rare && bit(6) ? 'pinned' : undefined,
      need: rare && bit(7) ? 'needed' : undefined,
    });
  });
  return { candidates, last: clock };
}

describe('random histories', () => {
  test(`keep what a naive model keeps, and never the last good ones less (${RUNS} histories)`, () => {
    fc.assert(
      fc.property(history, policies, (past, policy) => {
        const { candidates, last } = lived(past);
        const now = last + past.off;
        const { decisions } = planRetention(candidates, policy, now);
        expect(decisions.map(({ candidate }) => candidate)).toEqual(candidates);
        for (const { candidate, keep, reason } of decisions) {
          if (keep !== naiveKeeps(candidate, candidates, policy, now))
            throw new Error(`${candidate.id}: ${keep ? 'kept' : 'gone'} because: ${reason}`);
          expect(reason).not.toBe('');
        }
        const kept = decisions.flatMap(({ keep, candidate }) => (keep ? [candidate] : []));
        for (const kind of ['save', 'backup', 'fallback'] as const) {
          const good = (some: readonly Candidate[]) => some.filter((one) => one.kind === kind && one.state === 'good' && one.time <= now + 120_000);
          if (good(candidates).length > 0)
            expect(good(kept)).toContain(
              good(candidates)
                .toSorted((a, b) => (a.sequence ?? 0) - (b.sequence ?? 0))
                .at(-1),
            );
          // As many periods as the policy wants, or all there are.
          const counted = good(candidates).filter((one) => one.sequence !== undefined && one.hold === undefined && !(policy.automatic && one.byHand));
          const numbers = kind === 'backup' ? policy.backups : policy.saves;
          for (const tier of TIERS) {
            const periods = (some: readonly Candidate[]) =>
              new Set(some.map((one) => periodOf(tier, one.time, one.timezone, policy.weekStart).key)).size;
            expect(periods(counted.filter((one) => kept.includes(one)))).toBeGreaterThanOrEqual(Math.min(numbers[tier], periods(counted)));
          }
        }
      }),
      { numRuns: RUNS },
    );
  });

  test('time that passes removes nothing, and a second look neither', () => {
    fc.assert(
      fc.property(history, policies, fc.integer({ min: 0, max: 4000 * DAY }), (past, policy, later) => {
        const { candidates, last } = lived({ ...past, steps: past.steps.map((one) => ({ ...one, ahead: 0, gap: Math.abs(one.gap) })) });
        const kept = keptIds(candidates, policy, last);
        expect(keptIds(candidates, policy, last + later)).toEqual(kept);
        const left = candidates.filter(({ id }) => kept.includes(id));
        expect(keptIds(left, policy, last + later)).toEqual(kept);
      }),
      { numRuns: RUNS },
    );
  });

  test('a clean-up each night leaves what one at the end would leave', () => {
    fc.assert(
      fc.property(history, policies, (past, policy) => {
        const steps = past.steps.map((one) => ({ ...one, ahead: 0, gap: Math.abs(one.gap), zone: -1, state: 'good' as const, bits: 0 }));
        const { candidates, last } = lived({ ...past, steps });
        const survivors: Candidate[] = [];
        for (const one of candidates) {
          survivors.push(one);
          const kept = new Set(keptIds(survivors, policy, one.time));
          survivors.splice(0, survivors.length, ...survivors.filter(({ id }) => kept.has(id)));
        }
        expect(survivors.map(({ id }) => id)).toEqual(keptIds(candidates, policy, last));
      }),
      { numRuns: RUNS },
    );
  });

  test('what goes for the size is the oldest that nothing holds, and never the last good one', () => {
    fc.assert(
      fc.property(history, policies, fc.nat(70), (past, policy, most) => {
        const { candidates, last } = lived(past);
        const { decisions } = planRetention(candidates, policy, last);
        const fitted = fitInto(decisions, () => 1, candidates.length, most);
        for (const [index, decision] of fitted.entries()) {
          const before = decisions[index];
          if (before?.keep === false || before?.firm === true) expect(decision).toBe(before);
        }
        const kept = fitted.filter(({ keep }) => keep);
        if (kept.length > most) expect(kept.every(({ firm }) => firm)).toBe(true);
        const good = (some: readonly { candidate: Candidate }[]) =>
          some.some(({ candidate }) => candidate.state === 'good' && candidate.time <= last + 120_000);
        expect(good(kept)).toBe(good(decisions));
      }),
      { numRuns: RUNS },
    );
  });

  test('periods are what a clock on the wall there shows', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: Date.UTC(1995, 0), max: Date.UTC(2040, 0) }),
        fc.integer({ min: 0, max: 9 * DAY }),
        fc.constantFrom(...ZONES),
        fc.constantFrom<Weekday>(0, 1, 6),
        (time, later, zone, weekStart) => {
          for (const tier of TIERS) {
            const same = periodOf(tier, time, zone, weekStart).key === periodOf(tier, time + later, zone, weekStart).key;
            expect(same, tier).toBe(naivePeriod(tier, time, zone, weekStart) === naivePeriod(tier, time + later, zone, weekStart));
          }
        },
      ),
      { numRuns: RUNS },
    );
  });
});

describe('in words', () => {
  const daily = (first: string, days: number, more: (index: number) => Partial<Candidate> = () => ({})) =>
    Array.from({ length: days }, (_, index) => make(index + 1, Date.parse(first) + index * DAY, more(index)));
  const day = (one: Candidate) => new Date(one.time).toISOString().slice(0, 10);

  test('atlas: seven days, the Sundays of four weeks, the 1st of twelve months, as the timer made them', () => {
    const type = (index: number): Partial<Candidate> => {
      const date = new Date(Date.parse('2026-08-01T03:15:00Z') + index * DAY);
      return { type: date.getUTCDate() === 1 ? 'monthly' : date.getUTCDay() === 0 ? 'weekly' : 'daily' };
    };
    const all = daily('2026-08-01T03:15:00Z', 113, type);
    const plan = planRetention(all, { ...policyWith({}), backups: PRESETS.atlas, automatic: true }, Date.parse('2026-11-21T04:00:00Z'));
    const kept = plan.decisions.filter(({ keep }) => keep).map(({ candidate }) => day(candidate));
    expect(kept).toEqual([
      '2026-08-01',
      '2026-09-01',
      '2026-10-01',
      '2026-11-01',
      '2026-11-08',
      '2026-11-15',
      '2026-11-16',
      '2026-11-17',
      '2026-11-18',
      '2026-11-19',
      '2026-11-20',
      '2026-11-21',
    ]);
    expect(plan.refusal).toBeUndefined();
    const reasons = new Map(plan.decisions.map(({ candidate, reason }) => [day(candidate), reason]));
    expect(reasons.get('2026-11-19')).toBe('newest of 2026-11-19 (daily 3 of 7)');
    expect(reasons.get('2026-11-15')).toBe('newest of 2026-11-15 (daily 7 of 7); newest of the week of 2026-11-09 (weekly 2 of 4)');
    expect(reasons.get('2026-10-01')).toBe('the monthly one of 2026-10 (monthly 2 of 12)');
    expect(reasons.get('2026-11-10')).toBe('s107 stands for the week of 2026-11-09');
  });

  test('a machine that was off for three months keeps its old copies', () => {
    const all = [...daily('2026-05-01T03:15:00Z', 7), make(8, Date.parse('2026-08-20T03:15:00Z'))];
    expect(keptIds(all, policyWith({ daily: 7 }), Date.parse('2026-08-20T04:00:00Z'))).toHaveLength(7);
  });

  test('the hour that a clock shows twice is two hours, and the day of 25 hours one day', () => {
    const night = Date.parse('2026-10-25T00:15:00Z');
    const all = Array.from({ length: 4 }, (_, index) => make(index + 1, night + index * 30 * MINUTE, { timezone: 'Europe/Berlin' }));
    expect(keptIds(all, policyWith({ hourly: 9 }), night + DAY)).toEqual(['s2', 's4']);
    expect(keptIds(all, policyWith({ daily: 9 }), night + DAY)).toEqual(['s4']);
  });

  test('no rules keep everything, and a preset can be changed by number', () => {
    expect(keptIds(daily('2026-01-01T03:15:00Z', 50), policyWith({}), Date.UTC(2030, 0))).toHaveLength(50);
    expect(rulesOf({ preset: 'atlas', monthly: 24 })).toEqual({ ...PRESETS.atlas, monthly: 24 });
    expect(rulesOf({ daily: 3 })).toEqual({ ...NONE, daily: 3 });
  });

  test('a clock that ran ahead freezes everything while it is the newest, and nothing after', () => {
    const now = Date.parse('2026-11-21T04:00:00Z');
    const ahead = make(3, Date.parse('2031-01-01T00:00:00Z'));
    const two = daily('2026-11-19T03:15:00Z', 2);
    expect(planRetention([...two, ahead], policyWith({ last: 1 }), now).refusal).toContain('dated in the future');
    const after = planRetention([...two, ahead, make(4, now)], policyWith({ last: 1 }), now);
    expect([after.refusal, after.decisions.map(({ keep }) => keep)]).toEqual([undefined, [false, false, true, true]]);
  });

  test("incomplete ones never take a good one's place", () => {
    const all = daily('2026-11-10T03:15:00Z', 6, (index) => ({ state: index >= 2 && index < 5 ? 'incomplete' : 'good' }));
    expect(keptIds(all, policyWith({ daily: 3 }), Date.parse('2026-11-21T04:00:00Z'))).toEqual(['s1', 's2', 's3', 's4', 's5', 's6']);
  });
});
