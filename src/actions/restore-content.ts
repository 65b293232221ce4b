// Moves whose content is brought into what stands there: databases through SQLite, and files that something is
// mounted on. Names do not tell how far they are, so one byte a move does, in the run's directory, made before
// the swap and overwritten in its place: o (old content), f (forward begun), n (new content), b (backward begun).

import { createHash } from 'node:crypto';
import { closeSync, copyFileSync, fsyncSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs';
import { type Bytes, bytes, dirnameBytes, fsPath, joinBytes, toText } from '../base/bytes.ts';
import { CoraError, type ErrorCode, errnoOf } from '../base/errors.ts';
import { makePath, writeNewFile } from '../os/files.ts';
import { onPath } from '../os/long-path.ts';
import { bringInto, keepDatabase } from './restore-databases.ts';
import { type Move, partPath, type Run, runDirectory } from './restore-journal.ts';

type State = 'o' | 'f' | 'n' | 'b';

/** Errors of `restoreInto` after which the live database is as it was. */
const AS_IT_WAS: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['db_locked', 'no_space', 'db_open_failed', 'refused', 'interrupted']);

export function isContentMove({ kind }: Move): boolean {
  return kind === 'live' || kind === 'mounted';
}

/** Before the swap: the byte of a move. */
export function noteOld(run: Run, path: Bytes): void {
  writeNewFile(notePath(run, path), 'o');
}

/** The new content comes in, once. @throws what the copy throws */
export async function contentForward(run: Run, move: Move): Promise<void> {
  await change(run, move, ['f', 'n'], 'new');
}

/** The old content comes back where the new one came in, or began to. @throws what the copy throws */
export async function contentBackward(run: Run, move: Move): Promise<void> {
  await change(run, move, ['b', 'o'], 'old');
}

async function change(run: Run, { kind, path }: Move, [begun, done]: readonly [State, State], from: 'new' | 'old'): Promise<void> {
  const before = readNote(run, path);
  if (before === done) return;
  const live = joinBytes(run.root, path);
  const source = partPath(run, from, path);
  setNote(run, path, begun);
  try {
    if (kind === 'live') await bringInto(source, live);
    else copyContent(source, live);
  } catch (error) {
    if (kind === 'live' && error instanceof CoraError && AS_IT_WAS.has(error.code)) setNote(run, path, before);
    throw error;
  }
  setNote(run, path, done);
}

/**
 * Before what is there is displaced by an undo (or a redo): its present content becomes what the way back brings.
 * @param part `new` before an undo, `old` before a redo
 * @throws CoraError db_locked; refused where SQLite cannot read it
 */
export async function keepPresent(run: Run, moves: readonly Move[], part: 'new' | 'old'): Promise<void> {
  for (const { kind, path } of moves) {
    if (kind !== 'live' && kind !== 'mounted') continue;
    const live = joinBytes(run.root, path);
    const kept = partPath(run, part, path);
    const fresh = bytes(`${kept}.cora-now`);
    rmSync(fsPath(fresh), { force: true });
    if (kind === 'mounted') keepContent(live, fresh);
    else if (!(await keepDatabase(live, fresh))) {
      throw new CoraError('refused', `${toText(path)} cannot be read by SQLite now, so it cannot be kept: nothing was changed`, {
        hint: 'restore its file from a save with --confirm-service-stopped: cora list',
      });
    }
    renameSync(fsPath(fresh), fsPath(kept));
  }
}

/** A copy of a file's content, for what is overwritten in its place. */
export function keepContent(from: Bytes, to: Bytes): void {
  makePath(dirnameBytes(to));
  copyContent(from, to);
}

/** A file that is a mount point cannot be renamed: its content is written over, in the same inode. */
function copyContent(from: Bytes, to: Bytes): void {
  onPath(from, (source) => onPath(to, (target) => copyFileSync(source, target)));
}

function notePath(run: Run, path: Bytes): string {
  const name = createHash('sha256').update(path, 'latin1').digest('hex').slice(0, 32);
  return `${toText(runDirectory(run, path))}/state-${name}`;
}

function readNote(run: Run, path: Bytes): State {
  try {
    const fd = openSync(notePath(run, path), 'r');
    try {
      const byte = Buffer.alloc(1);
      readSync(fd, byte, 0, 1, 0);
      const state = byte.toString('latin1');
      return state === 'f' || state === 'n' || state === 'b' ? state : 'o';
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return 'o';
    throw error;
  }
}

function setNote(run: Run, path: Bytes, state: State): void {
  const fd = openSync(notePath(run, path), 'r+');
  try {
    writeSync(fd, state, 0, 'latin1');
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
