// Reading a snapshot's listing: keyframe and delta of a save, FILES.tsv.gz of a backup.

import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { CoraError, messageOf } from '../base/errors.ts';
import { DELTA_HEADER, type Entry, FILES_HEADER, parseRow, pieceOwner, rowKey } from '../format/file-list.ts';
import { decompressFrame } from '../format/zstd-frame.ts';
import { exists } from '../os/files.ts';
import type { SnapshotRef } from './catalog.ts';
import { NAMES, parseId, saveDirectory } from './layout.ts';
import type { Vault } from './vault.ts';

/** Rows by their path field, as text. */
export type Rows = Map<string, string>;

/**
 * The whole listing of a snapshot as rows.
 * @throws CoraError damaged naming the file that cannot be read
 */
export function loadRows(vault: Vault, ref: SnapshotRef): Rows {
  const directory = `${vault.root}/${ref.directory}`;
  if (ref.kind === 'backup') return keyframeRows(`${directory}/${NAMES.backupListing}`);
  if (exists(`${directory}/${NAMES.keyframe}`)) return keyframeRows(`${directory}/${NAMES.keyframe}`);
  const delta = loadDelta(vault, ref);
  const rows = keyframeRows(`${vault.root}/${keyframeFile(vault, delta.keyframe)}`);
  for (const [key, row] of delta.rows) {
    if (row.startsWith('-\t')) rows.delete(key);
    else rows.set(key, row);
  }
  return rows;
}

/** The rows of a save's own DELTA file, and the keyframe they differ from. */
export function loadDelta(vault: Vault, ref: SnapshotRef): { keyframe: string; rows: Rows } {
  const path = `${vault.root}/${ref.directory}/${NAMES.delta}`;
  const lines = readLines(path);
  const header = lines.shift() ?? '';
  if (!header.startsWith(`${DELTA_HEADER} `)) throw malformed(path);
  return { keyframe: header.slice(DELTA_HEADER.length + 1), rows: byKey(lines) };
}

/** Where a keyframe lies, relative to the vault: in its save, or kept by clean-up. */
export function keyframeFile(vault: Vault, id: string): string {
  const parsed = parseId(id);
  if (parsed === undefined) throw new CoraError('damaged', `A delta names a keyframe that is no snapshot: ${JSON.stringify(id.slice(0, 60))}`);
  const own = `${saveDirectory(parsed)}/${NAMES.keyframe}`;
  return exists(`${vault.root}/${own}`) ? own : `${NAMES.packs}/${parsed}.${NAMES.keyframe}`;
}

function keyframeRows(path: string): Rows {
  const lines = readLines(path);
  if (lines.shift() !== FILES_HEADER) throw malformed(path);
  return byKey(lines);
}

function byKey(lines: readonly string[]): Rows {
  const rows: Rows = new Map();
  for (const line of lines) rows.set(rowKey(line), line);
  return rows;
}

function readLines(path: string): string[] {
  let content: Buffer;
  try {
    const stored = readFileSync(path);
    content = path.endsWith('.gz') ? gunzipSync(stored) : decompressFrame(stored, stored.length * 4, 2 ** 31);
  } catch (error) {
    throw new CoraError('damaged', `The listing ${path} cannot be read: ${messageOf(error)}`, { hint: 'cora verify names what is damaged', cause: error, details: { path } });
  }
  const lines = content.toString('latin1').split('\n');
  if (lines.pop() !== '') throw malformed(path);
  return lines;
}

function malformed(path: string): CoraError {
  return new CoraError('damaged', `The listing ${path} is malformed`, { hint: 'cora verify names what is damaged', details: { path } });
}

/** The entries of a listing in the order of its rows, pieces joined to their files. */
export function entriesOf(rows: Rows): Entry[] {
  const pieces = new Map<string, Uint8Array>();
  const counts = new Map<string, number>();
  for (const [key, row] of rows) {
    if (row.startsWith('+\t')) counts.set(pieceOwner(key), (counts.get(pieceOwner(key)) ?? 0) + 1);
  }
  for (const [owner, count] of counts) pieces.set(owner, new Uint8Array(32 * count));
  const entries: Entry[] = [];
  for (const [key, row] of rows) {
    if (row.startsWith('+\t')) {
      const owner = pieceOwner(key);
      const index = Number(key.slice(owner.length + 2));
      const all = pieces.get(owner);
      if (all === undefined || index * 32 >= all.length) throw new CoraError('damaged', `A listing lacks pieces of ${owner}`);
      all.set(Buffer.from(row.split('\t', 7)[6] ?? '', 'hex'), index * 32);
    } else {
      entries.push(parseRow(row, pieces.get(key)));
    }
  }
  return entries;
}
