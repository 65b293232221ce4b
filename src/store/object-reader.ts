// Reads objects out of packs. Every object is hashed before it is handed out: what does not have its
// own hash is an error, never content.

import { hash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { CoraError, messageOf } from '../base/errors.ts';
import { decompressFrame } from '../format/zstd-frame.ts';
import { noteGarbage } from '../os/memory.ts';
import type { ObjectLocation, ObjectTable } from './object-table.ts';

/** Decoded frames kept: neighbours in a listing are mostly neighbours in a pack. */
const FRAMES_KEPT = 4;

type Frame = { readonly pack: number; readonly offset: number; readonly content: Buffer };

export class ObjectReader {
  readonly table: ObjectTable;
  readonly #packs: readonly string[];
  readonly #fds = new Map<number, number>();
  readonly #frames: Frame[] = [];
  #buffer = Buffer.allocUnsafeSlow(512 << 10);

  constructor(table: ObjectTable, packs: readonly string[]) {
    this.table = table;
    this.#packs = packs;
  }

  /**
   * The content of an object; the bytes are valid until the next call.
   * @throws CoraError damaged where it is in no pack or does not have its hash
   */
  read(digest: Uint8Array): Buffer {
    const record = this.table.find(digest);
    if (record < 0)
      throw new CoraError('damaged', `Object ${Buffer.from(digest).toString('hex')} is in no pack`, {
        details: { object: Buffer.from(digest).toString('hex') },
      });
    const location = this.table.location(record);
    const pack = this.#packs[location.pack] ?? '';
    let content: Buffer;
    try {
      const frame = this.#frame(location);
      content = frame.subarray(location.inner, location.inner + location.size);
      if (content.length === location.size && hash('sha256', content, 'buffer').equals(digest)) return content;
    } catch (error) {
      throw new CoraError('damaged', `Object ${Buffer.from(digest).toString('hex')} in ${pack} cannot be read: ${messageOf(error)}`, {
        cause: error,
        details: { pack },
      });
    }
    throw new CoraError('damaged', `Object ${Buffer.from(digest).toString('hex')} in ${pack} does not have its hash`, { details: { pack } });
  }

  close(): void {
    for (const fd of this.#fds.values()) closeSync(fd);
    this.#fds.clear();
  }

  #frame(location: ObjectLocation): Buffer {
    for (let i = 0; i < this.#frames.length; i++) {
      const kept = this.#frames[i];
      if (kept !== undefined && kept.offset === location.offset && kept.pack === location.pack) return kept.content;
    }
    if (this.#buffer.length < location.frameBytes) this.#buffer = Buffer.allocUnsafeSlow(location.frameBytes);
    const fd = this.#open(location.pack);
    let done = 0;
    while (done < location.frameBytes) {
      const count = readSync(fd, this.#buffer, done, location.frameBytes - done, location.offset + done);
      if (count === 0) throw new CoraError('damaged', 'the pack is shorter than its index says');
      done += count;
    }
    const content = decompressFrame(this.#buffer.subarray(0, location.frameBytes), 300_000);
    if (this.#frames.length >= FRAMES_KEPT) this.#frames.shift();
    noteGarbage(content.length);
    this.#frames.push({ pack: location.pack, offset: location.offset, content });
    return content;
  }

  #open(pack: number): number {
    let fd = this.#fds.get(pack);
    if (fd === undefined) {
      const path = this.#packs[pack];
      if (path === undefined) throw new CoraError('damaged', `pack number ${pack} is unknown`);
      // A thousand small packs must not use up the process's descriptors.
      if (this.#fds.size >= 64) this.close();
      fd = openSync(path, 'r');
      this.#fds.set(pack, fd);
    }
    return fd;
  }
}
