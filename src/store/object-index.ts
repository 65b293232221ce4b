// `.cache/objects.idx`: the object table on disk, one segment a pack, so that a save appends and
// never rewrites. It can be deleted at any time: packs that it lacks are read and added.
//
// Segment: 'CIX1', count, path bytes, crc32 of what follows; the pack's path; padding to 4; records.

import { closeSync, fstatSync, openSync, readFileSync, readSync, rmSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { CoraError } from '../base/errors.ts';
import { readObjectEntries } from '../format/object-entry.ts';
import { decompressFrame, frameLength } from '../format/zstd-frame.ts';
import { exists, writeAll } from '../os/files.ts';
import { ObjectTable, RECORD_BYTES, RECORD_WORDS } from './object-table.ts';

const MAGIC = 0x31584943;
const HEADER = 16;

export type ObjectIndex = {
  readonly table: ObjectTable;
  /** Absolute paths by pack number. */
  readonly packs: string[];
  /** Packs that the index had and the disk has no more: what they held must be stored again. */
  readonly lostPacks: number;
  /** Packs that could not be read whole, relative paths. */
  readonly damagedPacks: readonly string[];
};

type Segment = { readonly pack: string; readonly records: Buffer };

/**
 * The index of all packs.
 * @param vaultRoot absolute
 * @param packs what lies on the disk, relative to the vault
 * @param room records to keep free for new objects
 * @param writable append what was missing to the cache
 * @param anew read every pack, whatever the cache says
 */
export function openIndex(vaultRoot: string, packs: readonly string[], room: number, writable: boolean, anew = false): ObjectIndex {
  const path = `${vaultRoot}/.cache/objects.idx`;
  const cached = anew ? [] : readSegments(path, writable);
  const onDisk = new Set(packs);
  const known = new Set(cached.map((segment) => segment.pack));
  const kept = cached.filter((segment) => onDisk.has(segment.pack));
  const damagedPacks: string[] = [];
  for (const pack of packs) {
    if (known.has(pack)) continue;
    const { segment, damaged } = indexPack(vaultRoot, pack);
    if (damaged) damagedPacks.push(pack);
    kept.push(segment);
    if (writable) appendSegment(vaultRoot, segment.pack, segment.records);
  }
  const lostPacks = cached.filter((segment) => !onDisk.has(segment.pack)).length;
  // Told once: the caller stores again what they held, and the next run starts from what is there.
  if (lostPacks > 0 && writable) rewriteSegments(vaultRoot, kept);
  const total = kept.reduce((sum, segment) => sum + segment.records.length / RECORD_BYTES, 0);
  const table = ObjectTable.allocate(total + room);
  const bytes = new Uint8Array(table.shared.records);
  let at = 0;
  kept.forEach((segment, pack) => {
    bytes.set(segment.records, at * RECORD_BYTES);
    const count = segment.records.length / RECORD_BYTES;
    for (let record = at; record < at + count; record++) table.records[record * RECORD_WORDS + 8] = pack;
    at += count;
  });
  table.publishLoaded(total);
  return {
    table,
    packs: kept.map((segment) => `${vaultRoot}/${segment.pack}`),
    lostPacks,
    damagedPacks,
  };
}

/**
 * Takes packs out of the cache, before they are removed on purpose: what is missing without that counts as lost, and makes the next
 * save read everything again. A pack that is still there is read into the cache again when it is next asked for.
 * @param packs relative to the vault
 */
export function forgetPacks(vaultRoot: string, packs: ReadonlySet<string>): void {
  const segments = readSegments(`${vaultRoot}/.cache/objects.idx`, true);
  const kept = segments.filter(({ pack }) => !packs.has(pack));
  if (kept.length < segments.length) rewriteSegments(vaultRoot, kept);
}

/** Deletes the cache: every pack is read for the next index. */
export function dropIndex(vaultRoot: string): void {
  rmSync(`${vaultRoot}/.cache/objects.idx`, { force: true });
}

/** The new records of a pack, as they stand at the table's end from `first` on; the caller appends them once the pack is visible. */
export function recordsFrom(table: ObjectTable, first: number): Buffer {
  const count = table.count;
  const all = Buffer.from(table.shared.records);
  const used = Buffer.allocUnsafe(Math.max(0, count - first) * RECORD_BYTES);
  let at = 0;
  for (let record = first; record < count; record++) {
    // A record that lost the race for its slot was never located; its size is 0.
    if (table.records[record * RECORD_WORDS + 13] === 0) continue;
    at += all.copy(used, at, record * RECORD_BYTES, (record + 1) * RECORD_BYTES);
  }
  return used.subarray(0, at);
}

/** Adds a pack's records to the cache. Not synced: a torn segment fails its crc and the pack is read again. */
export function appendSegment(vaultRoot: string, pack: string, records: Buffer): void {
  const name = Buffer.from(pack, 'utf8');
  const padding = Buffer.alloc((4 - (name.length % 4)) % 4);
  const header = Buffer.alloc(HEADER);
  header.writeUInt32LE(MAGIC, 0);
  header.writeUInt32LE(records.length / RECORD_BYTES, 4);
  header.writeUInt32LE(name.length, 8);
  header.writeUInt32LE(crc32(records, crc32(name)), 12);
  const fd = openSync(`${vaultRoot}/.cache/objects.idx`, 'a', 0o600);
  try {
    writeAll(fd, Buffer.concat([header, name, padding, records]));
  } finally {
    closeSync(fd);
  }
}

function rewriteSegments(vaultRoot: string, segments: readonly Segment[]): void {
  // The segments are views of what was read before: the file may go.
  rmSync(`${vaultRoot}/.cache/objects.idx`, { force: true });
  for (const { pack, records } of segments) appendSegment(vaultRoot, pack, records);
}

function readSegments(path: string, writable: boolean): Segment[] {
  if (!exists(path)) return [];
  const data = readFileSync(path);
  const segments: Segment[] = [];
  let at = 0;
  while (at + HEADER <= data.length && data.readUInt32LE(at) === MAGIC) {
    const count = data.readUInt32LE(at + 4);
    const nameBytes = data.readUInt32LE(at + 8);
    const recordsAt = at + HEADER + nameBytes + ((4 - (nameBytes % 4)) % 4);
    const end = recordsAt + count * RECORD_BYTES;
    if (end > data.length) break;
    const name = data.subarray(at + HEADER, at + HEADER + nameBytes);
    const records = data.subarray(recordsAt, end);
    if (crc32(records, crc32(name)) !== data.readUInt32LE(at + 12)) break;
    segments.push({ pack: name.toString('utf8'), records });
    at = end;
  }
  // Anything after the first bad byte is not believed: those packs are read again, and appended behind it would
  // never be found. So a file that does not end where its segments do counts as empty.
  if (at === data.length) return segments;
  if (writable) rmSync(path, { force: true });
  return [];
}

/** Reads a pack frame by frame. A damaged frame's objects are left out; they are stored again when next seen. */
function indexPack(vaultRoot: string, pack: string): { segment: Segment; damaged: boolean } {
  const records: Buffer[] = [];
  let damaged = false;
  try {
    eachFrame(`${vaultRoot}/${pack}`, (frame, offset) => {
      const content = decompressFrame(frame);
      for (const entry of readObjectEntries(content)) {
        const record = Buffer.alloc(RECORD_BYTES);
        record.write(entry.hex, 0, 'hex');
        record.writeUInt32LE(offset % 2 ** 32, 36);
        record.writeUInt32LE(Math.floor(offset / 2 ** 32), 40);
        record.writeUInt32LE(frame.length, 44);
        record.writeUInt32LE(entry.contentAt, 48);
        record.writeUInt32LE(entry.size, 52);
        records.push(record);
      }
    });
  } catch (error) {
    if (!(error instanceof CoraError)) throw error;
    damaged = true;
  }
  return { segment: { pack, records: Buffer.concat(records) }, damaged };
}

/** Calls `visit` with every zstd frame of a file in order, holding one frame in memory. */
export function eachFrame(path: string, visit: (frame: Buffer, offset: number) => void): void {
  const fd = openSync(path, 'r');
  try {
    const size = fstatSync(fd).size;
    let buffer = Buffer.allocUnsafe(1 << 20);
    let filled = 0;
    let offset = 0;
    while (offset < size) {
      filled += readSync(fd, buffer, filled, Math.min(buffer.length - filled, size - offset - filled), offset + filled);
      const length = filled >= 6 ? frameLength(buffer.subarray(0, filled), 0) : undefined;
      if (length === undefined) {
        if (offset + filled >= size) throw new CoraError('damaged', `${path} ends in the middle of a frame`);
        buffer = Buffer.concat([buffer.subarray(0, filled), Buffer.allocUnsafe(buffer.length)]);
        continue;
      }
      visit(buffer.subarray(0, length), offset);
      buffer.copyWithin(0, length, filled);
      filled -= length;
      offset += length;
    }
  } finally {
    closeSync(fd);
  }
}
