// Which path of the project a person means by a name in a sentence: as seen from here, relative to the project, or, where
// neither ever was, the one path of that name anywhere below. Nothing is changed.

import { type Bytes, basenameBytes, joinBytes } from '../base/bytes.ts';
import { openLocated, type VaultLocation } from '../vault/locate.ts';
import { rootOf } from '../vault/vault.ts';
import { findPaths, historyOf, versionsOf } from './path-history.ts';
import { candidatePaths, isThere } from './restore-word.ts';

/** All relative to the project. */
export type SaidPath = {
  /** What is there, or ever was, under the name as it stands. */
  readonly exact: Bytes | undefined;
  /** Where there is none, the paths that end in a bare name. */
  readonly elsewhere: readonly Bytes[];
};

/** @throws CoraError vault_missing */
export async function saidPath(location: VaultLocation, word: Bytes, absolute: Bytes): Promise<SaidPath> {
  const vault = openLocated(location);
  const root = rootOf(vault.info);
  const history = await historyOf(vault);
  const candidates = candidatePaths(root, word, absolute);
  const exact = candidates.find((path) => isThere(joinBytes(root, path))) ?? candidates.find((path) => versionsOf(history, path).length > 0);
  const isBare = exact === undefined && !word.includes('/');
  return { exact, elsewhere: isBare ? findPaths(history, (path) => basenameBytes(path) === word).map(({ path }) => path) : [] };
}
