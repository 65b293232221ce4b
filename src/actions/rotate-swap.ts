// Puts a shorter file in the place of a log that programs append to, without losing a line of theirs. The
// new file takes the name by rename; what still reaches the old one is read after its last writer has
// gone, and appended. A note in the vault lets the next run finish what a crash cut off: at every moment
// either the old file has its name, or all that it held is in the new one or in `old`.

import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  linkSync,
  lstatSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { type Bytes, bytes, dirnameBytes, fsPath, joinBytes } from '../base/bytes.ts';
import { CoraError } from '../base/errors.ts';
import { pathFields } from '../base/path-fields.ts';
import { exists, readTextIfThere, replaceFile, syncDirectory, writeAll } from '../os/files.ts';
import { findWriters, type Holder } from '../os/holders.ts';
import { onPath } from '../os/long-path.ts';
import { NAMES } from '../vault/layout.ts';
import type { Vault } from '../vault/vault.ts';

/** Names that no save takes in (source/walk.ts). */
const NEW = '.cora-restore-rotate-new';
const OLD = '.cora-restore-rotate-old';
const CHUNK = 1 << 20;
/** A program that appends line by line has the file open for far less than this. */
const DRAIN_MS = 10_000;
const STEP_MS = 20;

/** What the next run needs, should this one be cut off. */
type Note = { readonly path: string; readonly path_base64?: string; readonly drained_to: number };

const noteOf = (vault: Vault) => `${vault.root}/${NAMES.rotating}`;
const pathOf = (note: Note): Bytes =>
  bytes(note.path_base64 === undefined ? Buffer.from(note.path).toString('latin1') : Buffer.from(note.path_base64, 'base64').toString('latin1'));

/** Writers that are there now and still there a second later: they keep the file open. */
export function stayingWriters(file: Bytes): readonly Holder[] {
  const stat = onPath(file, (path) => statSync(path));
  let writers = findWriters(stat).writers;
  for (let waited = 0; waited < 1000 && writers.length > 0; waited += 50) {
    sleep(50);
    const now = new Set(findWriters(stat).writers.map(({ pid }) => pid));
    writers = writers.filter(({ pid }) => now.has(pid));
  }
  return writers;
}

export type Swapped = {
  /** Bytes of the old file from the cut on that went into the new one before the swap. */
  readonly copied: number;
  /** Bytes that reached the old file while it was being replaced, and were appended. */
  readonly drained: number;
};

/**
 * The caller holds the write lock, has the whole file in the vault, and has lifted +a.
 * @param root the project; `path` is relative to it
 * @param cut offset of the first byte that stays
 * @param pointer line for the top, with its newline
 * @param prove called with the finished new file before it takes the name; throws where it is not what it must be
 * @throws CoraError refused where a writer keeps it open (then the file is as it was)
 */
export function swapFile(
  vault: Vault,
  root: Bytes,
  path: Bytes,
  cut: number,
  pointer: string,
  prove: (file: Bytes, old: Bytes, copied: number) => void,
): Swapped {
  const live = joinBytes(root, path);
  const fresh = beside(live, NEW);
  const aside = beside(live, OLD);
  const stat = onPath(live, (file) => lstatSync(file));
  for (const left of [fresh, aside]) onPath(left, (file) => rmSync(file, { force: true }));
  const writeNote = (end: number) => replaceFile(noteOf(vault), JSON.stringify({ ...pathFields(path), drained_to: end } satisfies Note), true);
  writeNote(0);
  const end = writeTail(live, fresh, cut, pointer, stat);
  try {
    prove(fresh, live, end - cut);
  } catch (error) {
    onPath(fresh, (file) => rmSync(file));
    rmSync(noteOf(vault));
    throw error;
  }
  writeNote(end);
  // The old inode keeps a name, so that nothing that still reaches it can be lost.
  onPath(live, (from) => onPath(aside, (to) => linkSync(from, to)));
  syncParent(live);
  onPath(fresh, (from) => onPath(live, (to) => renameSync(from, to)));
  syncParent(live);
  const drained = drain(aside, live, end);
  onPath(aside, (file) => rmSync(file));
  syncParent(live);
  rmSync(noteOf(vault), { force: true });
  return { copied: end - cut, drained };
}

