// The scratch directory of `cora torture`: private, locked while it is used, and removed whatever happens, with the mount and
// the flags that are in it. Invariant: only what bears our name, is ours and is held by nobody is ever removed.

import { randomBytes } from 'node:crypto';
import { lstatSync, mkdirSync, rmSync } from 'node:fs';
import { fromText, joinBytes } from '../base/bytes.ts';
import { CoraError, errnoOf, messageOf } from '../base/errors.ts';
import { formatBytes } from '../base/units.ts';
import { changeFlags } from '../os/chattr.ts';
import { exists, freeBytes, namesIn } from '../os/files.ts';
import { filesBelow } from '../os/files-below.ts';
import { tryLock } from '../os/lock.ts';
import { mountPointsBelow } from '../os/mounts.ts';
import { pause } from '../os/pause.ts';
import { findProgram, runSync } from '../os/run.ts';

const PREFIX = '.cora-torture-';
/** What stays free on a disk that others write to. */
const SPARE = 64 << 20;
/** What removal fails with while something in there comes and goes. */
const MOVING = new Set(['ENOTEMPTY', 'ENOENT', 'EBUSY', 'EPERM']);
/** How long a run whose parent was killed may go on. */
const ENDING_MS = 10_000;

export type TorturePlace = {
  readonly path: string;
  /** Removes it. Safe to call twice. */
  readonly release: () => void;
};

/**
 * Makes it; what a run that was killed left in the same directory goes first.
 * @throws CoraError no_space; refused where it cannot be made or locked
 */
export function openTorturePlace(directory: string, space: number): TorturePlace {
  removeDead(directory);
  const free = freeBytes(directory);
  if (free < space + SPARE)
    throw new CoraError('no_space', `${directory} has ${formatBytes(free)} free, and this may take ${formatBytes(space)}`, {
      hint: 'give it less with --space 200MB, or name a directory on another disk',
    });
  const path = `${directory === '/' ? '' : directory}/${PREFIX}${randomBytes(6).toString('hex')}`;
  try {
    const lock = tryLock(`${path}.lock`, 'exclusive', 0);
    if (lock === undefined) throw new Error('somebody else holds it');
    mkdirSync(path, { mode: 0o700 });
    let released = false;
    const release = () => {
      if (released) return;
      released = true;
      removePlace(path);
      lock.release();
    };
    return { path, release };
  } catch (error) {
    rmSync(`${path}.lock`, { force: true });
    throw new CoraError('refused', `No scratch directory can be made in ${directory}: ${messageOf(error)}`, {
      hint: 'name a directory that you may write: cora torture DIR',
      cause: error,
    });
  }
}

/** What a run that was killed had started may still be writing there, for as long as it takes to save. */
function removePlace(path: string): void {
  const until = performance.now() + ENDING_MS;
  for (;;) {
    try {
      removeNow(path);
      return;
    } catch (error) {
      if (!MOVING.has(errnoOf(error) ?? '') || performance.now() > until) throw error;
      pause(100);
    }
  }
}

function removeNow(path: string): void {
  // What is busy in it ends with the runs that were ended; what is still mounted then goes as soon as nobody uses it.
  if (unmountBelow(path) > 0) for (const below of mountPointsBelow(fromText(path)).toReversed()) detach(`${path}/${below}`);
  clearFlags(path);
  rmSync(path, { recursive: true, force: true });
  rmSync(`${path}.lock`, { force: true });
}

function detach(path: string): void {
  const umount = findProgram('umount');
  if (umount !== undefined) runSync(umount, ['-l', '--', path]);
}

/** Only our own, by name, owner and a lock that nobody holds. */
function removeDead(directory: string): void {
  for (const name of namesIn(directory)) {
    if (!/^\.cora-torture-[0-9a-f]{12}\.lock$/.test(name)) continue;
    const file = `${directory}/${name}`;
    const stat = lstatSync(file, { throwIfNoEntry: false });
    if (stat?.isFile() !== true || stat.uid !== process.geteuid?.()) continue;
    const lock = tryLock(file, 'exclusive', 0);
    if (lock === undefined) continue;
    const path = file.slice(0, -'.lock'.length);
    if (exists(path) && lstatSync(path).uid === process.geteuid?.()) removePlace(path);
    else rmSync(file, { force: true });
    lock.release();
  }
}

/**
 * Takes away what is mounted below a directory, deepest first.
 * @returns how many mounts are still there, because something is busy in them
 */
export function unmountBelow(path: string): number {
  const mounted = mountPointsBelow(fromText(path));
  const umount = findProgram('umount');
  if (mounted.length === 0 || umount === undefined) return 0;
  for (const below of mounted.toReversed()) runSync(umount, ['--', `${path}/${below}`]);
  return mountPointsBelow(fromText(path)).length;
}

/** Takes the immutable and append-only flags from all below a directory. */
export function clearFlags(path: string): void {
  if (process.geteuid?.() !== 0 || !exists(path)) return;
  const found = filesBelow(path).map((below) => joinBytes(fromText(path), below));
  changeFlags('-i', found);
  changeFlags('-a', found);
}
