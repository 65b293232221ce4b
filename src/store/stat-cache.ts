// `.cache/tree.bin`: what the tree looked like at the last save, so that an unchanged file is not
// opened again: columns of numbers, hashes, and names. It can be deleted; then every file is read.
//
// Form: 'CTR1', crc32 of the rest, length of the JSON head, the head, padding to 8, the columns in
// the order of `columnsOf`, hashes, names joined by NUL. Byte order is the machine's own.

import { fstatSync, openSync, readFileSync, readSync, rmSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { errnoOf } from '../base/errors.ts';
import { closing, replaceFile } from '../os/files.ts';

/** Entry flags. */
export const FLAG_DATABASE = 1;
/** Changed within two seconds of the scan: the clock's grain could hide a later change. Read again next time. */
export const FLAG_RACY = 2;
export const FLAG_SPARSE = 4;
/** Beside a database (-wal, -shm, -journal): watched, never stored. */
export const FLAG_SIDECAR = 8;
/** Hard link to an entry before it; `link` names it. */
export const FLAG_HARD_LINK = 16;
/** Could not be stored; not in the listing. */
export const FLAG_MISSING = 32;
/** Stored as raw bytes although it is a database (corrupt, encrypted). */
export const FLAG_RAW_DATABASE = 64;

/** The tree as columns; entry i is row i of each. */
export type Tree = {
  readonly count: number;
  /** The save that this is the state of. */
  readonly snapshot: string;
  readonly size: Float64Array;
  readonly mtimeMs: Float64Array;
  readonly ctimeMs: Float64Array;
  readonly ino: Float64Array;
  /** Nanoseconds. */
  readonly mtime: BigInt64Array;
  /** Bytes of the stored content (a database's copy may differ in size from the live file). */
  readonly stored: Float64Array;
  /** Type and permission bits, as in stat. */
  readonly mode: Uint32Array;
  readonly uid: Uint32Array;
  readonly gid: Uint32Array;
  readonly flags: Uint32Array;
  readonly piece: Uint32Array;
  /** First hash of each entry, and one more: the end. */
  readonly first: Uint32Array;
  /** 32 bytes each. */
  readonly hashes: Uint8Array;
  readonly paths: readonly string[];
  /** Link targets; empty where there is none. */
  readonly links: readonly string[];
  /** Anything the saver wants to find again (reports of databases), by path. */
  readonly notes: Readonly<Record<string, unknown>>;
};

const MAGIC = 0x31525443;

/** @returns undefined where there is none, or it is torn or from another version */
export function loadTree(vaultRoot: string): Tree | undefined {
  let data: Buffer;
  try {
    data = readFileSync(`${vaultRoot}/.cache/tree.bin`);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  if (data.length < 16 || data.readUInt32LE(0) !== MAGIC || data.readUInt32LE(4) !== crc32(data.subarray(8))) return undefined;
  const headBytes = data.readUInt32LE(8);
  const head = JSON.parse(data.toString('utf8', 16, 16 + headBytes)) as {
    count: number;
    hashes: number;
    snapshot: string;
    names: number;
    notes: Record<string, unknown>;
  };
  // Aligned copies of the columns; a Buffer from readFile may begin anywhere in its memory.
  const memory = data.buffer.slice(data.byteOffset, data.byteOffset + data.length) as ArrayBuffer;
  let at = align(16 + headBytes);
  const take = <T>(make: new (buffer: ArrayBuffer, offset: number, length: number) => T, width: number, length: number): T => {
    const column = new make(memory, at, length);
    at = align(at + width * length);
    return column;
  };
  const n = head.count;
  const tree = {
    count: n,
    snapshot: head.snapshot,
    notes: head.notes,
    size: take(Float64Array, 8, n),
    mtimeMs: take(Float64Array, 8, n),
    ctimeMs: take(Float64Array, 8, n),
    ino: take(Float64Array, 8, n),
    mtime: take(BigInt64Array, 8, n),
    stored: take(Float64Array, 8, n),
    mode: take(Uint32Array, 4, n),
    uid: take(Uint32Array, 4, n),
    gid: take(Uint32Array, 4, n),
    flags: take(Uint32Array, 4, n),
    piece: take(Uint32Array, 4, n),
    first: take(Uint32Array, 4, n + 1),
    hashes: take(Uint8Array, 1, head.hashes * 32),
  };
  const names = Buffer.from(memory, at, head.names).toString('latin1').split('\0');
  return { ...tree, paths: names.slice(0, n), links: names.slice(n, 2 * n) };
}

/** What the cache says beside the files, without reading all of it: a tree of a million files is large. Undefined where there is none. */
export function treeHead(vaultRoot: string): Pick<Tree, 'snapshot' | 'notes'> | undefined {
  try {
    const fd = openSync(`${vaultRoot}/.cache/tree.bin`, 'r');
    return closing(fd, () => {
      const lead = Buffer.alloc(16);
      if (readSync(fd, lead, 0, 16, 0) < 16 || lead.readUInt32LE(0) !== MAGIC) return undefined;
      const head = Buffer.alloc(Math.min(lead.readUInt32LE(8), fstatSync(fd).size));
      readSync(fd, head, 0, head.length, 16);
      const { snapshot, notes } = JSON.parse(head.toString()) as Pick<Tree, 'snapshot' | 'notes'>;
      return { snapshot, notes };
    });
  } catch {
    return undefined;
  }
}

/** Deletes the cache: the next save reads every file. */
export function dropTree(vaultRoot: string): void {
  rmSync(`${vaultRoot}/.cache/tree.bin`, { force: true });
}

/** Writes the cache; not synced, because a torn one is noticed and rebuilt. */
export function storeTree(vaultRoot: string, tree: Tree): void {
  const names = Buffer.from([...tree.paths, ...tree.links].join('\0'), 'latin1');
  const head = Buffer.from(
    JSON.stringify({ count: tree.count, hashes: tree.hashes.length / 32, snapshot: tree.snapshot, names: names.length, notes: tree.notes }),
  );
  const parts: Uint8Array[] = [];
  let _at = 0;
  const put = (part: ArrayBufferView): void => {
    const view = new Uint8Array(part.buffer, part.byteOffset, part.byteLength);
    parts.push(view, new Uint8Array(align(view.length) - view.length));
    _at += align(view.length);
  };
  const lead = Buffer.alloc(16);
  lead.writeUInt32LE(MAGIC, 0);
  lead.writeUInt32LE(head.length, 8);
  put(Buffer.concat([lead, head]));
  for (const column of [
    tree.size,
    tree.mtimeMs,
    tree.ctimeMs,
    tree.ino,
    tree.mtime,
    tree.stored,
    tree.mode,
    tree.uid,
    tree.gid,
    tree.flags,
    tree.piece,
    tree.first,
    tree.hashes,
  ])
    put(column);
  parts.push(names);
  const data = Buffer.concat(parts);
  data.writeUInt32LE(crc32(data.subarray(8)), 4);
  replaceFile(`${vaultRoot}/.cache/tree.bin`, data, false);
}

function align(offset: number): number {
  return (offset + 7) & ~7;
}
