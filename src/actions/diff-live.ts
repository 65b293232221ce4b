// The project as it is now, as the listing that a save would write: by the stat cache, so that only what may have changed is read.
// Invariant: nothing is written into the vault or the project; copies of databases lie in a private directory for a moment.

import { hash } from 'node:crypto';
import { closeSync, fstatSync, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Bytes, bytes, fromText, joinBytes, toText } from '../base/bytes.ts';
import type { Context, Problem } from '../base/context.ts';
import { errnoOf } from '../base/errors.ts';
import { FILES_HEADER, listingBytes, sortedRows } from '../format/file-list.ts';
import type { DatabaseReport } from '../format/report.ts';
import { NO_ROWS } from '../format/row-merge.ts';
import { isSqliteHeader } from '../format/sqlite-header.ts';
import { exists } from '../os/files.ts';
import { onPath } from '../os/long-path.ts';
import { checkCopy } from '../os/sqlite.ts';
import { captureDatabase } from '../source/databases.ts';
import { pieceSize } from '../store/chunker.ts';
import { FLAG_DATABASE, FLAG_MISSING, FLAG_RAW_DATABASE, FLAG_SPARSE, loadTree, type Tree } from '../store/stat-cache.ts';
import { READ_FLAGS } from '../store/store-job.ts';
import type { SnapshotRef } from '../vault/catalog.ts';
import { NAMES, parseId, saveDirectory } from '../vault/layout.ts';
import { loadDelta } from '../vault/listing.ts';
import type { Layers, ListingReader } from '../vault/listing-text.ts';
import type { Vault } from '../vault/vault.ts';
import { isLeftOut } from './artefact-dumps.ts';
import { type Content, type Scanned, scanProject } from './capture.ts';
import { notStored } from './capture-problems.ts';
import { databaseNotes } from './describe.ts';
import type { ProjectFacts } from './open-project.ts';
import { stopIfAborted } from './settle.ts';
import { buildTree } from './tree-build.ts';
import { allRows, deltaRows } from './tree-rows.ts';

export type Live = { readonly layers: Layers; readonly databases: readonly DatabaseReport[]; readonly problems: readonly Problem[] };

/** @throws CoraError io where the project cannot be read; interrupted */
export async function readLive(vault: Vault, reader: ListingReader, project: ProjectFacts, ctx: Context): Promise<Live> {
  const { tree: old, ref: last } = knownTree(vault);
  const omitted = new Map(
    project.config.artefacts.flatMap((one) =>
      one.path !== undefined && isLeftOut(one, {}) ? [[one.path as string, 'an optional artefact'] as const] : [],
    ),
  );
  const scanned = scanProject(project.root, project.config, old, -1, ctx, { omitted, addRows: () => undefined });
  const read = new LiveReader(project, scanned, old, ctx);
  await read.perform();
  const { contents, databases, problems } = read;
  const { tree } = buildTree(project.root, scanned, old, { contents, databases: new Map(), problems: [], added: 0, bytesRead: 0 });
  return {
    layers: old === undefined || last === undefined ? wholeOf(tree) : layersOver(vault, reader, last, old, tree, scanned),
    databases: reportsOf(tree, old, databases),
    problems: [...scanned.scan.problems.filter(({ severity }) => severity === 'error'), ...problems],
  };
}

/** The state of the last save, where that save is still there. */
function knownTree(vault: Vault): { tree: Tree | undefined; ref: SnapshotRef | undefined } {
  const tree = loadTree(vault.root);
  const id = parseId(tree?.snapshot ?? '');
  const directory = id === undefined ? '' : saveDirectory(id);
  if (tree === undefined || id === undefined || !exists(`${vault.root}/${directory}/${NAMES.sums}`)) return { tree: undefined, ref: undefined };
  return { tree, ref: { id, kind: 'save', directory, sequence: undefined } };
}

function wholeOf(tree: Tree): Layers {
  const rows = listingBytes(FILES_HEADER, allRows(tree)).subarray(FILES_HEADER.length + 1);
  return { base: '', keyframe: () => rows, delta: NO_ROWS };
}

/** What changed since the last save, laid over its listing. */
function layersOver(vault: Vault, reader: ListingReader, last: SnapshotRef, old: Tree, tree: Tree, scanned: Scanned): Layers {
  const { base, keyframe } = reader.layers(last);
  const isKeyframe = exists(`${vault.root}/${last.directory}/${NAMES.keyframe}`);
  const rows = deltaRows(isKeyframe ? new Map() : loadDelta(vault, last).rows, old, tree, scanned.diff.oldRow);
  return { base, keyframe, delta: Buffer.from([...sortedRows(rows), ''].join('\n'), 'latin1') };
}

