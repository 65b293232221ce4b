// `cora prune`, `pin` and `unpin` as lines for people and as JSON documents. Pure.

import type { PinResult } from '../actions/pin.ts';
import type { PrunePlan, PruneResult } from '../actions/prune.ts';
import type { Surveyed } from '../actions/prune-survey.ts';
import { describeRules } from '../base/retention-rules.ts';
import { formatBytes } from '../base/units.ts';
import type { Decision } from '../vault/retention.ts';
import { table } from './columns.ts';
import { counted, visible } from './render.ts';

type Document = Readonly<Record<string, unknown>>;

/** Everything that stays or goes, and why. */
export function planLines(plan: PrunePlan): string[] {
  const { decisions, policy } = plan;
  const going = decisions.filter(({ keep }) => !keep);
  const rows = decisions.map(({ keep, candidate, reason }) => [keep ? 'keep' : 'remove', candidate.id, candidate.kind, visible(reason)]);
  const rules =
    describeRules(policy.saves) === describeRules(policy.backups)
      ? `Rules: ${describeRules(policy.saves)}, saves and backups apart`
      : `Rules: saves ${describeRules(policy.saves)}; backups ${describeRules(policy.backups)}`;
  return [
    ...table(rows),
    rules,
    ...strangeLines(plan),
    ...waitingLines(plan),
    going.length === 0
      ? `Nothing to remove: ${counted(decisions.length, 'snapshot')}, ${formatBytes(plan.bytes)}${limitText(plan)}`
      : `${counted(going.length, 'snapshot')} of ${decisions.length} would go (${formatBytes(plan.bytesToFree ?? sizeOf(going))}${limitText(plan)}); cora prune --confirm removes them, with the same options`,
  ];
}

export function pruneLines({ plan, deleted, errors, freedBytes }: PruneResult): string[] {
  return [
    ...table(deleted.map(({ candidate, reason }) => ['removed', candidate.id, candidate.kind, visible(reason)])),
    ...errors.map(({ id, kind, message }) => `STAYS ${id} (${kind}): ${visible(message)}`),
    ...strangeLines(plan),
    deleted.length === 0 ? 'Nothing was removed' : `Removed ${counted(deleted.length, 'snapshot')} (${formatBytes(freedBytes)})`,
  ];
}

function limitText({ policy: { maxSize }, bytes }: PrunePlan): string {
  return maxSize === undefined ? '' : `; the vault has ${formatBytes(bytes)} of ${formatBytes(maxSize)}`;
}

const strangeLines = ({ unparseable }: PrunePlan) => unparseable.map((name) => `not a snapshot, not touched: ${visible(name)}`);
const waitingLines = ({ waiting }: PrunePlan) => waiting.map(({ id, kind }) => `removed before, and its flag still holds it: ${id} (${kind})`);

const sizeOf = (decisions: readonly Decision<Surveyed>[]) => decisions.reduce((sum, { candidate }) => sum + candidate.bytes, 0);

/** ATO-6's fields, and the reason of each. */
export function pruneDocument(plan: PrunePlan, result: PruneResult | undefined): Document {
  const deleted = new Set(result?.deleted);
  const going = plan.decisions.filter(({ keep }) => !keep);
  return {
    dry_run: result === undefined,
    kept: plan.decisions.filter((decision) => (result === undefined ? decision.keep : !deleted.has(decision))).map(entry),
    ...(result === undefined ? { would_delete: going.map(entry) } : { deleted: result.deleted.map(entry) }),
    errors: (result?.errors ?? []).map(({ id, kind, message }) => ({ snapshot_id: id, kind, message })),
    unparseable: plan.unparseable,
    waiting: plan.waiting.map(({ id, kind }) => ({ snapshot_id: id, kind })),
    size: plan.bytes,
    max_size: plan.policy.maxSize ?? null,
    freed: result === undefined ? (plan.bytesToFree ?? sizeOf(going)) : result.freedBytes,
  };
}

function entry({ candidate, reason }: Decision<Surveyed>): Document {
  const { id, kind, type, time, bytes } = candidate;
  return { snapshot_id: id, kind, type, time: new Date(time).toISOString(), size: bytes, reason };
}

/** What a backup tells of the clean-up after it. */
export function prunedLines(result: PruneResult | undefined): string[] {
  if (result === undefined || result.deleted.length === 0) return [];
  return [`Pruned    ${counted(result.deleted.length, 'old snapshot')} (${formatBytes(result.freedBytes)}); cora prune says what is kept and why`];
}

/** Null where nothing was tried. */
export function prunedDocument(result: PruneResult | undefined): Document | null {
  return result === undefined ? null : { deleted: result.deleted.map(entry), freed: result.freedBytes };
}

export function pinLines({ id, pinned, until }: PinResult): string[] {
  if (!pinned) return [`${id} is not pinned: the rules of retention decide about it`];
  return [
    until === undefined
      ? `${id} is pinned: clean-up leaves it alone until cora unpin ${id}`
      : `${id} is pinned until ${new Date(until).toISOString()}`,
  ];
}

export function pinDocument({ id, pinned, until }: PinResult): Document {
  return { snapshot_id: id, pinned, pinned_until: until === undefined ? null : new Date(until).toISOString() };
}
