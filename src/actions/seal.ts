// Sealing backups and writing it into the ledger: after each backup, by `cora protect`, and by the
// cora-seal timer for vaults of ordinary users.

import { readFileSync } from 'node:fs';
import type { Context, Problem } from '../base/context.ts';
import { messageOf } from '../base/errors.ts';
import { namesIn } from '../os/files.ts';
import { listSnapshots, type SnapshotRef } from '../vault/catalog.ts';
import { appendLine, readHead } from '../vault/chain.ts';
import { openSealed, protectionsOf, type SealState, sealedInLedger, sealSnapshot, sealStateOf, unsealSnapshot } from '../vault/seal.ts';
import { adoptUnrecorded } from '../vault/snapshot.ts';
import { recoverPruning, removeTombstoned } from '../vault/trash.ts';
import { lockForWriting, openVault, type Vault } from '../vault/vault.ts';

export type SealedBackup = SealState & { readonly vault: string; readonly id: string };

/** How to look for what lacks its flag: `quick` at the directories, `whole` at every file, `again` also at what a person unsealed. */
type Look = 'quick' | 'whole' | 'again';

/**
 * Seals what is not sealed. The caller holds the write lock and has put the ledger right after a crash (`adoptUnrecorded`).
 * @param refs backups
 * @returns one entry for each that was not sealed before
 */
export function sealBackups(vault: Vault, refs: readonly SnapshotRef[], look: Look, ctx: Context): SealedBackup[] {
  const ledger = sealedInLedger(vault);
  const quick = protectionsOf(vault, refs);
  const isSealed = (ref: SnapshotRef) => quick.get(ref) === 'kernel' && (look === 'quick' || sealStateOf(vault, ref).protection === 'kernel');
  const results: SealedBackup[] = [];
  for (const ref of refs) {
    const unsealedOnPurpose = ledger.get(ref.id) === 'unseal' && look !== 'again';
    const recorded = ledger.get(ref.id) === 'seal';
    if (unsealedOnPurpose || (recorded && isSealed(ref))) continue;
    const state = sealSnapshot(vault, ref);
    if (state.protection === 'kernel' && !recorded) record(vault, 'seal', ref.id, ctx);
    results.push({ vault: vault.root, id: ref.id, ...state });
  }
  return results;
}

/**
 * Seals the backup that was just made, and those that a crash left without their flag. A seal that cannot be is told,
 * and is never an error: the backup stands. The caller holds the write lock.
 * @param id of the backup that was made
 */
export function sealNew(vault: Vault, id: string, policy: 'auto' | 'off', ctx: Context): SealState {
  try {
    const backups = listBackups(vault);
    const made = backups.find((ref) => ref.id === id);
    if (made === undefined) return { protection: 'none', reason: 'it is not there any more' };
    if (policy === 'off') return { ...sealStateOf(vault, made), reason: 'sealing is switched off (seal = "off")' };
    // The new one first: what another backup's disk does must not cost it its seal.
    const [sealed] = sealBackups(vault, [made], 'quick', ctx);
    try {
      sealBackups(vault, backups, 'quick', ctx);
    } catch (error) {
      ctx.monitor.note(`Older backups that lack their seal could not be sealed: ${messageOf(error)}`);
    }
    return sealed ?? sealStateOf(vault, made);
  } catch (error) {
    return { protection: 'none', reason: `whether it is sealed is not known: ${messageOf(error)}` };
  }
}

/**
 * Unseals a backup for a person who asked for it. The caller holds the write lock.
 * @returns what protects it now: the kernel still, where this process may not take the flag
 */
export function unsealBackup(vault: Vault, ref: SnapshotRef, ctx: Context): SealState {
  // A flag that stays must not be said to be gone; and a crash before the line leaves a seal that is missing, which the next run sets again.
  if (openSealed(vault, ref)) {
    if (sealedInLedger(vault).get(ref.id) !== 'unseal') record(vault, 'unseal', ref.id, ctx);
    unsealSnapshot(vault, ref);
  }
  return sealStateOf(vault, ref);
}

function record(vault: Vault, kind: 'seal' | 'unseal', id: string, ctx: Context): void {
  appendLine(vault.root, readHead(vault.root), { kind, id, time: new Date(ctx.now()).toISOString(), sums: '-', extra: '-' });
}

export function listBackups(vault: Vault): SnapshotRef[] {
  return listSnapshots(vault).filter(({ kind }) => kind === 'backup');
}

/**
 * Seals the backups of every vault that this user's projects are remembered to have (`cora protect --seals`).
 * A vault that cannot be worked on now (its disk is away, another Cora is busy in it) is a problem, and the others get their seals.
 * @param state the directory of Cora's own state
 */
export function sealEveryVault(state: string, ctx: Context): { readonly backups: readonly SealedBackup[]; readonly problems: readonly Problem[] } {
  const backups: SealedBackup[] = [];
  const problems: Problem[] = [];
  const roots = new Set<string>();
  for (const name of namesIn(`${state}/projects`).filter((one) => one.endsWith('.json'))) {
    try {
      const vault = remembered(`${state}/projects/${name}`);
      if (vault === undefined || roots.has(vault.root)) continue;
      roots.add(vault.root);
      backups.push(...sealVault(vault, ctx));
    } catch (error) {
      const problem: Problem = {
        code: 'vault_skipped',
        message: `The backups of a vault could not be sealed: ${messageOf(error)}`,
        severity: 'error',
      };
      problems.push(problem);
      ctx.monitor.problem(problem);
    }
  }
  return { backups, problems };
}

function sealVault(vault: Vault, ctx: Context): SealedBackup[] {
  const lock = lockForWriting(vault, ctx.lockWait);
  try {
    // A line of ours before the one that a crash kept away would make that backup look like an intruder for ever.
    adoptUnrecorded(vault);
    recoverPruning(vault, ctx.now());
    for (const id of removeTombstoned(vault, 5000, ctx.now()))
      ctx.monitor.note(`${id} was removed by cora prune before, and is gone now that its flag is off`);
    return sealBackups(vault, listBackups(vault), 'whole', ctx);
  } finally {
    lock.release();
  }
}

function remembered(file: string): Vault | undefined {
  const value: unknown = JSON.parse(readFileSync(file, 'utf8'));
  if (typeof value !== 'object' || value === null || !('vault' in value) || typeof value.vault !== 'string') return undefined;
  return openVault(value.vault);
}
