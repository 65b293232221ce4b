// Reads what a scan says must be read, and stores what the vault does not have: small files in batches,
// large ones in segments, databases through their copies.

import { lstatSync, rmSync } from 'node:fs';
import { type Bytes, bytes, fromText, joinBytes } from '../base/bytes.ts';
import type { Context, Problem } from '../base/context.ts';
import type { DatabaseReport } from '../format/report.ts';
import { onPath } from '../os/long-path.ts';
import { looksEncrypted } from '../source/databases.ts';
import { pieceSize } from '../store/chunker.ts';
import { FILE_DATABASE, FILE_FAILED, FILE_UNSTABLE, type FileItem, type StoredFileFacts } from '../store/jobs.ts';
import { FLAG_DATABASE, FLAG_MISSING, FLAG_RAW_DATABASE, FLAG_SPARSE } from '../store/stat-cache.ts';
import { copyRegistry } from './artefact-registry.ts';
import type { Content } from './capture.ts';
import { captureDatabases } from './capture-databases.ts';
import { encrypted, notStored, unstable } from './capture-problems.ts';
import { settleAll, stopIfAborted } from './settle.ts';
import { hasSqliteHeader } from './sqlite-probe.ts';
import type { Stored, StoreRequest } from './store-request.ts';
import { storeStaged } from './store-staged.ts';

const BATCH_BYTES = 1 << 20;
const BATCH_FILES = 256;
const SEGMENT = 1 << 20;

/** Reads what `scanned.diff.toRead` names and stores what is new. */
export async function storeContents(request: StoreRequest, ctx: Context): Promise<Stored> {
  const run = new StoreRun(request, ctx);
  await run.perform();
  return run.result();
}

class StoreRun {
  readonly #request: StoreRequest;
  readonly #ctx: Context;
  readonly #contents = new Map<number, Content>();
  readonly #databaseRows: number[] = [];
  readonly #problems: Problem[] = [];
  readonly #registries: ReadonlySet<string>;
  readonly #total: number;
  #databases: ReadonlyMap<number, DatabaseReport> = new Map();
  #added = 0;
  #bytesRead = 0;
  #filesDone = 0;

  constructor(request: StoreRequest, ctx: Context) {
    this.#request = request;
    this.#ctx = ctx;
    const { scan, diff } = request.scanned;
    this.#registries = new Set(request.config.artefacts.flatMap(({ kind, path }) => (kind === 'json' && path !== undefined ? [path] : [])));
    this.#total = diff.toRead.reduce((sum, row) => sum + (scan.size[row] ?? 0), 0);
  }

