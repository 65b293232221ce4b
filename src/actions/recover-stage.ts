// The directory in a vault where a copy arrives: kept when a run is cut off, so that the next one goes on, and held by a lock.
// Nothing in it is visible as a snapshot.

import { mkdirSync } from 'node:fs';
import { CoraError, writeFailure } from '../base/errors.ts';
import type { SnapshotKind } from '../format/report.ts';
import { exists, namesIn, syncDirectory, tryRemove } from '../os/files.ts';
import { tryLock } from '../os/lock.ts';
import { NAMES, parseId, snapshotDirectory } from '../vault/layout.ts';
import type { Vault } from '../vault/vault.ts';

const PREFIX = 'fetch-';

export type FetchStages = {
  /** The private directory of one copy, made where it is not there: `parts/`, `done/` and `files/` in it. */
  open(kind: string, id: string): string;
  /** Away with the directory of a copy; what the disk keeps, the next run removes. */
  remove(kind: string, id: string): void;
  /** Away with all of them. @returns those that the disk kept */
  clear(): readonly string[];
  /** Never throws: why a run failed must be told, and what was done is done. */
  release(): void;
};

function isThere(vault: Vault, name: string): boolean {
  const match = /^(backup|save|fallback)-(.*)$/.exec(name.slice(PREFIX.length));
  const id = parseId(match?.[2] ?? '');
  return id !== undefined && exists(`${vault.root}/${snapshotDirectory(match?.[1] as SnapshotKind, id)}/${NAMES.sums}`);
}

/** @throws CoraError locked where another run fetches into this vault */
export function openFetchStages(vault: Vault): FetchStages {
  const parent = `${vault.root}/${NAMES.stage}`;
  const lockFile = `${parent}/fetch.lock`;
  try {
    if (!exists(parent)) {
      mkdirSync(parent, { mode: 0o700 });
      syncDirectory(vault.root);
    }
    const lock = tryLock(lockFile, 'exclusive', 0);
    if (lock === undefined) {
      throw new CoraError('locked', `Another cora recover is fetching into ${vault.root}`, {
        hint: 'wait until it ends, then run the command again',
      });
    }
    const remove = (name: string) => tryRemove(`${parent}/${name}`);
    const stages = () => namesIn(parent).filter((name) => name.startsWith(PREFIX));
    // Of what is in the vault nothing is left to fetch.
    for (const name of stages()) if (isThere(vault, name)) remove(name);
    return {
      open(kind, id) {
        const path = `${parent}/${PREFIX}${kind}-${id}`;
        for (const directory of [path, `${path}/parts`, `${path}/done`, `${path}/files`]) {
          if (!exists(directory)) mkdirSync(directory, { mode: 0o700 });
        }
        return path;
      },
      remove: (kind, id) => remove(`${PREFIX}${kind}-${id}`),
      clear: () =>
        stages()
          .filter((name) => !remove(name))
          .map((name) => `${parent}/${name}`),
      release() {
        tryRemove(lockFile);
        lock.release();
      },
    };
  } catch (error) {
    throw writeFailure(error, parent);
  }
}
