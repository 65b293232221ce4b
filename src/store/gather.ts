// Objects out of old packs into new ones: what expired packs hold and others still need. Every object is hashed on its way. A frame
// of which all is needed is copied as it is; what is left of the others is packed again. The new packs are synced and read back.

import { hash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { CoraError, messageOf } from '../base/errors.ts';
import { readObjectEntries } from '../format/object-entry.ts';
import { decompressFrame } from '../format/zstd-frame.ts';
import { noteGarbage } from '../os/memory.ts';
import { FILE_FRAME, FrameWriter, PIECE_FRAME } from './frame-writer.ts';
import { type ObjectIndex, recordsFrom } from './object-index.ts';
import { ObjectTable, RECORD_BYTES } from './object-table.ts';
import { PackOutput, sealPack } from './pack-output.ts';

/** A new pack is ended at this size, so that a later clean-up need not rewrite everything for a little. */
const PACK_BYTES = 256 << 20;

/** A pack as it lies in the staging directory: durable, and read back. */
export type GatheredPack = {
  /** Absolute. */
  readonly path: string;
  readonly size: number;
  readonly sha256: string;
  readonly objects: number;
  /** For the object index. */
  readonly records: Buffer;
};

/**
 * Copies objects into new packs.
 * @param wanted record numbers of the index, ordered by place, each object once
 * @param stage an existing directory; the packs are made in it
 * @param progress called now and then with the bytes of content copied so far; may throw to stop
 * @throws CoraError damaged where an object does not have its hash; validation_failed where the disk does not hold what was written
 */
export function gatherObjects(
  index: ObjectIndex,
  wanted: Uint32Array,
  stage: string,
  progress: (bytes: number) => void,
  packBytes = PACK_BYTES,
): GatheredPack[] {
  const packs: GatheredPack[] = [];
  const reader = new RecordReader(index);
  let writer: PackWriter | undefined;
  let copied = 0;
  try {
    for (let at = 0; at < wanted.length; ) {
      const end = endOfFrame(index.table, wanted, at);
      writer ??= new PackWriter(`${stage}/objects-${packs.length}.tar.zst`, wanted.length - at);
      copied += copyObjects(reader, wanted.subarray(at, end), writer.frames);
      progress(copied);
      at = end;
      if (writer.bytes < packBytes) continue;
      packs.push(writer.finish());
      writer = undefined;
    }
    if (writer !== undefined) packs.push(writer.finish());
    return packs;
  } finally {
    writer?.close();
    reader.close();
  }
}

/** The first place after `at` that lies in another frame. */
function endOfFrame(table: ObjectTable, wanted: Uint32Array, at: number): number {
  const first = table.location(wanted[at] ?? 0);
  for (let end = at + 1; end < wanted.length; end++) {
    const location = table.location(wanted[end] ?? 0);
    if (location.pack !== first.pack || location.offset !== first.offset) return end;
  }
  return wanted.length;
}

/** All wanted objects of one frame. Returns their bytes. */
function copyObjects(reader: RecordReader, records: Uint32Array, writer: FrameWriter): number {
  const objects = [...records].map((record) => reader.read(record));
  let bytes = 0;
  for (const { content } of objects) bytes += content.length;
  const { frame, decoded } = reader.last();
  const entries = [...readObjectEntries(decoded)];
  // Its headers must say the same, for restore.sh goes by them.
  const whole =
    entries.length === objects.length &&
    entries.every(({ hex, contentAt }, i) => contentAt === objects[i]?.inner && hex === objects[i]?.hash.toString('hex'));
  if (whole)
    writer.keepFrame(
      frame,
      objects.map(({ hash, content, inner }) => ({ hash, inner, size: content.length })),
    );
  else for (const { hash, content } of objects) writer.keepCopy(hash, content, decoded.length > FILE_FRAME ? PIECE_FRAME : FILE_FRAME);
  return bytes;
}

/** A new pack with an index of its own. */
class PackWriter {
  readonly frames: FrameWriter;
  readonly #table: ObjectTable;
  readonly #output: PackOutput;

  constructor(path: string, room: number) {
    this.#table = ObjectTable.allocate(room);
    this.#output = new PackOutput(path, 0);
    this.frames = new FrameWriter(this.#table, this.#output.setup);
  }

  get bytes(): number {
    return this.#output.bytes;
  }

  finish(): GatheredPack {
    this.#output.addFrames(this.frames.take().frames);
    this.frames.close();
    const job = this.#output.end();
    const { sha256 } = sealPack(job);
    const records = recordsFrom(this.#table, 0);
    return { path: job.path, size: job.size, sha256, objects: records.length / RECORD_BYTES, records };
  }

  close(): void {
    this.frames.close();
  }
}

export type ReadObject = { readonly hash: Buffer; readonly content: Buffer; readonly inner: number };

/** Reads a certain copy of an object, where `ObjectReader` takes any. It keeps one frame: ask in the order of places. */
export class RecordReader {
  readonly #index: ObjectIndex;
  #pack = -1;
  #offset = -1;
  #fd = -1;
  #frame: Buffer = Buffer.alloc(0);
  #decoded: Buffer = Buffer.alloc(0);

  constructor(index: ObjectIndex) {
    this.#index = index;
  }

  /**
   * The object of a record.
   * @throws CoraError damaged where its bytes are not there or do not have its hash
   */
  read(record: number): ReadObject {
    const { table, packs } = this.#index;
    const { pack, offset, frameBytes, inner, size } = table.location(record);
    const path = packs[pack] ?? '';
    const digest = Buffer.from(table.shared.records, record * RECORD_BYTES, 32);
    let reason = 'does not have its hash';
    try {
      if (pack !== this.#pack || offset !== this.#offset) this.#load(path, pack, offset, frameBytes);
      const content = this.#decoded.subarray(inner, inner + size);
      if (content.length === size && hash('sha256', content, 'buffer').equals(digest)) return { hash: digest, content, inner };
    } catch (error) {
      reason = `cannot be read: ${messageOf(error)}`;
    }
    throw new CoraError('damaged', `Object ${digest.toString('hex')} in ${path} ${reason}`, {
      hint: 'cora verify --all names what is damaged',
      details: { pack: path },
    });
  }

  /** The frame of the object that was read last, as it is stored and decoded. */
  last(): { readonly frame: Buffer; readonly decoded: Buffer } {
    return { frame: this.#frame, decoded: this.#decoded };
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }

  #load(path: string, pack: number, offset: number, frameBytes: number): void {
    if (pack !== this.#pack) {
      this.close();
      this.#pack = -1;
      this.#fd = openSync(path, 'r');
    }
    this.#offset = -1;
    this.#pack = pack;
    const frame = Buffer.allocUnsafe(frameBytes);
    let done = 0;
    while (done < frameBytes) {
      const count = readSync(this.#fd, frame, done, frameBytes - done, offset + done);
      if (count === 0) throw new CoraError('damaged', 'the pack is shorter than its index says');
      done += count;
    }
    this.#decoded = decompressFrame(frame, 300_000);
    this.#frame = frame;
    this.#offset = offset;
    noteGarbage(frame.length + this.#decoded.length);
  }
}
