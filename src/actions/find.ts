// Which paths any snapshot ever had that match a pattern, and where each was last seen; what is gone comes first.

import type { Bytes } from '../base/bytes.ts';
import { compileGlob } from '../format/glob.ts';
import type { SnapshotRef } from '../vault/catalog.ts';
import type { ListingDamage } from '../vault/history.ts';
import { openLocated, type VaultLocation } from '../vault/locate.ts';
import { newestOf } from './log.ts';
import { type FoundPath, findPaths, historyOf } from './path-history.ts';

export type FindOptions = { readonly pattern: Bytes; readonly ignoreCase: boolean; readonly onlyGone: boolean };

export type FindResult = {
  /** Gone ones first, each in the order of paths. */
  readonly found: readonly FoundPath[];
  readonly newest: SnapshotRef | undefined;
  readonly damaged: readonly ListingDamage[];
};

/** @throws CoraError vault_missing */
export async function find(location: VaultLocation, { pattern, ignoreCase, onlyGone }: FindOptions): Promise<FindResult> {
  const history = await historyOf(openLocated(location));
  const all = findPaths(history, compileGlob(pattern, ignoreCase)).filter(({ path }) => path !== '.');
  const gone = all.filter(({ isGone }) => isGone);
  const found = onlyGone ? gone : [...gone, ...all.filter(({ isGone }) => !isGone)];
  return { found, newest: newestOf(history), damaged: history.damaged };
}
