// Durable files: whole writes, fsync of files and directories, atomic replacement, removal that
// cannot leave its root. A failed fsync is never tried again (the kernel forgets the error).

import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { type Bytes, dirnameBytes, fromBuffer, fromText, joinBytes } from '../base/bytes.ts';
import { errnoOf } from '../base/errors.ts';
import { onPath } from './long-path.ts';

/** Writes a new file (it must not exist), mode 0600, with fsync. */
export function writeNewFile(path: string, content: string | Uint8Array): void {
  const fd = openSync(path, 'wx', 0o600);
  try {
    writeAll(fd, typeof content === 'string' ? Buffer.from(content) : content);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

export function writeAll(fd: number, content: Uint8Array, position: number | null = null): void {
  let done = 0;
  while (done < content.length) {
    done += writeSync(fd, content, done, content.length - done, position === null ? null : position + done);
  }
}

/**
 * Replaces a file by rename; `durable` also syncs it and its directory. A link or a FIFO that somebody planted at the
 * temporary name is never written through.
 */
export function replaceFile(path: string, content: string | Uint8Array, durable: boolean): void {
  const temp = `${path}.new`;
  const fd = openNew(temp);
  try {
    writeAll(fd, typeof content === 'string' ? Buffer.from(content) : content);
    if (durable) fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temp, path);
  if (durable) syncDirectory(dirname(path));
}

/**
 * The temporary file of `replaceFile`. One that is there and has this name alone is written anew: its owner may have been
 * set on purpose. All else goes first.
 */
function openNew(path: string, tries = 3): number {
  try {
    return openSync(path, 'wx', 0o600);
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST' || tries === 0) throw error;
  }
  const own = openPlain(path);
  if (own !== undefined) return own;
  try {
    unlinkSync(path);
  } catch (error) {
    // A directory stays, and is an error with its name; a run beside this one may have been quicker.
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
  return openNew(path, tries - 1);
}

/** A regular file without other names, emptied; undefined for all else. */
function openPlain(path: string): number | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  const status = fstatSync(fd);
  if (status.isFile() && status.nlink === 1) {
    ftruncateSync(fd);
    return fd;
  }
  closeSync(fd);
  return undefined;
}

/** Calls `use` and closes the descriptor, whatever happens. */
export function closing<T>(fd: number, use: () => T): T {
  try {
    return use();
  } finally {
    closeSync(fd);
  }
}

/** fsync of a directory: without it a name in it can be gone after a power cut. */
export function syncDirectory(path: string | Buffer): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

export function syncFile(path: string | Buffer): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** fsync of every directory of a tree, deepest first; names that are not text too. */
export function syncTreeDirectories(root: string): void {
  syncBelow(fromText(root));
}

function syncBelow(directory: Bytes): void {
  for (const entry of onPath(directory, (path) => readdirSync(path, { withFileTypes: true, encoding: 'buffer' }))) {
    if (entry.isDirectory()) syncBelow(joinBytes(directory, fromBuffer(entry.name)));
  }
  onPath(directory, syncDirectory);
}

/** Makes a directory and what is missing above it below `root` (empty: anywhere), and syncs each parent of a new one. */
export function makeDirectories(root: string, path: string): void {
  const missing: string[] = [];
  for (let at = path; at !== root && at.startsWith(`${root}/`); at = dirname(at)) {
    if (exists(at)) break;
    missing.push(at);
  }
  for (const directory of missing.reverse()) {
    mkdirSync(directory, { mode: 0o700 });
    syncDirectory(dirname(directory));
  }
}

/**
 * Makes a directory (mode 0700) and what is missing above it, without syncing. Not mkdir's own `recursive`: where the kernel says
 * ENOENT below a directory that is there (/proc, an automounter), Node 24 turns in a circle for ever.
 * @returns true where the directory itself was not there
 */
export function makePath(path: Bytes): boolean {
  const missing: Bytes[] = [];
  for (let at = path; at !== '/' && onPath(at, (reachable) => statSync(reachable, { throwIfNoEntry: false })) === undefined; at = dirnameBytes(at)) {
    missing.push(at);
  }
  for (const directory of missing.toReversed()) onPath(directory, (reachable) => makeOrFind(reachable));
  return missing.length > 0;
}

/** Another run may make the same one at the same moment. */
function makeOrFind(path: string | Buffer): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  }
}

export function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

const READ_NOW = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

/** The file's text, or undefined where it does not exist. Never waits: a FIFO that nobody writes to is empty. */
export function readTextIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, { encoding: 'utf8', flag: READ_NOW });
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * What a cache or a note holds, which may be deleted or damaged at any time: undefined for all that is no file, is larger than
 * `most` bytes, or cannot be read. Never waits, as for the other end of a FIFO.
 */
export function readCacheFile(path: string, most = Number.MAX_SAFE_INTEGER): Buffer | undefined {
  try {
    const fd = openSync(path, READ_NOW);
    return closing(fd, () => {
      const status = fstatSync(fd);
      return status.isFile() && status.size <= most ? readFileSync(fd) : undefined;
    });
  } catch {
    return undefined;
  }
}

/** Names in a directory; none where it does not exist. */
export function namesIn(path: string): string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return [];
    throw error;
  }
}

/** Removes a tree of ours; `path` must lie below `root`. */
export function removeBelow(root: string, path: string): void {
  if (!path.startsWith(`${root}/`)) throw new RangeError(`${path} does not lie below ${root}`);
  rmSync(path, { recursive: true, force: true });
}

/**
 * Removes what a run leaves over, where the disk lets it: for a `finally` and a `catch`, where a second error would hide why
 * the run failed, or make a failure of what was done.
 * @returns false where some of it is still there
 */
export function tryRemove(path: string | Buffer): boolean {
  try {
    rmSync(path, { recursive: true, force: true });
    return true;
  } catch {
    return false;
  }
}

/** Bytes that we may write on the file system of `path`. */
export function freeBytes(path: string | Buffer): number {
  const stat = statfsSync(path);
  // ramfs and some network file systems have no limit of their own to tell.
  return stat.blocks === 0 ? Number.MAX_SAFE_INTEGER : stat.bavail * stat.bsize;
}
