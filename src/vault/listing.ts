// Reading a snapshot's listing: keyframe and delta of a save, FILES.tsv.gz of a backup.

import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { toText } from '../base/bytes.ts';
import { CoraError, messageOf } from '../base/errors.ts';
import { DELTA_HEADER, type Entry, escapeField, FILES_HEADER, parseRow, pieceOwner, rowKey } from '../format/file-list.ts';
import { decompressFrame } from '../format/zstd-frame.ts';
import { exists } from '../os/files.ts';
import type { SnapshotRef } from './catalog.ts';
import { looseName, NAMES, parseId, saveDirectory } from './layout.ts';
import type { Vault } from './vault.ts';

/** Rows by their path field, as text. */
export type Rows = Map<string, string>;

/**
 * The entries of a snapshot, pieces joined to their files.
 * @param wanted asked with each row's path field (a piece's: its file's); what it refuses is not parsed
 * @throws CoraError damaged naming the file that cannot be read
 */
export function loadEntries(vault: Vault, ref: SnapshotRef, wanted?: (key: string) => boolean): Entry[] {
  return joinEntries(eachRow(vault, ref), wanted);
}

/** The entries of rows, pieces joined to their files. @throws CoraError damaged */
export function joinEntries(rows: Iterable<string>, wanted?: (key: string) => boolean): Entry[] {
  const pieces = new Map<string, PieceList>();
  const entries: Entry[] = [];
  for (const row of rows) {
    if (wanted !== undefined && !wanted(row.startsWith('+\t') ? pieceOwner(rowKey(row)) : rowKey(row))) continue;
    if (row.startsWith('+\t')) addPiece(pieces, row);
    else entries.push(parseRow(row));
  }
  if (pieces.size === 0) return entries;
  return entries.map((entry) => {
    if (entry.type === 'h' || entry.sha256 !== undefined || entry.size === 0) return entry;
    const list = pieces.get(escapeField(entry.path));
    return list === undefined ? entry : { ...entry, pieces: wholeList(list, entry) };
  });
}

/** Every row of a snapshot as text, one at a time: the keyframe's in its order, then those that only the delta has. */
export function* eachRow(vault: Vault, ref: SnapshotRef): Generator<string> {
  const directory = `${vault.root}/${ref.directory}`;
  if (ref.kind === 'backup') return yield* keyframeRows(`${directory}/${NAMES.backupListing}`);
  if (exists(`${directory}/${NAMES.keyframe}`)) return yield* keyframeRows(`${directory}/${NAMES.keyframe}`);
  const { keyframe, rows } = loadDelta(vault, ref);
  for (const row of keyframeRows(`${vault.root}/${keyframeFile(vault, keyframe)}`)) {
    const key = rowKey(row);
    const replaced = rows.get(key);
    if (replaced === undefined) {
      yield row;
      continue;
    }
    rows.delete(key);
    if (!replaced.startsWith('-\t')) yield replaced;
  }
  for (const row of rows.values()) if (!row.startsWith('-\t')) yield row;
}

type PieceList = { hashes: Buffer; count: number; last: number };

/** Pieces come in the order of their index. One that is far ahead of what came is damage, and must not make us ask for its room. */
const FAR_AHEAD = 65_536;

/** @throws CoraError damaged for a row that is no piece */
function addPiece(pieces: Map<string, PieceList>, row: string): void {
  const key = rowKey(row);
  const owner = pieceOwner(key);
  const index = Number(/^\/\/(\d{8})$/.exec(key.slice(owner.length))?.[1] ?? Number.NaN);
  const sha256 = row.split('\t', 7)[6] ?? '';
  let list = pieces.get(owner);
  if (list === undefined) {
    list = { hashes: Buffer.alloc(32 * 64), count: 0, last: -1 };
    pieces.set(owner, list);
  }
  if (!(index <= list.count + FAR_AHEAD) || !/^[0-9a-f]{64}$/.test(sha256)) {
    throw new CoraError('damaged', `A listing has a malformed row: ${JSON.stringify(row.slice(0, 80))}`);
  }
  if ((index + 1) * 32 > list.hashes.length)
    list.hashes = Buffer.concat([list.hashes, Buffer.alloc(Math.max(list.hashes.length, (index + 1) * 32 - list.hashes.length))]);
  list.hashes.write(sha256, index * 32, 32, 'hex');
  list.count += 1;
  list.last = Math.max(list.last, index);
}

function wholeList(list: PieceList, entry: Entry): Uint8Array {
  if (list.count !== list.last + 1) throw new CoraError('damaged', `A listing lacks pieces of ${toText(entry.path)}`);
  return list.hashes.subarray(0, list.count * 32);
}

/** The rows of a save's own DELTA file, and the keyframe they differ from. */
export function loadDelta(vault: Vault, ref: SnapshotRef): { keyframe: string; rows: Rows } {
  const path = `${vault.root}/${ref.directory}/${NAMES.delta}`;
  const lines = eachLine(path);
  const header = lines.next().value ?? '';
  if (!header.startsWith(`${DELTA_HEADER} `)) throw malformed(path);
  const rows: Rows = new Map();
  for (const line of lines) rows.set(rowKey(line), line);
  return { keyframe: header.slice(DELTA_HEADER.length + 1), rows };
}

/** Where a keyframe lies, relative to the vault: in its save, or kept by clean-up. */
export function keyframeFile(vault: Vault, id: string): string {
  const parsed = parseId(id);
  if (parsed === undefined) throw new CoraError('damaged', `A delta names a keyframe that is no snapshot: ${JSON.stringify(id.slice(0, 60))}`);
  const own = `${saveDirectory(parsed)}/${NAMES.keyframe}`;
  return exists(`${vault.root}/${own}`) ? own : `${NAMES.packs}/${looseName(parsed, NAMES.keyframe)}`;
}

function* keyframeRows(path: string): Generator<string> {
  const lines = eachLine(path);
  if (lines.next().value !== FILES_HEADER) throw malformed(path);
  yield* lines;
}

/**
 * The content of a compressed listing file: a header line, then rows, each ended by a newline.
 * @throws CoraError damaged
 */
export function readListing(path: string): Buffer {
  try {
    const stored = readFileSync(path);
    const content = path.endsWith('.gz') ? gunzipSync(stored) : decompressFrame(stored, stored.length * 4, 2 ** 31);
    if (content.at(-1) !== 10) throw malformed(path);
    return content;
  } catch (error) {
    if (error instanceof CoraError && error.details !== undefined) throw error;
    throw new CoraError('damaged', `The listing ${path} cannot be read: ${messageOf(error)}`, {
      hint: 'cora verify names what is damaged',
      cause: error,
      details: { path },
    });
  }
}

/** The lines of a compressed listing, one at a time: a listing of a million rows is never one string. */
function* eachLine(path: string): Generator<string> {
  const content = readListing(path);
  let at = 0;
  for (let end = content.indexOf(10, at); end >= 0; end = content.indexOf(10, at)) {
    yield content.toString('latin1', at, end);
    at = end + 1;
  }
}

export function malformed(path: string): CoraError {
  return new CoraError('damaged', `The listing ${path} is malformed`, { hint: 'cora verify names what is damaged', details: { path } });
}
