// Writes vaults of format 1 by hand, from docs/format.md and the programs tar, zstd and gzip alone: none of Cora's
// writers are used, so that a reader tested with it is tested against the page and not against our own habits.
// Saves hold a tree as it lies on disk; hard links become `h` rows, sparse files `S` rows, big ones are cut.

import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { type Bytes, bytes, fromText, fsPath, joinBytes } from '../../src/base/bytes.ts';
import {
  DELTA_HEADER,
  EMPTY_SHA256,
  type Entry,
  type EntryType,
  escapeField,
  FILES_HEADER,
  formatEntry,
  formatPiece,
  formatRemoval,
  pieceKey,
  rowKey,
} from '../../src/format/file-list.ts';
import { requireProgram, runSync } from '../../src/os/run.ts';
import { readTree, type TreeEntry } from './compare-trees.ts';

export type WriterOptions = {
  /** Files of this many bytes and more, and sparse ones, are cut. Default 1 MiB. */
  readonly cutBytes?: number;
  /** Bytes of a piece. Default 64 KiB. */
  readonly pieceBytes?: number;
  /** Zero pieces of sparse files have no object. Default false. */
  readonly dropZeroObjects?: boolean;
};

const TYPES: Readonly<Record<TreeEntry['type'], EntryType>> = {
  directory: 'd',
  file: 'f',
  symlink: 'l',
  fifo: 'p',
  socket: 's',
  character: 'c',
  block: 'b',
};

export function sha256(content: Uint8Array | string): string {
  return createHash('sha256').update(content).digest('hex');
}

function program(name: string, args: readonly string[], input: Uint8Array | string = ''): Buffer {
  const result = runSync(requireProgram(name, name), args, { input, maxBuffer: 1 << 30 });
  if (result.exitCode !== 0) throw new Error(`${name} ${args.join(' ')}: ${result.stderr}`);
  return result.stdout;
}

/** A vault on disk that is being written. Everything is synchronous. */
export class VaultWriter {
  readonly root: string;
  readonly #options: Required<WriterOptions>;
  /** Objects that some pack holds already. */
  readonly #stored = new Set<string>();
  readonly #keyframes = new Map<string, string[]>();
  #chain: string[] = [];

  constructor(root: string, options: WriterOptions = {}) {
    this.root = root;
    this.#options = { cutBytes: 1 << 20, pieceBytes: 65_536, dropZeroObjects: false, ...options };
    mkdirSync(join(root, 'ledger'), { recursive: true, mode: 0o700 });
    mkdirSync(join(root, 'progress/packs'), { recursive: true });
    writeFileSync(join(root, 'VAULT.json'), JSON.stringify({ format: 1, vault_id: 'test', name: 'test', root: '/test' }));
    const script = readFileSync(join(import.meta.dirname, '../../src/vault/restore.sh'));
    writeFileSync(join(root, 'restore.sh'), script, { mode: 0o700 });
  }

  directoryOf(id: string): string {
    return join(this.root, 'progress', id.slice(0, 4), id.slice(4, 6), id.slice(6, 8), id.slice(9));
  }

