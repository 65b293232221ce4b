// The removal of saves as clean-up does it, reduced to its order. Run by itself it is a process that can be killed:
// argv is the vault, then the ids of the saves that go.

import { type Compaction, compactSaves, dropGathered } from '../../src/actions/compact.ts';
import { SILENT } from '../../src/base/context.ts';
import { takeLock } from '../../src/os/lock.ts';
import { forgetPacks } from '../../src/store/object-index.ts';
import { listSnapshots } from '../../src/vault/catalog.ts';
import { NAMES } from '../../src/vault/layout.ts';
import { adoptUnrecorded } from '../../src/vault/snapshot.ts';
import { beginPruning, emptyTrash, moveToTrash, recoverPruning } from '../../src/vault/trash.ts';
import { clearStages, lockForWriting, openVault } from '../../src/vault/vault.ts';

export const CTX = { monitor: SILENT, now: Date.now, signal: new AbortController().signal, workers: 0, lockWait: 10_000, version: 'test' };

/** Removes saves from the vault at `path`. */
export async function dropSaves(path: string, ids: readonly string[]): Promise<Compaction> {
  const vault = openVault(path);
  const lock = lockForWriting(vault, 60_000);
  try {
    adoptUnrecorded(vault);
    recoverPruning(vault, Date.now());
    clearStages(vault);
    const doomed = listSnapshots(vault).filter(({ id, kind }) => kind === 'save' && ids.includes(id));
    const compaction = await compactSaves(vault, doomed, CTX);
    const alone = takeLock(`${vault.root}/${NAMES.gcLock}`, 'exclusive', 60_000);
    try {
      forgetPacks(vault.root, new Set(doomed.map(({ directory }) => `${directory}/${NAMES.pack}`)));
      beginPruning(vault, doomed);
      for (const form of doomed.toReversed()) moveToTrash(vault, form, new Set(), Date.now());
      emptyTrash(vault);
      dropGathered(vault, compaction);
      return compaction;
    } finally {
      alone.release();
    }
  } finally {
    lock.release();
  }
}

if (process.argv[1] === import.meta.filename) await dropSaves(process.argv[2] ?? '', process.argv.slice(3));
