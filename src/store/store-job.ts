// The capture jobs of a worker: read, hash, and keep what is new. Small files are read straight into
// the frame being built; cut files a segment at a time. A file is trusted only if the open file's
// facts after the read are those of the scan.

import { hash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { bytes } from '../base/bytes.ts';
import { errnoOf } from '../base/errors.ts';
import { isSqliteHeader } from '../format/sqlite-header.ts';
import { onPath } from '../os/long-path.ts';
import { FILE_FRAME, type FrameWriter, PIECE_FRAME } from './frame-writer.ts';
import {
  FILE_DATABASE,
  FILE_FAILED,
  FILE_GREW,
  FILE_STORED,
  FILE_UNSTABLE,
  type FileItem,
  type StoredFileFacts,
  type StoreFilesJob,
  type StoreFilesResult,
  type StoreSegmentJob,
  type StoreSegmentResult,
} from './jobs.ts';
import { digestOf } from './zeros.ts';

/** Never follow a link, never wait for a FIFO that took the file's place. */
export const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

const EMPTY_HASH = hash('sha256', new Uint8Array(), 'buffer');

export function storeFiles(job: StoreFilesJob, writer: FrameWriter): StoreFilesResult {
  const hashes = new Uint8Array(32 * job.items.length);
  const facts: StoredFileFacts[] = [];
  let bytesRead = 0;
  job.items.forEach((item, at) => {
    let stored = storeFile(item, writer);
    if (stored.facts.status === FILE_UNSTABLE) stored = storeFile(asNow(item, stored.facts), writer);
    facts.push(stored.facts);
    if (stored.hash !== undefined) hashes.set(stored.hash, at * 32);
    bytesRead += stored.bytesRead;
  });
  return { facts, hashes, bytesRead, ...writer.take() };
}

function asNow(item: FileItem, facts: StoredFileFacts): FileItem {
  return { ...item, size: facts.size, mtimeMs: facts.mtimeMs, ctimeMs: facts.ctimeMs, ino: facts.ino };
}

type Stored = { facts: StoredFileFacts; hash?: Buffer; bytesRead: number };

function storeFile(item: FileItem, writer: FrameWriter): Stored {
  let fd: number;
  try {
    fd = onPath(bytes(item.path), (path) => openSync(path, READ_FLAGS));
  } catch (error) {
    return { facts: failed(error), bytesRead: 0 };
  }
  try {
    // A file that is no longer what the scan saw is judged by what it is now.
    const room = writer.room(item.size, FILE_FRAME);
    const length = readFully(fd, room, item.size, 0);
    const content = room.subarray(0, length);
    const stat = fstatSync(fd, { bigint: true });
    if (!stat.isFile()) return { facts: { ...NO_FACTS, status: FILE_FAILED, error: 'ENOENT' }, bytesRead: 0 };
    const facts: StoredFileFacts = {
      status: FILE_STORED,
      mode: Number(stat.mode) & 0o7777,
      uid: Number(stat.uid),
      gid: Number(stat.gid),
      size: Number(stat.size),
      mtime: stat.mtimeNs,
      mtimeMs: Number(stat.mtimeNs / 1_000_000n) + Number(stat.mtimeNs % 1_000_000n) / 1e6,
      ctimeMs: Number(stat.ctimeNs / 1_000_000n) + Number(stat.ctimeNs % 1_000_000n) / 1e6,
      ino: Number(stat.ino),
    };
    if (item.staged !== true && isSqliteHeader(content)) return { facts: { ...facts, status: FILE_DATABASE }, bytesRead: length };
    const digest = length === 0 ? EMPTY_HASH : hash('sha256', content, 'buffer');
    if (length > 0) writer.keep(digest, length);
    return { facts: { ...facts, status: judge(item, facts, length) }, hash: digest, bytesRead: length };
  } catch (error) {
    return { facts: failed(error), bytesRead: 0 };
  } finally {
    closeSync(fd);
  }
}

/** What the change between scan and read means: nothing, growth (fine), or a torn read. */
function judge(item: FileItem, facts: StoredFileFacts, length: number): number {
  if (facts.ino === item.ino && facts.size === item.size && sameTime(facts.ctimeMs, item.ctimeMs) && length === item.size) return FILE_STORED;
  if (facts.ino === item.ino && facts.size > item.size && length === item.size) return FILE_GREW;
  return FILE_UNSTABLE;
}

/** Milliseconds as a double carry about a quarter of a microsecond; two ways of rounding may differ by that. */
export function sameTime(a: number, b: number): boolean {
  return Math.abs(a - b) < 0.001;
}

const NO_FACTS: StoredFileFacts = { status: FILE_FAILED, mode: 0, uid: 0, gid: 0, size: 0, mtime: 0n, mtimeMs: 0, ctimeMs: 0, ino: 0 };

function failed(error: unknown): StoredFileFacts {
  const errno = errnoOf(error);
  // Writing the pack failed (ENOSPC, EIO on our side has no path): that ends the run, it is not the file's fault.
  if (
    errno === undefined ||
    errno === 'ENOSPC' ||
    errno === 'EDQUOT' ||
    errno === 'EFBIG' ||
    (error instanceof Error && 'syscall' in error && error.syscall === 'write')
  ) {
    throw error;
  }
  return { ...NO_FACTS, error: errno };
}

let segment = Buffer.alloc(0);

export function storeSegment(job: StoreSegmentJob, writer: FrameWriter): StoreSegmentResult {
  if (segment.length < job.length) segment = Buffer.allocUnsafeSlow(job.length);
  const hashes = new Uint8Array(32 * Math.ceil(job.length / job.piece));
  let length: number;
  try {
    const fd = onPath(bytes(job.path), (path) => openSync(path, READ_FLAGS));
    try {
      length = readFully(fd, segment, job.length, job.offset);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    return { hashes: new Uint8Array(), bytesRead: 0, error: failed(error).error ?? 'EIO', ...writer.take() };
  }
  let piece = 0;
  for (let at = 0; at < length; at += job.piece, piece++) {
    const size = Math.min(job.piece, length - at);
    const content = segment.subarray(at, at + size);
    const digest = digestOf(content);
    hashes.set(digest, piece * 32);
    writer.keepCopy(digest, content, PIECE_FRAME);
  }
  return { hashes: hashes.subarray(0, piece * 32), bytesRead: length, ...writer.take() };
}

export function readFully(fd: number, target: Uint8Array, length: number, position: number): number {
  let done = 0;
  while (done < length) {
    const count = readSync(fd, target, done, length - done, position + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}
