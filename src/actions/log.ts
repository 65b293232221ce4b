// The versions of one path over all snapshots; of a directory the snapshots in which something below it changed.

import { lstatSync } from 'node:fs';
import { type Bytes, fsPath, printable } from '../base/bytes.ts';
import { CoraError } from '../base/errors.ts';
import type { SnapshotRef } from '../vault/catalog.ts';
import type { History, ListingDamage } from '../vault/history.ts';
import { openLocated, type VaultLocation } from '../vault/locate.ts';
import { rootOf } from '../vault/vault.ts';
import { type ChangesBelow, changesBelow, historyOf, type Version, versionsOf } from './path-history.ts';
import { candidatePaths } from './restore-word.ts';

export type LogResult = {
  readonly path: Bytes;
  /** Oldest first. */
  readonly versions: readonly Version[];
  /** Where it was a directory: oldest first. */
  readonly changes: readonly ChangesBelow[] | undefined;
  /** The newest snapshot that is answered for. */
  readonly newest: SnapshotRef | undefined;
  readonly damaged: readonly ListingDamage[];
};

/**
 * @param word as it was typed
 * @param absolute the word as a path
 * @throws CoraError not_found where no snapshot has it
 */
export async function log(location: VaultLocation, word: Bytes, absolute: Bytes): Promise<LogResult> {
  const vault = openLocated(location);
  const history = await historyOf(vault);
  const candidates = candidatePaths(rootOf(vault.info), word, absolute);
  for (const path of candidates) {
    const versions = versionsOf(history, path);
    if (versions.length === 0) continue;
    const isDirectory = versions.some(({ entry }) => entry.type === 'd');
    return { path, versions, changes: isDirectory ? changesBelow(history, path) : undefined, newest: newestOf(history), damaged: history.damaged };
  }
  const isThere = lstatSync(fsPath(absolute), { throwIfNoEntry: false }) !== undefined;
  const damage = history.damaged.length === 0 ? '' : ` that can be read (${history.damaged.length} cannot)`;
  throw new CoraError('not_found', `No snapshot${damage} has ${printable(word)}`, {
    hint: isThere ? `cora why ${printable(word)} says whether it is saved` : 'cora find PATTERN looks for names; paths are relative to the project',
    ...(history.damaged.length === 0 ? {} : { exitCode: 21 }),
  });
}

/**
 * Whether any snapshot has something under a name that is gone from the tree. Changes nothing, the cache included.
 * @param word as it was typed
 * @param absolute the word as a path
 * @throws CoraError locked, io, vault_missing
 */
export async function everHad(location: VaultLocation, word: Bytes, absolute: Bytes): Promise<boolean> {
  const vault = openLocated(location);
  const history = await historyOf(vault, { keep: false });
  return candidatePaths(rootOf(vault.info), word, absolute).some((path) => versionsOf(history, path).length > 0);
}

/** The newest snapshot that is there and can be read. */
export function newestOf({ steps }: History): SnapshotRef | undefined {
  return steps.findLast(({ isThere, ref }) => isThere && ref !== undefined)?.ref;
}
