// The tar stream of an archive as batches: which headers, which objects, in which order
// (docs/format.md, "A backup's archive"). It reads nothing: sizes, pieces and holes are in the listing.
//
// Order: files and the rest, hard links after all of them, then directories, children before parents,
// so that no later entry changes a directory's time (busybox sets it at once, not at the end).

import { hash } from 'node:crypto';
import { type Bytes, bytes } from '../base/bytes.ts';
import { CoraError } from '../base/errors.ts';
import { EMPTY_SHA256, type Entry, type EntryType } from '../format/file-list.ts';
import { paddingOf, TAR_END } from '../format/object-entry.ts';
import { type Extent, parseDevice, sparseMap, TAR_TYPES, type TarType, tarHeader } from '../format/tar-entry.ts';
import { pieceSizeOf } from './chunker.ts';

/** Tar bytes of a batch, which becomes one member; only a larger object makes a larger batch. */
export const BATCH_BYTES = 1 << 20;

/** A file of which only the bytes from `start` on are kept. */
export type Tail = { readonly start: number };

/** An archive-batch job's data, and the bytes of content in it. */
export type Batch = { readonly literals: Uint8Array; readonly hashes: Uint8Array; readonly plan: Uint32Array; readonly contentBytes: number };

/** Objects one after the other: all of `piece` bytes but the last. */
type Objects = { readonly hashes: Uint8Array; readonly piece: number; readonly size: number };

const TYPE_OF: Readonly<Record<Exclude<EntryType, 's'>, TarType>> = {
  d: TAR_TYPES.directory,
  f: TAR_TYPES.file,
  S: TAR_TYPES.file,
  l: TAR_TYPES.symlink,
  h: TAR_TYPES.hardLink,
  p: TAR_TYPES.fifo,
  c: TAR_TYPES.characterDevice,
  b: TAR_TYPES.blockDevice,
};

export class ArchivePlan {
  readonly #entries: readonly Entry[];
  readonly #tails: ReadonlyMap<Bytes, Tail>;

  constructor(entries: readonly Entry[], tails: ReadonlyMap<Bytes, Tail>) {
    this.#entries = entries;
    this.#tails = tails;
  }

  /**
   * The whole stream, its end included.
   * @throws CoraError damaged where a row has a size but no objects
   */
  *batches(): Generator<Batch> {
    const batch = new BatchBuilder();
    for (const entry of archiveOrder(this.#entries)) {
      yield* this.#add(entry, batch);
      if (batch.rawBytes >= BATCH_BYTES) yield batch.take();
    }
    batch.literal(TAR_END);
    yield batch.take();
  }

  *#add(entry: Entry, batch: BatchBuilder): Generator<Batch> {
    if (entry.type === 's') return;
    const { mode, uid, gid, mtime } = entry;
    const common = { type: TYPE_OF[entry.type], name: this.#name(entry), mode, uid, gid, mtime, size: 0 };
    const link = entry.link ?? bytes('');
    if (entry.type === 'l') batch.literal(tarHeader({ ...common, link }));
    else if (entry.type === 'h') batch.literal(tarHeader({ ...common, link: bytes(`./${link}${this.#tails.has(link) ? TAIL : ''}`) }));
    else if (entry.type === 'c' || entry.type === 'b') batch.literal(tarHeader({ ...common, device: parseDevice(link) }));
    else if (entry.type !== 'f' && entry.type !== 'S') batch.literal(tarHeader(common));
    else {
      const start = this.#tails.get(entry.path)?.start;
      const objects = objectsOf(entry);
      const sparse = entry.type === 'S' && start === undefined ? sparseOf(objects) : undefined;
      if (sparse !== undefined) {
        const size = sparse.map.length + sparse.objects.size;
        batch.literal(tarHeader({ ...common, size, sparseSize: entry.size }));
        yield* addPieces(sparse.map, batch);
        yield* addObjects(sparse.objects, 0, batch);
      } else {
        const size = entry.size - (start ?? 0);
        batch.literal(tarHeader({ ...common, size }));
        yield* addObjects(objects, start ?? 0, batch);
      }
    }
  }

  #name({ type, path }: Entry): Bytes {
    if (path === '.') return bytes('./');
    return bytes(`./${path}${type === 'd' ? '/' : ''}${this.#tails.has(path) ? TAIL : ''}`);
  }
}

/** What a file's name ends in where the archive holds its newest part only. */
export const TAIL = '.tail';

function* archiveOrder(entries: readonly Entry[]): Generator<Entry> {
  for (const entry of entries) if (entry.type !== 'd' && entry.type !== 'h') yield entry;
  for (const entry of entries) if (entry.type === 'h') yield entry;
  // A directory's path begins the path of what it holds, so backwards the children come first; `.` is not a
  // beginning of them, and other names may sort before it.
  const directories = entries.filter(({ type, path }) => type === 'd' && path !== '.');
  yield* directories.sort((a, b) => (a.path < b.path ? 1 : -1));
  yield* entries.filter(({ type, path }) => type === 'd' && path === '.');
}

