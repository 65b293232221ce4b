// A restore over the live project, never the second accident: everything is staged beside it and checked
// there, what is live is saved first, and only then entries change places, under a record that makes a crash
// end wholly old or wholly new. What was there stays in `.cora-restore/` for `cora restore --undo`.

import { chmodSync, lchownSync } from 'node:fs';
import { type Bytes, joinBytes, printable, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError, errnoOf, messageOf, writeFailure } from '../base/errors.ts';
import { escapeField } from '../format/file-list.ts';
import { settle } from '../os/database-replace.ts';
import { freeBytes, namesIn } from '../os/files.ts';
import { onPath } from '../os/long-path.ts';
import { mountPointsBelow } from '../os/mounts.ts';
import { setAgain } from '../vault/append-only.ts';
import type { VaultLocation } from '../vault/locate.ts';
import { lockForWriting } from '../vault/vault.ts';
import type { ProjectFacts } from './open-project.ts';
import type { RestoreResult } from './restore.ts';
import { keepContent, noteOld } from './restore-content.ts';
import { checkRestored, type DatabaseCheck, keepDatabase } from './restore-databases.ts';
import { liftForRestore } from './restore-flags.ts';
import {
  type Journal,
  lockRestore,
  type Move,
  type Moves,
  makeRun,
  newRun,
  partPath,
  RESTORE_DIRECTORY,
  type Run,
  readJournal,
  removeJournal,
  removeRestoreDirectories,
  removeRun,
  removeStrayRuns,
  writeJournal,
  writeMoves,
} from './restore-journal.ts';
import { makeRoom, moveBackward, moveForward, refuseHeld, requireWays, syncRun } from './restore-moves.ts';
import type { RestorePlan } from './restore-plan.ts';
import { recordChange } from './restore-record.ts';
import { keepUnsaved, saveBefore } from './restore-safety.ts';
import { type DatabaseMode, isDirectory, lstatOf, movesOf, stage } from './restore-stage.ts';
import { refusedProblems } from './restore-write.ts';
import { hasSqliteHeader } from './sqlite-probe.ts';
import type { CommandHost } from './trust.ts';

export type InPlaceOptions = {
  readonly databases: DatabaseMode;
  /** False skips the save of what is there. */
  readonly preSnapshot: boolean;
  /** Restore what is whole where some of it is damaged. */
  readonly partial: boolean;
  /** Runs when all is staged, before what is there is saved: stops what uses the files. */
  readonly beforeSwap?: (() => Promise<void>) | undefined;
  /**
   * Called when all is staged and what uses it is stopped, before what is there is saved; what it returns is called under the vault's
   * lock, right before entries change places, and throws where they must not.
   */
  readonly guard?: () => () => void;
  /** Who runs the lock commands of artefacts in that save. */
  readonly host?: CommandHost;
};

export type InPlaceResult = RestoreResult & {
  /** The save of what was there before. */
  readonly preRestoreSnapshot: string | undefined;
  /** Paths that were moved aside because the snapshot does not hold them. */
  readonly movedAside: number;
  readonly databaseChecks: readonly DatabaseCheck[];
};

/**
 * @throws CoraError damaged (nothing changed), no_space, refused where a program holds a database, locked, io, interrupted
 */
