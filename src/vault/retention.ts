// Which snapshots are kept and which go, as data with a reason for each (docs/retention.md). Pure. Invariants: periods that
// exist are counted, never ages, so time that passes removes nothing; of each kind the newest, the last good one and the
// last verified one are kept; what is held, suspect, damaged, unknown or dated in the future is never removed.

import { describeRules, isEmpty, type Rules, TIERS } from '../base/retention-rules.ts';
import type { BackupType, SnapshotKind } from '../format/report.ts';
import { type Period, periodOf, type Weekday } from './periods.ts';

export type RetentionPolicy = {
  /** Also for checkpoints that were made without the engine. */
  readonly saves: Rules;
  readonly backups: Rules;
  readonly weekStart: Weekday;
  /** Bytes that the vault may have (`fitInto`); undefined: no limit. */
  readonly maxSize: number | undefined;
  /** Nobody typed it: what a person made on purpose stays (DESIGN 8.33). */
  readonly automatic: boolean;
};

export type Candidate = {
  readonly id: string;
  readonly kind: SnapshotKind;
  /** Place in the ledger; undefined where it has no line. */
  readonly sequence: number | undefined;
  /** Milliseconds since 1970. */
  readonly time: number;
  /** Where it was made: the zone of its REPORT.json. */
  readonly timezone: string;
  /** `incomplete`: something critical is missing in it; `unknown`: nothing reliable is known of it. */
  readonly state: 'good' | 'incomplete' | 'suspect' | 'damaged' | 'unknown';
  readonly type: BackupType;
  /** A person asked for it by name: a backup by hand, a save with a note. */
  readonly byHand: boolean;
  /** A later verification found it whole. */
  readonly verified: boolean;
  /** Why no rule may remove it (a label, a pin), as a sentence's end; such a one is not counted either. */
  readonly hold: string | undefined;
  /** Why others need it for now; it is counted like any other. */
  readonly need: string | undefined;
};

export type Decision<C extends Candidate = Candidate> = {
  readonly candidate: C;
  readonly keep: boolean;
  /** Kept whatever the rules and the room: held, not counted, or the last of its kind. */
  readonly firm: boolean;
  readonly reason: string;
  /** It goes for the vault's size alone; no rule of time removes it. */
  readonly forSize?: true;
};

export type RetentionPlan<C extends Candidate = Candidate> = {
  /** One a candidate, in the order of the candidates. */
  readonly decisions: readonly Decision<C>[];
  /** Why nothing may be removed now; undefined where it may. */
  readonly refusal: string | undefined;
};

/** A clock that runs ahead by less than this is a clock like any other. */
const CLOCK_SLACK = 120_000;

/**
 * @param candidates every snapshot, in any order
 * @param now milliseconds since 1970
 */
export function planRetention<C extends Candidate>(candidates: readonly C[], policy: RetentionPolicy, now: number): RetentionPlan<C> {
  const firm = new Set<Candidate>();
  const reasons = new Map<Candidate, string[]>();
  const because = (candidate: Candidate, reason: string): void => {
    reasons.set(candidate, [...(reasons.get(candidate) ?? []), reason]);
  };
  const places = new Map<Candidate, string>();
  const newestFirst = candidates.toSorted((a, b) => (b.sequence ?? -1) - (a.sequence ?? -1));
  for (const kind of ['save', 'backup', 'fallback'] as const) {
    const ofKind = newestFirst.filter((one) => one.kind === kind);
    const rules = kind === 'backup' ? policy.backups : policy.saves;
    for (const one of ofKind) {
      const reason = untouchable(one, now) ?? (policy.automatic && one.byHand ? `${byHandText(one)}: only a person removes it` : undefined);
      if (reason === undefined) continue;
      because(one, reason);
      firm.add(one);
    }
    // The newest of each state stands for itself; incomplete ones are counted apart, so that they never use up a good one's place.
    for (const state of ['good', 'incomplete'] as const) {
      const series = ofKind.filter((one) => one.state === state && !reasons.has(one));
      if (isEmpty(rules)) for (const one of series) because(one, 'no rule removes any of its kind');
      else applyRules(series, rules, policy.weekStart, because, places);
    }
    for (const one of ofKind) if (one.need !== undefined) alsoKeep(one, one.need);
    const isPast = (one: Candidate): boolean => !isFuture(one, now);
    const name = KIND_NAMES[kind];
    alsoKeep(ofKind[0], `the newest ${name}`);
    alsoKeep(
      ofKind.find((one) => one.state === 'good' && isPast(one)),
      `the last good ${name}`,
    );
    alsoKeep(
      ofKind.find((one) => one.state === 'good' && one.verified && isPast(one)),
      `the last ${name} that a verification found whole`,
    );
  }
  return {
    decisions: candidates.map((candidate) => {
      const kept = reasons.get(candidate);
      return {
        candidate,
        keep: kept !== undefined,
        firm: firm.has(candidate),
        reason: kept?.join('; ') ?? places.get(candidate) ?? 'no rule keeps it',
      };
    }),
    refusal: refusalOf(newestFirst, now),
  };

  function alsoKeep(one: Candidate | undefined, reason: string): void {
    if (one === undefined) return;
    firm.add(one);
    if (!reasons.has(one)) because(one, reason);
  }
}

