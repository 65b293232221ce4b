// `cora prune`: which snapshots the rules keep, with a reason for each, and the removal of the others. Plan first (data, nothing
// changed), then apply what was shown. Invariant: nothing goes unless, under the locks, it would go still.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../base/config.ts';
import type { Context } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import { type Rules, rulesOf, WEEKDAYS } from '../base/retention-rules.ts';
import { exists } from '../os/files.ts';
import { tryLock } from '../os/lock.ts';
import { forgetPacks } from '../store/object-index.ts';
import type { SnapshotRef } from '../vault/catalog.ts';
import { findLast, readChain } from '../vault/chain.ts';
import { NAMES } from '../vault/layout.ts';
import { openLocated, requireOwn, type VaultLocation } from '../vault/locate.ts';
import { type Decision, fitInto, planRetention, type RetentionPolicy } from '../vault/retention.ts';
import { beginPruning, emptyTrash, type Form, formKey, moveToTrash, prunedInLedger, removeEmptyDays } from '../vault/trash.ts';
import { lockForReading, type Vault } from '../vault/vault.ts';
import { type Compaction, compactSaves, dropGathered, planCompaction } from './compact.ts';
import { openForWriting, type ProjectFacts } from './open-project.ts';
import { type Survey, type Surveyed, surveyVault } from './prune-survey.ts';
import { stopIfAborted } from './settle.ts';
import { verify } from './verify.ts';

export type PrunePlan = {
  readonly policy: RetentionPolicy;
  /** Oldest first. */
  readonly decisions: readonly Decision<Surveyed>[];
  /** Removed by an earlier run, and still there because of their flag. */
  readonly waiting: readonly SnapshotRef[];
  readonly unparseable: readonly string[];
  /** Why nothing may be removed now; undefined where it may. */
  readonly refusal: { readonly message: string; readonly hint: string } | undefined;
  /** Bytes of the vault. */
  readonly bytes: number;
  /** Bytes that the vault would lose, about; undefined where nobody has reckoned (`withBytesToFree`). */
  readonly bytesToFree?: number;
};

export type PruneError = { readonly id: string; readonly kind: string; readonly message: string };

export type PruneResult = {
  readonly plan: PrunePlan;
  readonly deleted: readonly Decision<Surveyed>[];
  /** What should have gone and is there still. */
  readonly errors: readonly PruneError[];
  /** Bytes of the files that went. */
  readonly freedBytes: number;
};

/** A newer verification than this need not be made again. */
const VERIFIED_LATELY = 24 * 3_600_000;

/**
 * The rules to follow.
 * @param typed rules of the command line, for saves and backups alike; they replace the configured ones
 */
export function policyOf(config: Config['retention'], typed: Rules | undefined, automatic: boolean): RetentionPolicy {
  return {
    saves: typed ?? rulesOf(config.saves),
    backups: typed ?? rulesOf(config.backups),
    weekStart: WEEKDAYS.indexOf(config.weekStarts) as RetentionPolicy['weekStart'],
    // Who types rules asks for these and nothing else.
    maxSize: typed === undefined ? config.maxSize : undefined,
    automatic,
  };
}

/**
 * What would go, and why each stays. Changes nothing.
 * @throws CoraError vault_missing, vault_foreign, damaged
 */
export function planPrune(project: ProjectFacts, location: VaultLocation, policy: RetentionPolicy, ctx: Context): PrunePlan {
  const vault = openLocated(location);
  requireOwn(vault, project);
  return planFor(surveyVault(vault, ctx.now()), policy, ctx.now());
}

/**
 * Adds what the removal would free: less than the files have, because what others need of them is copied first. Reads every listing.
 * Where something that a remaining save names is nowhere it says so: then no save can be removed.
 */
export async function withBytesToFree(location: VaultLocation, plan: PrunePlan, ctx: Context): Promise<PrunePlan> {
  const going = plan.decisions.filter(({ keep }) => !keep).map(({ candidate }) => candidate);
  const refs = [...going.map(({ ref }) => ref), ...plan.waiting];
  const vault = openLocated(location);
  const lock = lockForReading(vault);
  try {
    return { ...plan, bytesToFree: freedBytes(going, await planCompaction(vault, refs, ctx)) };
  } catch (error) {
    if (!isDamage(error)) throw error;
    ctx.monitor.note(`${error.message}: backups can still go, saves cannot`);
    return plan;
  } finally {
    lock?.release();
  }
}

