// The moves of a restore in place, forward and backward. Each can be stopped anywhere and done again: what
// was done is seen from what stands where, and nothing that stands in the way is ever overwritten.

import { chmodSync, fchmodSync, lchownSync, lstatSync, openSync, renameSync, rmdirSync } from 'node:fs';
import { type Bytes, bytes, dirnameBytes, joinBytes, printable } from '../base/bytes.ts';
import { CoraError, errnoOf } from '../base/errors.ts';
import { findDatabaseHolders } from '../os/database-files.ts';
import { closing, makePath } from '../os/files.ts';
import { onPath } from '../os/long-path.ts';
import { syncFileSystem } from '../os/sync.ts';
import { setExactTimes } from '../os/times.ts';
import { contentBackward, contentForward, isContentMove } from './restore-content.ts';
import { type DirectoryChange, type DirectoryState, type Move, type Moves, partPath, type Run } from './restore-journal.ts';

/** What SQLite keeps beside a database. */
export const SIDECARS = ['-wal', '-shm', '-journal'] as const;

/** @throws CoraError refused where a program holds a database that is to be replaced; io */
export async function moveForward(run: Run, { moves, directories }: Moves): Promise<void> {
  // Through SQLite first: where that fails, nothing else was touched.
  for (const move of inOrder(moves)) await forward(run, move);
  for (const { path, after, before } of deepestFirst(directories))
    if (after === undefined && before !== undefined) removeIfEmpty(joinBytes(run.root, path));
  applyDirectories(run, directories, ({ after }) => after);
  syncRun(run);
}

/** @throws as `moveForward` */
export async function moveBackward(run: Run, { moves, directories }: Moves): Promise<void> {
  const gone = directories.filter(({ after, before }) => after === undefined && before !== undefined);
  for (const { path } of gone) makePath(joinBytes(run.root, path));
  for (const move of inOrder(moves)) await backward(run, move);
  applyDirectories(run, directories, ({ before }) => before);
  syncRun(run);
}

function inOrder(moves: readonly Move[]): Move[] {
  return [...moves.filter(({ kind }) => kind === 'live'), ...moves.filter(({ kind }) => kind !== 'live')];
}

async function forward(run: Run, one: Move): Promise<void> {
  const { kind, path } = one;
  const live = joinBytes(run.root, path);
  requireWay(run.root, path);
  if (isContentMove(one)) return contentForward(run, one);
  if (kind === 'extra') {
    if (isThere(live)) displace(run, path, 'old');
    return;
  }
  const fresh = partPath(run, 'new', path);
  if (!isThere(fresh)) return;
  if (kind === 'database') {
    refuseHeld(live);
    for (const suffix of SIDECARS) if (isThere(bytes(live + suffix))) displace(run, bytes(path + suffix), 'old');
  }
  if (isThere(live)) displace(run, path, 'old');
  if (kind === 'database') for (const suffix of SIDECARS) if (isThere(bytes(fresh + suffix))) move(bytes(fresh + suffix), bytes(live + suffix));
  move(fresh, live);
}

async function backward(run: Run, one: Move): Promise<void> {
  const { kind, path, hadLive } = one;
  const live = joinBytes(run.root, path);
  requireWay(run.root, path);
  if (isContentMove(one)) return contentBackward(run, one);
  const old = partPath(run, 'old', path);
  const returning = isThere(old);
  if (kind === 'extra') {
    if (!returning) return;
    if (isThere(live)) displace(run, path, 'late');
    return move(old, live);
  }
  if (!returning && (hadLive || isThere(partPath(run, 'new', path)))) return;
  if (kind === 'database') refuseHeld(live);
  if (isThere(live)) {
    // Its sidecars go before it: without a database there, those that lie there have come back already.
    if (kind === 'database') for (const suffix of SIDECARS) if (isThere(bytes(live + suffix))) displace(run, bytes(path + suffix), 'new');
    displace(run, path, 'new');
  }
  if (kind === 'database') for (const suffix of SIDECARS) if (isThere(bytes(old + suffix))) move(bytes(old + suffix), bytes(live + suffix));
  if (returning) move(old, live);
}

/**
 * Whether each entry can be reached through real directories: a link or file in a directory's place leads elsewhere.
 * @throws CoraError refused, naming the first one that cannot
 */
export function requireWays(root: Bytes, moves: readonly Move[]): void {
  for (const { path } of moves) requireWay(root, path);
}