/**
 * Takes the oldest first of what no rule makes firm, until what is kept fits.
 * @param stored bytes of a candidate's own files; what shares them with others gives back less
 * @param bytes of the whole vault now
 * @param most bytes that it may have
 */
export function fitInto<C extends Candidate>(
  decisions: readonly Decision<C>[],
  stored: (candidate: C) => number,
  bytes: number,
  most: number,
): Decision<C>[] {
  let left = bytes;
  for (const { candidate, keep } of decisions) if (!keep) left -= stored(candidate);
  const going = new Set<Decision<C>>();
  const oldestFirst = decisions.toSorted((a, b) => (a.candidate.sequence ?? 0) - (b.candidate.sequence ?? 0));
  for (const decision of oldestFirst) {
    if (left <= most) break;
    if (!decision.keep || decision.firm) continue;
    going.add(decision);
    left -= stored(decision.candidate);
  }
  return decisions.map((decision) =>
    going.has(decision) ? { ...decision, keep: false, forSize: true, reason: 'the vault is over max_size: the oldest go first' } : decision,
  );
}

export const KIND_NAMES: Readonly<Record<SnapshotKind, string>> = { save: 'save', backup: 'backup', fallback: 'checkpoint' };

export function isFuture({ time }: Pick<Candidate, 'time'>, now: number): boolean {
  return !(time <= now + CLOCK_SLACK);
}

/** Why a snapshot is neither removed nor counted, whatever the rules; undefined where it may be. */
function untouchable(one: Candidate, now: number): string | undefined {
  if (one.hold !== undefined) return one.hold;
  if (isFuture(one, now)) return 'dated in the future: not counted, never removed';
  if (one.state === 'suspect') return 'suspect, something critical was lost: not counted, never removed';
  if (one.state === 'damaged') return 'damaged: not counted, never removed';
  if (one.state === 'unknown' || one.sequence === undefined) return 'not in the ledger: not counted, never removed';
  return undefined;
}

function byHandText({ kind }: Candidate): string {
  return kind === 'backup' ? 'made by hand' : 'has a note';
}

/** Keeps what the rules name of one series, newest first; notes for the others who stands for their period. */
function applyRules(
  series: readonly Candidate[],
  rules: Rules,
  weekStart: Weekday,
  because: (candidate: Candidate, reason: string) => void,
  places: Map<Candidate, string>,
): void {
  series.slice(0, rules.last).forEach((one, index) => {
    because(one, `newest ${index + 1} of ${rules.last}`);
  });
  // Back from the newest one, not from now: a machine that was off keeps what it had.
  const newest = Math.max(...series.map(({ time }) => time));
  if (rules.within > 0) for (const one of series) if (newest - one.time <= rules.within) because(one, 'recent enough (keep within)');
  for (const tier of TIERS) {
    const periods = new Map<string, { readonly period: Period; readonly members: Candidate[] }>();
    for (const one of series) {
      const period = periodOf(tier, one.time, one.timezone, weekStart);
      const found = periods.get(period.key);
      if (found !== undefined) found.members.push(one);
      else if (periods.size < rules[tier]) periods.set(period.key, { period, members: [one] });
    }
    let number = 0;
    for (const { period, members } of periods.values()) {
      number += 1;
      const own = members.find(({ type }) => type === tier);
      // What the timer made as the week's or month's own (on Sundays, on the 1st) stands for it (ATLAS-3).
      const keeper = (tier === 'weekly' || tier === 'monthly' ? own : undefined) ?? members[0];
      if (keeper === undefined) continue;
      because(
        keeper,
        `${keeper === own && keeper !== members[0] ? `the ${tier} one` : 'newest'} of ${period.name} (${tier} ${number} of ${rules[tier]})`,
      );
      for (const one of members) if (one !== keeper && !places.has(one)) places.set(one, `${keeper.id} stands for ${period.name}`);
    }
  }
  for (const one of series) if (!places.has(one)) places.set(one, `older than what is kept: ${describeRules(rules)}`);
}

/** The newest of the whole vault and the newest of each kind that counts have to be sound, or something is wrong that old ones may be needed for. */
function refusalOf(newestFirst: readonly Candidate[], now: number): string | undefined {
  const recorded = newestFirst.filter(({ sequence }) => sequence !== undefined);
  const newest = [recorded[0], recorded.find(({ kind }) => kind === 'save'), recorded.find(({ kind }) => kind === 'backup')];
  for (const one of newest) {
    if (one === undefined) continue;
    const name = `The newest ${KIND_NAMES[one.kind]} ${one.id}`;
    if (isFuture(one, now)) return `${name} is dated in the future: a clock is or was wrong`;
    if (one.state === 'suspect') return `${name} is suspect: something critical was lost`;
    if (one.state === 'damaged') return `${name} is damaged`;
    if (one.state !== 'good') return `${name} is not complete`;
  }
  return undefined;
}