/** @throws CoraError damaged */
export function objectsOf(entry: Entry): Objects {
  if (entry.size === 0 || entry.sha256 === EMPTY_SHA256) return { hashes: new Uint8Array(), piece: 0, size: 0 };
  if (entry.pieces !== undefined) return { hashes: entry.pieces, piece: pieceSizeOf(entry.size, entry.pieces.length / 32), size: entry.size };
  if (entry.sha256 === undefined)
    throw new CoraError('damaged', 'A listing has a file with a size but without a hash', { details: { path: entry.path } });
  return { hashes: new Uint8Array(Buffer.from(entry.sha256, 'hex')), piece: entry.size, size: entry.size };
}

/** The map and what is not a hole. Zero pieces are known by their hash. */
function sparseOf({ hashes, piece, size }: Objects): { map: Buffer; objects: Objects } {
  const zero = zeroHash(piece);
  const rest = size % piece;
  const lastZero = rest === 0 ? zero : zeroHash(rest);
  const count = hashes.length / 32;
  const extents: Extent[] = [];
  const data: Uint8Array[] = [];
  let dataBytes = 0;
  for (let index = 0; index < count; index++) {
    const digest = hashes.subarray(index * 32, index * 32 + 32);
    if ((index === count - 1 ? lastZero : zero).equals(digest)) continue;
    const offset = index * piece;
    const length = Math.min(piece, size - offset);
    const last = extents.at(-1);
    if (last !== undefined && last.offset + last.size === offset) extents[extents.length - 1] = { offset: last.offset, size: last.size + length };
    else extents.push({ offset, size: length });
    data.push(digest);
    dataBytes += length;
  }
  return { map: sparseMap(extents, size), objects: { hashes: new Uint8Array(Buffer.concat(data)), piece, size: dataBytes } };
}

const zeroHashes = new Map<number, Buffer>();

function zeroHash(size: number): Buffer {
  let digest = zeroHashes.get(size);
  if (digest === undefined) {
    digest = hash('sha256', Buffer.alloc(size), 'buffer');
    if (zeroHashes.size < 16) zeroHashes.set(size, digest);
  }
  return digest;
}

/** Literal bytes of any length: the map of a large sparse file. */
function* addPieces(literal: Uint8Array, batch: BatchBuilder): Generator<Batch> {
  for (let at = 0; at < literal.length; at += BATCH_BYTES) {
    batch.literal(literal.subarray(at, at + BATCH_BYTES));
    if (batch.rawBytes >= BATCH_BYTES) yield batch.take();
  }
}

/** Content from `start` on with its padding, cut into batches between objects. */
function* addObjects({ hashes, piece, size }: Objects, start: number, batch: BatchBuilder): Generator<Batch> {
  const count = hashes.length / 32;
  let index = start === 0 ? 0 : Math.floor(start / piece);
  while (index < count) {
    const room = BATCH_BYTES - batch.rawBytes;
    const end = Math.min(count, index + Math.max(1, Math.floor(room / piece)));
    const skip = Math.max(0, start - index * piece);
    batch.content(hashes.subarray(index * 32, end * 32), skip, Math.min(size, end * piece) - index * piece - skip);
    index = end;
    if (index < count) yield batch.take();
  }
  batch.zeros(paddingOf(size - start));
}

/** Collects one batch; see ArchiveBatchJob for the form. */
class BatchBuilder {
  #literals = Buffer.alloc(0);
  #literalBytes = 0;
  #pendingLiteral = 0;
  #hashes: Uint8Array[] = [];
  #plan: number[] = [];
  #contentBytes = 0;

  get rawBytes(): number {
    return this.#literalBytes + this.#contentBytes;
  }

  literal(part: Uint8Array): void {
    this.#grow(part.length);
    this.#literals.set(part, this.#literalBytes);
    this.#literalBytes += part.length;
    this.#pendingLiteral += part.length;
  }

  zeros(count: number): void {
    this.#grow(count);
    this.#literals.fill(0, this.#literalBytes, this.#literalBytes + count);
    this.#literalBytes += count;
    this.#pendingLiteral += count;
  }

  content(hashes: Uint8Array, skip: number, size: number): void {
    this.#plan.push(this.#pendingLiteral, hashes.length / 32, skip, size);
    this.#pendingLiteral = 0;
    this.#hashes.push(hashes);
    this.#contentBytes += size;
  }

  /** The batch so far, in arrays of its own (a message copies the whole buffer of a view), and begins the next one. */
  take(): Batch {
    if (this.#pendingLiteral > 0) this.#plan.push(this.#pendingLiteral, 0, 0, 0);
    const hashes = new Uint8Array(this.#hashes.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of this.#hashes) {
      hashes.set(part, at);
      at += part.length;
    }
    const batch: Batch = {
      literals: new Uint8Array(this.#literals.subarray(0, this.#literalBytes)),
      hashes,
      plan: Uint32Array.from(this.#plan),
      contentBytes: this.#contentBytes,
    };
    this.#literalBytes = 0;
    this.#pendingLiteral = 0;
    this.#hashes = [];
    this.#plan = [];
    this.#contentBytes = 0;
    return batch;
  }

  #grow(count: number): void {
    const need = this.#literalBytes + count;
    if (need <= this.#literals.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(need, 2 * this.#literals.length, 64 << 10));
    larger.set(this.#literals.subarray(0, this.#literalBytes));
    this.#literals = larger;
  }
}
