// What comes after a restore in place: the end of one that was stopped in the middle, and the way back.

import { type Bytes, bytes, joinBytes, printable, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import { exists } from '../os/files.ts';
import type { Lock } from '../os/lock.ts';
import { setAgain } from '../vault/append-only.ts';
import { lockForWriting, openVault, type Vault } from '../vault/vault.ts';
import { liftForRestore } from './restore-flags.ts';
import { isUnfinished, type Journal, lockRestore, type Move, type Moves, readJournal, readMoves, runOf, writeJournal } from './restore-journal.ts';
import { moveBackward, moveForward, refuseHeld } from './restore-moves.ts';
import { recordUndo } from './restore-record.ts';

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
    const vaultLock = lockVault(journal, ctx);
    try {
      const moves = readMoves(run);
      if (journal.phase === 'swapping') await moveForward(run, moves);
      else await moveBackward(run, moves);
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

/** The vault may be gone or read-only; the project's files are put right all the same. */
function lockVault(journal: Journal, ctx: Context): Lock | undefined {
  const vault = vaultOf(journal);
  return vault === undefined ? undefined : lockForWriting(vault, ctx.lockWait);
}

function vaultOf({ vault }: Journal): Vault | undefined {
  try {
    return exists(vault) ? openVault(vault) : undefined;
  } catch {
    return undefined;
  }
}

/** What `cora restore --undo` would do. */
export type UndoPlan = {
  readonly id: string;
  readonly preRestoreSnapshot: string | undefined;
  /** `undo`: back to what was before the restore; `redo`: that once more the other way round. */
  readonly direction: 'undo' | 'redo';
  readonly databases: readonly Bytes[];
  readonly entries: number;
  readonly work: { readonly root: Bytes; readonly journal: Journal; readonly moves: Moves };
};

/** @throws CoraError not_found where no restore in place is on record, or what it displaced is gone */
export function planUndo(root: Bytes): UndoPlan {
  const journal = readJournal(root);
  if (journal === undefined) {
    throw new CoraError('not_found', `No restore in place is on record in ${toText(root)}`, {
      hint: 'cora list shows the saves, those before a restore too (pre-restore-safety)',
    });
  }
  const safety = journal.pre_restore_snapshot ?? undefined;
  let moves: Moves;
  try {
    moves = readMoves(runOf(root, journal));
  } catch {
    throw new CoraError('not_found', `What the restore of ${journal.snapshot_id} displaced is gone from ${toText(root)}/.cora-restore`, {
      hint: safety === undefined ? 'cora list shows the saves' : `cora restore ${safety} brings back what was saved before it`,
    });
  }
  return {
    id: journal.snapshot_id,
    preRestoreSnapshot: safety,
    direction: journal.phase === 'undone' ? 'redo' : 'undo',
    databases: moves.moves.filter(isDatabase).map(({ path }) => path),
    entries: moves.moves.length,
    work: { root, journal, moves },
  };
}

function isDatabase({ kind }: Move): boolean {
  return kind === 'database' || kind === 'live';
}

/**
 * Moves everything back to what it was before the last restore in place (or, done twice, forth again).
 * @throws CoraError refused where a program holds a database, locked, io
 */
export async function applyUndo({ direction, work: { root, journal, moves } }: UndoPlan, ctx: Context): Promise<void> {
  const lock = lockRestore(root);
  if (lock === undefined) throw new CoraError('locked', 'Another restore works in this project', { hint: 'wait until it ends' });
  try {
    const run = runOf(root, journal);
    for (const { kind, path } of moves.moves) if (kind === 'database') refuseHeld(joinBytes(root, path));
    const vault = vaultOf(journal);
    const vaultLock = vault === undefined ? undefined : lockForWriting(vault, ctx.lockWait);
    try {
      if (vault !== undefined)
        liftForRestore(
          vault,
          root,
          moves.moves.map(({ path }) => path).filter((path) => exists(toText(bytes(`${root}/${path}`)))),
        );
      writeJournal(root, { ...journal, phase: direction === 'undo' ? 'undoing' : 'swapping' });
      if (direction === 'undo') await moveBackward(run, moves);
      else await moveForward(run, moves);
      writeJournal(root, { ...journal, phase: direction === 'undo' ? 'undone' : 'done' });
    } finally {
      if (vault !== undefined) {
        for (const path of setAgain(vault, root)) ctx.monitor.note(`${printable(path)} is not append-only again; cora protect says why`);
      }
      vaultLock?.release();
    }
    const id = direction === 'undo' ? journal.pre_restore_snapshot : journal.snapshot_id;
    if (vault !== undefined && id !== null)
      recordUndo(
        vault,
        id,
        moves.moves.map(({ path }) => path),
        ctx,
      );
  } finally {
    lock.release();
  }
}