export async function restoreInPlace(
  project: ProjectFacts,
  location: VaultLocation,
  plan: RestorePlan,
  options: InPlaceOptions,
  ctx: Context,
): Promise<InPlaceResult> {
  const begun = performance.now();
  const { root } = project;
  const mounted = mountPointsBelow(root);
  const mounts = mounted.filter((path) => isDirectory(joinBytes(root, path)) && concerns(plan, path));
  refuseForSpace(plan, root);
  const lock = lockRestore(root);
  if (lock === undefined) throw new CoraError('locked', 'Another restore works in this project', { hint: 'wait until it ends' });
  const run = newRun(root, mounts);
  let swapped = false;
  try {
    makeRun(run);
    const refused = refusedProblems(plan, ctx);
    const written = await stage(run, plan, options.databases, ctx);
    if (written.damaged > 0 && !options.partial) {
      throw new CoraError('damaged', `${plan.id} is damaged (${written.damaged} of its files, named above): nothing was changed`, {
        hint: `cora verify ${plan.id} names all; another snapshot may hold them, or restore what is whole with --partial`,
      });
    }
    const planned = movesOf(run, plan, new Set(mounted), options.databases);
    await options.beforeSwap?.();
    const requireSame = options.guard?.();
    requireWays(root, planned.moves);
    for (const { kind, path } of planned.moves) if (kind === 'database') refuseHeld(joinBytes(root, path));
    const safety = options.preSnapshot ? await saveBefore(project, location, `before the restore of ${plan.id}`, options.host, ctx) : undefined;
    const unsaved = safety === undefined ? [] : keepUnsaved(location, safety, run, planned.moves, ctx);
    keepLiveAttributes(run, plan, planned.moves);
    const moves = await keepDatabases(run, planned);
    makeRoom(run, moves.moves);
    writeMoves(run, moves);
    const journal: Journal = {
      format: 1,
      run: run.name,
      phase: 'swapping',
      snapshot_id: plan.id,
      vault: plan.work.vault.root,
      started: new Date(ctx.now()).toISOString(),
      pre_restore_snapshot: safety ?? null,
      mounts: mounts.map(escapeField),
    };
    await swap(run, plan, journal, moves, requireSame, ctx);
    swapped = true;
    removeStrayRuns(root, mounts, run.name);
    const databaseChecks = await checkRestored(root, moves.moves, plan, ctx);
    return {
      id: plan.id,
      directory: root,
      files: written.files,
      bytes: plan.bytes,
      databases: written.databases,
      kept: plan.keep,
      damaged: written.damaged,
      problems: [...refused, ...written.problems, ...unsaved],
      preRestoreSnapshot: safety,
      movedAside: moves.moves.filter(({ kind }) => kind === 'extra').length,
      databaseChecks,
      seconds: (performance.now() - begun) / 1000,
    };
  } catch (error) {
    throw errnoOf(error) === undefined ? error : writeFailure(error, toText(root));
  } finally {
    const named = swapped ? run.name : namedRun(root);
    if (named !== run.name) removeRun(run);
    // A restore that changed nothing leaves nothing behind, not even an empty directory.
    if (named === undefined && isAlone(root)) removeRestoreDirectories(run);
    lock.release();
  }
}

/** The run that is on record. A record that cannot be read may name any: nothing is removed then. */
function namedRun(root: Bytes): string | undefined {
  try {
    return readJournal(root)?.run;
  } catch {
    return 'unknown';
  }
}

/** Whether an empty directory is left: no earlier run that keeps what is in no save. */
function isAlone(root: Bytes): boolean {
  return !namesIn(`${toText(root)}/${RESTORE_DIRECTORY}`).some((name) => name.startsWith('run-'));
}

/** Whether any entry lies on the file system that is mounted there. */
function concerns(plan: RestorePlan, mount: Bytes): boolean {
  return [...plan.work.entries.map(({ path }) => path), ...plan.extras].some((path) => path.startsWith(`${mount}/`));
}

function refuseForSpace(plan: RestorePlan, root: Bytes): void {
  const free = freeBytes(toText(root));
  const needed = plan.bytes + plan.work.entries.length * 4096;
  if (needed > free) {
    throw new CoraError('no_space', `The restore needs ${needed} bytes beside ${toText(root)}, and ${free} are free: nothing was changed`, {
      hint: 'free space there, name single paths, or restore elsewhere with --to DIR',
    });
  }
}

