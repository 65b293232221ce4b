// What each save costs: which objects only it needs, and what keeping every content once saves. Counted from the listings, one save after the
// other: a path has a content from one save to another, and an object whose paths all had it in one save alone is that save's own.
// Kept in `.cache/view-storage.json`, a convenience that may be deleted: figures for people, clean-up never asks it.

import { setImmediate } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { EMPTY_SHA256 } from '../format/file-list.ts';
import { compareRows, type Differs, NO_ROWS, overlay } from '../format/row-merge.ts';
import { openIndex } from '../store/object-index.ts';
import { type ObjectTable, RECORD_WORDS } from '../store/object-table.ts';
import type { SnapshotRef } from '../vault/catalog.ts';
import { compareDeltas } from '../vault/history-writer.ts';
import { NAMES } from '../vault/layout.ts';
import type { Layers, ListingReader } from '../vault/listing-text.ts';
import { lockForReading, type Vault } from '../vault/vault.ts';
import { readStored, storeCache } from './view-facts.ts';

/** Bytes of contents and on disk. Own files of a save other than its pack are not in them. */
export type SaveCost = {
  /** On disk: of objects that no other save names. */
  readonly unique: number;
  /** On disk: of objects that it names and another one does too. */
  readonly shared: number;
};

export type StorageFigures = {
  /** By the id of the save. */
  readonly saves: Readonly<Record<string, SaveCost>>;
  /** Contents, each once; and on disk. */
  readonly objectBytes: number;
  readonly storedBytes: number;
  /** On disk: in packs, and named by no save. */
  readonly unreferencedBytes: number;
  /** Saves by the keyframe that they are read with. */
  readonly keyframes: Readonly<Record<string, number>>;
};

const CACHE = `${NAMES.cache}/view-storage.json`;
const HEADER = '#cora-storage 1';
/** Saves that are read before others get a turn. */
const AT_ONCE = 4;
const NOBODY = -1;
const MANY = -2;

type Open = { readonly object: number; readonly since: number };

/** What was counted so far; goes on where only newer saves came. */
class Counter {
  readonly ids: string[] = [];
  readonly #objects = new Map<string, number>();
  readonly #sizes: number[] = [];
  /** The one save that names the object, or `MANY`. */
  readonly #owner: number[] = [];
  /** Paths of the present save that have it, and the bytes of all that it names. */
  readonly #uses: number[] = [];
  readonly #referenced: number[] = [];
  readonly #paths = new Map<string, Open>();
  readonly #bases: string[] = [];
  #before: Layers | undefined;

