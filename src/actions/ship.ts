// `cora ship`: copies of finished snapshots at one or more remotes. Invariants: nothing local is ever touched; a copy is claimed only
// after each of its bytes was compared where it lies and its marker was read back; a remote that fails stops no other.

import type { Context, Problem } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import { namesIn } from '../os/files.ts';
import { takeLock } from '../os/lock.ts';
import { listSnapshots, resolveSnapshot, type SnapshotRef } from '../vault/catalog.ts';
import { NAMES } from '../vault/layout.ts';
import { openLocated, requireOwn, type VaultLocation } from '../vault/locate.ts';
import { lockForReading, openStage, type Vault } from '../vault/vault.ts';
import { type OffsiteSetup, remotesOf } from './offsite-remote.ts';
import type { ProjectFacts } from './open-project.ts';
import { type RemoteResult, shipToRemote } from './ship-remote.ts';

export type ShipOptions = {
  /** Names of snapshots; none: all that are not there yet, the newest first. */
  readonly names: readonly string[];
  /** Instead of the remotes that are configured. */
  readonly remotes?: readonly string[];
  readonly saves: boolean;
};

export type ShipResult = { readonly remotes: readonly RemoteResult[]; readonly problems: readonly Problem[] };

/**
 * Ships what is wanted to every remote. Failures of a remote are in its result, not thrown.
 * @throws CoraError usage where no remote is named, locked, vault_missing, unknown_snapshot, interrupted
 */
export async function ship(
  project: ProjectFacts,
  location: VaultLocation,
  setup: OffsiteSetup,
  options: ShipOptions,
  ctx: Context,
): Promise<ShipResult> {
  const vault = openLocated(location);
  requireOwn(vault, project);
  const remotes = options.remotes ?? remotesOf(setup);
  if (remotes.length === 0) {
    throw new CoraError('usage', 'No remote is configured', {
      hint: 'write [offsite] remote = "name:bucket" into cora.toml (docs/offsite.md), or give --remote',
    });
  }
  const wanted = wantedOf(vault, options, ctx);
  const lock = takeLock(`${vault.root}/${NAMES.shipLock}`, 'exclusive', ctx.lockWait);
  const reading = lockForReading(vault);
  const stage = openStage(vault);
  const problems: Problem[] = [];
  if (wanted.some(({ kind }) => kind === 'save') && namesIn(`${vault.root}/${NAMES.packs}`).length > 0) {
    const message = 'Clean-up has moved content of older saves into progress/packs, which does not go off-site; a backup is whole by itself';
    problems.push({ code: 'saves_need_packs', message, severity: 'warning' });
    ctx.monitor.problem(problems[0] as Problem);
  }
  try {
    const results: RemoteResult[] = [];
    const from = options.remotes === undefined ? 'configured' : 'typed';
    const work = { vault, project, setup, from, byName: options.names.length > 0, scratch: stage.path, problems } as const;
    for (const name of remotes) results.push(await shipToRemote(work, name, wanted, ctx));
    return { remotes: results, problems };
  } finally {
    stage.release();
    reading?.release();
    lock.release();
  }
}

/** Newest first: the last state is what a lost disk costs most. */
function wantedOf(vault: Vault, { names, saves }: ShipOptions, ctx: Context): SnapshotRef[] {
  if (names.length > 0) return names.map((name) => resolveSnapshot(vault, name, ctx.now()));
  return listSnapshots(vault)
    .filter(({ kind, sequence }) => sequence !== undefined && (saves || kind === 'backup'))
    .reverse();
}
