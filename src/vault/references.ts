// Which objects and keyframes the listings of saves name: what clean-up must keep. Listings are read as streams, and a keyframe
// once for all deltas against it, so that hundreds of saves of a million files are neither slow nor large in memory.
//
// Invariant: a row is left out only where every one of these saves has replaced it.

import { readFileSync, statSync } from 'node:fs';
import { createZstdDecompress } from 'node:zlib';
import { CoraError, messageOf } from '../base/errors.ts';
import { DELTA_HEADER, EMPTY_SHA256, FILES_HEADER, rowKey } from '../format/file-list.ts';
import { frameLength } from '../format/zstd-frame.ts';
import { exists } from '../os/files.ts';
import type { SnapshotRef } from './catalog.ts';
import { NAMES, parseId, type SnapshotId } from './layout.ts';
import { keyframeFile } from './listing.ts';
import type { Vault } from './vault.ts';

/** Gets each object that is named, maybe more than once: its hash (32 bytes, valid during the call), the row, and a save that names it. */
export type ReferenceVisitor = (hash: Buffer, row: string, id: SnapshotId) => void;

/**
 * Visits every object that the listings of these saves name.
 * @param saves of kind `save`
 * @returns the keyframes that their deltas name
 * @throws CoraError damaged naming the listing that cannot be read; nothing is known then
 */
export async function eachReference(vault: Vault, saves: readonly SnapshotRef[], visit: ReferenceVisitor): Promise<Set<SnapshotId>> {
  const groups = new Map<SnapshotId, { whole: boolean; readonly deltas: { readonly ref: SnapshotRef; readonly size: number }[] }>();
  const groupOf = (id: SnapshotId) => {
    const group = groups.get(id) ?? { whole: false, deltas: [] };
    groups.set(id, group);
    return group;
  };
  for (const ref of saves) {
    if (exists(`${vault.root}/${ref.directory}/${NAMES.keyframe}`)) groupOf(ref.id).whole = true;
    else groupOf(await keyframeOf(vault, ref)).deltas.push({ ref, size: statSync(`${vault.root}/${ref.directory}/${NAMES.delta}`).size });
  }
  for (const [id, { whole, deltas }] of groups) {
    // The smallest first: a row is in all deltas only if it is in that one.
    deltas.sort((a, b) => a.size - b.size);
    let replaced: Set<string> | undefined;
    for (const { ref } of deltas) replaced = await visitDelta(vault, ref, whole ? new Set() : replaced, visit);
    const user = deltas[0]?.ref.id ?? id;
    for await (const rows of rowsOf(`${vault.root}/${keyframeFile(vault, id)}`, FILES_HEADER))
      for (const row of rows) if (replaced === undefined || !replaced.has(rowKey(row))) visitRow(row, user, visit);
  }
  return new Set([...groups].filter(([, { deltas }]) => deltas.length > 0).map(([id]) => id));
}

/** Visits a delta's own rows. Returns which of `before` (undefined: of all) it has, too. */
async function visitDelta(vault: Vault, ref: SnapshotRef, before: Set<string> | undefined, visit: ReferenceVisitor): Promise<Set<string>> {
  const both = new Set<string>();
  for await (const rows of rowsOf(`${vault.root}/${ref.directory}/${NAMES.delta}`, DELTA_HEADER)) {
    for (const row of rows) {
      visitRow(row, ref.id, visit);
      const key = rowKey(row);
      if (before === undefined || before.has(key)) both.add(key);
    }
  }
  return both;
}

const scratch = Buffer.alloc(32);

function visitRow(row: string, id: SnapshotId, visit: ReferenceVisitor): void {
  const type = row[0];
  if (type !== 'f' && type !== '+' && type !== 'S') return;
  const fields = row.split('\t', 7);
  const hex = fields[6] ?? '';
  // A cut file's row has no hash, its pieces have; an empty file has no object.
  if (hex === '-' || hex === EMPTY_SHA256 || fields[5] === '0') return;
  if (hex.length !== 64 || scratch.write(hex, 'hex') !== 32)
    throw new CoraError('damaged', `The listing of ${id} has a malformed row`, { hint: `cora verify ${id}` });
  visit(scratch, row, id);
}

async function keyframeOf(vault: Vault, ref: SnapshotRef): Promise<SnapshotId> {
  const path = `${vault.root}/${ref.directory}/${NAMES.delta}`;
  for await (const line of linesOf(path)) {
    const id = line[0]?.startsWith(`${DELTA_HEADER} `) === true ? parseId(line[0].slice(DELTA_HEADER.length + 1)) : undefined;
    if (id !== undefined) return id;
    break;
  }
  throw unreadable(path, 'it names no keyframe');
}

/** Rows in batches. */
async function* rowsOf(path: string, header: string): AsyncGenerator<string[]> {
  let first = true;
  for await (const lines of linesOf(path)) {
    if (first) {
      const line = lines.shift() ?? '';
      if (line !== header && !line.startsWith(`${header} `)) throw unreadable(path, 'it begins with another line');
      first = false;
    }
    yield lines;
  }
}

/** Whole lines in batches, the first of them never empty. */
async function* linesOf(path: string): AsyncGenerator<string[]> {
  let rest = '';
  let any = false;
  try {
    const stored = readFileSync(path);
    for (let at = 0; at < stored.length; ) {
      // The stream ends with its first frame and is silent about what follows: so each frame has its own.
      const length = frameLength(stored, at) ?? stored.length - at;
      const content = createZstdDecompress({ chunkSize: 1 << 18 });
      content.end(stored.subarray(at, at + length));
      at += length;
      for await (const chunk of content) {
        const lines = (rest + (chunk as Buffer).toString('latin1')).split('\n');
        rest = lines.pop() ?? '';
        if (lines.length === 0) continue;
        any = true;
        yield lines;
      }
    }
  } catch (error) {
    throw unreadable(path, messageOf(error), error);
  }
  if (rest !== '' || !any) throw unreadable(path, 'it is cut');
}

function unreadable(path: string, reason: string, cause?: unknown): CoraError {
  return new CoraError('damaged', `The listing ${path} cannot be read: ${reason}`, {
    hint: 'cora verify --all names what is damaged',
    cause,
    details: { path },
  });
}
