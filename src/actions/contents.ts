// From a listing's entry to where its bytes are.

import type { Entry } from '../format/file-list.ts';
import { pieceSizeOf } from '../store/chunker.ts';
import type { Content } from '../store/jobs.ts';

/** The content of an `f` or `S` entry of a save. Entries without content give nothing to read. */
export function contentOf(entry: Entry): Content {
  if (entry.pieces !== undefined) {
    const count = entry.pieces.length / 32;
    return { size: entry.size, piece: pieceSizeOf(entry.size, count), hashes: entry.pieces, sparse: entry.type === 'S' };
  }
  const hashes = entry.size === 0 || entry.sha256 === undefined ? new Uint8Array() : new Uint8Array(Buffer.from(entry.sha256, 'hex'));
  return { size: entry.size, piece: 0, hashes, sparse: false };
}
