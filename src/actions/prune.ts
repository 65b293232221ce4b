// `cora prune`: which snapshots the rules keep, with a reason for each, and the removal of the others. Plan first (data, nothing
// changed), then apply what was shown. Invariant: nothing goes unless, under the locks, it would go still.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../base/config.ts';
import type { Context } from '../base/context.ts';
import { CoraError, messageOf } from '../base/errors.ts';
import { type Rules, rulesOf, WEEKDAYS } from '../base/retention-rules.ts';
import { type Lock, tryLock } from '../os/lock.ts';
import { forgetPacks } from '../store/object-index.ts';
import type { SnapshotRef } from '../vault/catalog.ts';
import { findLast, readChain } from '../vault/chain.ts';
import { NAMES } from '../vault/layout.ts';
import { openLocated, requireOwn, type VaultLocation } from '../vault/locate.ts';
import { type Decision, fitInto, planRetention, type RetentionPolicy } from '../vault/retention.ts';
import { beginPruning, emptyTrash, type Form, formKey, moveToTrash, prunedInLedger, removeEmptyDays } from '../vault/trash.ts';
import type { Vault } from '../vault/vault.ts';
import { openForWriting, type ProjectFacts } from './open-project.ts';
import { neededSaves } from './prune-needs.ts';
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
  readonly maxSize: number | undefined;
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
  return planFor(surveyVault(vault, ctx.now()), policy, project.config.retention.maxSize, ctx.now());
}

function planFor(survey: Survey, policy: RetentionPolicy, maxSize: number | undefined, now: number): PrunePlan {
  const { decisions, refusal } = planRetention(survey.candidates, policy, now);
  const { waiting, unparseable, bytes } = survey;
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
    maxSize,
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
  if (agreed.size === 0 && plan.waiting.length === 0) return { plan, deleted: [], errors: [], freedBytes: 0 };
  if (!plan.policy.automatic) await requireReadable(location, plan, ctx);
  const { vault, release } = await openAlone(project, location, ctx);
  try {
    const now = planFor(surveyVault(vault, ctx.now()), plan.policy, plan.maxSize, ctx.now());
    requireAllowed(now);
    const doomed = now.decisions.filter(({ keep, candidate }) => !keep && agreed.has(formKey(candidate)));
    return { plan: now, ...remove(vault, doomed, now.waiting, ctx) };
  } finally {
    release();
  }
}

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

/** The write lock and the gc lock alone. While it waits for readers, saves go on. */
async function openAlone(
  project: ProjectFacts,
  location: VaultLocation,
  ctx: Context,
): Promise<{ readonly vault: Vault; readonly release: () => void }> {
  const deadline = performance.now() + ctx.lockWait;
  for (;;) {
    stopIfAborted(ctx);
    const opened = openForWriting(project, location, ctx);
    let alone: Lock | undefined;
    try {
      alone = tryLock(`${opened.vault.root}/${NAMES.gcLock}`, 'exclusive', 500);
    } catch (error) {
      opened.release();
      throw error;
    }
    if (alone !== undefined) {
      const gc = alone;
      return {
        vault: opened.vault,
        release: () => {
          gc.release();
          opened.release();
        },
      };
    }
    opened.release();
    if (performance.now() > deadline) {
      throw new CoraError('locked', 'Another Cora is reading this vault (a verification, a restore or a backup)', {
        hint: 'wait until it ends, or give it more time with --lock-wait 5m',
      });
    }
    await sleep(500);
  }
}

/** The caller holds both locks. */
function remove(
  vault: Vault,
  doomed: readonly Decision<Surveyed>[],
  waiting: readonly SnapshotRef[],
  ctx: Context,
): Pick<PruneResult, 'deleted' | 'errors' | 'freedBytes'> {
  const errors: PruneError[] = [];
  const tombstones = prunedInLedger(readChain(vault.root).map(({ line }) => line));
  const going = [...doomed.map((decision) => ({ decision, ref: decision.candidate.ref })), ...waiting.map((ref) => ({ decision: undefined, ref }))];
  const movable = going.filter(({ ref }) => ref.kind !== 'save');
  movable.push(...movableSaves(vault, going, errors));
  if (movable.length === 0) return { deleted: [], errors, freedBytes: 0 };
  const forms = movable.map(({ ref }): Form => ({ kind: ref.kind, id: ref.id }));
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
  stopIfAborted(ctx);
  return { deleted, errors, freedBytes: deleted.reduce((sum, { candidate }) => sum + candidate.bytes, 0) };
}

type Going = { readonly decision: Decision<Surveyed> | undefined; readonly ref: SnapshotRef };

/** Those saves that nobody who stays needs. Their packs leave the cache first: what vanishes from it counts as lost. */
function movableSaves(vault: Vault, going: readonly Going[], errors: PruneError[]): Going[] {
  const saves = going.filter(({ ref }) => ref.kind === 'save');
  if (saves.length === 0) return [];
  try {
    let free = saves;
    for (;;) {
      const needed = neededSaves(
        vault,
        free.map(({ ref }) => ref),
      );
      if (needed.size === 0) break;
      free = free.filter(({ ref }) => !needed.has(ref.directory));
    }
    forgetPacks(vault.root, new Set(free.map(({ ref }) => `${ref.directory}/${NAMES.pack}`)));
    return free;
  } catch (error) {
    for (const { ref } of saves) errors.push({ id: ref.id, kind: ref.kind, message: `what others need of it is not known: ${messageOf(error)}` });
    return [];
  }
}
