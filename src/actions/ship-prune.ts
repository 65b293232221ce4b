// `cora ship --prune`: removes copies at remotes by the rules of [offsite] retention. Plan first (data, nothing changed), then apply
// what was shown. Invariant: the marker goes first, so that a copy that is half deleted never counts; local snapshots stay.

import type { Context } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import { COMPLETE } from '../format/complete.ts';
import { takeLock } from '../os/lock.ts';
import { RCLONE_EXIT, type RcloneResult, rclone } from '../os/rclone.ts';
import { NAMES } from '../vault/layout.ts';
import { openLocated, requireOwn, type VaultLocation } from '../vault/locate.ts';
import { copyKey, readOffsite, recordRemoval, retireCopy, unretireCopy } from '../vault/offsite-record.ts';
import type { Decision } from '../vault/retention.ts';
import type { Vault } from '../vault/vault.ts';
import { below, failure, listObjects, type OffsiteSetup, openRemote, type Remote, remotesOf, requireThere } from './offsite-remote.ts';
import type { ProjectFacts } from './open-project.ts';
import { stopIfAborted } from './settle.ts';
import { type Leftover, planRemotePrune, type RemoteCandidate, type RemotePrunePlan } from './ship-prune-survey.ts';

/** One remote: its plan, or why there is none. */
export type RemotePrune = {
  readonly remote: string;
  readonly plan: RemotePrunePlan | undefined;
  /** Empty in a dry run. */
  readonly deleted: readonly Decision<RemoteCandidate>[];
  readonly cleared: readonly Leftover[];
  readonly error: CoraError | undefined;
};

/**
 * What would go at each remote, and why each stays. Changes nothing.
 * @param remotes instead of the configured ones
 * @throws CoraError usage where no remote is named, vault_missing, vault_foreign, interrupted
 */
export async function planShipPrune(
  project: ProjectFacts,
  location: VaultLocation,
  setup: OffsiteSetup,
  remotes: readonly string[] | undefined,
  ctx: Context,
): Promise<RemotePrune[]> {
  const vault = ownVault(project, location);
  return eachRemote(setup, remotes, ctx, async (remote) => {
    const plan = await planRemotePrune(project, vault, remote, ctx);
    return { remote: remote.name, plan, deleted: [], cleared: [], error: refusalOf(plan) };
  });
}

/**
 * Removes what plans let go; what would no longer go is left. A remote that refuses stops its own turn alone.
 * @throws CoraError locked, vault_missing, vault_foreign, interrupted
 */
export async function applyShipPrune(
  project: ProjectFacts,
  location: VaultLocation,
  setup: OffsiteSetup,
  plans: readonly RemotePrune[],
  ctx: Context,
): Promise<RemotePrune[]> {
  const vault = ownVault(project, location);
  const lock = takeLock(`${vault.root}/${NAMES.shipLock}`, 'exclusive', ctx.lockWait);
  try {
    const agreed = new Map(plans.flatMap(({ remote, plan }) => (plan === undefined ? [] : [[remote, plan] as const])));
    const done = await eachRemote(setup, [...agreed.keys()], ctx, async (remote) => {
      const now = await planRemotePrune(project, vault, remote, ctx);
      const refused = refusalOf(now);
      const shown = agreed.get(remote.name);
      if (refused !== undefined || shown === undefined) return { remote: remote.name, plan: now, deleted: [], cleared: [], error: refused };
      return removeAt(vault, remote, now, shown, ctx);
    });
    return [...plans.filter(({ plan }) => plan === undefined), ...done];
  } finally {
    lock.release();
  }
}

function ownVault(project: ProjectFacts, location: VaultLocation): Vault {
  const vault = openLocated(location);
  requireOwn(vault, project);
  return vault;
}

function refusalOf({ refusal, remote }: RemotePrunePlan): CoraError | undefined {
  return refusal === undefined ? undefined : new CoraError('refused', `${remote}: ${refusal.message}`, { hint: refusal.hint });
}

async function eachRemote(
  setup: OffsiteSetup,
  names: readonly string[] | undefined,
  ctx: Context,
  work: (remote: Remote) => Promise<RemotePrune>,
): Promise<RemotePrune[]> {
  const remotes = names ?? remotesOf(setup);
  if (names === undefined && remotes.length === 0) throw new CoraError('usage', 'No remote is configured', { hint: 'docs/offsite.md' });
  const results: RemotePrune[] = [];
  for (const name of remotes) {
    stopIfAborted(ctx);
    try {
      const remote = await openRemote(setup, name, setup.config.remotes.includes(name) || names === undefined ? 'configured' : 'typed', ctx);
      await requireThere(remote);
      results.push(await work(remote));
    } catch (error) {
      if (!(error instanceof CoraError) || error.code === 'interrupted' || error.code === 'usage') throw error;
      results.push({ remote: name, plan: undefined, deleted: [], cleared: [], error });
    }
  }
  return results;
}

