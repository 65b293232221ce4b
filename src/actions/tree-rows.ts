// From a tree's columns to listing rows: all of them for a keyframe, those that differ for a delta.

import { bytes } from '../base/bytes.ts';
import { EMPTY_SHA256, type Entry, type EntryType, escapeField, formatEntry, formatPiece, formatRemoval, pieceKey } from '../format/file-list.ts';
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFSOCK } from '../source/walk.ts';
import { FLAG_HARD_LINK, FLAG_MISSING, FLAG_SIDECAR, FLAG_SPARSE, type Tree } from '../store/stat-cache.ts';

const NOT_LISTED = FLAG_MISSING | FLAG_SIDECAR;

export function isListed(tree: Tree, row: number): boolean {
  return ((tree.flags[row] ?? 0) & NOT_LISTED) === 0;
}

export function typeOf(mode: number, flags: number): EntryType {
  switch (mode & S_IFMT) {
    case S_IFDIR:
      return 'd';
    case S_IFLNK:
      return 'l';
    case S_IFIFO:
      return 'p';
    case S_IFSOCK:
      return 's';
    case S_IFCHR:
      return 'c';
    case S_IFBLK:
      return 'b';
    default:
      return (flags & FLAG_HARD_LINK) !== 0 ? 'h' : (flags & FLAG_SPARSE) !== 0 ? 'S' : 'f';
  }
}

/** The entry of a row, its pieces included. Not for rows that are not listed. */
export function entryOf(tree: Tree, row: number): Entry {
  const flags = tree.flags[row] ?? 0;
  const type = typeOf(tree.mode[row] ?? 0, flags);
  const hashes = hashesOf(tree, row);
  const cut = (tree.piece[row] ?? 0) > 0;
  const size = tree.stored[row] ?? 0;
  const link = tree.links[row] ?? '';
  return {
    type,
    mode: (tree.mode[row] ?? 0) & 0o7777,
    uid: tree.uid[row] ?? 0,
    gid: tree.gid[row] ?? 0,
    mtime: tree.mtime[row] ?? 0n,
    size: type === 'f' || type === 'S' || type === 'h' ? size : 0,
    sha256: type === 'f' || type === 'S' || type === 'h' ? (cut ? undefined : size === 0 ? EMPTY_SHA256 : hex(hashes)) : undefined,
    path: bytes(tree.paths[row] ?? ''),
    link: link === '' ? undefined : bytes(link),
    pieces: cut && type !== 'h' ? hashes : undefined,
  };
}

export function hashesOf(tree: Tree, row: number): Uint8Array {
  return tree.hashes.subarray((tree.first[row] ?? 0) * 32, (tree.first[row + 1] ?? 0) * 32);
}

function hex(hash: Uint8Array): string {
  return Buffer.from(hash.buffer, hash.byteOffset, 32).toString('hex');
}

type Put = (key: string, row: string) => void;

function putEntry(tree: Tree, row: number, put: Put): void {
  const entry = entryOf(tree, row);
  const key = escapeField(entry.path);
  put(key, formatEntry(entry));
  if (entry.pieces !== undefined) putPieces(key, entry.pieces, tree.piece[row] ?? 0, entry.size, undefined, put);
}

/** Piece rows, only those that differ from `before` where it is given. */
function putPieces(key: string, pieces: Uint8Array, piece: number, size: number, before: Uint8Array | undefined, put: Put): void {
  const all = Buffer.from(pieces.buffer, pieces.byteOffset, pieces.length);
  const last = pieces.length / 32 - 1;
  for (let index = 0; index <= last; index++) {
    const at = index * 32;
    if (before !== undefined && at + 32 <= before.length && all.compare(before, at, at + 32, at, at + 32) === 0 && index !== last) continue;
    const pieceName = pieceKey(key, index);
    put(pieceName, formatPiece(pieceName, index === last ? size - index * piece : piece, all.toString('hex', at, at + 32)));
  }
}