/** Never below nothing: a clean-up after a crash may copy more than it removes. */
function freedBytes(gone: readonly Surveyed[], { deadBytes, written }: Compaction): number {
  return Math.max(0, gone.reduce((sum, { bytes }) => sum + bytes, 0) + deadBytes - written);
}

function planFor(survey: Survey, policy: RetentionPolicy, now: number): PrunePlan {
  const { decisions, refusal } = planRetention(survey.candidates, policy, now);
  const { waiting, unparseable, bytes } = survey;
  const { maxSize } = policy;
  const frozen = survey.frozen
    ? { message: 'Something critical is lost, and an old snapshot may be the last that has it', hint: 'cora lost' }
    : undefined;
  return {
    policy,
    decisions: maxSize === undefined ? decisions : fitInto(decisions, (one) => one.bytes, bytes, maxSize),
    waiting,
    unparseable,
    refusal:
      frozen ?? (refusal === undefined ? undefined : { message: refusal, hint: 'cora list shows it, cora verify reads it; nothing was removed' }),
    bytes,
  };
}

/** @throws CoraError refused where the plan is refused */
export function requireAllowed({ refusal }: PrunePlan, details: Readonly<Record<string, unknown>> = {}): void {
  if (refusal !== undefined) throw new CoraError('refused', refusal.message, { hint: refusal.hint, details });
}

/**
 * Removes what a plan lets go. The newest of each kind is read from the disk first, where that was not done lately.
 * @param plan what a person agreed to; what would no longer go is left
 * @throws CoraError refused, locked, vault_missing, vault_foreign, interrupted
 */
export async function applyPrune(project: ProjectFacts, location: VaultLocation, plan: PrunePlan, ctx: Context): Promise<PruneResult> {
  requireAllowed(plan);
  const agreed = new Set(plan.decisions.filter(({ keep }) => !keep).map(({ candidate }) => formKey(candidate)));
  // Where clean-up has gathered before, there may be something left to put right.
  if (agreed.size === 0 && plan.waiting.length === 0 && !exists(`${location.path}/${NAMES.packs}`))
    return { plan, deleted: [], errors: [], freedBytes: 0 };
  if (!plan.policy.automatic) await requireReadable(location, plan, ctx);
  const deadline = performance.now() + ctx.lockWait;
  for (;;) {
    stopIfAborted(ctx);
    const { vault, release } = openForWriting(project, location, ctx);
    try {
      const now = planFor(surveyVault(vault, ctx.now()), plan.policy, ctx.now());
      requireAllowed(now);
      const agreedStill = now.decisions.filter(({ keep, candidate }) => !keep && agreed.has(formKey(candidate)));
      // What others need of them is copied while readers go on; they are waited for only to take away.
      const { doomed, stuck, compaction } = await gather(vault, agreedStill, now.waiting, ctx);
      const alone = tryLock(`${vault.root}/${NAMES.gcLock}`, 'exclusive', 500);
      if (alone !== undefined) {
        try {
          const removed = remove(vault, doomed, now.waiting, compaction, ctx);
          return { plan: now, ...removed, errors: [...stuck, ...removed.errors] };
        } finally {
          alone.release();
        }
      }
    } finally {
      release();
    }
    if (performance.now() > deadline) {
      throw new CoraError('locked', 'Another Cora is reading this vault (a verification, a restore or a backup)', {
        hint: 'wait until it ends, or give it more time with --lock-wait 5m',
      });
    }
    // Saves go on meanwhile.
    await sleep(500);
  }
}

type Gathered = { readonly doomed: readonly Decision<Surveyed>[]; readonly stuck: readonly PruneError[]; readonly compaction: Compaction };

