// Looking at a file that may be too long: its size and lines, where to cut it, and hashes of its parts.

import { createHash } from 'node:crypto';
import { fstatSync, openSync, readSync } from 'node:fs';
import type { Bytes } from '../base/bytes.ts';
import { closing } from '../os/files.ts';
import { onPath } from '../os/long-path.ts';

const CHUNK = 1 << 20;
export const NEWLINE = 10;

export type Measured = { readonly size: number; readonly lines: number };

/** Bytes and newlines of the file as it is now. */
export function measure(file: Bytes): Measured {
  let lines = 0;
  let size = 0;
  eachChunk(file, 0, Number.POSITIVE_INFINITY, (chunk) => {
    size += chunk.length;
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, at + 1)) lines += 1;
    return true;
  });
  return { size, lines };
}

/** The first line start from which on at most so many bytes and lines are left; the last line stays in any case. */
export function findCut(file: Bytes, { size, lines }: Measured, keepBytes: number, keepLines: number): Measured {
  let passed = 0;
  let cut = { size: 0, lines: 0 };
  let base = 0;
  eachChunk(file, 0, size, (chunk) => {
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, at + 1)) {
      const offset = base + at + 1;
      const enough = size - cut.size <= keepBytes && lines - cut.lines <= keepLines;
      if (offset >= size || (cut.size > 0 && enough)) return false;
      passed += 1;
      cut = { size: offset, lines: passed };
    }
    base += chunk.length;
    return true;
  });
  return cut;
}

/** @param take gives false where it has seen enough */
function eachChunk(file: Bytes, start: number, end: number, take: (chunk: Buffer) => boolean): void {
  const fd = onPath(file, (path) => openSync(path, 'r'));
  closing(fd, () => {
    const buffer = Buffer.allocUnsafe(CHUNK);
    for (let at = start; at < end; ) {
      const count = readSync(fd, buffer, 0, Math.min(CHUNK, end - at), at);
      if (count === 0 || !take(buffer.subarray(0, count))) return;
      at += count;
    }
  });
}

/** Bytes of a file; fewer where it ends before. */
export function readRange(file: Bytes, start: number, end: number): Buffer {
  const chunks: Buffer[] = [];
  eachChunk(file, start, end, (chunk) => chunks.push(Buffer.from(chunk)) > 0);
  return Buffer.concat(chunks);
}

/** sha256 of parts of files, one after the other. */
export function hashOf(ranges: readonly { readonly file: Bytes; readonly start: number; readonly end: number }[]): string {
  const digest = createHash('sha256');
  for (const { file, start, end } of ranges) {
    eachChunk(file, start, end, (chunk) => {
      digest.update(chunk);
      return true;
    });
  }
  return digest.digest('hex');
}

/** Bytes of a file that must be there. */
export function sizeOf(file: Bytes): number {
  const fd = onPath(file, (path) => openSync(path, 'r'));
  return closing(fd, () => fstatSync(fd).size);
}
