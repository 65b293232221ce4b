// What reaches a file after another one has taken its name: waiting for its writers, and moving their
// lines. Invariant: a byte is counted as moved only when it is synced in the new file; after a crash a
// piece may be there twice, never not at all.

import { constants, fstatSync, fsyncSync, openSync, readSync } from 'node:fs';
import type { Bytes } from '../base/bytes.ts';
import { CoraError } from '../base/errors.ts';
import { closing, writeAll } from '../os/files.ts';
import { findWriters, type Holder } from '../os/holders.ts';
import { onPath } from '../os/long-path.ts';
import { pause } from '../os/pause.ts';

/** A piece is one write, so that no line is torn; longer lines than this are written in parts. */
const PIECE = 16 << 20;
const STEP_MS = 20;
const NEWLINE = 10;

type Inode = { readonly dev: number; readonly ino: number };

/** Writers that are there now and still there a second later: they keep the file open. */
export function stayingWriters(file: Inode): readonly Holder[] {
  let { writers } = findWriters(file);
  for (let waited = 0; waited < 1000 && writers.length > 0; waited += 50) {
    pause(50);
    const now = new Set(findWriters(file).writers.map(({ pid }) => pid));
    writers = writers.filter(({ pid }) => now.has(pid));
  }
  return writers;
}

/**
 * Waits until two looks, one after the other, find no writer: one look can miss a descriptor that a process hands to its child.
 * @param limit milliseconds
 * @returns who is left then
 */
export function waitForWriters(file: Inode, limit: number): readonly Holder[] {
  let quiet = 0;
  for (let waited = 0; ; waited += STEP_MS) {
    const { writers } = findWriters(file);
    quiet = writers.length === 0 ? quiet + 1 : 0;
    if (quiet === 2) return [];
    if (waited >= limit && quiet === 0) return writers;
    // Blocks: recovery is part of opening a vault, which does not wait for promises.
    pause(STEP_MS);
  }
}

/**
 * Appends what `old` holds from `start` on to the live file.
 * @param whole false while somebody still writes: then whole lines only
 * @param moved told after each piece is synced how far it went
 * @returns how far it went
 */
export function moveRest(old: number, live: Bytes, start: number, whole: boolean, moved: (end: number) => void): number {
  if (fstatSync(old).size <= start) return start;
  const to = onPath(live, (file) => openSync(file, constants.O_WRONLY | constants.O_APPEND | constants.O_NOFOLLOW));
  return closing(to, () => {
    if (!fstatSync(to).isFile()) throw new CoraError('refused', 'Something that is no file has taken its name', { hint: 'move it away' });
    for (let at = start; ; ) {
      const size = fstatSync(old).size;
      const piece = Buffer.allocUnsafe(Math.min(PIECE, Math.max(0, size - at)));
      const count = readSync(old, piece, 0, piece.length, at);
      const lines = piece.subarray(0, count).lastIndexOf(NEWLINE) + 1;
      const take = whole && (at + count === size || lines === 0) ? count : lines;
      if (take === 0) return at;
      writeAll(to, piece.subarray(0, take));
      fsyncSync(to);
      at += take;
      moved(at);
    }
  });
}