/** Every row of the tree in the order of a listing, one at a time. */
export function* allRows(tree: Tree): Generator<string> {
  // A file's pieces sort after names such as `file.txt`, so they have a place of their own.
  const places: { key: string; row: number; pieces: boolean }[] = [];
  for (let row = 0; row < tree.count; row++) {
    if (!isListed(tree, row)) continue;
    const key = escapeField(bytes(tree.paths[row] ?? ''));
    places.push({ key, row, pieces: false });
    if ((tree.piece[row] ?? 0) > 0 && ((tree.flags[row] ?? 0) & FLAG_HARD_LINK) === 0) places.push({ key: `${key}//`, row, pieces: true });
  }
  places.sort((a, b) => (a.key < b.key ? -1 : 1));
  for (const { key, row, pieces } of places) {
    const entry = entryOf(tree, row);
    if (!pieces) {
      yield formatEntry(entry);
      continue;
    }
    const rows: string[] = [];
    putPieces(key.slice(0, -2), entry.pieces ?? new Uint8Array(), tree.piece[row] ?? 0, entry.size, undefined, (_, text) => rows.push(text));
    yield* rows;
  }
}

/**
 * The rows of a new delta: the ones of the delta before (against the same keyframe), and over them what changed since.
 * @param before rows of the last save's delta; empty where the last save is the keyframe
 * @param oldRow row of the old tree for each row of the new one, or -1
 */
export function deltaRows(before: Map<string, string>, old: Tree, tree: Tree, oldRow: Int32Array): Map<string, string> {
  const put: Put = (key, row) => before.set(key, row);
  const remains = new Uint8Array(old.count);
  for (let row = 0; row < tree.count; row++) {
    if (!isListed(tree, row)) continue;
    const was = oldRow[row] ?? -1;
    if (was < 0 || !isListed(old, was)) {
      putEntry(tree, row, put);
      continue;
    }
    remains[was] = 1;
    putChanges(old, was, tree, row, put);
  }
  for (let row = 0; row < old.count; row++) {
    if (remains[row] === 1 || !isListed(old, row)) continue;
    const key = escapeField(bytes(old.paths[row] ?? ''));
    put(key, formatRemoval(key));
    removePieces(old, row, key, 0, put);
  }
  return before;
}

function putChanges(old: Tree, was: number, tree: Tree, row: number, put: Put): void {
  const sameHead =
    old.mode[was] === tree.mode[row] &&
    old.uid[was] === tree.uid[row] &&
    old.gid[was] === tree.gid[row] &&
    old.mtime[was] === tree.mtime[row] &&
    old.stored[was] === tree.stored[row] &&
    old.piece[was] === tree.piece[row] &&
    old.links[was] === tree.links[row] &&
    ((old.flags[was] ?? 0) & (FLAG_HARD_LINK | FLAG_SPARSE)) === ((tree.flags[row] ?? 0) & (FLAG_HARD_LINK | FLAG_SPARSE));
  const hashes = hashesOf(tree, row);
  const oldHashes = hashesOf(old, was);
  const sameContent = Buffer.compare(hashes, oldHashes) === 0;
  if (sameHead && sameContent) return;
  const entry = entryOf(tree, row);
  const key = escapeField(entry.path);
  put(key, formatEntry(entry));
  const wasCut = (old.piece[was] ?? 0) > 0 && ((old.flags[was] ?? 0) & FLAG_HARD_LINK) === 0;
  const sameCut = wasCut && old.piece[was] === tree.piece[row];
  if (entry.pieces !== undefined) putPieces(key, entry.pieces, tree.piece[row] ?? 0, entry.size, sameCut ? oldHashes : undefined, put);
  if (wasCut) removePieces(old, was, key, entry.pieces === undefined ? 0 : entry.pieces.length / 32, put);
}

function removePieces(old: Tree, row: number, key: string, from: number, put: Put): void {
  if ((old.piece[row] ?? 0) === 0 || ((old.flags[row] ?? 0) & FLAG_HARD_LINK) !== 0) return;
  const count = hashesOf(old, row).length / 32;
  for (let index = from; index < count; index++) {
    const pieceName = pieceKey(key, index);
    put(pieceName, formatRemoval(pieceName));
  }
}
