// What a save needs besides its own directory: its keyframe, and every object of its listing in some
// pack. Packs are checked as files; where one is damaged, or on --deep, object by object.

import { readFileSync } from 'node:fs';
import { bytes, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { messageOf } from '../base/errors.ts';
import { parseSums } from '../format/checksums.ts';
import type { Entry } from '../format/file-list.ts';
import { exists } from '../os/files.ts';
import { type ObjectIndex, openIndex } from '../store/object-index.ts';
import { compareRecords } from '../store/object-table.ts';
import { WorkerPool } from '../store/pool.ts';
import { listPacks, type SnapshotRef } from '../vault/catalog.ts';
import { looseName, NAMES, parseId, type SnapshotId } from '../vault/layout.ts';
import { keyframeFile, loadDelta, loadEntries } from '../vault/listing.ts';
import type { Vault } from '../vault/vault.ts';
import { contentOf } from './contents.ts';
import type { Damage, FileChecker, Hasher } from './verify-files.ts';

const BATCH_OBJECTS = 2048;

export class SaveChecker {
  readonly #vault: Vault;
  readonly #files: FileChecker;
  readonly #deep: boolean;
  readonly #ctx: Context;
  #index: ObjectIndex | undefined;
  #pool: WorkerPool | undefined;
  /** Records already found good or damaged in this run. */
  readonly #checked = new Map<number, boolean>();

  constructor(vault: Vault, files: FileChecker, deep: boolean, ctx: Context) {
    this.#vault = vault;
    this.#files = files;
    this.#deep = deep;
    this.#ctx = ctx;
  }

  async close(): Promise<void> {
    await this.#pool?.close();
  }

  async check(ref: SnapshotRef): Promise<Damage[]> {
    const damaged: Damage[] = [];
    let entries: Entry[];
    try {
      damaged.push(...(await this.#checkKeyframe(ref)));
      entries = loadEntries(this.#vault, ref);
    } catch (error) {
      return [...damaged, { path: `${ref.directory}/`, file: ref.directory, reason: messageOf(error) }];
    }
    this.#index ??= openIndex(this.#vault.root, listPacks(this.#vault), 0, false);
    const { table, packs } = this.#index;
    const wanted = new Map<number, Entry>();
    const usedPacks = new Set<number>();
    for (const entry of entries) {
      if (entry.type !== 'f' && entry.type !== 'S') continue;
      const { hashes } = contentOf(entry);
      for (let at = 0; at < hashes.length; at += 32) {
        const record = table.find(hashes.subarray(at, at + 32));
        if (record < 0) {
          damaged.push({ path: toText(entry.path), file: ref.directory, reason: 'its content is in no pack' });
          break;
        }
        wanted.set(record, entry);
        usedPacks.add(table.location(record).pack);
      }
    }
    const pool = this.#openPool(wanted.size);
    // Object by object at once where that is asked for, else only where a pack is not what it was.
    const objects = this.#deep ? this.#checkObjects(wanted) : undefined;
    objects?.catch(() => {});
    let suspect = false;
    for (const pack of usedPacks) {
      const relative = (packs[pack] ?? '').slice(this.#vault.root.length + 1);
      const reason = await this.#checkPack(relative, (path) => pool.run({ kind: 'hash-cold', path }));
      if (reason === undefined) continue;
      suspect = true;
      damaged.push({ path: relative, file: relative, reason });
    }
    if (objects !== undefined || suspect) damaged.push(...(await (objects ?? this.#checkObjects(wanted))));
    return damaged;
  }

  /** The keyframe of a delta lies in another directory, whose sums name it; one that clean-up kept has the sums of its save beside it. */
  async #checkKeyframe(ref: SnapshotRef): Promise<Damage[]> {
    if (exists(`${this.#vault.root}/${ref.directory}/${NAMES.keyframe}`)) return [];
    const { keyframe } = loadDelta(this.#vault, ref);
    const file = keyframeFile(this.#vault, keyframe);
    const id = parseId(keyframe);
    const reason =
      (await this.#checkPack(file)) ?? (file.startsWith(`${NAMES.packs}/`) && id !== undefined ? await this.#anchor(file, id) : undefined);
    return reason === undefined ? [] : [{ path: file, file, reason }];
  }

  /** Why a keyframe that clean-up kept is not the one that its save had by the ledger. */
  async #anchor(file: string, id: SnapshotId): Promise<string | undefined> {
    const place = `${NAMES.packs}/${looseName(id, NAMES.sums)}`;
    try {
      const text = readFileSync(`${this.#vault.root}/${place}`);
      if (this.#files.isAltered('save', id, text)) return `${place}, which says what it was, is not the one that the ledger recorded`;
      const sum = parseSums(text).find(({ path }) => path === NAMES.keyframe);
      return sum === undefined ? `${place} does not name it` : await this.#files.checkFile(file, sum.sha256);
    } catch (error) {
      return `${place}, which says what it was, cannot be read: ${messageOf(error)}`;
    }
  }

  /** A pack or keyframe against the SHA256SUMS.txt beside it. */
  async #checkPack(relative: string, hasher?: Hasher): Promise<string | undefined> {
    const slash = relative.lastIndexOf('/');
    try {
      const sums = parseSums(readFileSync(`${this.#vault.root}/${relative.slice(0, slash)}/${NAMES.sums}`));
      const sum = sums.find(({ path }) => path === relative.slice(slash + 1));
      return sum === undefined ? 'no SHA256SUMS.txt names it' : await this.#files.checkFile(relative, sum.sha256, hasher);
    } catch (error) {
      return messageOf(error);
    }
  }

  #openPool(objects: number): WorkerPool {
    if (this.#index === undefined) throw new TypeError('the index is opened first');
    this.#pool ??= new WorkerPool(objects < 64 ? 0 : this.#ctx.workers, { table: this.#index.table.shared, packs: this.#index.packs });
    return this.#pool;
  }

  async #checkObjects(wanted: ReadonlyMap<number, Entry>): Promise<Damage[]> {
    const index = this.#index;
    if (index === undefined) return [];
    const pool = this.#openPool(wanted.size);
    const order = [...wanted.keys()].filter((record) => !this.#checked.has(record)).sort((a, b) => compareRecords(index.table.records, a, b));
    const jobs: Promise<void>[] = [];
    let done = 0;
    for (let at = 0; at < order.length; at += BATCH_OBJECTS) {
      const records = Uint32Array.from(order.slice(at, at + BATCH_OBJECTS));
      jobs.push(
        pool.run({ kind: 'check-objects', records }).then((result) => {
          for (const record of records) this.#checked.set(record, true);
          for (const record of result.damaged) this.#checked.set(record, false);
          done += result.bytes;
          this.#ctx.monitor.progress({ phase: 'verify', files: 0, totalFiles: 0, bytes: done, totalBytes: 0 });
        }),
      );
    }
    await Promise.all(jobs);
    const damaged: Damage[] = [];
    for (const [record, entry] of wanted) {
      if (this.#checked.get(record) !== false) continue;
      const pack = index.packs[index.table.location(record).pack] ?? '';
      damaged.push({
        path: toText(bytes(entry.path)),
        file: pack.slice(this.#vault.root.length + 1),
        reason: 'its content does not have its hash any more',
      });
    }
    return damaged;
  }
}
