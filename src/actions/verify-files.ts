// The files of snapshot directories against their SHA256SUMS.txt, and those against the ledger.

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { bytes, fromText, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError, errnoOf, messageOf } from '../base/errors.ts';
import { parseSums } from '../format/checksums.ts';
import { onPath } from '../os/long-path.ts';
import type { HashColdResult } from '../store/jobs.ts';
import { WorkerPool } from '../store/pool.ts';
import { hashCold } from '../store/read-jobs.ts';
import type { SnapshotRef } from '../vault/catalog.ts';
import { readLines } from '../vault/chain.ts';
import { NAMES } from '../vault/layout.ts';
import type { Vault } from '../vault/vault.ts';
import { stopIfAborted } from './settle.ts';

export type Damage = {
  /** What a person lost: a path of the project where it is known, else the vault's file. */
  readonly path: string;
  /** Where the damaged file lies, relative to the vault. */
  readonly file: string;
  readonly reason: string;
};

/** Hashes a file, given by its absolute path, on this thread or another. */
export type Hasher = (path: string) => Promise<HashColdResult>;

/** From here on a file is read on another thread: a server answers meanwhile, and a signal is heard. */
const ASIDE_BYTES = 32 << 20;

async function hashOne(path: string, { workers, signal }: Context): Promise<HashColdResult> {
  const job = { kind: 'hash-cold', path } as const;
  if (workers === 0 || onPath(bytes(path), (reachable) => statSync(reachable)).size < ASIDE_BYTES) return hashCold(job);
  const none = new SharedArrayBuffer(8);
  const pool = new WorkerPool(1, { table: { records: new SharedArrayBuffer(56), slots: none, counter: none }, packs: [] });
  const stopped = Promise.withResolvers<never>();
  const stop = () => stopped.reject(new CoraError('interrupted', 'Interrupted'));
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await Promise.race([pool.run(job), stopped.promise]);
  } catch (error) {
    // What the disk says is said of the file; a thread that could not be had says nothing of it.
    if (signal.aborted || /^E[A-Z0-9]+$/.test(errnoOf(error) ?? '')) throw error;
    return hashCold(job);
  } finally {
    signal.removeEventListener('abort', stop);
    await pool.close();
  }
}

/** Compares snapshot directories with their SHA256SUMS.txt; a file that several snapshots share is read once a run. */
export class FileChecker {
  readonly #vault: Vault;
  readonly #ctx: Context;
  readonly #hashes = new Map<string, { sha256: string; size: number } | { error: string }>();
  readonly #sumsInLedger = new Map<string, string>();
  #count = 0;
  #size = 0;
  #cold = true;

  constructor(vault: Vault, ctx: Context) {
    this.#vault = vault;
    this.#ctx = ctx;
    for (const { line } of readLines(vault.root))
      if (line !== undefined && line.sums !== '-') this.#sumsInLedger.set(`${line.kind} ${line.id}`, line.sums);
  }

  begin(): void {
    this.#count = 0;
    this.#size = 0;
    this.#cold = true;
  }

  totals(): { count: number; size: number; cold: boolean } {
    return { count: this.#count, size: this.#size, cold: this.#cold };
  }

  /** Every file that the directory's sums name, the sums themselves against the ledger, and files that do not belong. */
  async checkDirectory(ref: SnapshotRef): Promise<Damage[]> {
    const directory = `${this.#vault.root}/${ref.directory}`;
    const sumsFile = `${ref.directory}/${NAMES.sums}`;
    let text: Buffer;
    let sums: ReturnType<typeof parseSums>;
    try {
      text = readFileSync(`${directory}/${NAMES.sums}`);
      sums = parseSums(text);
    } catch (error) {
      return [{ path: sumsFile, file: sumsFile, reason: messageOf(error) }];
    }
    this.#count += 1;
    this.#size += text.length;
    const damaged: Damage[] = [];
    if (this.isAltered(ref.kind, ref.id, text)) {
      damaged.push({ path: sumsFile, file: sumsFile, reason: 'it is not the one that the ledger recorded' });
    }
    for (const { path, sha256 } of sums) {
      const reason = await this.checkFile(`${ref.directory}/${path}`, sha256);
      const file = toText(bytes(`${ref.directory}/${path}`));
      if (reason !== undefined) damaged.push({ path: file, file, reason });
    }
    const named = new Set<string>([...sums.map(({ path }) => path as string), NAMES.sums]);
    for (const path of filesBelow(directory, '')) {
      const file = toText(bytes(`${ref.directory}/${path}`));
      if (!named.has(path)) damaged.push({ path: file, file, reason: 'it is not named in SHA256SUMS.txt: added after the snapshot was made' });
    }
    return damaged;
  }

  /** True where the ledger recorded another SHA256SUMS.txt for a snapshot than this text. */
  isAltered(kind: string, id: string, text: Buffer): boolean {
    const expected = this.#sumsInLedger.get(`${kind} ${id}`);
    return expected !== undefined && expected !== createHash('sha256').update(text).digest('hex');
  }

  /** Why the file is not what it should be, or undefined. `relative` is a byte string below the vault. */
  async checkFile(relative: string, sha256: string, hasher: Hasher = (path) => hashOne(path, this.#ctx)): Promise<string | undefined> {
    let known = this.#hashes.get(relative);
    if (known === undefined) {
      stopIfAborted(this.#ctx);
      try {
        const result = await hasher(`${fromText(this.#vault.root)}/${relative}`);
        known = result;
        this.#cold &&= result.cold;
        this.#count += 1;
        this.#size += result.size;
        this.#ctx.monitor.progress({ phase: 'verify', files: this.#count, totalFiles: 0, bytes: this.#size, totalBytes: 0 });
      } catch (error) {
        stopIfAborted(this.#ctx);
        known = { error: errnoOf(error) === 'ENOENT' ? 'it is missing' : messageOf(error) };
      }
      this.#hashes.set(relative, known);
    }
    if ('error' in known) return known.error;
    return known.sha256 === sha256 ? undefined : `its content changed (sha256 ${known.sha256.slice(0, 12)}..., recorded ${sha256.slice(0, 12)}...)`;
  }
}

/** Paths of all entries below a directory that are not directories, as byte strings. */
function* filesBelow(directory: string, prefix: string): Generator<string> {
  const place = Buffer.concat([Buffer.from(`${directory}/`), Buffer.from(prefix, 'latin1')]);
  for (const entry of readdirSync(place, { withFileTypes: true, encoding: 'buffer' })) {
    const path = prefix + Buffer.from(entry.name).toString('latin1');
    if (entry.isDirectory()) yield* filesBelow(directory, `${path}/`);
    else yield path;
  }
}