  /**
   * A save of the tree at `source`.
   * @param keyframe the id of a save to write a delta against; without it the save is a keyframe
   * @returns its directory
   */
  save(id: string, source: string, keyframe?: string): string {
    const directory = this.directoryOf(id);
    mkdirSync(directory, { recursive: true });
    const objects = new Map<string, Uint8Array>();
    const rows = sortRows(this.#rowsOf(source, objects));
    this.#writePack(join(directory, 'objects.tar.zst'), objects);
    if (keyframe === undefined) {
      this.#keyframes.set(id, rows);
      writeFileSync(join(directory, 'FILES.tsv.zst'), program('zstd', ['-qc'], Buffer.from(text(FILES_HEADER, rows), 'latin1')));
    } else {
      const delta = deltaRows(this.#keyframes.get(keyframe) ?? [], rows);
      writeFileSync(join(directory, 'DELTA.tsv.zst'), program('zstd', ['-qc'], Buffer.from(text(`${DELTA_HEADER} ${keyframe}`, delta), 'latin1')));
    }
    this.#finish(directory, 'save', id, { keyframe: keyframe ?? null, total_files_processed: rows.length });
    return directory;
  }

  /** A backup of the tree at `source`: archive, listing, report, sums. */
  backup(id: string, source: string, report: Readonly<Record<string, unknown>> = {}): string {
    const directory = join(this.root, id);
    mkdirSync(directory, { recursive: true });
    program('tar', ['-C', source, '--format=posix', '-S', '-czf', join(directory, 'test-full.tar.gz'), '--sort=name', '.']);
    const rows = sortRows(this.#rowsOf(source, new Map(), false));
    writeFileSync(join(directory, 'FILES.tsv.gz'), program('gzip', ['-c'], Buffer.from(text(FILES_HEADER, rows), 'latin1')));
    this.#finish(directory, 'backup', id, { total_files_processed: rows.length, ...report });
    return directory;
  }

  /** What clean-up does: the pack and the keyframe of a save go to progress/packs, the save goes away. */
  expire(id: string): void {
    const directory = this.directoryOf(id);
    for (const [from, to] of [
      ['objects.tar.zst', `${id}.tar.zst`],
      ['FILES.tsv.zst', `${id}.FILES.tsv.zst`],
    ] as const) {
      if (readdirSync(directory).includes(from)) {
        writeFileSync(join(this.root, 'progress/packs', to), readFileSync(join(directory, from)));
      }
    }
    rmSync(directory, { recursive: true });
  }

  /** Writes SHA256SUMS.txt of a snapshot again, after a test has changed what it lists. */
  sum(directory: string): void {
    rmSync(join(directory, 'SHA256SUMS.txt'), { force: true });
    const names = readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(directory, join(entry.parentPath, entry.name)))
      .sort();
    const lines = names.map((name) => `${sha256(readFileSync(join(directory, name)))}  ${name}\n`);
    writeFileSync(join(directory, 'SHA256SUMS.txt'), lines.join(''));
  }

  #finish(directory: string, kind: string, id: string, report: Readonly<Record<string, unknown>>): void {
    writeFileSync(join(directory, 'MANIFEST.txt'), `${kind} ${id}\n`);
    const whole = { schema: 1, kind, snapshot_id: id, status: 'complete', databases: [], capped: [], not_covered: [], ...report };
    writeFileSync(join(directory, 'REPORT.json'), `${JSON.stringify(whole, null, 2)}\n`);
    this.sum(directory);
    const sums = sha256(readFileSync(join(directory, 'SHA256SUMS.txt')));
    this.#chain.push(`${this.#chain.length + 1} ${kind} ${id} 2026-11-21T00:00:00Z ${'0'.repeat(64)} ${sums} -`);
    writeFileSync(join(this.root, 'ledger/chain.log'), this.#chain.map((line) => `${line}\n`).join(''));
  }

  #rowsOf(source: string, objects: Map<string, Uint8Array>, cut = true): string[] {
    const rows: string[] = [];
    for (const [key, found] of readTree(source)) {
      const path = bytes(key);
      const hardLink = found.sameAs !== key;
      const sparse = found.type === 'file' && found.blocks * 512 + 4096 < found.size;
      const pieces = cut && !hardLink && found.type === 'file' && found.size > 0 && (sparse || found.size >= this.#options.cutBytes);
      const entry: Entry = {
        type: hardLink ? 'h' : sparse ? 'S' : TYPES[found.type],
        mode: found.mode,
        uid: found.uid,
        gid: found.gid,
        mtime: found.mtime,
        size: found.size,
        sha256: found.type === 'file' && !pieces ? found.hash : undefined,
        path,
        link: linkOf(found, hardLink),
        pieces: undefined,
      };
      rows.push(formatEntry(entry));
      if (found.type !== 'file' || hardLink || found.size === 0 || !cut) continue;
      const content = readFileSync(fsPath(joinBytes(fromText(source), path)));
      if (pieces) rows.push(...this.#cut(path, content, objects, sparse));
      else objects.set(found.hash, content);
    }
    return rows;
  }

  #cut(path: Bytes, content: Buffer, objects: Map<string, Uint8Array>, sparse: boolean): string[] {
    const rows: string[] = [];
    const size = this.#options.pieceBytes;
    for (let start = 0; start < content.length; start += size) {
      const piece = content.subarray(start, start + size);
      const hash = sha256(piece);
      if (!(sparse && this.#options.dropZeroObjects && piece.every((byte) => byte === 0))) objects.set(hash, piece);
      rows.push(formatPiece(pieceKey(escapeField(path), start / size), piece.length, hash));
    }
    return rows;
  }

  #writePack(target: string, objects: ReadonlyMap<string, Uint8Array>): void {
    const fresh = [...objects].filter(([hash]) => hash !== EMPTY_SHA256 && !this.#stored.has(hash));
    if (fresh.length === 0) return;
    const scratch = join(dirname(target), 'scratch');
    mkdirSync(join(scratch, 'objects'), { recursive: true });
    for (const [hash, content] of fresh) {
      writeFileSync(join(scratch, 'objects', hash), content, { mode: 0o600 });
      this.#stored.add(hash);
    }
    const names = fresh.map(([hash]) => `objects/${hash}\n`).join('');
    const tar = program('tar', ['-C', scratch, '--format=ustar', '--owner=0', '--group=0', '--mtime=@0', '-cf', '-', '-T', '-'], names);
    writeFileSync(target, program('zstd', ['-qc'], tar));
    rmSync(scratch, { recursive: true });
  }
}

function linkOf(found: TreeEntry, hardLink: boolean): Bytes | undefined {
  if (hardLink) return bytes(found.sameAs);
  if (found.type === 'symlink') return found.target;
  if (found.type !== 'character' && found.type !== 'block') return undefined;
  const device = found.device;
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n);
  const minor = (device & 0xffn) | ((device >> 12n) & 0xffffff00n);
  return bytes(`${major},${minor}`);
}

function text(header: string, rows: readonly string[]): string {
  return `${[header, ...rows].join('\n')}\n`;
}

function sortRows(rows: string[]): string[] {
  return rows.sort((a, b) => (rowKey(a) < rowKey(b) ? -1 : 1));
}

function deltaRows(before: readonly string[], after: readonly string[]): string[] {
  const old = new Map(before.map((row) => [rowKey(row), row]));
  const now = new Set(after.map(rowKey));
  const changed = after.filter((row) => old.get(rowKey(row)) !== row);
  return sortRows([...changed, ...[...old.keys()].filter((key) => !now.has(key)).map(formatRemoval)]);
}