function reportsOf(tree: Tree, old: Tree | undefined, now: ReadonlyMap<string, DatabaseReport>): DatabaseReport[] {
  const known = databaseNotes(old);
  return tree.paths.flatMap((path, row) => {
    if (((tree.flags[row] ?? 0) & FLAG_DATABASE) === 0) return [];
    return now.get(path) ?? known[toText(bytes(path))] ?? [];
  });
}

class LiveReader {
  readonly contents = new Map<number, Content>();
  readonly databases = new Map<string, DatabaseReport>();
  readonly problems: Problem[] = [];
  readonly #project: ProjectFacts;
  readonly #scanned: Scanned;
  readonly #old: Tree | undefined;
  readonly #ctx: Context;

  constructor(project: ProjectFacts, scanned: Scanned, old: Tree | undefined, ctx: Context) {
    this.#project = project;
    this.#scanned = scanned;
    this.#old = old;
    this.#ctx = ctx;
  }

  async perform(): Promise<void> {
    const { scan, diff } = this.#scanned;
    const databases: number[] = [];
    for (const row of diff.toRead) {
      stopIfAborted(this.#ctx);
      const path = bytes(scan.paths[row] ?? '');
      const size = scan.size[row] ?? 0;
      const sparse = (scan.blocks[row] ?? 0) * 512 < size && size > 64 << 10;
      try {
        const content = hashFile(joinBytes(this.#project.root, path), false, sparse ? FLAG_SPARSE : 0);
        if (content === undefined) databases.push(row);
        else this.contents.set(row, content);
      } catch (error) {
        this.#failed(row, notStored(path, errnoOf(error) ?? 'EIO', this.#scanned.isCritical(path, false)));
      }
    }
    if (databases.length > 0) await this.#readDatabases(databases);
  }

  /** What cannot be read counts as it was, and is named. */
  #failed(row: number, problem: Problem): void {
    this.problems.push({
      ...problem,
      message: `${problem.message.replace(/; it is not in this snapshot$/, '')}; it is compared as it was last saved`,
    });
    if ((this.#scanned.diff.oldRow[row] ?? -1) >= 0 && this.#old !== undefined) return;
    this.contents.set(row, { flags: FLAG_MISSING, piece: 0, size: 0, hashes: new Uint8Array(), facts: undefined });
  }

  async #readDatabases(rows: readonly number[]): Promise<void> {
    const scratch = mkdtempSync(join(tmpdir(), 'cora-diff-'));
    try {
      for (const row of rows) {
        const path = bytes(this.#scanned.scan.paths[row] ?? '');
        const target = `${scratch}/copy`;
        const captured = await captureDatabase(joinBytes(this.#project.root, path), path, target, {
          timeout: Math.min(this.#project.config.databases.timeout, 5000),
          check: 'quick_check',
          checkCopy,
        });
        if (captured.outcome === 'failed') this.#failed(row, captured.problem);
        else {
          const raw = captured.outcome === 'raw' ? FLAG_RAW_DATABASE : 0;
          const content = hashFile(fromText(target), true, FLAG_DATABASE | raw);
          if (content !== undefined) this.contents.set(row, content);
          this.databases.set(path, captured.report);
        }
        rmSync(target, { force: true });
      }
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  }
}

/** Hashes as a save would have them; undefined for a database, unless it is one already copied. */
function hashFile(path: Bytes, isCopy: boolean, flags: number): Content | undefined {
  const fd = onPath(path, (reachable) => openSync(reachable, READ_FLAGS));
  try {
    const { size } = fstatSync(fd);
    const piece = pieceSize(size, isCopy, (flags & FLAG_SPARSE) !== 0);
    const buffer = Buffer.alloc(piece > 0 ? piece : size);
    const hashes = Buffer.alloc(32 * (size === 0 ? 0 : piece === 0 ? 1 : Math.ceil(size / piece)));
    for (let at = 0, index = 0; at < size; index++) {
      const length = fill(fd, buffer, Math.min(buffer.length, size - at), at);
      if (!isCopy && at === 0 && length >= 16 && isSqliteHeader(buffer)) return undefined;
      hash('sha256', buffer.subarray(0, length), 'buffer').copy(hashes, index * 32);
      if (length === 0) break;
      at += length;
    }
    return { flags, piece, size, hashes, facts: undefined };
  } finally {
    closeSync(fd);
  }
}

function fill(fd: number, buffer: Buffer, length: number, position: number): number {
  let done = 0;
  while (done < length) {
    const count = readSync(fd, buffer, done, length - done, position + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}
