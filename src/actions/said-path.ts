// Which path of the project a person means by a name in a sentence: as seen from here, relative to the project, or, where
// neither ever was, the one path of that name anywhere below. Nothing is changed.

import { type Bytes, basenameBytes, joinBytes } from '../base/bytes.ts';
import { openLocated, type VaultLocation } from '../vault/locate.ts';
import { rootOf } from '../vault/vault.ts';
import { findPaths, historyOf, versionsOf } from './path-history.ts';
import { candidatePaths, isThere } from './restore-word.ts';

/**
 * Relative to the project; several where a bare name fits several paths, none where no snapshot has such a one.
 * @throws CoraError vault_missing
 */
export async function saidPaths(location: VaultLocation, word: Bytes, absolute: Bytes): Promise<readonly Bytes[]> {
  const vault = openLocated(location);
  const root = rootOf(vault.info);
  const history = await historyOf(vault);
  const candidates = candidatePaths(root, word, absolute);
  const exact = candidates.find((path) => isThere(joinBytes(root, path))) ?? candidates.find((path) => versionsOf(history, path).length > 0);
  if (exact !== undefined) return [exact];
  return word.includes('/') ? [] : findPaths(history, (path) => basenameBytes(path) === word).map(({ path }) => path);
}
