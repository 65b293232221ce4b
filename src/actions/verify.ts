// Verification: reads a snapshot's files from the disk, past the page cache, and compares them with
// SHA256SUMS.txt, and that with the ledger; for a save also every pack that it refers to. It never repairs.

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { bytes, fromText, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError, errnoOf, messageOf } from '../base/errors.ts';
import { parseSums } from '../format/checksums.ts';
import type { SnapshotKind } from '../format/report.ts';
import { WorkerPool } from '../store/pool.ts';
import { listSnapshots, resolveSnapshot, type SnapshotRef } from '../vault/catalog.ts';
import { appendLine, readChain, readHead } from '../vault/chain.ts';
import { NAMES } from '../vault/layout.ts';
import { openLocated, type VaultLocation } from '../vault/locate.ts';
import { lockForReading, lockForWriting, type Vault } from '../vault/vault.ts';
import { checkBackupDeeply } from './verify-backup.ts';
import { SaveChecker } from './verify-save.ts';

export type VerifyOptions = {
  /** A snapshot name, `all`, or undefined for the latest. */
  readonly target: string | undefined;
  /** Also decode every object and open every database copy. */
  readonly deep: boolean;
  /** Milliseconds: no further snapshot is begun after this. */
  readonly maxDuration?: number;
};

export type Damage = {
  /** What a person lost: a path of the project where it is known, else the vault's file. */
  readonly path: string;
  /** Where the damaged file lies, relative to the vault. */
  readonly file: string;
  readonly reason: string;
};

export type VerifiedSnapshot = {
  readonly id: string;
  readonly kind: SnapshotKind;
  readonly files: number;
  readonly bytes: number;
  readonly seconds: number;
  /** False where the file system cannot be read past its cache (then memory may hide a bad disk). */
  readonly cold: boolean;
  readonly damaged: readonly Damage[];
};

export type VerifyResult = {
  readonly snapshots: readonly VerifiedSnapshot[];
  /** Snapshots that the time limit left for the next run. */
  readonly remaining: number;
  readonly seconds: number;
};

/** @throws CoraError vault_missing, unknown_snapshot, ambiguous_snapshot, interrupted. Damage is a result, not an error. */
export async function verify(location: VaultLocation, options: VerifyOptions, ctx: Context): Promise<VerifyResult> {
  const vault = openLocated(location);
  const lock = lockForReading(vault);
  const begun = performance.now();
  try {
    ctx.monitor.phase('verify');
    const refs = wantedSnapshots(vault, options.target, ctx);
    const files = new FileChecker(vault, ctx);
    const saves = new SaveChecker(vault, files, options.deep, ctx);
    const snapshots: VerifiedSnapshot[] = [];
    try {
      for (const ref of refs) {
        if (ctx.signal.aborted) throw new CoraError('interrupted', 'Interrupted');
        if (options.maxDuration !== undefined && snapshots.length > 0 && performance.now() - begun > options.maxDuration) break;
        snapshots.push(await verifyOne(vault, ref, files, saves, options.deep, ctx));
      }
    } finally {
      await saves.close();
      await files.close();
    }
    recordVerify(vault, snapshots, ctx);
    return { snapshots, remaining: refs.length - snapshots.length, seconds: (performance.now() - begun) / 1000 };
  } finally {
    lock?.release();
  }
}

/** Oldest verified first would need a record of each; until then newest first: it is what a restore would take. */
function wantedSnapshots(vault: Vault, target: string | undefined, ctx: Context): SnapshotRef[] {
  const all = listSnapshots(vault);
  if (target === 'all') return all.reverse();
  const chosen = resolveSnapshot(vault, target ?? 'latest', ctx.now());
  return all.filter((ref) => ref.id === chosen.id).reverse();
}

async function verifyOne(
  vault: Vault,
  ref: SnapshotRef,
  files: FileChecker,
  saves: SaveChecker,
  deep: boolean,
  ctx: Context,
): Promise<VerifiedSnapshot> {
  const begun = performance.now();
  files.begin();
  const damaged: Damage[] = await files.checkDirectory(ref);
  if (ref.kind === 'save') damaged.push(...(await saves.check(ref)));
  else if (deep && damaged.length === 0) damaged.push(...(await checkBackupDeeply(vault, ref, ctx)));
  const { count, size, cold } = files.totals();
  return { id: ref.id, kind: ref.kind, files: count, bytes: size, cold, seconds: (performance.now() - begun) / 1000, damaged: unique(damaged) };
}

function unique(damaged: readonly Damage[]): Damage[] {
  const seen = new Set<string>();
  return damaged.filter(({ path, file }) => {
    const key = `${path}\0${file}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

/** A verification is part of the vault's history; where it cannot be written (read-only vault, another run) it is left out. */
function recordVerify(vault: Vault, snapshots: readonly VerifiedSnapshot[], ctx: Context): void {
  try {
    const lock = lockForWriting(vault, 1000);
    try {
      let head = readHead(vault.root);
      for (const snapshot of snapshots) {
        head = appendLine(vault.root, head, {
          kind: 'verify',
          id: snapshot.id,
          time: new Date(ctx.now()).toISOString(),
          sums: '-',
          extra: `${snapshot.kind},${snapshot.damaged.length === 0 ? 'ok' : 'damaged'}`,
        });
      }
    } finally {
      lock.release();
    }
  } catch (error) {
    ctx.monitor.note(`This verification is not recorded: ${messageOf(error)}`);
  }
}

/** Compares snapshot directories with their SHA256SUMS.txt; a file that several snapshots share is read once a run. */
export class FileChecker {
  readonly #vault: Vault;
  readonly #ctx: Context;
  readonly #pool: WorkerPool;
  readonly #hashes = new Map<string, { sha256: string; size: number } | { error: string }>();
  readonly #sumsInLedger = new Map<string, string>();
  #count = 0;
  #size = 0;
  #cold = true;

  constructor(vault: Vault, ctx: Context) {
    this.#vault = vault;
    this.#ctx = ctx;
    const nothing = new SharedArrayBuffer(4);
    this.#pool = new WorkerPool(0, { table: { records: new SharedArrayBuffer(56), slots: nothing, counter: nothing }, packs: [] });
    for (const { line } of readChain(vault.root)) if (line.sums !== '-') this.#sumsInLedger.set(`${line.kind} ${line.id}`, line.sums);
  }

  async close(): Promise<void> {
    await this.#pool.close();
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
    const expected = this.#sumsInLedger.get(`${ref.kind} ${ref.id}`);
    const damaged: Damage[] = [];
    if (expected !== undefined && expected !== createHash('sha256').update(text).digest('hex')) {
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

  /** Why the file is not what it should be, or undefined. `relative` is a byte string below the vault. */
  async checkFile(relative: string, sha256: string): Promise<string | undefined> {
    let known = this.#hashes.get(relative);
    if (known === undefined) {
      if (this.#ctx.signal.aborted) throw new CoraError('interrupted', 'Interrupted');
      try {
        const result = await this.#pool.run({ kind: 'hash-file', path: `${fromText(this.#vault.root)}/${relative}` });
        known = result;
        this.#cold &&= result.cold;
        this.#count += 1;
        this.#size += result.size;
        this.#ctx.monitor.progress({ phase: 'verify', files: this.#count, totalFiles: 0, bytes: this.#size, totalBytes: 0 });
      } catch (error) {
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
