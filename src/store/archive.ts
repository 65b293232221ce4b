// Writes a backup's archive (docs/format.md, "A backup's archive"): plans the tar stream, lets workers
// make it member by member, and writes the members in order. Nothing grows with the size of
// the content: a few batches are under way at a time.

import { createHash } from 'node:crypto';
import { closeSync, fdatasync, fsyncSync, openSync } from 'node:fs';
import type { Bytes } from '../base/bytes.ts';
import { CoraError, writeFailure } from '../base/errors.ts';
import type { Entry } from '../format/file-list.ts';
import { writeAll } from '../os/files.ts';
import { noteGarbage } from '../os/memory.ts';
import { ArchivePlan, type Batch, type Tail } from './archive-plan.ts';
import { planTails } from './archive-tails.ts';
import type { WorkerPool } from './pool.ts';

/** Batches under way: one at work and one that waits for each of two threads, and two that are being written. */
const IN_FLIGHT = 6;
/** Bytes after which the disk is asked to begin, so that the last fsync has little left to wait for. */
const SYNC_EVERY = 32 << 20;

export type ArchiveOptions = {
  /** Absolute path of a new file. */
  readonly target: string;
  readonly pool: WorkerPool;
  /** Bytes to keep of a log at most, or undefined for the whole file. Asked for files and hard links. */
  readonly capOf?: (entry: Entry) => number | undefined;
  /** Bytes of content that are in the archive so far. */
  readonly onProgress?: (contentBytes: number) => void;
  readonly signal?: AbortSignal;
};

export type ArchiveResult = {
  /** Bytes and sha256 of the file as it was written. */
  readonly size: number;
  readonly sha256: string;
  /** Bytes of the tar stream. */
  readonly rawBytes: number;
  /** gzip members: an archive cut between two of them still passes `gzip -t`. */
  readonly members: number;
  /** Files (and their hard links) that the archive holds by their newest part, as `<path>.tail`. */
  readonly capped: readonly { readonly path: Bytes; readonly size: number; readonly stored: number }[];
};

/**
 * Writes the archive of a save's entries and makes it durable (the directory is the caller's to sync).
 * The file is left where it is when this throws: the caller removes its staging directory.
 * @param entries rows of a listing in any order; sockets are left out, for tar has no type for them
 * @throws CoraError damaged where an object is missing or wrong, interrupted, no_space, io
 */
export async function writeArchive(entries: readonly Entry[], options: ArchiveOptions): Promise<ArchiveResult> {
  const tails = await planTails(entries, options.capOf, options.pool);
  const file = new ArchiveFile(options.target);
  try {
    await writeMembers(new ArchivePlan(entries, tails), file, options);
    const written = await file.finish();
    return { ...written, capped: cappedOf(entries, tails) };
  } finally {
    await file.close();
  }
}

function cappedOf(entries: readonly Entry[], tails: ReadonlyMap<Bytes, Tail>): ArchiveResult['capped'] {
  if (tails.size === 0) return [];
  return entries.flatMap(({ path, size }) => {
    const tail = tails.get(path);
    return tail === undefined ? [] : [{ path, size, stored: size - tail.start }];
  });
}

async function writeMembers(plan: ArchivePlan, file: ArchiveFile, options: ArchiveOptions): Promise<void> {
  const waiting: { contentBytes: number; done: ReturnType<typeof runBatch> }[] = [];
  let contentBytes = 0;
  const writeFirst = async (): Promise<void> => {
    const first = waiting.shift();
    if (first === undefined) return;
    file.add(await first.done);
    contentBytes += first.contentBytes;
    options.onProgress?.(contentBytes);
  };
  try {
    for (const batch of plan.batches()) {
      if (options.signal?.aborted === true) throw new CoraError('interrupted', 'Interrupted');
      waiting.push({ contentBytes: batch.contentBytes, done: runBatch(options.pool, batch) });
      if (waiting.length >= IN_FLIGHT) await writeFirst();
    }
    while (waiting.length > 0) await writeFirst();
  } finally {
    // After a failure the other batches end too before the caller goes on; theirs is not the first error.
    await Promise.allSettled(waiting.map(({ done }) => done));
  }
}

async function runBatch(pool: WorkerPool, batch: Batch): Promise<{ member: Uint8Array; rawBytes: number }> {
  return await pool.run({ kind: 'archive-batch', literals: batch.literals, hashes: batch.hashes, plan: batch.plan });
}

/** The archive's file: members in order, hashed as they are written. */
class ArchiveFile {
  readonly #path: string;
  readonly #hash = createHash('sha256');
  #fd: number;
  #size = 0;
  #rawBytes = 0;
  #members = 0;
  #unsynced = 0;
  #syncing: Promise<void> | undefined;

  constructor(path: string) {
    this.#path = path;
    try {
      this.#fd = openSync(path, 'wx', 0o600);
    } catch (error) {
      throw writeFailure(error, path);
    }
  }

  add({ member, rawBytes }: { member: Uint8Array; rawBytes: number }): void {
    this.#hash.update(member);
    try {
      writeAll(this.#fd, member);
    } catch (error) {
      throw writeFailure(error, this.#path);
    }
    this.#size += member.length;
    this.#rawBytes += rawBytes;
    this.#members += 1;
    noteGarbage(member.length);
    this.#unsynced += member.length;
    if (this.#unsynced >= SYNC_EVERY && this.#syncing === undefined) this.#syncAhead();
  }

  async finish(): Promise<Omit<ArchiveResult, 'capped'>> {
    await this.#syncing;
    try {
      fsyncSync(this.#fd);
    } catch (error) {
      throw writeFailure(error, this.#path);
    }
    return { size: this.#size, sha256: this.#hash.digest('hex'), rawBytes: this.#rawBytes, members: this.#members };
  }

  /** Waits for the sync under way and closes; safe after an error. */
  async close(): Promise<void> {
    await this.#syncing?.catch(() => undefined);
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }

  /** Begins to sync on another thread. Its error is kept: the kernel tells it only once. */
  #syncAhead(): void {
    this.#unsynced = 0;
    const syncing = new Promise<void>((resolve, reject) => {
      fdatasync(this.#fd, (error) => (error === null ? resolve() : reject(writeFailure(error, this.#path))));
    }).then(() => {
      this.#syncing = undefined;
    });
    syncing.catch(() => undefined);
    this.#syncing = syncing;
  }
}