/** The caller holds the ship lock. Ends at the first thing that the remote does not do. */
async function removeAt(vault: Vault, remote: Remote, plan: RemotePrunePlan, shown: RemotePrunePlan, ctx: Context): Promise<RemotePrune> {
  const agreed = new Set(shown.decisions.flatMap(({ keep, candidate }) => (keep ? [] : candidate.copy.directory)));
  const agreedLeft = new Set(shown.leftovers.flatMap(({ goes, directory }) => (goes ? directory : [])));
  const deleted: Decision<RemoteCandidate>[] = [];
  const cleared: Leftover[] = [];
  let error: CoraError | undefined;
  try {
    // The oldest first: wherever this ends, what is left is the newer part.
    for (const decision of plan.decisions.filter(({ keep, candidate }) => !keep && agreed.has(candidate.copy.directory))) {
      stopIfAborted(ctx);
      await removeMarker(vault, remote, plan.env, decision.candidate, ctx);
      deleted.push(decision);
      await removeRest(remote, decision.candidate.copy.directory);
    }
    for (const leftover of plan.leftovers.filter(({ goes, directory }) => goes && agreedLeft.has(directory))) {
      stopIfAborted(ctx);
      await removeRest(remote, leftover.directory);
      cleared.push(leftover);
    }
  } catch (thrown) {
    if (!(thrown instanceof CoraError) || thrown.code === 'interrupted') throw thrown;
    error = thrown;
  }
  return { remote: remote.name, plan, deleted, cleared, error };
}

/** From here on the copy does not count, here or there. */
async function removeMarker(vault: Vault, remote: Remote, env: string, { id, kind, copy }: RemoteCandidate, ctx: Context): Promise<void> {
  const before = readOffsite(vault).remotes[remote.name]?.copies[copyKey({ id, kind })];
  // Claims less first: where a crash follows, nothing is believed that is gone.
  retireCopy(vault, remote.name, env, { id, kind });
  const result = await rclone(remote.rclone, ['deletefile', '--', below(remote, `${copy.directory}/${COMPLETE}`)], { retries: 2 });
  const isThere = (await listObjects(remote, copy.directory)).has(COMPLETE);
  if (isThere) {
    unretireCopy(vault, remote.name, env, { id, kind }, before);
    throw refusedBy(remote, `the copy of ${id}`, result);
  }
  recordRemoval(vault, remote.name, env, { id, kind }, copy.sha256, new Date(ctx.now()).toISOString(), ctx.lockWait);
}

/**
 * Not `rclone purge`: in a bucket that keeps versions that one takes these as well, and with them the way back from a slip.
 * @param directory of one copy, without its marker
 */
async function removeRest(remote: Remote, directory: string): Promise<void> {
  const target = below(remote, directory);
  const result = await rclone(remote.rclone, ['delete', '--rmdirs', '--', target], { retries: 2 });
  if (result.exitCode !== 0 && result.exitCode !== RCLONE_EXIT.directoryNotFound) throw refusedBy(remote, directory, result);
  const left = (await listObjects(remote, directory)).size;
  if (left > 0) throw refusedBy(remote, `${left} objects of ${directory}`, result);
  // The directory, and the day's where it is empty now; a bucket has none.
  for (const empty of [target, target.slice(0, target.lastIndexOf('/'))]) await rclone(remote.rclone, ['rmdir', '--', empty]);
}

function refusedBy(remote: Remote, what: string, result: RcloneResult): CoraError {
  const said = result.errors.join(' ');
  if (!/AccessDenied|Forbidden|not permitted|permission denied|read-only|MethodNotAllowed|\b40[135]\b/i.test(said))
    return failure(remote.name, `did not remove ${what}`, result);
  return new CoraError('remote_failed', `${remote.name} does not let us remove ${what}`, {
    hint: 'that protects the copies; let the bucket expire old ones by a lifecycle rule, or prune with keys that may delete (docs/offsite.md)',
    details: { rclone_exit: result.exitCode, errors: [...result.errors] },
  });
}
