// Pieces of nothing but zeros, which is what a sparse file is made of: told by one comparison, hashed once a length.

import { hash } from 'node:crypto';

const ZEROS = Buffer.alloc(256 << 10);
const digests = new Map<number, Buffer>();

export function isZero(part: Buffer): boolean {
  for (let at = 0; at < part.length; at += ZEROS.length) {
    const end = Math.min(part.length, at + ZEROS.length);
    if (part.compare(ZEROS, 0, end - at, at, end) !== 0) return false;
  }
  return true;
}

/** The sha256 of a piece of a file. The caller must not write into what it gets. */
export function digestOf(piece: Buffer): Buffer {
  if (!isZero(piece)) return hash('sha256', piece, 'buffer');
  const known = digests.get(piece.length);
  if (known !== undefined) return known;
  const digest = hash('sha256', piece, 'buffer');
  digests.set(piece.length, digest);
  return digest;
}