  add(id: string, now: Layers, storedOf: (hex: string, size: number) => number, stored: number[]): void {
    const step = this.ids.length;
    now.keyframe();
    let current = this.#referenced.at(-1) ?? 0;
    const differs: Differs = (key, _before, row) => {
      const open = this.#paths.get(key);
      if (open !== undefined) {
        this.#close(open, step - 1);
        this.#paths.delete(key);
        const uses = (this.#uses[open.object] ?? 1) - 1;
        this.#uses[open.object] = uses;
        if (uses === 0) current -= stored[open.object] ?? 0;
      }
      const content = row === undefined ? undefined : contentIn(row);
      if (content === undefined) return;
      let object = this.#objects.get(content.hex);
      if (object === undefined) {
        object = this.#sizes.length;
        this.#objects.set(content.hex, object);
        this.#sizes.push(content.size);
        this.#owner.push(NOBODY);
        this.#uses.push(0);
        stored.push(storedOf(content.hex, content.size));
      }
      this.#paths.set(key, { object, since: step });
      const uses = (this.#uses[object] ?? 0) + 1;
      this.#uses[object] = uses;
      if (uses === 1) current += stored[object] ?? 0;
    };
    if (this.#before?.base === now.base) compareDeltas(this.#before, now, differs);
    else compareRows(this.#before === undefined ? NO_ROWS : whole(this.#before), whole(now), differs);
    this.#before = now;
    this.ids.push(id);
    this.#bases.push(now.base);
    this.#referenced.push(current);
  }

  /** A save that cannot be read: it is as if it were not there, but for its place. */
  skip(id: string): void {
    this.ids.push(id);
    this.#bases.push('');
    this.#referenced.push(this.#referenced.at(-1) ?? 0);
  }

  #close({ object, since }: Open, end: number, owners = this.#owner): void {
    const known = owners[object] ?? NOBODY;
    if (since === end && (known === NOBODY || known === since)) owners[object] = since;
    else owners[object] = MANY;
  }

  figures(stored: readonly number[], packed: number): StorageFigures {
    const owners = [...this.#owner];
    for (const open of this.#paths.values()) this.#close(open, this.ids.length - 1, owners);
    const unique = new Array<number>(this.ids.length).fill(0);
    let [objectBytes, storedBytes] = [0, 0];
    for (const [object, owner] of owners.entries()) {
      objectBytes += this.#sizes[object] ?? 0;
      storedBytes += stored[object] ?? 0;
      if (owner >= 0) unique[owner] = (unique[owner] ?? 0) + (stored[object] ?? 0);
    }
    const saves: Record<string, SaveCost> = {};
    for (const [step, id] of this.ids.entries()) {
      const own = Math.round(unique[step] ?? 0);
      saves[id] = { unique: own, shared: Math.max(0, Math.round(this.#referenced[step] ?? 0) - own) };
    }
    const keyframes: Record<string, number> = {};
    for (const base of this.#bases) keyframes[base] = (keyframes[base] ?? 0) + 1;
    return {
      saves,
      objectBytes,
      storedBytes: Math.round(storedBytes),
      unreferencedBytes: Math.max(0, Math.round(packed - storedBytes)),
      keyframes,
    };
  }
}

const whole = ({ keyframe, delta }: Layers) => overlay(keyframe(), delta);

/** The object that a row names; undefined where it names none (docs/format.md, "Listings"). */
function contentIn(row: string): { readonly hex: string; readonly size: number } | undefined {
  const type = row[0];
  if (type !== 'f' && type !== '+' && type !== 'S') return undefined;
  const fields = row.split('\t', 7);
  const hex = fields[6] ?? '-';
  return hex === '-' || hex === EMPTY_SHA256 || fields[5] === '0' ? undefined : { hex, size: Number(fields[5]) };
}

export class StorageIndex {
  readonly #vault: Vault;
  #counter: Counter | undefined;
  #stored: number[] = [];
  #figures: { readonly key: string; readonly figures: StorageFigures } | undefined;
  #isStored = true;
  #version = 0;
  #progress: { readonly done: number; readonly total: number } | undefined;
  #updating: Promise<void> | undefined;

  constructor(vault: Vault) {
    this.#vault = vault;
  }

  /** The figures of last time, which may be of a moment ago; undefined before the first. */
  get figures(): StorageFigures | undefined {
    return this.#figures?.figures;
  }

  /** Grows with each new set of figures. */
  get version(): number {
    return this.#version;
  }

  /** How far a count is that is going on; undefined where none is. */
  get progress(): { readonly done: number; readonly total: number } | undefined {
    return this.#progress;
  }

  /**
   * Counts what came since, or all where anything went. Others get their turn in between.
   * @param packs those on the disk, relative to the vault
   */
  update(refs: readonly SnapshotRef[], packs: () => readonly string[], listings: ListingReader, signal: AbortSignal): Promise<void> {
    const saves = refs.filter(({ kind }) => kind === 'save');
    this.#updating ??= this.#count(saves, packs, listings, signal).finally(() => {
      this.#progress = undefined;
      this.#updating = undefined;
    });
    return this.#updating;
  }

  async #count(saves: readonly SnapshotRef[], packs: () => readonly string[], listings: ListingReader, signal: AbortSignal): Promise<void> {
    const key = `${saves.length} ${crc32(saves.map(({ id }) => id).join(' '))}`;
    if (this.#figures === undefined) {
      this.#figures = knownFigures(readStored(this.#vault, CACHE, HEADER));
      this.#version += 1;
    }
    if (this.#figures?.key === key) return;
    this.#progress = { done: 0, total: saves.length };
    const lock = lockForReading(this.#vault, 0);
    try {
      const isLonger = this.#counter?.ids.every((id, step) => saves[step]?.id === id) === true;
      if (!isLonger) [this.#counter, this.#stored] = [new Counter(), []];
      this.#counter ??= new Counter();
      const counter = this.#counter;
      await setImmediate();
      const { table } = openIndex(this.#vault.root, packs(), 0, false);
      await setImmediate();
      const { shareOf, packed } = sharesIn(table);
      const storedOf = (hex: string, size: number): number => size * shareOf(hex);
      for (let step = counter.ids.length; step < saves.length; step++) {
        const ref = saves[step];
        if (ref === undefined || signal.aborted) return;
        this.#progress = { done: step, total: saves.length };
        if (step % AT_ONCE === AT_ONCE - 1) await setImmediate();
        // One that cannot be read counts for nothing, and `cora verify` names it.
        const layers = readable(listings, ref);
        if (layers !== undefined) counter.add(ref.id, layers, storedOf, this.#stored);
        else counter.skip(ref.id);
      }
      this.#figures = { key, figures: counter.figures(this.#stored, packed) };
      this.#isStored = false;
      this.#version += 1;
    } finally {
      lock?.release();
    }
  }

  /** Writes the cache where it is behind. Never throws. */
  store(): void {
    if (this.#isStored || this.#figures === undefined) return;
    storeCache(this.#vault, CACHE, HEADER, this.#figures);
    this.#isStored = true;
  }
}

function readable(listings: ListingReader, ref: SnapshotRef): Layers | undefined {
  try {
    const layers = listings.layers(ref);
    layers.keyframe();
    return layers;
  } catch {
    return undefined;
  }
}

function knownFigures(value: unknown): { readonly key: string; readonly figures: StorageFigures } | undefined {
  if (typeof value !== 'object' || value === null || !('key' in value) || typeof value.key !== 'string' || !('figures' in value)) return undefined;
  return { key: value.key, figures: value.figures as StorageFigures };
}

/** Which part of its frame an object is: what is compressed together has no sizes of its own. */
function sharesIn(table: ObjectTable): { readonly shareOf: (hex: string) => number; readonly packed: number } {
  const frames = new Map<number, { readonly bytes: number; content: number }>();
  const { records } = table;
  const frameOf = (record: number): number => {
    const at = record * RECORD_WORDS;
    return (records[at + 8] ?? 0) * 2 ** 36 + (records[at + 10] ?? 0) * 2 ** 32 + (records[at + 9] ?? 0);
  };
  let packed = 0;
  for (let record = 0; record < table.count; record++) {
    const [frameBytes, size] = [records[record * RECORD_WORDS + 11] ?? 0, records[record * RECORD_WORDS + 13] ?? 0];
    const key = frameOf(record);
    const frame = frames.get(key);
    if (frame === undefined) {
      frames.set(key, { bytes: frameBytes, content: size });
      packed += frameBytes;
    } else frame.content += size;
  }
  const shareOf = (hex: string): number => {
    const record = table.find(Buffer.from(hex, 'hex'));
    const frame = record < 0 ? undefined : frames.get(frameOf(record));
    return frame === undefined || frame.content === 0 ? 0 : frame.bytes / frame.content;
  };
  return { shareOf, packed };
}
