// Sealing backups and writing it into the ledger: after each backup, by `cora protect`, and by the
// cora-seal timer for vaults of ordinary users.

import { readFileSync } from 'node:fs';
import type { Context } from '../base/context.ts';
import { namesIn } from '../os/files.ts';
import { listSnapshots, type SnapshotRef } from '../vault/catalog.ts';
import { appendLine, readHead } from '../vault/chain.ts';
import { protectionsOf, type SealState, sealedInLedger, sealSnapshot, sealStateOf, unsealSnapshot } from '../vault/seal.ts';
import { lockForWriting, openVault, type Vault } from '../vault/vault.ts';

export type SealedBackup = SealState & { readonly vault: string; readonly id: string };

/**
 * Seals what is not sealed. The caller holds the write lock.
 * @param refs backups
 * @param again true: also those that a person unsealed
 * @returns one entry for each that was not sealed before
 */
export function sealBackups(vault: Vault, refs: readonly SnapshotRef[], again: boolean, ctx: Context): SealedBackup[] {
  const ledger = sealedInLedger(vault);
  const now = protectionsOf(vault, refs);
  const results: SealedBackup[] = [];
  for (const ref of refs) {
    const unsealedOnPurpose = ledger.get(ref.id) === 'unseal' && !again;
    const recorded = ledger.get(ref.id) === 'seal';
    if (unsealedOnPurpose || (now.get(ref) === 'kernel' && recorded)) continue;
    const state = sealSnapshot(vault, ref);
    if (state.protection === 'kernel' && !recorded) record(vault, 'seal', ref.id, ctx);
    results.push({ vault: vault.root, id: ref.id, ...state });
  }
  return results;
}

/**
 * Seals the backup that was just made, and those that a crash left without their flag. A seal that cannot be is told,
 * and is never an error. The caller holds the write lock.
 */
export function sealNew(vault: Vault, policy: 'auto' | 'off', ctx: Context): SealState {
  const backups = listBackups(vault);
  const made = backups.at(-1);
  if (made === undefined) throw new RangeError('a backup was just made');
  if (policy === 'off') return { ...sealStateOf(vault, made), reason: 'sealing is switched off (seal = "off")' };
  return sealBackups(vault, backups, false, ctx).find(({ id }) => id === made.id) ?? sealStateOf(vault, made);
}

/** @returns true where the backup has no immutable flag any more. The caller holds the write lock. */
export function unsealBackup(vault: Vault, ref: SnapshotRef, ctx: Context): boolean {
  // First the ledger: a crash in between leaves a sealed backup that is said to be unsealed, not the other way round.
  record(vault, 'unseal', ref.id, ctx);
  return unsealSnapshot(vault, ref);
}

function record(vault: Vault, kind: 'seal' | 'unseal', id: string, ctx: Context): void {
  appendLine(vault.root, readHead(vault.root), { kind, id, time: new Date(ctx.now()).toISOString(), sums: '-', extra: '-' });
}

export function listBackups(vault: Vault): SnapshotRef[] {
  return listSnapshots(vault).filter(({ kind }) => kind === 'backup');
}

/**
 * Seals the backups of every vault that this user's projects are remembered to have (`cora protect --seals`).
 * A vault that cannot be opened now is passed over with a note: its disk may be away.
 * @param state the directory of Cora's own state
 */
export function sealEveryVault(state: string, ctx: Context): SealedBackup[] {
  const results: SealedBackup[] = [];
  const roots = new Set<string>();
  for (const name of namesIn(`${state}/projects`)) {
    const vault = remembered(`${state}/projects/${name}`, ctx);
    if (vault === undefined || roots.has(vault.root)) continue;
    roots.add(vault.root);
    const lock = lockForWriting(vault, ctx.lockWait);
    try {
      results.push(...sealBackups(vault, listBackups(vault), false, ctx));
    } finally {
      lock.release();
    }
  }
  return results;
}

function remembered(file: string, ctx: Context): Vault | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (typeof value !== 'object' || value === null || !('vault' in value) || typeof value.vault !== 'string') return undefined;
    return openVault(value.vault);
  } catch (error) {
    ctx.monitor.note(`${file} names a vault that cannot be opened: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}