/** Where something that a remaining save names is nowhere, nobody knows what the others are needed for: then no save goes, but backups do. */
async function gather(vault: Vault, doomed: readonly Decision<Surveyed>[], waiting: readonly SnapshotRef[], ctx: Context): Promise<Gathered> {
  const refs = [...doomed.map(({ candidate }) => candidate.ref), ...waiting];
  try {
    return { doomed, stuck: [], compaction: await compactSaves(vault, refs, ctx) };
  } catch (error) {
    if (!isDamage(error)) throw error;
    ctx.monitor.note(error.message);
    const isSave = ({ candidate }: Decision<Surveyed>): boolean => candidate.kind === 'save';
    return {
      doomed: doomed.filter((one) => !isSave(one)),
      stuck: doomed.filter(isSave).map(({ candidate: { id, kind } }) => ({ id, kind, message: error.message })),
      compaction: { objects: 0, keyframes: 0, written: 0, dead: [], deadBytes: 0 },
    };
  }
}

const isDamage = (error: unknown): error is CoraError => error instanceof CoraError && error.code === 'damaged';

/** What everything would rest on is read back before anything goes. */
async function requireReadable(location: VaultLocation, plan: PrunePlan, ctx: Context): Promise<void> {
  const kinds = new Set(plan.decisions.filter(({ keep }) => !keep).map(({ candidate }) => candidate.kind));
  for (const kind of kinds) {
    const newest = plan.decisions.findLast(({ candidate }) => candidate.kind === kind && candidate.sequence !== undefined)?.candidate;
    if (newest === undefined) continue;
    const last = findLast(location.path, (line) => line.kind === 'verify' && line.id === newest.id && line.extra.startsWith(`${kind},`));
    if (last?.extra.endsWith(',ok') === true && Math.abs(ctx.now() - Date.parse(last.time)) < VERIFIED_LATELY) continue;
    const { snapshots } = await verify(location, { target: newest.id, deep: false }, ctx);
    const damaged = snapshots.find((one) => one.damaged.length > 0);
    if (damaged === undefined) continue;
    throw new CoraError('refused', `The newest ${kind} ${newest.id} is damaged: nothing is removed`, {
      hint: `cora verify ${newest.id} names what is damaged; cora backup now makes a good one`,
    });
  }
}

/** The caller holds both locks. */
function remove(
  vault: Vault,
  doomed: readonly Decision<Surveyed>[],
  waiting: readonly SnapshotRef[],
  compaction: Compaction,
  ctx: Context,
): Pick<PruneResult, 'deleted' | 'errors' | 'freedBytes'> {
  const errors: PruneError[] = [];
  const tombstones = prunedInLedger(readChain(vault.root).map(({ line }) => line));
  const going = [...doomed.map((decision) => ({ decision, ref: decision.candidate.ref })), ...waiting.map((ref) => ({ decision: undefined, ref }))];
  // The newest first: a save needs packs of earlier saves, never of later ones, so each that is still listed is whole wherever this ends.
  const movable = going.toReversed();
  const forms = movable.map(({ ref }): Form => ({ kind: ref.kind, id: ref.id }));
  // Out of the cache first: a pack that vanishes from it counts as lost.
  forgetPacks(vault.root, new Set(movable.flatMap(({ ref }) => (ref.kind === 'save' ? [`${ref.directory}/${NAMES.pack}`] : []))));
  const deleted: Decision<Surveyed>[] = [];
  beginPruning(vault, forms);
  for (const [index, form] of forms.entries()) {
    if (ctx.signal.aborted) break;
    const decision = movable[index]?.decision;
    if (moveToTrash(vault, form, tombstones, ctx.now())) {
      if (decision !== undefined) deleted.push(decision);
    } else
      errors.push({
        ...form,
        message: 'it is sealed, and this process may not take its flag: cora-seal (or root with cora protect --seals) removes it',
      });
  }
  // Not reached after an error: what is in the trash may lack its tombstone, and the next run writes that first.
  emptyTrash(vault);
  removeEmptyDays(vault, forms);
  // What is left of an interrupted run is left for the next: until all are gone, nothing gathered is dead.
  stopIfAborted(ctx);
  dropGathered(vault, compaction);
  return {
    deleted: deleted.reverse(),
    errors,
    freedBytes: freedBytes(
      deleted.map(({ candidate }) => candidate),
      compaction,
    ),
  };
}
