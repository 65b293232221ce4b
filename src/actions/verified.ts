// Whether a snapshot was ever read back from the disk and found whole, by the ledger alone: nothing is read again.

import { listSnapshots } from '../vault/catalog.ts';
import { findLast } from '../vault/chain.ts';
import type { Vault } from '../vault/vault.ts';

/** By the last time that somebody asked; a backup is read back when it is made. */
export function isVerified(vault: Vault, id: string): boolean {
  const last = findLast(vault.root, (line) => line.kind === 'verify' && line.id === id);
  if (last !== undefined) return last.extra.endsWith(',ok');
  return listSnapshots(vault).some((ref) => ref.id === id && ref.kind === 'backup');
}
