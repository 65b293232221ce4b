// Retention once more, as slowly and plainly as it can be said, for comparison with src/vault/retention.ts: each snapshot is asked
// by itself whether it may go. It shares nothing with that module but the types; zones are read from the text of another formatter.

import type { Rules, Tier } from '../../src/base/retention-rules.ts';
import type { Candidate, RetentionPolicy } from '../../src/vault/retention.ts';

const formatters = new Map<string, Intl.DateTimeFormat>();

/** `2026-11-20 03:15:00 GMT+1`: what a clock on the wall shows there, and how far it is from UTC. */
function wall(time: number, zone: string): string {
  let formatter = formatters.get(zone);
  if (formatter === undefined) {
    let known = zone;
    try {
      new Date(0).toLocaleString('sv-SE', { timeZone: zone });
    } catch {
      known = 'UTC';
    }
    formatter = new Intl.DateTimeFormat('sv-SE', {
      ...{ year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit' },
      timeZone: known,
      timeZoneName: 'longOffset',
    });
    formatters.set(zone, formatter);
  }
  return formatter.format(time);
}

/** The period's name; equal names are one period. */
export function naivePeriod(tier: Tier, time: number, zone: string, weekStart: number): string {
  const text = wall(time, zone);
  const [date = '', clock = '', offset = ''] = text.split(' ');
  if (tier === 'yearly') return date.slice(0, 4);
  if (tier === 'monthly') return date.slice(0, 7);
  if (tier === 'daily') return date;
  if (tier === 'hourly') return `${date} ${clock.slice(0, 2)} ${offset}`;
  let day = date;
  while (new Date(`${day}T12:00:00Z`).getUTCDay() !== weekStart)
    day = new Date(Date.parse(`${day}T12:00:00Z`) - 86_400_000).toISOString().slice(0, 10);
  return day;
}

const rank = (one: Candidate) => one.sequence ?? -1;
const newestOf = (some: readonly Candidate[]) =>
  some.reduce<Candidate | undefined>((best, one) => (best === undefined || rank(one) > rank(best) ? one : best), undefined);

/** Whether nothing allows this snapshot to go. */
export function naiveKeeps(one: Candidate, all: readonly Candidate[], policy: RetentionPolicy, now: number): boolean {
  const mayGo = (other: Candidate) =>
    other.hold === undefined &&
    other.sequence !== undefined &&
    other.time <= now + 120_000 &&
    (other.state === 'good' || other.state === 'incomplete') &&
    !(policy.automatic && other.byHand);
  if (!mayGo(one) || one.need !== undefined) return true;
  const ofKind = all.filter(({ kind }) => kind === one.kind);
  if (newestOf(ofKind) === one) return true;
  const good = ofKind.filter(({ state, time }) => state === 'good' && time <= now + 120_000);
  if (newestOf(good) === one || newestOf(good.filter(({ verified }) => verified)) === one) return true;
  const rules: Rules = one.kind === 'backup' ? policy.backups : policy.saves;
  const tiers: readonly Tier[] = ['hourly', 'daily', 'weekly', 'monthly', 'yearly'];
  if (rules.last + rules.within === 0 && tiers.every((tier) => rules[tier] === 0)) return true;
  const peers = ofKind.filter((other) => mayGo(other) && other.state === one.state);
  if (peers.filter((other) => rank(other) > rank(one)).length < rules.last) return true;
  if (rules.within > 0 && peers.every((other) => other.time - one.time <= rules.within)) return true;
  return tiers.some((tier) => {
    const periodOf = (other: Candidate) => naivePeriod(tier, other.time, other.timezone, policy.weekStart);
    const mine = periodOf(one);
    const inMine = peers.filter((other) => periodOf(other) === mine);
    const own = tier === 'weekly' || tier === 'monthly' ? inMine.filter(({ type }) => type === tier) : [];
    if (newestOf(own.length > 0 ? own : inMine) !== one) return false;
    // How many periods have something newer than all of mine?
    const last = rank(newestOf(inMine) ?? one);
    const newer = new Set(peers.filter((other) => periodOf(other) !== mine && rank(other) > last).map(periodOf));
    return newer.size < rules[tier];
  });
}
