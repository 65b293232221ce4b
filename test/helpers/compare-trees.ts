// Reads a directory tree into plain data and compares two of them: types, modes, owners, times in
// nanoseconds, sizes, contents, link targets, hard-link groups, and on request allocated blocks.
// Names are bytes throughout (paths are `Bytes`), links are never followed, special files never opened.

import { createHash } from 'node:crypto';
import { type BigIntStats, closeSync, lstatSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs';
import { type Bytes, bytes, fromText, fsPath, joinBytes, printable } from '../../src/base/bytes.ts';

export type TreeEntryType = 'directory' | 'file' | 'symlink' | 'fifo' | 'socket' | 'character' | 'block';

export type TreeEntry = {
  readonly type: TreeEntryType;
  /** Permission bits, 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Nanoseconds since 1970. */
  readonly mtime: bigint;
  /** Bytes of content of a file; 0 for everything else. */
  readonly size: number;
  /** sha256 of a file's content, 64 hex digits; empty where there is none or `content: false` was asked. */
  readonly hash: string;
  /** Target of a symbolic link as it is; empty for everything else. */
  readonly target: Bytes;
  /** Files only: the first path (in byte order) that is the same file; its own path where there is no other. */
  readonly sameAs: string;
  /** Device number of a device, else 0. */
  readonly device: bigint;
  /** 512-byte blocks on disk. */
  readonly blocks: number;
};

export type ReadTreeOptions = {
  /** false: contents are not read and `hash` is empty. */
  readonly content?: boolean;
  /** true for a relative path that is to be left out, with all below it. */
  readonly skip?: (path: string) => boolean;
};

export type CompareTreesOptions = {
  /** Fields not to be compared, for tools that do not keep them. */
  readonly ignore?: readonly (keyof TreeEntry)[];
  /** Times are compared to the second. */
  readonly wholeSeconds?: boolean;
  /** Blocks are compared too: the second tree may have at most this many more for a file (sparse files stay sparse). */
  readonly moreBlocks?: number;
  /** Sockets of the first tree may be missing in the second. Default true, because nothing restores them. */
  readonly socketsMayMiss?: boolean;
};

const CHUNK = Buffer.allocUnsafe(1 << 20);

function typeOf(stats: BigIntStats): TreeEntryType {
  if (stats.isDirectory()) return 'directory';
  if (stats.isFile()) return 'file';
  if (stats.isSymbolicLink()) return 'symlink';
  if (stats.isFIFO()) return 'fifo';
  if (stats.isSocket()) return 'socket';
  return stats.isCharacterDevice() ? 'character' : 'block';
}

function hashOf(path: Bytes): string {
  const hash = createHash('sha256');
  const file = openSync(fsPath(path), 'r');
  try {
    for (;;) {
      const count = readSync(file, CHUNK, 0, CHUNK.length, null);
      if (count === 0) return hash.digest('hex');
      hash.update(CHUNK.subarray(0, count));
    }
  } finally {
    closeSync(file);
  }
}

/**
 * Every entry below `root` and `.` for itself, by relative path (a byte string), in byte order.
 * @param root path as text
 * @throws the system's error where something cannot be read
 */
export function readTree(root: string, options: ReadTreeOptions = {}): Map<string, TreeEntry> {
  const top = fromText(root);
  const stats = new Map<Bytes, BigIntStats>();
  const directories: Bytes[] = [bytes('.')];
  for (let directory = directories.pop(); directory !== undefined; directory = directories.pop()) {
    const absolute = joinBytes(top, directory);
    if (directory === '.') stats.set(directory, lstatSync(fsPath(absolute), { bigint: true }));
    for (const name of readdirSync(fsPath(absolute), { encoding: 'latin1' })) {
      const path = bytes(directory === '.' ? name : `${directory}/${name}`);
      if (options.skip?.(path) === true) continue;
      const found = lstatSync(fsPath(joinBytes(top, path)), { bigint: true });
      stats.set(path, found);
      if (found.isDirectory()) directories.push(path);
    }
  }
  const tree = new Map<string, TreeEntry>();
  const firstOf = new Map<string, string>();
  for (const path of [...stats.keys()].sort()) {
    const found = stats.get(path);
    if (found !== undefined) tree.set(path, entryOf(joinBytes(top, path), path, found, tree, firstOf, options));
  }
  return tree;
}

function entryOf(
  absolute: Bytes,
  path: Bytes,
  stats: BigIntStats,
  tree: ReadonlyMap<string, TreeEntry>,
  firstOf: Map<string, string>,
  options: ReadTreeOptions,
): TreeEntry {
  const type = typeOf(stats);
  let sameAs: string = path;
  if (type === 'file' && stats.nlink > 1n) {
    const identity = `${stats.dev}:${stats.ino}`;
    sameAs = firstOf.get(identity) ?? path;
    firstOf.set(identity, sameAs);
  }
  const twin = sameAs === path ? undefined : tree.get(sameAs);
  return {
    type,
    mode: Number(stats.mode & 0o7777n),
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    mtime: stats.mtimeNs,
    size: type === 'file' ? Number(stats.size) : 0,
    hash: type === 'file' && options.content !== false ? (twin?.hash ?? hashOf(absolute)) : '',
    target: type === 'symlink' ? bytes(readlinkSync(fsPath(absolute), { encoding: 'latin1' })) : bytes(''),
    sameAs,
    device: type === 'character' || type === 'block' ? stats.rdev : 0n,
    blocks: Number(stats.blocks),
  };
}

const COMPARED = ['type', 'mode', 'uid', 'gid', 'mtime', 'size', 'hash', 'target', 'sameAs', 'device'] as const;

/**
 * Every way in which `actual` is not what `expected` is, one printable line each; empty where they are equal.
 * A symbolic link's mode is not compared (Linux has none).
 */
export function compareTrees(
  expected: ReadonlyMap<string, TreeEntry>,
  actual: ReadonlyMap<string, TreeEntry>,
  options: CompareTreesOptions = {},
): string[] {
  const differences: string[] = [];
  const fields = COMPARED.filter((field) => options.ignore?.includes(field) !== true);
  for (const [path, before] of expected) {
    const after = actual.get(path);
    const name = printable(path as Bytes);
    if (after === undefined) {
      if (before.type !== 'socket' || options.socketsMayMiss === false) differences.push(`${name}: missing`);
      continue;
    }
    for (const field of fields) {
      if (field === 'mode' && before.type === 'symlink') continue;
      const [was, is] = [shown(before, field, options), shown(after, field, options)];
      if (was !== is) differences.push(`${name}: ${field} is ${printable(is)}, was ${printable(was)}`);
    }
    if (options.moreBlocks !== undefined && before.type === 'file' && after.blocks > before.blocks + options.moreBlocks) {
      differences.push(`${name}: blocks is ${after.blocks}, was ${before.blocks}`);
    }
  }
  for (const path of actual.keys()) if (!expected.has(path)) differences.push(`${printable(path as Bytes)}: was not there`);
  return differences;
}

function shown(entry: TreeEntry, field: (typeof COMPARED)[number], options: CompareTreesOptions): string {
  if (field === 'mode') return entry.mode.toString(8).padStart(4, '0');
  if (field === 'mtime' && options.wholeSeconds === true) {
    return String((entry.mtime - (((entry.mtime % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n)) / 1_000_000_000n);
  }
  return String(entry[field]);
}