/** What cannot be taken back by a rename is copied first. A database that SQLite cannot read any more is replaced as a file. */
async function keepDatabases(run: Run, { moves, directories }: Moves): Promise<Moves> {
  const kept: Move[] = [];
  for (const move of moves) {
    const live = joinBytes(run.root, move.path);
    let { kind } = move;
    if (kind === 'live' && !(await keepDatabase(live, partPath(run, 'old', move.path)))) {
      refuseHeld(live);
      kind = 'database';
    }
    // One file then, which changes places whole; a damaged database keeps its sidecars, which go with it.
    if (kind === 'database' && move.hadLive) await settle(live);
    if (kind === 'extra' && hasSqliteHeader(live)) {
      refuseHeld(live);
      await settle(live);
    }
    if (kind === 'mounted') keepContent(live, partPath(run, 'old', move.path));
    if (kind === 'live' || kind === 'mounted') noteOld(run, move.path);
    kept.push({ ...move, kind });
  }
  return { moves: kept, directories };
}

/** A file that replaces one gets its owner and mode, unless those of the snapshot are wanted. */
function keepLiveAttributes(run: Run, plan: RestorePlan, moves: readonly Move[]): void {
  if (plan.modes === 'snapshot') return;
  for (const { kind, path, hadLive } of moves) {
    if (!hadLive || (kind !== 'file' && kind !== 'database')) continue;
    const live = lstatOf(joinBytes(run.root, path));
    const fresh = lstatOf(partPath(run, 'new', path));
    if (live?.isFile() !== true || fresh?.isFile() !== true) continue;
    onPath(partPath(run, 'new', path), (staged) => {
      if (process.getuid?.() === 0) lchownSync(staged, live.uid, live.gid);
      chmodSync(staged, live.mode & 0o7777);
    });
  }
}

/** What is renamed or replaced; a link to an append-only file cannot be made either. */
function touchedPaths(plan: RestorePlan, { moves }: Moves): Bytes[] {
  const linked = plan.work.entries.flatMap(({ type, link }) => (type === 'h' && link !== undefined ? [link] : []));
  return [...new Set([...moves.filter(({ hadLive }) => hadLive).map(({ path }) => path), ...linked])];
}

/** Under the vault's write lock, so that no save sees it half done. What fails in the middle is taken back. */
async function swap(run: Run, plan: RestorePlan, journal: Journal, moves: Moves, requireSame: (() => void) | undefined, ctx: Context): Promise<void> {
  const { vault } = plan.work;
  const paths = moves.moves.map(({ path }) => path);
  const lock = lockForWriting(vault, ctx.lockWait);
  try {
    requireSame?.();
    liftForRestore(vault, run.root, touchedPaths(plan, moves));
    const before = readJournal(run.root);
    try {
      // The record must never name moves, or places for what is moved away, that a power cut could still take.
      syncRun(run);
      writeJournal(run.root, journal);
      await moveForward(run, moves);
      recordChange(vault, plan.id, paths, ctx);
      writeJournal(run.root, { ...journal, phase: 'done' });
    } catch (error) {
      try {
        await takeBack(run, journal, moves, before);
        // The line of a restore that is not one any more is followed by one that takes it back.
        if (journal.pre_restore_snapshot !== null) recordChange(vault, journal.pre_restore_snapshot, paths, ctx);
      } catch (second) {
        throw new CoraError('io', `The restore failed in the middle (${messageOf(error)}) and could not be taken back yet (${messageOf(second)})`, {
          hint: 'nothing is lost: mend that, and the next command (cora status) ends it',
          cause: error,
        });
      }
      throw error;
    }
  } finally {
    for (const path of setAgain(vault, run.root)) ctx.monitor.note(`${printable(path)} is not append-only again; cora protect says why`);
    lock.release();
  }
}

/** What cannot be taken back now stays on record, and the next command goes on with it. */
async function takeBack(run: Run, journal: Journal, moves: Moves, before: Journal | undefined): Promise<void> {
  try {
    writeJournal(run.root, { ...journal, phase: 'undoing' });
  } catch {
    // A full disk: with the record as it is the next command would go forward, which is as good.
  }
  await moveBackward(run, moves);
  if (before === undefined) removeJournal(run.root);
  else writeJournal(run.root, before);
}
