// Puts a shorter file in the place of a log that programs append to, without losing a line of theirs. The
// new file takes the name by rename; what still reaches the old one is appended to it when its last
// writer has gone. A note in the vault lets the next run finish what was cut off. At every moment either
// the old file has its name, or all that it held is in the vault, in the new one, or in `.cora-restore-rotate-old`.

import { createHash } from 'node:crypto';
import { constants, fstatSync, fsyncSync, linkSync, lstatSync, openSync, readSync, renameSync, rmSync, type Stats } from 'node:fs';
import { type Bytes, basenameBytes, bytes, dirnameBytes, fromText, joinBytes, toText } from '../base/bytes.ts';
import type { Monitor } from '../base/context.ts';
import { CoraError, errnoOf, messageOf } from '../base/errors.ts';
import { pathFields } from '../base/path-fields.ts';
import { copyAttributes } from '../os/attributes.ts';
import { closing, exists, readTextIfThere, replaceFile, syncDirectory, tryRemove, writeAll } from '../os/files.ts';
import type { Holder } from '../os/holders.ts';
import { onPath } from '../os/long-path.ts';
import { NAMES } from '../vault/layout.ts';
import type { Vault } from '../vault/vault.ts';
import { moveRest, waitForWriters } from './rotate-drain.ts';

/** Names that no save takes in (source/walk.ts). */
const NEW = '.cora-restore-rotate-new';
const OLD = '.cora-restore-rotate-old';
const CHUNK = 1 << 20;
const NEWLINE = 10;
/** A program that appends line by line has the file open for far less than this. */
const DRAIN_MS = 10_000;
/** A save must not wait long for a rotation that somebody holds up. */
const RECOVER_MS = 100;
const READ = constants.O_RDONLY | constants.O_NOFOLLOW;

/** What the next run needs, should this one be cut off. `proven` bytes of the old file had that hash. */
type Note = {
  readonly path: string;
  readonly path_base64?: string;
  readonly drained_to: number;
  readonly proven?: number;
  readonly sha256?: string;
};

export type Swapped = {
  /** Bytes that reached the old file while it was being replaced, and were appended. */
  readonly drained: number;
  /** Programs that opened the old file meanwhile and still have it open: a later run takes over the rest. */
  readonly holders: readonly Holder[];
  /** Where the old file lies, relative to the project, when a program rewrote it instead of appending. */
  readonly rewritten: Bytes | undefined;
};

const noteOf = (vault: Vault) => `${vault.root}/${NAMES.rotating}`;
const beside = (live: Bytes, name: string) => joinBytes(dirnameBytes(live), name);
const statOf = (path: Bytes) => onPath(path, (file) => lstatSync(file, { throwIfNoEntry: false }));
const isSame = (one: Stats | undefined, other: Stats) => one?.ino === other.ino && one.dev === other.dev;

/**
 * The caller holds the write lock, has the whole file in the vault, and has lifted +a.
 * @param root the project; `path` is relative to it
 * @param cut offset of the first byte that stays
 * @param pointer line for the top, with its newline
 * @param prove called with the finished new file before it takes the name; `end` is where its part of the old file ends. Throws where it is
 * not what it must be, and gives the sha256 of the old file up to `end`
 * @throws CoraError and system errors; then the file has its name, and nothing is left beside it
 */
