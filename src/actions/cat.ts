// One file of a snapshot, by the names that a person has for both.

import type { Bytes } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { resolveSnapshot } from '../vault/catalog.ts';
import { quickestForm } from '../vault/history.ts';
import { openLocated, type VaultLocation } from '../vault/locate.ts';
import { rootOf } from '../vault/vault.ts';
import { ContentSource, type StoredFile } from './read-content.ts';
import { candidatePaths } from './restore-word.ts';

/**
 * @param target a snapshot's name
 * @param word the path as it was typed; @param absolute seen from where the command runs
 * @returns the file, and what closes it
 * @throws CoraError unknown_snapshot, ambiguous_snapshot, not_found, damaged
 */
export async function openFile(
  location: VaultLocation,
  target: string,
  word: Bytes,
  absolute: Bytes,
  ctx: Context,
): Promise<{ readonly file: StoredFile; readonly close: () => void }> {
  const vault = openLocated(location);
  const ref = quickestForm(vault, resolveSnapshot(vault, target, ctx.now()));
  const source = new ContentSource(location, vault, ctx);
  // Relative to the project, as in `cora restore ID PATH`; seen from here where that is not there.
  const candidates = candidatePaths(rootOf(vault.info), word, absolute).toReversed();
  for (const path of candidates)
    if ((await source.entry(ref, path)) !== undefined) return { file: await source.open(ref, path), close: () => source.close() };
  return { file: await source.open(ref, candidates[0] ?? word), close: () => source.close() };
}