  async perform(): Promise<void> {
    this.#ctx.monitor.phase('store');
    const jobs: Promise<void>[] = [];
    let batch: number[] = [];
    let batchBytes = 0;
    const flush = (): void => {
      if (batch.length > 0) jobs.push(this.#storeBatch(batch));
      batch = [];
      batchBytes = 0;
    };
    const registries: number[] = [];
    for (const row of this.#request.scanned.diff.toRead) {
      const staged = this.#request.scanned.scan.virtual.get(row);
      if (staged !== undefined) {
        jobs.push(this.#storeStaged(row, staged, this.#size(row), 0));
        continue;
      }
      if (this.#registries.has(this.#request.scanned.scan.paths[row] ?? '')) {
        registries.push(row);
        continue;
      }
      const size = this.#size(row);
      if (pieceSize(size, false, this.#isSparse(row)) > 0) {
        if (hasSqliteHeader(this.#path(row))) this.#databaseRows.push(row);
        else jobs.push(this.#storeCut(row));
        continue;
      }
      batch.push(row);
      batchBytes += size + 512;
      if (batchBytes >= BATCH_BYTES || batch.length >= BATCH_FILES) flush();
    }
    flush();
    jobs.push(this.#takeRegistries(registries));
    // Databases first in time: their copies are made on this thread while the others read files.
    const early = this.#takeDatabases(this.#databaseRows.splice(0));
    await settleAll([...jobs, early]);
    await this.#takeDatabases(this.#databaseRows.splice(0));
  }

  result(): Stored {
    return { contents: this.#contents, databases: this.#databases, problems: this.#problems, added: this.#added, bytesRead: this.#bytesRead };
  }

  #size(row: number): number {
    return this.#request.scanned.scan.size[row] ?? 0;
  }

  #path(row: number): Bytes {
    return joinBytes(this.#request.root, this.#request.scanned.scan.paths[row] ?? '');
  }

  #isSparse(row: number): boolean {
    const { scan } = this.#request.scanned;
    return (scan.blocks[row] ?? 0) * 512 < (scan.size[row] ?? 0) && (scan.size[row] ?? 0) > 64 << 10;
  }

  #item(row: number): FileItem {
    const { scan } = this.#request.scanned;
    return {
      path: this.#path(row),
      size: scan.size[row] ?? 0,
      mtimeMs: scan.mtimeMs[row] ?? 0,
      ctimeMs: scan.ctimeMs[row] ?? 0,
      ino: scan.ino[row] ?? 0,
    };
  }

  async #storeBatch(rows: readonly number[]): Promise<void> {
    const { pool, output } = this.#request;
    stopIfAborted(this.#ctx);
    const result = await pool.run({ kind: 'files', items: rows.map((row) => this.#item(row)) });
    output.addFrames(result.frames);
    this.#added += result.added;
    this.#bytesRead += result.bytesRead;
    this.#filesDone += rows.length;
    rows.forEach((row, at) => {
      const facts = result.facts[at];
      if (facts === undefined || facts.status === FILE_FAILED) this.#failed(row, facts?.error ?? 'EIO');
      else if (facts.status === FILE_DATABASE) this.#databaseRows.push(row);
      else {
        if (facts.status === FILE_UNSTABLE) this.#unstable(row);
        this.#noteEncrypted(row, facts.size);
        const size = Math.min(facts.size, this.#sizeRead(row, facts));
        this.#contents.set(row, {
          flags: 0,
          piece: 0,
          size,
          hashes: size === 0 ? new Uint8Array() : result.hashes.slice(at * 32, at * 32 + 32),
          facts,
        });
      }
    });
    this.#progress();
  }

  /** A file that grew is cut at the size the scan saw; any other is stored as it was read last. */
  #sizeRead(row: number, facts: StoredFileFacts): number {
    return facts.ino === this.#request.scanned.scan.ino[row] && facts.size > this.#size(row) && facts.status !== FILE_UNSTABLE
      ? this.#size(row)
      : facts.size;
  }

  async #storeCut(row: number): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      const before = onPath(this.#path(row), (path) => lstatSync(path, { bigint: true, throwIfNoEntry: false }));
      if (before === undefined || !before.isFile()) return this.#failed(row, 'ENOENT');
      const size = attempt === 0 ? Math.min(this.#size(row), Number(before.size)) : Number(before.size);
      const piece = pieceSize(size, false, this.#isSparse(row)) || 65_536;
      const stored = await this.storePieces(this.#path(row), size, piece);
      if (stored.error !== undefined) return this.#failed(row, stored.error);
      const after = onPath(this.#path(row), (path) => lstatSync(path, { bigint: true, throwIfNoEntry: false }));
      if (after === undefined) return this.#failed(row, 'ENOENT');
      const same = after.ino === before.ino && after.ctimeNs === before.ctimeNs && after.size === before.size && stored.size === size;
      const grew = after.ino === before.ino && after.size > before.size && stored.size === size;
      if (!same && !grew && attempt === 0) continue;
      if (!same && !grew) this.#unstable(row);
      this.#noteEncrypted(row, size);
      this.#filesDone += 1;
      this.#contents.set(row, {
        flags: this.#isSparse(row) ? FLAG_SPARSE : 0,
        piece,
        size: stored.size,
        hashes: stored.hashes,
        facts: {
          status: 0,
          mode: Number(after.mode) & 0o7777,
          uid: Number(after.uid),
          gid: Number(after.gid),
          size: Number(after.size),
          mtime: before.mtimeNs,
          mtimeMs: Number(before.mtimeNs) / 1e6,
          ctimeMs: Number(before.ctimeNs) / 1e6,
          ino: Number(before.ino),
        },
      });
      return;
    }
  }

  /** Stores a file's content in pieces; `size` in the result is what could be read. */
  async storePieces(path: Bytes, size: number, piece: number): Promise<{ hashes: Uint8Array; size: number; error?: string }> {
    const { pool, output } = this.#request;
    const hashes = new Uint8Array(32 * Math.ceil(size / piece));
    let read = 0;
    let error: string | undefined;
    const segments: Promise<void>[] = [];
    for (let offset = 0; offset < size; offset += SEGMENT) {
      segments.push(
        (async () => {
          stopIfAborted(this.#ctx);
          const length = Math.min(SEGMENT, size - offset);
          const result = await pool.run({ kind: 'segment', path, offset, length, piece });
          output.addFrames(result.frames);
          this.#added += result.added;
          this.#bytesRead += result.bytesRead;
          read += result.bytesRead;
          error ??= result.error;
          hashes.set(result.hashes, (offset / piece) * 32);
          this.#progress();
        })(),
      );
    }
    await settleAll(segments);
    const whole = read === size ? hashes : hashes.slice(0, Math.ceil(read / piece) * 32);
    return { hashes: whole, size: read, ...(error === undefined ? {} : { error }) };
  }

  async #takeDatabases(rows: readonly number[]): Promise<void> {
    if (rows.length === 0) return;
    const { root, scanned, stage, check, config } = this.#request;
    const reports = new Map(this.#databases);
    await captureDatabases(
      {
        databases: rows.map((row) => ({ row, path: bytes(scanned.scan.paths[row] ?? '') })),
        root,
        stage,
        check,
        timeout: config.databases.timeout,
        checkCopy: (path, kind) => this.#request.pool.run({ kind: 'check-database', path, check: kind }),
        store: (row, copy, size, raw) => this.#storeStaged(row, copy, size, FLAG_DATABASE | (raw ? FLAG_RAW_DATABASE : 0)),
        report: (row, report) => reports.set(row, report),
        failed: (row) => {
          this.#contents.set(row, { flags: FLAG_DATABASE | FLAG_MISSING, piece: 0, size: 0, hashes: new Uint8Array(), facts: undefined });
        },
        problem: (problem) => this.#problem(problem),
      },
      this.#ctx,
    );
    this.#databases = reports;
    this.#filesDone += rows.length;
    this.#progress();
  }

  /** JSON registries (`[[artefacts]]`): what is stored is exactly what was parsed. */
  async #takeRegistries(rows: readonly number[]): Promise<void> {
    for (const row of rows) {
      const path = bytes(this.#request.scanned.scan.paths[row] ?? '');
      const copy = fromText(`${this.#request.stage}/registry-${row}`);
      const copied = await copyRegistry(this.#path(row), path, copy);
      if (copied.error !== undefined) {
        this.#failed(row, copied.error);
        continue;
      }
      if (copied.problem !== undefined) this.#problem(copied.problem);
      await this.#storeStaged(row, copy, copied.size, 0);
      rmSync(copy, { force: true });
      this.#filesDone += 1;
    }
  }

  /** Stores a file of the staging directory as the content of a row, whose other facts are the scan's. */
  async #storeStaged(row: number, copy: Bytes, size: number, flags: number): Promise<void> {
    const stored = await storeStaged(this.#request, (...args) => this.storePieces(...args), copy, size, (flags & FLAG_DATABASE) !== 0);
    this.#added += stored.added;
    this.#contents.set(row, { ...stored.content, flags });
  }

  #failed(row: number, errno: string): void {
    const path = bytes(this.#request.scanned.scan.paths[row] ?? '');
    this.#filesDone += 1;
    this.#contents.set(row, { flags: FLAG_MISSING, piece: 0, size: 0, hashes: new Uint8Array(), facts: undefined });
    this.#problem(notStored(path, errno, this.#request.scanned.isCritical(path, false)));
  }

  #unstable(row: number): void {
    this.#problem(unstable(bytes(this.#request.scanned.scan.paths[row] ?? '')));
  }

  #noteEncrypted(row: number, size: number): void {
    const path = bytes(this.#request.scanned.scan.paths[row] ?? '');
    if (looksEncrypted(path, size, this.#path(row))) this.#problem(encrypted(path));
  }

  #problem(problem: Problem): void {
    this.#problems.push(problem);
    this.#ctx.monitor.problem(problem);
  }

  #progress(): void {
    const totalFiles = this.#request.scanned.diff.toRead.length;
    this.#ctx.monitor.progress({ phase: 'store', files: this.#filesDone, totalFiles, bytes: this.#bytesRead, totalBytes: this.#total });
  }
}