export function swapFile(vault: Vault, root: Bytes, path: Bytes, cut: number, pointer: string, prove: (file: Bytes, end: number) => string): Swapped {
  const live = joinBytes(root, path);
  const fresh = beside(live, NEW);
  const aside = beside(live, OLD);
  refuseUnfinished(vault, live);
  const note = (drainedTo: number, more: Partial<Note> = {}) => writeNote(vault, { ...pathFields(path), drained_to: drainedTo, ...more });
  const old = onPath(live, (file) => openSync(file, READ));
  return closing(old, () => {
    const stat = fstatSync(old);
    let proven = { end: 0, sha256: '' };
    let atStart = 0;
    note(0);
    try {
      atStart = fstatSync(old).size;
      // A line that is only half there stays behind, or another program's line would land in its middle.
      const end = lineEnd(old, cut, atStart);
      writeTail(old, fresh, cut, end, pointer);
      proven = { end, sha256: prove(fresh, end) };
      note(end, { proven: end, sha256: proven.sha256 });
      // The old inode keeps a name, so that nothing that still reaches it can be lost.
      onPath(live, (from) => onPath(aside, (to) => linkSync(from, to)));
      syncParent(live);
      if (!isSame(statOf(aside), stat) || !isSame(statOf(live), stat)) throw replaced(path);
      onPath(fresh, (from) => onPath(live, (to) => renameSync(from, to)));
    } catch (error) {
      // What the disk keeps, the next run takes away by the note; why this one failed is told.
      const removed = [fresh, aside].map((left) => onPath(left, tryRemove));
      if (removed.every(Boolean)) tryRemove(noteOf(vault));
      throw error;
    }
    syncParent(live);
    const settled = settle(
      vault,
      path,
      live,
      old,
      { ...pathFields(path), drained_to: proven.end, proven: proven.end, sha256: proven.sha256 },
      DRAIN_MS,
    );
    return { ...settled, drained: Math.max(0, settled.movedTo - atStart) };
  });
}

/**
 * Finishes, or takes back, a swap that a crash or a program that held the file cut off. The caller holds the write lock.
 * Never throws: what cannot be finished now is reported, and a save goes on without it.
 */
export function recoverSwap(vault: Vault, root: Bytes, monitor: Monitor): void {
  if (!exists(noteOf(vault))) return;
  let path = '';
  try {
    const note = JSON.parse(readTextIfThere(noteOf(vault)) ?? '{}') as Note;
    path = note.path;
    const { holders, rewritten } = finish(vault, root, note);
    reportSwap(pathOf(note), holders, rewritten, monitor);
    if (holders.length === 0) monitor.note(`The rotation of ${path} that was cut off is put right`);
  } catch (error) {
    const message = `Its rotation was cut off and cannot be finished now: ${messageOf(error)}; lines of it may be in ${OLD} beside it`;
    monitor.problem({ code: 'rotating', path, message, severity: 'warning' });
  }
}

/** Says what a rotation left to do. */
export function reportSwap(path: Bytes, holders: readonly Holder[], rewritten: Bytes | undefined, monitor: Monitor): void {
  const [holder] = holders;
  if (holder !== undefined) {
    const message = `${holder.program} (process ${holder.pid}) opened it while it was rotated and keeps that open: what it writes goes to ${OLD} beside it, and each save moves it over. End that program`;
    monitor.problem({ code: 'rotating', ...pathFields(path), message, severity: 'warning' });
  }
  if (rewritten !== undefined) {
    const message = `A program rewrote it in the moment of its rotation: what it wrote is in ${toText(rewritten)}`;
    monitor.problem({ code: 'rotating', ...pathFields(path), message, severity: 'error' });
  }
}

type Settled = { readonly movedTo: number; readonly holders: readonly Holder[]; readonly rewritten: Bytes | undefined };

function finish(vault: Vault, root: Bytes, note: Note): Omit<Settled, 'movedTo'> {
  const path = pathOf(note);
  const live = joinBytes(root, path);
  const fresh = beside(live, NEW);
  const aside = beside(live, OLD);
  const done = { holders: [], rewritten: undefined };
  // A disk that is not mounted says nothing of what lies on it.
  if (statOf(dirnameBytes(live)) === undefined) throw new CoraError('not_found', 'its directory is not there');
  const now = statOf(live);
  const old = statOf(aside);
  if (old !== undefined && now === undefined) onPath(aside, (from) => onPath(live, (to) => renameSync(from, to)));
  else if (old !== undefined && now !== undefined && !isSame(old, now)) {
    const fd = onPath(aside, (file) => openSync(file, READ));
    return closing(fd, () => settle(vault, path, live, fd, note, RECOVER_MS));
  }
  for (const left of [fresh, aside]) onPath(left, (file) => rmSync(file, { force: true }));
  syncParent(live);
  rmSync(noteOf(vault), { force: true });
  return done;
}

