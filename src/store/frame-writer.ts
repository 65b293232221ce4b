// Collects new objects into frames and writes each frame into the pack at an offset reserved by an
// atomic add, so that threads write one pack without passing buffers around.

import { closeSync, openSync, writeSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { BLOCK, entryBytes, writeObjectHeader } from '../format/object-entry.ts';
import { compressFrame } from '../format/zstd-frame.ts';
import { noteGarbage } from '../os/memory.ts';
import type { FrameList, PoolSetup } from './jobs.ts';
import type { ObjectTable } from './object-table.ts';

/** Bytes of whole entries a frame holds at most, unless one object alone is larger. */
export const PIECE_FRAME = 256 << 10;
export const FILE_FRAME = 64 << 10;

type Pending = { readonly record: number; readonly inner: number; readonly size: number };

export class FrameWriter {
  readonly #table: ObjectTable;
  readonly #output: NonNullable<PoolSetup['output']>;
  readonly #offset: BigInt64Array;
  readonly #pending: Pending[] = [];
  #frames: number[] = [];
  #fd = -1;
  #buffer = Buffer.allocUnsafe(PIECE_FRAME + (1 << 20) + 4096);
  #used = 0;
  #added = 0;

  constructor(table: ObjectTable, output: NonNullable<PoolSetup['output']>) {
    this.#table = table;
    this.#output = output;
    this.#offset = new BigInt64Array(output.offset);
  }

  /**
   * Room for an object's content of at most `size` bytes, inside the frame being built. Read straight into it,
   * then call `keep` or nothing (the next `room` uses the same bytes). Flushes first where the frame would pass `limit`.
   */
  room(size: number, limit: number): Buffer {
    const need = entryBytes(size);
    if (this.#used > 0 && this.#used + need > limit) this.flush();
    if (this.#used + need > this.#buffer.length) {
      this.#buffer = Buffer.allocUnsafe(need + 4096);
    }
    return this.#buffer.subarray(this.#used + BLOCK, this.#used + BLOCK + size);
  }

  /** Keeps the `size` bytes last read into `room` as an object, unless the vault has it. */
  keep(hash: Buffer, size: number): void {
    const record = this.#table.claim(hash);
    if (record < 0) return;
    const start = this.#used;
    writeObjectHeader(this.#buffer, start, hash.toString('hex'), size);
    const end = start + entryBytes(size);
    this.#buffer.fill(0, start + BLOCK + size, end);
    this.#pending.push({ record, inner: start + BLOCK, size });
    this.#used = end;
    this.#added += size;
  }

  /** Keeps content that lies elsewhere: copied only where it is new. */
  keepCopy(hash: Buffer, content: Uint8Array, limit: number): void {
    if (this.#table.find(hash) >= 0) return;
    this.room(content.length, limit).set(content);
    this.keep(hash, content.length);
  }

  /**
   * Takes a frame of another pack as it is. The pack has none of its objects yet.
   * @param objects every object in the frame; the caller has compared their hashes
   */
  keepFrame(frame: Buffer, objects: readonly { readonly hash: Uint8Array; readonly inner: number; readonly size: number }[]): void {
    const located: Pending[] = [];
    for (const { hash, inner, size } of objects) {
      const record = this.#table.claim(hash);
      if (record < 0) continue;
      located.push({ record, inner, size });
      this.#added += size;
    }
    this.#write(frame, located);
  }

  flush(): void {
    if (this.#used === 0) return;
    const frame = compressFrame(this.#buffer.subarray(0, this.#used));
    this.#write(frame, this.#pending);
    noteGarbage(frame.length + this.#used);
    this.#pending.length = 0;
    this.#used = 0;
  }

  #write(frame: Buffer, objects: readonly Pending[]): void {
    const offset = Number(Atomics.add(this.#offset, 0, BigInt(frame.length)));
    if (this.#fd < 0) this.#fd = openSync(this.#output.path, 'r+');
    let done = 0;
    while (done < frame.length) done += writeSync(this.#fd, frame, done, frame.length - done, offset + done);
    for (const { record, inner, size } of objects) {
      this.#table.locate(record, { pack: this.#output.pack, offset, frameBytes: frame.length, inner, size });
    }
    this.#frames.push(offset, frame.length, crc32(frame));
  }

  /** Flushes, and gives the frames written and the bytes of content added since the last call. */
  take(): { frames: FrameList; added: number } {
    this.flush();
    const result = { frames: Float64Array.from(this.#frames), added: this.#added };
    this.#frames = [];
    this.#added = 0;
    return result;
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }
}
