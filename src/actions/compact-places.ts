// Where each object that is still needed lies, and which copy of it stays: the reckoning of compaction. Flat arrays by record number,
// so that it grows with the object index alone.
//
// Invariant: a copy counts as enough only in a pack that stays; where another copy is about to go, the one that stays was read.

import { statSync } from 'node:fs';
import { entryBytes } from '../format/object-entry.ts';
import { RecordReader } from '../store/gather.ts';
import type { ObjectIndex } from '../store/object-index.ts';
import { compareRecords, RECORD_BYTES, RECORD_WORDS } from '../store/object-table.ts';

/** A pack of a snapshot that stays, a pack that clean-up made before, or one that goes. */
export const STAYS = 0;
export const GATHERED = 1;
export const GOES = 2;
export type Fate = typeof STAYS | typeof GATHERED | typeof GOES;

/** Gathered packs smaller than this are put together once there are many of them. */
const SMALL_PACK = 32 << 20;
const SMALL_PACKS = 32;

export type Places = {
  /** Records to copy into new packs, by place. */
  readonly gather: Uint32Array;
  /** Bytes that they need there, about. */
  readonly bytes: number;
  /** Numbers of the gathered packs that nothing needs any more once that is done. */
  readonly deadPacks: ReadonlySet<number>;
};

/**
 * @param live by the record that `find` gives: 1 where the object is needed
 * @param fates by pack number
 */
export function choosePlaces(index: ObjectIndex, live: Uint8Array, fates: readonly Fate[]): Places {
  const best = bestCopies(index, live, fates);
  const count = index.table.count;
  const packOf = (record: number): number => index.table.records[record * RECORD_WORDS + 8] ?? 0;
  const sizeOf = (record: number): number => entryBytes(index.table.records[record * RECORD_WORDS + 13] ?? 0);
  const total = new Float64Array(fates.length);
  const needed = new Float64Array(fates.length);
  for (let record = 0; record < count; record++) {
    const pack = packOf(record);
    total[pack] = (total[pack] ?? 0) + sizeOf(record);
  }
  for (const record of best) if (record >= 0) needed[packOf(record)] = (needed[packOf(record)] ?? 0) + sizeOf(record);
  const sizes = index.packs.map((path) => statSync(path).size);
  const deadPacks = gatheredToRewrite(fates, needed, total, sizes);
  const leaves = (record: number): boolean => record >= 0 && (fates[packOf(record)] === GOES || deadPacks.has(packOf(record)));
  const gather = Uint32Array.from(best.filter(leaves)).sort((a, b) => compareRecords(index.table.records, a, b));
  let bytes = 0;
  sizes.forEach((size, pack) => {
    if ((fates[pack] === GOES || deadPacks.has(pack)) && (total[pack] ?? 0) > 0) bytes += (size * (needed[pack] ?? 0)) / (total[pack] ?? 1);
  });
  return { gather, bytes: Math.ceil(bytes), deadPacks };
}

/** The mostly dead ones, and the small ones where they have become many. */
function gatheredToRewrite(fates: readonly Fate[], needed: Float64Array, total: Float64Array, sizes: readonly number[]): Set<number> {
  const rewrite = new Set<number>();
  const small: number[] = [];
  fates.forEach((fate, pack) => {
    if (fate !== GATHERED) return;
    if ((needed[pack] ?? 0) * 2 < (total[pack] ?? 0) || total[pack] === 0) rewrite.add(pack);
    else if ((sizes[pack] ?? 0) < SMALL_PACK) small.push(pack);
  });
  if (small.length > SMALL_PACKS) for (const pack of small) rewrite.add(pack);
  return rewrite;
}

/** For each needed object, at its record's place, the record of the copy to rely on; -1 elsewhere. */
function bestCopies(index: ObjectIndex, live: Uint8Array, fates: readonly Fate[]): Int32Array {
  const { table } = index;
  const count = table.count;
  const all = Buffer.from(table.shared.records);
  const fateOf = (record: number): Fate => fates[table.records[record * RECORD_WORDS + 8] ?? 0] ?? GOES;
  const objectOf = (record: number): number => table.find(all.subarray(record * RECORD_BYTES, record * RECORD_BYTES + 32));
  const best = new Int32Array(count).fill(-1);
  /** Objects of which there are several copies, and one of them may go. */
  const doubled = new Uint8Array(count);
  let anyDoubled = false;
  const consider = (object: number, record: number): void => {
    const other = best[object] ?? -1;
    if (other < 0 || fateOf(record) < fateOf(other)) best[object] = record;
  };
  for (let record = 0; record < count; record++) {
    const object = objectOf(record);
    if (live[object] !== 1) continue;
    const other = best[object] ?? -1;
    if (other >= 0 && (fateOf(other) !== STAYS || fateOf(record) !== STAYS)) {
      doubled[object] = 1;
      anyDoubled = true;
    }
    consider(object, record);
  }
  if (!anyDoubled) return best;
  const copies = Uint32Array.from(range(count, (record) => doubled[objectOf(record)] === 1));
  const sound = readable(index, copies, (record) => fateOf(record) !== GOES);
  // Once more, for these, with what was found. What goes is read when it is copied; where no copy can be read, none is taken for better.
  const before = Int32Array.from(best);
  for (const record of copies) best[objectOf(record)] = -1;
  for (const record of copies) if (sound[record] === 1 || fateOf(record) === GOES) consider(objectOf(record), record);
  for (const record of copies) if (best[objectOf(record)] === -1) best[objectOf(record)] = before[objectOf(record)] ?? -1;
  return best;
}

function* range(count: number, wanted: (record: number) => boolean): Generator<number> {
  for (let record = 0; record < count; record++) if (wanted(record)) yield record;
}

/** By record: 1 for those of the wanted ones whose bytes are on the disk and have their hash. */
function readable(index: ObjectIndex, records: Uint32Array, wanted: (record: number) => boolean): Uint8Array {
  const sound = new Uint8Array(index.table.count);
  const reader = new RecordReader(index);
  try {
    for (const record of records.filter(wanted).sort((a, b) => compareRecords(index.table.records, a, b))) {
      try {
        reader.read(record);
        sound[record] = 1;
      } catch {
        // Then it is not relied on.
      }
    }
  } finally {
    reader.close();
  }
  return sound;
}