/** Moves over what the old file got since, and removes it once nobody can write to it any more. */
function settle(vault: Vault, path: Bytes, live: Bytes, old: number, note: Note, limit: number): Settled {
  const aside = beside(live, OLD);
  const holders = waitForWriters(fstatSync(old), limit);
  let movedTo = note.drained_to;
  const proven = note.proven ?? 0;
  let rewritten: Bytes | undefined;
  if (fstatSync(old).size < proven || (note.sha256 !== undefined && hashTo(old, proven) !== note.sha256)) {
    rewritten = keepRewritten(aside, path, live);
  } else {
    movedTo = moveRest(old, live, movedTo, holders.length === 0, (end) => writeNote(vault, { ...note, drained_to: end }));
    if (holders.length > 0) return { movedTo, holders, rewritten };
    onPath(aside, (file) => rmSync(file));
  }
  onPath(beside(live, NEW), (file) => rmSync(file, { force: true }));
  syncParent(live);
  rmSync(noteOf(vault), { force: true });
  return { movedTo, holders: [], rewritten };
}

/** Somebody's own text, not ours to mix into a log: it gets a name that people see and saves take in. */
function keepRewritten(aside: Bytes, path: Bytes, live: Bytes): Bytes {
  for (let n = 1; ; n++) {
    const name = `${basenameBytes(path)}.rewritten-${n}`;
    try {
      onPath(aside, (from) => onPath(beside(live, name), (to) => linkSync(from, to)));
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') continue;
      throw error;
    }
    onPath(aside, (file) => rmSync(file));
    return path.includes('/') ? joinBytes(dirnameBytes(path), name) : bytes(name);
  }
}

/**
 * Asked before anything is saved for a rotation that could not begin.
 * @throws CoraError refused
 */
export function refuseUnfinished(vault: Vault, live: Bytes): void {
  if (exists(noteOf(vault))) {
    throw new CoraError('refused', 'A rotation in this project is not finished yet', { hint: 'cora save says which program holds it up' });
  }
  for (const left of [beside(live, NEW), beside(live, OLD)]) {
    if (statOf(left) === undefined) continue;
    // It may be the only place of some lines: another vault of this project knows.
    throw new CoraError('refused', `A rotation with another vault left ${toText(left)}`, { hint: 'cora save --vault THAT_VAULT finishes it' });
  }
}

function replaced(path: Bytes): CoraError {
  return new CoraError('refused', `${toText(path)} was replaced by another file just now; it is left as it is`, { hint: 'run it again' });
}

/** Pointer and lines into a new file that is to everybody what the old one is. */
function writeTail(old: number, fresh: Bytes, cut: number, end: number, pointer: string): void {
  const to = onPath(fresh, (file) => openSync(file, 'wx', 0o600));
  closing(to, () => {
    writeAll(to, Buffer.from(pointer));
    eachChunk(old, cut, end, (chunk) => writeAll(to, chunk));
    copyAttributes(old, to);
    fsyncSync(to);
  });
}

/** The end of the last whole line between the two offsets; the first one where there is none. */
function lineEnd(fd: number, from: number, to: number): number {
  for (let end = to; end > from; ) {
    const start = Math.max(from, end - CHUNK);
    const chunk = Buffer.alloc(end - start);
    readSync(fd, chunk, 0, chunk.length, start);
    const at = chunk.lastIndexOf(NEWLINE);
    if (at >= 0) return start + at + 1;
    end = start;
  }
  return from;
}

function hashTo(fd: number, end: number): string {
  const digest = createHash('sha256');
  eachChunk(fd, 0, end, (chunk) => digest.update(chunk));
  return digest.digest('hex');
}

function eachChunk(fd: number, start: number, end: number, take: (chunk: Buffer) => void): void {
  const buffer = Buffer.allocUnsafe(CHUNK);
  for (let at = start; at < end; ) {
    const count = readSync(fd, buffer, 0, Math.min(CHUNK, end - at), at);
    if (count === 0) return;
    take(buffer.subarray(0, count));
    at += count;
  }
}

function pathOf({ path, path_base64: raw }: Note): Bytes {
  return raw === undefined ? fromText(path) : bytes(Buffer.from(raw, 'base64').toString('latin1'));
}

function writeNote(vault: Vault, note: Note): void {
  replaceFile(noteOf(vault), JSON.stringify(note), true);
}

function syncParent(path: Bytes): void {
  onPath(dirnameBytes(path), (directory) => syncDirectory(directory));
}
