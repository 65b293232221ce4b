// The end of a restore in place that was stopped in the middle: the next command carries it through.

import type { Bytes } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import { exists } from '../os/files.ts';
import { lockForWriting, openVault, type Vault } from '../vault/vault.ts';
import { isUnfinished, type Journal, lockRestore, type Moves, readJournal, readMoves, runOf, writeJournal } from './restore-journal.ts';
import { moveBackward, moveForward, requireWays } from './restore-moves.ts';
import { recordChange } from './restore-record.ts';

/**
 * Ends a restore that a crash stopped between its first and its last move: what was begun is carried through.
 * @returns what was done, as a sentence; undefined where there was nothing to do
 * @throws CoraError refused where a program holds a database that has to be replaced; io
 */
export async function finishRestore(root: Bytes, ctx: Context): Promise<string | undefined> {
  if (!isUnfinished(root)) return undefined;
  const lock = lockRestore(root);
  // Somebody is at it.
  if (lock === undefined) return undefined;
  try {
    const journal = readJournal(root);
    if (journal === undefined || (journal.phase !== 'swapping' && journal.phase !== 'undoing')) return undefined;
    const run = runOf(root, journal);
    const moves = movesOf(root, journal);
    requireWays(root, moves.moves);
    // The vault may be gone or read-only; the project's files are put right all the same.
    const vault = vaultOf(journal);
    const vaultLock = vault === undefined ? undefined : lockForWriting(vault, ctx.lockWait);
    try {
      if (journal.phase === 'swapping') await moveForward(run, moves);
      else await moveBackward(run, moves);
      const id = journal.phase === 'swapping' ? journal.snapshot_id : journal.pre_restore_snapshot;
      const paths = moves.moves.map(({ path }) => path);
      if (vault !== undefined && id !== null) recordChange(vault, id, paths, ctx);
      writeJournal(root, { ...journal, phase: journal.phase === 'swapping' ? 'done' : 'undone' });
    } finally {
      vaultLock?.release();
    }
    return journal.phase === 'swapping'
      ? `The restore of ${journal.snapshot_id} was stopped in the middle and is complete now; the way back: cora restore --undo`
      : `The way back from the restore of ${journal.snapshot_id} was stopped in the middle and is complete now`;
  } finally {
    lock.release();
  }
}

/** The vault that a restore came from; undefined where it is not there now. */
export function vaultOf({ vault }: Journal): Vault | undefined {
  try {
    return exists(vault) ? openVault(vault) : undefined;
  } catch {
    return undefined;
  }
}

/** @throws CoraError damaged where the list of what has to move is gone */
function movesOf(root: Bytes, journal: Journal): Moves {
  try {
    return readMoves(runOf(root, journal));
  } catch (error) {
    const safety = journal.pre_restore_snapshot;
    throw new CoraError(
      'damaged',
      `The restore of ${journal.snapshot_id} was stopped in the middle, and its record in .cora-restore/${journal.run} is gone`,
      {
        hint: `look into .cora-restore/, remove .cora-restore/RESTORE.json, then ${safety === null ? 'cora list shows the saves' : `cora restore ${safety} brings back what was there before`}`,
        cause: error,
      },
    );
  }
}
