// `cora restore --undo`: what the last restore in place displaced and what it brought change places. What is there
// now is saved first, as before a restore.

import { existsSync } from 'node:fs';
import { type Bytes, bytes, fsPath, joinBytes, printable, toText } from '../base/bytes.ts';
import type { Context, Problem } from '../base/context.ts';
import { CoraError, errnoOf } from '../base/errors.ts';
import { settle } from '../os/database-replace.ts';
import { exists } from '../os/files.ts';
import { setAgain } from '../vault/append-only.ts';
import type { VaultLocation } from '../vault/locate.ts';
import { lockForWriting } from '../vault/vault.ts';
import type { ProjectFacts } from './open-project.ts';
import { keepPresent } from './restore-content.ts';
import { liftForRestore } from './restore-flags.ts';
import {
  type Journal,
  lockRestore,
  type Move,
  type Moves,
  partPath,
  type Run,
  readJournal,
  readMoves,
  runDirectories,
  runOf,
  writeJournal,
} from './restore-journal.ts';
import { isThere, makeRoom, moveBackward, moveForward, refuseHeld, requireWays, syncRun } from './restore-moves.ts';
import { recordChange } from './restore-record.ts';
import { vaultOf } from './restore-recover.ts';
import { keepUnsaved, saveBefore } from './restore-safety.ts';
import type { CommandHost } from './trust.ts';

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
  const direction = journal.phase === 'undone' ? 'redo' : 'undo';
  try {
    requireParts(runOf(root, journal), journal, moves.moves, direction);
  } catch (error) {
    if (errnoOf(error) !== 'EACCES') throw error;
    throw new CoraError('refused', `The restore of ${journal.snapshot_id} was made by another user (root?), and what it displaced may not be read`, {
      hint: 'run cora restore --undo as that user',
      cause: error,
    });
  }
  return {
    id: journal.snapshot_id,
    preRestoreSnapshot: safety,
    direction,
    databases: moves.moves.filter(isDatabase).map(({ path }) => path),
    entries: moves.moves.length,
    work: { root, journal, moves },
  };
}

function isDatabase({ kind }: Move): boolean {
  return kind === 'database' || kind === 'live';
}

/** What has to come back must be there: a way back that brings nothing is none. */
function requireParts(
  run: Run,
  { snapshot_id: id, pre_restore_snapshot: safety }: Journal,
  moves: readonly Move[],
  direction: 'undo' | 'redo',
): void {
  const missing = moves.find(({ kind, path, hadLive }) => {
    if (direction === 'undo') return hadLive && !isThere(partPath(run, 'old', path));
    return kind !== 'extra' && !isThere(partPath(run, 'new', path));
  });
  const gone = runDirectories(run).find((directory) => !existsSync(fsPath(directory)));
  if (missing === undefined && gone === undefined) return;
  const what =
    missing === undefined
      ? `${toText(gone ?? bytes(''))} is not there (a file system that is not mounted?)`
      : `${printable(missing.path)} is not in .cora-restore/${run.name} any more`;
  throw new CoraError('not_found', `The restore of ${id} cannot be taken back: ${what}; nothing was changed`, {
    hint: safety === null ? 'cora list shows the saves' : `cora restore ${safety} brings back what was saved before it`,
  });
}

export type UndoOptions = {
  readonly project: ProjectFacts;
  readonly location: VaultLocation;
  readonly host: CommandHost | undefined;
  /** False skips the save of what is there. */
  readonly preSnapshot: boolean;
};

/**
 * Moves everything back to what it was before the last restore in place (or, done twice, forth again).
 * @returns what is in no save, told
 * @throws CoraError refused where a program holds a database or a directory was replaced, locked, io
 */
export async function applyUndo({ id, direction, work: { root, journal, moves } }: UndoPlan, options: UndoOptions, ctx: Context): Promise<Problem[]> {
  const lock = lockRestore(root);
  if (lock === undefined) throw new CoraError('locked', 'Another restore works in this project', { hint: 'wait until it ends' });
  try {
    const run = runOf(root, journal);
    requireWays(root, moves.moves);
    const replaced = moves.moves.filter(({ kind }) => kind === 'database').map(({ path }) => joinBytes(root, path));
    for (const path of replaced) refuseHeld(path);
    const note = direction === 'undo' ? `before the restore of ${id} was taken back` : `before ${id} was restored once more`;
    const safety = options.preSnapshot ? await saveBefore(options.project, options.location, note, options.host, ctx) : undefined;
    const present = moves.moves.map((move) => ({ ...move, hadLive: true }));
    const unsaved = safety === undefined ? [] : keepUnsaved(options.location, safety, run, present, ctx);
    for (const path of replaced) await settle(path);
    await keepPresent(run, moves.moves, direction === 'undo' ? 'new' : 'old');
    makeRoom(run, moves.moves);
    await swapBack(run, journal, moves, direction, ctx);
    return unsaved;
  } finally {
    lock.release();
  }
}

async function swapBack(run: Run, journal: Journal, moves: Moves, direction: 'undo' | 'redo', ctx: Context): Promise<void> {
  const { root } = run;
  const vault = vaultOf(journal);
  const lock = vault === undefined ? undefined : lockForWriting(vault, ctx.lockWait);
  const paths = moves.moves.map(({ path }) => path);
  try {
    if (vault !== undefined)
      liftForRestore(
        vault,
        root,
        paths.filter((path) => exists(toText(joinBytes(root, path)))),
      );
    syncRun(run);
    writeJournal(root, { ...journal, phase: direction === 'undo' ? 'undoing' : 'swapping' });
    if (direction === 'undo') await moveBackward(run, moves);
    else await moveForward(run, moves);
    const id = direction === 'undo' ? journal.pre_restore_snapshot : journal.snapshot_id;
    if (vault !== undefined && id !== null) recordChange(vault, id, paths, ctx);
    writeJournal(root, { ...journal, phase: direction === 'undo' ? 'undone' : 'done' });
  } finally {
    if (vault !== undefined) {
      for (const path of setAgain(vault, root)) ctx.monitor.note(`${printable(path)} is not append-only again; cora protect says why`);
    }
    lock?.release();
  }
}
