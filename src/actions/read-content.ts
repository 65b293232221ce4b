// The content of one file of a snapshot, piece by piece. Every piece is checked before it is handed out: what does not have
// its hash is an error, never content.

import { createReadStream, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Bytes, dirnameBytes, fromText, fsPath, joinBytes, printable, toText } from '../base/bytes.ts';
import { type Context, SILENT } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import type { Entry } from '../format/file-list.ts';
import { tryRemove } from '../os/files.ts';
import { openIndex } from '../store/object-index.ts';
import { ObjectReader } from '../store/object-reader.ts';
import { listPacks, type SnapshotRef } from '../vault/catalog.ts';
import { ListingReader } from '../vault/listing-text.ts';
import type { VaultLocation } from '../vault/locate.ts';
import { lockForReading, type Vault } from '../vault/vault.ts';
import { checkpointEntries } from './checkpoint.ts';
import { contentOf } from './contents.ts';
import { applyRestore } from './restore.ts';
import { planRestore } from './restore-plan.ts';

/** A file as a snapshot has it. */
export type StoredFile = {
  readonly ref: SnapshotRef;
  readonly entry: Entry;
  /** Its content once, from a byte on (default: the beginning). @throws CoraError damaged */
  chunks(from?: number): AsyncGenerator<Uint8Array>;
};

/** Reads files out of snapshots; the index of objects is loaded once. */
export class ContentSource {
  readonly #location: VaultLocation;
  readonly #vault: Vault;
  readonly #ctx: Context;
  readonly #packs: () => string[];
  readonly listings: ListingReader;
  #objects: ObjectReader | undefined;
  /** Readings that go on. */
  #readings = 0;

  /** @param packs those on the disk, for who knows them already */
  constructor(location: VaultLocation, vault: Vault, ctx: Context, packs: () => string[] = () => listPacks(vault)) {
    this.#location = location;
    this.#vault = vault;
    this.#ctx = ctx;
    this.#packs = packs;
    this.listings = new ListingReader(vault);
  }

  /** The entry of a path, hard links followed to what holds their content; undefined where the snapshot has none. */
  async entry(ref: SnapshotRef, path: Bytes): Promise<Entry | undefined> {
    const at = async (one: Bytes): Promise<Entry | undefined> =>
      ref.kind === 'fallback' ? (await checkpointEntries(this.#vault, ref)).find((entry) => entry.path === one) : this.listings.entry(ref, one);
    const entry = await at(path);
    return entry?.type === 'h' && entry.link !== undefined ? ((await at(entry.link)) ?? entry) : entry;
  }

  /** @throws CoraError not_found, refused where it is no file */
  async open(ref: SnapshotRef, path: Bytes): Promise<StoredFile> {
    const entry = await this.entry(ref, path);
    if (entry === undefined) {
      throw new CoraError('not_found', `${toText(path)} is not in ${ref.id}`, { hint: `cora log ${printable(path)} tells which snapshots have it` });
    }
    if (entry.type !== 'f' && entry.type !== 'S') throw notAFile(entry, ref);
    return { ref, entry, chunks: (from = 0) => (ref.kind === 'save' ? this.#fromObjects(ref, entry, from) : this.#fromArchive(ref, entry, from)) };
  }

  /** What is being read is read to its end; the last one closes. */
  close(): void {
    if (this.#readings === 0) this.#objects?.close();
    this.#objects = undefined;
  }

  async *#fromObjects(ref: SnapshotRef, entry: Entry, from: number): AsyncGenerator<Uint8Array> {
    const lock = lockForReading(this.#vault, Math.min(30_000, this.#ctx.lockWait));
    this.#readings += 1;
    let objects: ObjectReader | undefined;
    try {
      if (this.#objects === undefined) {
        const index = openIndex(this.#vault.root, this.#packs(), 0, false);
        this.#objects = new ObjectReader(index.table, index.packs);
      }
      objects = this.#objects;
      const { hashes, piece } = contentOf(entry);
      const first = piece === 0 ? 0 : Math.floor(from / piece);
      let skip = from - first * piece;
      for (let at = first * 32; at < hashes.length; at += 32) {
        if (this.#ctx.signal.aborted) throw new CoraError('interrupted', 'Interrupted');
        yield Buffer.from(this.#read(objects, hashes.subarray(at, at + 32), entry, ref).subarray(skip));
        skip = 0;
      }
    } finally {
      this.#readings -= 1;
      // It was closed meanwhile.
      if (this.#readings === 0 && objects !== this.#objects) objects?.close();
      lock?.release();
    }
  }

  #read(objects: ObjectReader, digest: Uint8Array, { path }: Entry, { id }: SnapshotRef): Buffer {
    try {
      return objects.read(digest);
    } catch (error) {
      if (!(error instanceof CoraError) || error.code !== 'damaged') throw error;
      throw new CoraError('damaged', `${toText(path)} of ${id} is damaged: ${error.message}`, {
        hint: `cora log ${printable(path)} shows other versions`,
        cause: error,
      });
    }
  }

  /** A backup and a checkpoint are one archive: the file is unpacked, checked, and read from there. */
  async *#fromArchive(ref: SnapshotRef, entry: Entry, from: number): AsyncGenerator<Uint8Array> {
    const scratch = mkdtempSync(join(tmpdir(), 'cora-cat-'));
    try {
      const to = fromText(`${scratch}/out`);
      const quiet = { ...this.#ctx, monitor: SILENT };
      const plan = await planRestore(
        undefined,
        this.#location,
        { target: fromText(ref.id), paths: [entry.path], to, critical: false, overwrite: undefined },
        quiet,
      );
      const result = await applyRestore(plan, quiet);
      if (result.damaged > 0) {
        throw new CoraError('damaged', `${toText(entry.path)} of ${ref.id} is damaged`, {
          hint: `cora log ${printable(entry.path)} shows other versions`,
        });
      }
      const [problem] = result.problems;
      if (problem !== undefined && result.files === 0)
        throw new CoraError('not_found', problem.message, { hint: 'another snapshot may have it whole' });
      for await (const chunk of createReadStream(fsPath(joinBytes(to, entry.path)), { start: from })) yield chunk as Buffer;
    } finally {
      tryRemove(scratch);
    }
  }
}

const KINDS: Readonly<Record<string, string>> = {
  d: 'a directory',
  l: 'a symbolic link',
  p: 'a FIFO',
  s: 'a socket',
  c: 'a device',
  b: 'a device',
  h: 'a hard link to what the snapshot does not have',
};

function notAFile({ type, path, link }: Entry, { id }: SnapshotRef): CoraError {
  const leads = type === 'l' && link !== undefined ? ` to ${toText(link)}` : '';
  const target = type === 'l' && link !== undefined && !link.startsWith('/') ? joinBytes(dirnameBytes(path), link) : undefined;
  return new CoraError('not_found', `${toText(path)} is ${KINDS[type] ?? 'no file'}${leads} in ${id}`, {
    hint:
      type === 'd'
        ? `cora find '${printable(path)}/*' lists what was in it`
        : target === undefined
          ? 'it has no content'
          : `cora cat ${id} ${printable(target)}`,
  });
}