/** Finishes, or takes back, a swap that a crash cut off. The caller holds the write lock. Gives the path it was about. */
export function recoverSwap(vault: Vault, root: Bytes): Bytes | undefined {
  const text = exists(noteOf(vault)) ? readTextIfThere(noteOf(vault)) : undefined;
  if (text === undefined) return undefined;
  const note = JSON.parse(text) as Note;
  const path = pathOf(note);
  const live = joinBytes(root, path);
  const fresh = beside(live, NEW);
  const aside = beside(live, OLD);
  const old = statOf(aside);
  const now = statOf(live);
  if (old !== undefined && now === undefined) onPath(aside, (from) => onPath(live, (to) => renameSync(from, to)));
  else if (old !== undefined && now !== undefined && old.ino !== now.ino) drain(aside, live, note.drained_to);
  for (const left of [fresh, aside]) onPath(left, (file) => rmSync(file, { force: true }));
  if (now !== undefined || old !== undefined) syncParent(live);
  rmSync(noteOf(vault), { force: true });
  return path;
}

/** Pointer and tail into a new file of the same owner and mode. Gives the end of what was read. */
function writeTail(
  live: Bytes,
  fresh: Bytes,
  cut: number,
  pointer: string,
  stat: { readonly mode: number; readonly uid: number; readonly gid: number },
): number {
  const from = onPath(live, (file) => openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW));
  const to = onPath(fresh, (file) => openSync(file, 'wx', 0o600));
  try {
    writeAll(to, Buffer.from(pointer));
    const end = copyFrom(from, to, cut);
    fsyncSync(to);
    onPath(fresh, (file) => {
      if (process.geteuid?.() === 0) chownSync(file, stat.uid, stat.gid);
      chmodSync(file, stat.mode & 0o7777);
    });
    return end;
  } finally {
    closeSync(from);
    closeSync(to);
  }
}

function copyFrom(from: number, to: number, start: number): number {
  const buffer = Buffer.allocUnsafe(CHUNK);
  for (let at = start; ; ) {
    const count = readSync(from, buffer, 0, CHUNK, at);
    if (count === 0) return at;
    writeAll(to, buffer.subarray(0, count));
    at += count;
  }
}

/** Waits until nobody writes to the old file, then appends what it got after `from`. Appending is one write: no line is torn. */
function drain(old: Bytes, live: Bytes, from: number): number {
  const stat = onPath(old, (file) => statSync(file));
  for (let waited = 0; findWriters(stat).writers.length > 0; waited += STEP_MS) {
    if (waited > DRAIN_MS) {
      const [holder] = findWriters(stat).writers;
      throw new CoraError(
        'refused',
        `A program opened the file while it was being rotated and keeps it open: ${holder?.program ?? 'unknown'} (process ${holder?.pid ?? '?'})`,
        {
          hint: 'end that program, then run any Cora command: it puts the lines that went astray back',
        },
      );
    }
    sleep(STEP_MS);
  }
  const fd = onPath(old, (file) => openSync(file, 'r'));
  try {
    const rest = Buffer.alloc(Math.max(0, fstatSync(fd).size - from));
    readSync(fd, rest, 0, rest.length, from);
    if (rest.length === 0 || endsWithin(live, rest)) return 0;
    const to = onPath(live, (file) => openSync(file, constants.O_WRONLY | constants.O_APPEND));
    try {
      writeAll(to, rest);
      fsyncSync(to);
    } finally {
      closeSync(to);
    }
    return rest.length;
  } finally {
    closeSync(fd);
  }
}

/** After a crash between appending and the end the lines may be there already. */
function endsWithin(live: Bytes, rest: Buffer): boolean {
  const fd = onPath(live, (file) => openSync(file, 'r'));
  try {
    const { size } = fstatSync(fd);
    const tail = Buffer.alloc(Math.min(size, rest.length + 4 * CHUNK));
    readSync(fd, tail, 0, tail.length, size - tail.length);
    return rest.length > 0 && tail.includes(rest);
  } finally {
    closeSync(fd);
  }
}

function beside(live: Bytes, name: string): Bytes {
  return joinBytes(dirnameBytes(live), name);
}

function statOf(path: Bytes): { readonly ino: number } | undefined {
  return onPath(path, (file) => lstatSync(file, { throwIfNoEntry: false }));
}

function syncParent(path: Bytes): void {
  syncDirectory(fsPath(dirnameBytes(path)));
}

/** Blocks: nothing else of ours runs meanwhile, and recovery is part of opening a vault, which does not wait for promises. */
function sleep(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}
