// What happens to old snapshots without anybody typing it: after the nightly backup, by the configured rules, and where the vault
// outgrew `retention.max_size`. Invariants: no failure here fails the backup, and what goes for its size alone was named by an
// earlier run.

import type { Context, Problem } from '../base/context.ts';
import { messageOf } from '../base/errors.ts';
import { formatBytes } from '../base/units.ts';
import { readTextIfThere, replaceFile } from '../os/files.ts';
import { hasInitRecord } from '../vault/init-record.ts';
import { NAMES } from '../vault/layout.ts';
import { openLocated, type VaultLocation } from '../vault/locate.ts';
import type { Decision } from '../vault/retention.ts';
import { formKey } from '../vault/trash.ts';
import type { ProjectFacts } from './open-project.ts';
import { applyPrune, type PrunePlan, type PruneResult, planPrune, policyOf } from './prune.ts';
import type { Surveyed } from './prune-survey.ts';

export type AutoPruned = {
  /** Undefined where nothing was tried or it failed; a problem says why. */
  readonly result: PruneResult | undefined;
  readonly problems: readonly Problem[];
};

/** As many ids as a person reads. */
const NAMED_MOST = 5;

/**
 * To be called after each backup.
 * @param isDaily the timer's backup, and a good one: only then something is removed, where `retention.auto` holds
 */
export async function pruneAfterBackup(project: ProjectFacts, location: VaultLocation, isDaily: boolean, ctx: Context): Promise<AutoPruned> {
  const nothing = { result: undefined, problems: [] };
  const { maxSize } = project.config.retention;
  if (!isDaily && maxSize === undefined) return nothing;
  try {
    const auto = isAutomatic(project, location);
    const removes = auto && isDaily;
    if (!removes && maxSize === undefined) return nothing;
    let plan = planPrune(project, location, policyOf(project.config.retention, undefined, true), ctx);
    let result: PruneResult | undefined;
    if (removes) {
      if (plan.refusal !== undefined)
        return { result, problems: [problem('prune_skipped', `Nothing old is removed: ${plan.refusal.message}. ${plan.refusal.hint}`)] };
      result = await applyPrune(project, location, withoutUnannounced(plan, announcedIn(location)), ctx);
      plan = planPrune(project, location, plan.policy, ctx);
    }
    const announced = plan.decisions.filter(isForSize);
    announce(location, announced);
    const problems = (result?.errors ?? []).map(({ id, kind, message }) =>
      problem('prune_skipped', `The ${kind} ${id} is to go and stays: ${message}`),
    );
    return { result, problems: isTooLarge(plan) ? [...problems, problem('vault_size', sizeText(plan, announced, auto))] : problems };
  } catch (error) {
    return { result: undefined, problems: [problem('prune_skipped', `Old snapshots could not be removed: ${messageOf(error)}`)] };
  }
}

/** What status says of a vault that outgrew `retention.max_size`; undefined where it did not. Changes nothing. */
export function sizeWarning(
  project: ProjectFacts,
  location: VaultLocation,
  ctx: Context,
): { readonly message: string; readonly next: string } | undefined {
  const { maxSize } = project.config.retention;
  if (maxSize === undefined) return undefined;
  try {
    const plan = planPrune(project, location, policyOf(project.config.retention, undefined, true), ctx);
    if (!isTooLarge(plan)) return undefined;
    return {
      message: sizeText(plan, plan.decisions.filter(isForSize), isAutomatic(project, location)),
      next: 'cora prune says why, cora pin ID keeps one',
    };
  } catch {
    // What keeps the vault from being read is told by the rest of the status.
    return undefined;
  }
}

function isAutomatic(project: ProjectFacts, location: VaultLocation): boolean {
  return project.config.retention.auto ?? hasInitRecord(openLocated(location));
}

/** Over the limit, also once everything is gone that is too old. */
function isTooLarge({ bytes, decisions, policy: { maxSize } }: PrunePlan): boolean {
  if (maxSize === undefined) return false;
  const old = decisions.filter((decision) => !decision.keep && !isForSize(decision));
  return bytes - old.reduce((sum, { candidate }) => sum + candidate.bytes, 0) > maxSize;
}

const isForSize = ({ forSize, keep }: Decision<Surveyed>) => forSize === true && !keep;

function sizeText({ bytes, policy: { maxSize = 0 } }: PrunePlan, going: readonly Decision<Surveyed>[], auto: boolean): string {
  const most = `The vault has ${formatBytes(bytes)} of ${formatBytes(maxSize)} (retention.max_size)`;
  if (going.length === 0) return `${most}, and nothing more may go by itself`;
  const names = going.slice(0, NAMED_MOST).map(({ candidate }) => `${candidate.kind} ${candidate.id}`);
  const more = going.length > NAMED_MOST ? ` and ${going.length - NAMED_MOST} more` : '';
  return `${most}; ${auto ? 'the next nightly backup removes' : 'cora prune --confirm removes'} ${names.join(', ')}${more}`;
}

/** What goes for its size alone stays until a run has said so before. */
function withoutUnannounced(plan: PrunePlan, announced: ReadonlySet<string>): PrunePlan {
  const decisions = plan.decisions.map((decision) =>
    isForSize(decision) && !announced.has(formKey(decision.candidate)) ? { ...decision, keep: true } : decision,
  );
  return { ...plan, decisions };
}

/** In the caches: where it is lost, it is said once more before anything goes. */
const announcement = (location: VaultLocation) => `${location.path}/${NAMES.cache}/announced.json`;

function announcedIn(location: VaultLocation): Set<string> {
  try {
    const value: unknown = JSON.parse(readTextIfThere(announcement(location)) ?? '[]');
    return new Set(Array.isArray(value) ? value.filter((one) => typeof one === 'string') : []);
  } catch {
    return new Set();
  }
}

function announce(location: VaultLocation, going: readonly Decision<Surveyed>[]): void {
  replaceFile(announcement(location), `${JSON.stringify(going.map(({ candidate }) => formKey(candidate)))}\n`, false);
}

function problem(code: string, message: string): Problem {
  return { code, message, severity: 'warning' };
}
