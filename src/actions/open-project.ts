// Opening a project's vault for adding to it: make it where it does not exist, take the write lock,
// put right what a crash left behind.

import { realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type Bytes, fromText, toText } from '../base/bytes.ts';
import type { Config } from '../base/config.ts';
import type { Context } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import { exists } from '../os/files.ts';
import { setAgain } from '../vault/append-only.ts';
import { NAMES } from '../vault/layout.ts';
import { openLocated, remember, requireOwn, type VaultLocation } from '../vault/locate.ts';
import type { FileOwner } from '../vault/project.ts';
import { restoreScript } from '../vault/restore-script.ts';
import { adoptUnrecorded } from '../vault/snapshot.ts';
import { recoverPruning } from '../vault/trash.ts';
import { clearStages, createVault, dropLinks, lockForWriting, repairVault, type Vault } from '../vault/vault.ts';
import { isUnfinished, RESTORE_DIRECTORY } from './restore-journal.ts';
import { recoverSwap } from './rotate-swap.ts';

/** What an action needs to know of a project. */
export type ProjectFacts = {
  readonly root: Bytes;
  readonly name: string;
  readonly config: Config;
  /** Who may write its configuration files; without it none of their commands runs. */
  readonly owners?: Readonly<Record<string, FileOwner>>;
};

export type OpenVault = { readonly vault: Vault; readonly release: () => void };

/**
 * Opens or creates the vault and takes the write lock; `release` gives the lock back.
 * @throws CoraError vault_missing, vault_foreign, project_refused, locked, no_space, read_only
 */
export function openForWriting(project: ProjectFacts, location: VaultLocation, ctx: Context): OpenVault {
  refuseInside(project.root, location.path);
  const vault = openOrCreate(project, location, ctx);
  requireOwn(vault, project);
  remember(location, project, vault);
  const lock = lockForWriting(vault, ctx.lockWait);
  try {
    if (ctx.halfRestored === undefined) refuseHalfRestored(project.root);
    dropLinks(vault);
    const adopted = adoptUnrecorded(vault, (id, reason) =>
      ctx.monitor.note(`A crash left ${id} without a line in the ledger, and it does not verify (${reason}): cora verify ${id}`),
    );
    if (adopted !== undefined) ctx.monitor.note(`The ledger's line of ${adopted} was lost in a crash and is written again`);
    for (const id of recoverPruning(vault, ctx.now())) ctx.monitor.note(`The removal of ${id} was cut off by a crash and is finished`);
    for (const left of clearStages(vault)) ctx.monitor.note(`What a run that broke off left in ${left} cannot be removed (lsattr -R shows why)`);
    repairVault(vault, restoreScript);
    recoverSwap(vault, project.root, ctx.monitor);
    for (const path of setAgain(vault, project.root))
      ctx.monitor.note(`${toText(path)} was append-only, and this process may not set that again; cora protect as root does`);
    return { vault, release: lock.release };
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** A restore that was killed while this command waited for it: what is there now is neither old nor new. */
function refuseHalfRestored(root: Bytes): void {
  if (!exists(`${toText(root)}/${RESTORE_DIRECTORY}/RESTORE.json`) || !isUnfinished(root)) return;
  throw new CoraError('locked', `A restore of ${toText(root)} was stopped in the middle while this command waited`, {
    hint: 'run the command again: the next one ends that restore first',
  });
}

/** The vault, made where it does not exist, for work that comes before the lock. */
export function openOnce(project: ProjectFacts, location: VaultLocation, ctx: Context): Vault {
  const { vault, release } = openForWriting(project, location, ctx);
  release();
  return vault;
}

function openOrCreate(project: ProjectFacts, location: VaultLocation, ctx: Context): Vault {
  if (exists(location.path) || location.expectedId !== undefined) return openLocated(location);
  const vault = createOrOpen(project, location, ctx);
  refuseInside(project.root, vault.root);
  return vault;
}

function createOrOpen(project: ProjectFacts, location: VaultLocation, ctx: Context): Vault {
  try {
    return createVault(location.path, project, ctx.now(), restoreScript());
  } catch (error) {
    // Another first run made it, whole by its rename, since we looked.
    const isMade = error instanceof CoraError && error.code === 'vault_missing' && exists(`${location.path}/${NAMES.vaultJson}`);
    if (isMade) return openLocated(location);
    throw error;
  }
}

const OTHER_REMOTE = 'name a directory elsewhere as offsite.remote';

/**
 * A vault, or a remote that is a directory, inside the project would save itself; one around the project would be lost with it.
 * @throws CoraError project_refused
 */
export function refuseInside(root: Bytes, vaultPath: string, what: 'vault' | 'remote' = 'vault'): void {
  const vault = `${fromText(realOf(vaultPath))}/`;
  const project = `${root}/`;
  if (vault.startsWith(project)) {
    throw new CoraError('project_refused', `The ${what} ${vaultPath} lies inside the project ${toText(root)}`, {
      hint: what === 'vault' ? 'name a vault outside of it with --vault' : OTHER_REMOTE,
    });
  }
  if (project.startsWith(vault)) {
    throw new CoraError('project_refused', `The project ${toText(root)} lies inside the ${what} ${vaultPath}`, {
      hint: what === 'vault' ? 'name another vault with --vault' : OTHER_REMOTE,
    });
  }
}

/** The real path of the nearest part of a path that exists, and the rest as it is. */
export function realOf(path: string): string {
  if (exists(path)) return realpathSync(path);
  const parent = dirname(path);
  return parent === path ? path : join(realOf(parent), basename(path));
}
