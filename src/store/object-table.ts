// Which objects the vault holds and where: a flat table of records and a hash table of record
// numbers, both in shared memory, so that worker threads look up and add without messages.
//
// Invariant: a slot is published by one compare-and-swap after its record's hash is complete, so a
// reader never sees half a hash. Two threads that store the same object at once may both add it
// (the second copy is harmless); they can never both believe that the other one did.

/** 32-bit words of a record: 0-7 hash, 8 pack, 9-10 offset, 11 frame bytes, 12 place in frame, 13 size. */
export const RECORD_WORDS = 14;
export const RECORD_BYTES = RECORD_WORDS * 4;

/** Everything a worker needs; structured-clone safe (shared, not copied). */
export type SharedTable = {
  readonly records: SharedArrayBuffer;
  readonly slots: SharedArrayBuffer;
  /** One Int32: number of records in use. */
  readonly counter: SharedArrayBuffer;
};

export type ObjectLocation = {
  readonly pack: number;
  readonly offset: number;
  readonly frameBytes: number;
  readonly inner: number;
  readonly size: number;
};

export class ObjectTable {
  readonly shared: SharedTable;
  readonly records: Uint32Array;
  readonly #slots: Int32Array;
  readonly #counter: Int32Array;
  readonly #mask: number;
  #spare = -1;

  constructor(shared: SharedTable) {
    this.shared = shared;
    this.records = new Uint32Array(shared.records);
    this.#slots = new Int32Array(shared.slots);
    this.#counter = new Int32Array(shared.counter);
    this.#mask = this.#slots.length - 1;
  }

  /** An empty table with room for `capacity` records. Unused room costs address space, not memory. */
  static allocate(capacity: number): ObjectTable {
    const slots = 2 ** Math.ceil(Math.log2(Math.max(1024, capacity * 2)));
    return new ObjectTable({
      records: new SharedArrayBuffer((capacity + 16) * RECORD_BYTES),
      slots: new SharedArrayBuffer(slots * 4),
      counter: new SharedArrayBuffer(4),
    });
  }

  get count(): number {
    return Atomics.load(this.#counter, 0);
  }

  /** Takes `count` records that the caller has already written at the table's end (loading from disk). */
  publishLoaded(count: number): void {
    const first = this.count;
    Atomics.store(this.#counter, 0, first + count);
    for (let record = first; record < first + count; record++) this.#insert(record);
  }

  /** Record number of a hash (32 bytes), or -1. */
  find(hash: Uint8Array): number {
    const words = wordsOf(hash);
    for (let slot = (words[1] ?? 0) & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const value = Atomics.load(this.#slots, slot);
      if (value === 0) return -1;
      if (this.#matches(value - 1, words)) return value - 1;
    }
  }

  /** Adds a hash; returns the new record's number, or -1 where it was there already. Its location is set with `locate`. */
  claim(hash: Uint8Array): number {
    const words = wordsOf(hash);
    for (let slot = (words[1] ?? 0) & this.#mask; ; ) {
      const value = Atomics.load(this.#slots, slot);
      if (value === 0) {
        const record = this.#takeRecord();
        this.records.set(words, record * RECORD_WORDS);
        if (Atomics.compareExchange(this.#slots, slot, 0, record + 1) === 0) return record;
        this.records.fill(0, record * RECORD_WORDS, record * RECORD_WORDS + 8);
        this.#spare = record;
        continue;
      }
      if (this.#matches(value - 1, words)) return -1;
      slot = (slot + 1) & this.#mask;
    }
  }

  locate(record: number, location: ObjectLocation): void {
    const at = record * RECORD_WORDS;
    this.records[at + 8] = location.pack;
    this.records[at + 9] = location.offset >>> 0;
    this.records[at + 10] = Math.floor(location.offset / 2 ** 32);
    this.records[at + 11] = location.frameBytes;
    this.records[at + 12] = location.inner;
    this.records[at + 13] = location.size;
  }

  location(record: number): ObjectLocation {
    const at = record * RECORD_WORDS;
    const r = this.records;
    return {
      pack: r[at + 8] ?? 0,
      offset: (r[at + 9] ?? 0) + (r[at + 10] ?? 0) * 2 ** 32,
      frameBytes: r[at + 11] ?? 0,
      inner: r[at + 12] ?? 0,
      size: r[at + 13] ?? 0,
    };
  }

  #takeRecord(): number {
    if (this.#spare >= 0) {
      const record = this.#spare;
      this.#spare = -1;
      return record;
    }
    const record = Atomics.add(this.#counter, 0, 1);
    if ((record + 1) * RECORD_WORDS > this.records.length) throw new RangeError('the object table is full');
    return record;
  }

  #insert(record: number): void {
    let slot = (this.records[record * RECORD_WORDS + 1] ?? 0) & this.#mask;
    while (this.#slots[slot] !== 0) slot = (slot + 1) & this.#mask;
    this.#slots[slot] = record + 1;
  }

  #matches(record: number, words: Uint32Array): boolean {
    const at = record * RECORD_WORDS;
    for (let i = 0; i < 8; i++) if (this.records[at + i] !== words[i]) return false;
    return true;
  }
}

/** By pack, then offset: each frame is then decoded once. */
export function compareRecords(records: Uint32Array, a: number, b: number): number {
  const left = a * RECORD_WORDS;
  const right = b * RECORD_WORDS;
  return (
    (records[left + 8] ?? 0) - (records[right + 8] ?? 0) ||
    (records[left + 10] ?? 0) - (records[right + 10] ?? 0) ||
    (records[left + 9] ?? 0) - (records[right + 9] ?? 0) ||
    (records[left + 12] ?? 0) - (records[right + 12] ?? 0)
  );
}

const scratch = new Uint8Array(32);
const scratchWords = new Uint32Array(scratch.buffer);

/** The hash as eight words in this machine's byte order; one buffer, valid until the next call. */
function wordsOf(hash: Uint8Array): Uint32Array {
  scratch.set(hash.subarray(0, 32));
  return scratchWords;
}