function requireWay(root: Bytes, path: Bytes): void {
  for (let at = path.indexOf('/'); at > 0; at = path.indexOf('/', at + 1)) {
    const parent = bytes(path.slice(0, at));
    const stat = lstatOf(joinBytes(root, parent));
    if (stat === undefined) return;
    if (stat.isDirectory()) continue;
    throw new CoraError('refused', `${printable(parent)} was a directory and is something else now, so what was in it cannot be put back`, {
      hint: 'move it away, then run the command again',
    });
  }
}

/** Moves what stands at a path into a part of the run; what is there already stays, and the newcomer goes beside. */
function displace(run: Run, path: Bytes, part: 'old' | 'new' | 'late'): void {
  let to = partPath(run, part, path);
  if (isThere(to)) to = partPath(run, 'late', path);
  for (let number = 2; isThere(to); number++) to = bytes(`${partPath(run, 'late', path)}.${number}`);
  move(joinBytes(run.root, path), to);
}

/** Renames; directories that their owner may not write to are opened for the moment. */
function move(from: Bytes, to: Bytes): void {
  makePath(dirnameBytes(to));
  const rename = (): void => onPath(from, (source) => onPath(to, (target) => renameSync(source, target)));
  try {
    rename();
  } catch (error) {
    if (errnoOf(error) !== 'EACCES') throw error;
    const isDirectory = lstatOf(from)?.isDirectory() === true;
    const closed = [dirnameBytes(from), dirnameBytes(to), ...(isDirectory ? [from] : [])].filter(
      (path) => ((lstatOf(path)?.mode ?? 0o300) & 0o300) !== 0o300,
    );
    if (closed.length === 0) throw error;
    const modes = closed.map((path) => lstatOf(path)?.mode ?? 0o700);
    for (const [index, path] of closed.entries()) chmodAt(path, (modes[index] ?? 0) | 0o300);
    try {
      rename();
    } finally {
      for (const [index, path] of closed.entries()) chmodAt(path === from && !isThere(from) ? to : path, modes[index] ?? 0o700);
    }
  }
}

function lstatOf(path: Bytes) {
  return onPath(path, (reachable) => lstatSync(reachable, { throwIfNoEntry: false }));
}

function chmodAt(path: Bytes, mode: number): void {
  onPath(path, (reachable) => chmodSync(reachable, mode & 0o7777));
}

/** The directories that the moves of a swap will need: a disk without room says so before anything moves. */
export function makeRoom(run: Run, moves: readonly Move[]): void {
  for (const part of ['old', 'new'] as const)
    for (const path of new Set(moves.map(({ path: one }) => dirnameBytes(partPath(run, part, one))))) makePath(path);
}

export function isThere(path: Bytes): boolean {
  return lstatOf(path) !== undefined;
}

/** @throws CoraError refused, naming who has the database open */
export function refuseHeld(database: Bytes): void {
  if (!isThere(database)) return;
  const holder = findDatabaseHolders(database).holders[0];
  if (holder === undefined) return;
  throw new CoraError(
    'refused',
    `${printable(database)} is open in ${holder.program} (process ${holder.pid}): its file cannot be replaced under it`,
    {
      hint: 'stop that program and run the command again, or restore through SQLite while it runs with --live',
      details: { holder: holder.pid, program: holder.program },
    },
  );
}

function deepestFirst(directories: readonly DirectoryChange[]): DirectoryChange[] {
  return directories.toSorted((a, b) => (a.path < b.path ? 1 : -1));
}

function removeIfEmpty(path: Bytes): void {
  try {
    onPath(path, (reachable) => rmdirSync(reachable));
  } catch (error) {
    if (!['ENOTEMPTY', 'ENOENT', 'EEXIST', 'EBUSY'].includes(errnoOf(error) ?? '')) throw error;
  }
}

function applyDirectories(run: Run, directories: readonly DirectoryChange[], which: (change: DirectoryChange) => DirectoryState | undefined): void {
  const owners = process.getuid?.() === 0;
  const times: { path: Bytes; mtime: bigint }[] = [];
  for (const change of deepestFirst(directories)) {
    const state = which(change);
    const path = joinBytes(run.root, change.path);
    if (state === undefined || !isThere(path)) continue;
    onPath(path, (reachable) => {
      const fd = openSync(reachable, 'r');
      closing(fd, () => {
        if (owners) lchownSync(`/proc/self/fd/${fd}/.`, state.uid, state.gid);
        fchmodSync(fd, state.mode);
      });
    });
    times.push({ path, mtime: state.mtime });
  }
  setExactTimes(times);
}

/** All that the run has written and moved, on each of its file systems. */
export function syncRun(run: Run): void {
  for (const base of [run.root, ...run.mounts.map((mount) => joinBytes(run.root, mount))]) syncFileSystem(base);
}
