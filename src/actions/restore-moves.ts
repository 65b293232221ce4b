// The moves of a restore in place, forward and backward. Each can be stopped anywhere and done again: what
// was done is seen from what stands where, and nothing that stands in the way is ever overwritten.

import { copyFileSync, existsSync, fchmodSync, lchownSync, lstatSync, openSync, renameSync, rmdirSync, writeFileSync } from 'node:fs';
import { type Bytes, bytes, dirnameBytes, joinBytes, printable, toText } from '../base/bytes.ts';
import { CoraError, errnoOf } from '../base/errors.ts';
import { findDatabaseHolders } from '../os/database-files.ts';
import { closing, makePath, syncFile } from '../os/files.ts';
import { onPath } from '../os/long-path.ts';
import { setExactTimes } from '../os/times.ts';
import { bringInto } from './restore-databases.ts';
import { type DirectoryChange, type DirectoryState, type Move, type Moves, partPath, type Run, runDirectory } from './restore-journal.ts';
import { syncFileSystem } from './restore-write.ts';

/** What SQLite keeps beside a database. */
export const SIDECARS = ['-wal', '-shm', '-journal'] as const;

/** @throws CoraError refused where a program holds a database that is to be replaced; io */
export async function moveForward(run: Run, { moves, directories }: Moves): Promise<void> {
  // Through SQLite first: where that fails, nothing else was touched.
  for (const move of inOrder(moves)) await forward(run, move);
  for (const { path, after, before } of deepestFirst(directories))
    if (after === undefined && before !== undefined) removeIfEmpty(joinBytes(run.root, path));
  applyDirectories(run, directories, ({ after }) => after);
  syncAll(run);
}

/** @throws as `moveForward` */
export async function moveBackward(run: Run, { moves, directories }: Moves): Promise<void> {
  const gone = directories.filter(({ after, before }) => after === undefined && before !== undefined);
  for (const { path } of gone) makePath(joinBytes(run.root, path));
  for (const move of inOrder(moves)) await backward(run, move);
  applyDirectories(run, directories, ({ before }) => before);
  syncAll(run);
}

function inOrder(moves: readonly Move[]): Move[] {
  return [...moves.filter(({ kind }) => kind === 'live'), ...moves.filter(({ kind }) => kind !== 'live')];
}

async function forward(run: Run, { kind, path }: Move): Promise<void> {
  const live = joinBytes(run.root, path);
  const fresh = partPath(run, 'new', path);
  if (kind === 'extra') {
    if (isThere(live)) displace(run, path, 'old');
    return;
  }
  if (kind === 'live') return once(run, path, 'forward', () => bringInto(fresh, live));
  if (kind === 'mounted') return once(run, path, 'forward', () => overwrite(fresh, live));
  if (!isThere(fresh)) return;
  if (kind === 'database') {
    refuseHeld(live);
    for (const suffix of SIDECARS) if (isThere(bytes(live + suffix))) displace(run, bytes(path + suffix), 'old');
  }
  if (isThere(live)) displace(run, path, 'old');
  move(fresh, live);
}

async function backward(run: Run, { kind, path, hadLive }: Move): Promise<void> {
  const live = joinBytes(run.root, path);
  const old = partPath(run, 'old', path);
  if (kind === 'live') return once(run, path, 'backward', () => bringInto(old, live));
  if (kind === 'mounted') return once(run, path, 'backward', () => overwrite(old, live));
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
  if (kind === 'database') {
    for (const suffix of SIDECARS) if (isThere(bytes(old + suffix))) move(bytes(old + suffix), bytes(live + suffix));
  }
  if (returning) move(old, live);
}

/** What cannot be seen from names alone is noted: done twice, it would take away what a program wrote in between. */
async function once(run: Run, path: Bytes, direction: 'forward' | 'backward', act: () => unknown): Promise<void> {
  const note = (which: string): string =>
    toText(joinBytes(runDirectory(run, path), `${which}-${Buffer.from(path, 'latin1').toString('hex').slice(-200)}`));
  if (existsSync(note(direction))) return;
  await act();
  writeFileSync(note(direction), '', { mode: 0o600 });
  syncFile(note(direction));
  const other = note(direction === 'forward' ? 'backward' : 'forward');
  if (existsSync(other)) renameSync(other, `${other}.past`);
}

/** Moves what stands at a path into a part of the run; what is there already stays, and the newcomer goes beside. */
function displace(run: Run, path: Bytes, part: 'old' | 'new' | 'late'): void {
  let to = partPath(run, part, path);
  if (isThere(to)) to = partPath(run, 'late', path);
  for (let number = 2; isThere(to); number++) to = bytes(`${partPath(run, 'late', path)}.${number}`);
  move(joinBytes(run.root, path), to);
}

function move(from: Bytes, to: Bytes): void {
  makePath(dirnameBytes(to));
  onPath(from, (source) => onPath(to, (target) => renameSync(source, target)));
}

function isThere(path: Bytes): boolean {
  return onPath(path, (reachable) => lstatSync(reachable, { throwIfNoEntry: false })) !== undefined;
}

/** A file that is a mount point cannot be renamed: its content is written over, in the same inode. */
function overwrite(from: Bytes, to: Bytes): void {
  onPath(from, (source) => onPath(to, (target) => copyFileSync(source, target)));
}

/** A copy of a file's content, for what is overwritten in its place. */
export function keepContent(from: Bytes, to: Bytes): void {
  makePath(dirnameBytes(to));
  onPath(from, (source) => onPath(to, (target) => copyFileSync(source, target)));
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
    if (errnoOf(error) !== 'ENOTEMPTY' && errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'EEXIST') throw error;
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

function syncAll(run: Run): void {
  for (const base of [run.root, ...run.mounts.map((mount) => joinBytes(run.root, mount))]) syncFileSystem(base);
}
