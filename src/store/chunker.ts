// Where files are cut (docs/format.md, "Cut files"). Pieces are of one fixed size, so that an
// append changes only the end, and a database's pages stay where they were.

/** From this size on a file is cut. */
export const CUT_FROM = 1 << 20;
const KIB = 1024;
const GIB = 1 << 30;

/** Bytes of a piece of a file of `size` bytes; 0 where the file is kept whole. Sparse files are always cut. */
export function pieceSize(size: number, isDatabase: boolean, sparse = false): number {
  if (size < CUT_FROM && !(sparse && size > 64 * KIB)) return 0;
  if (isDatabase) return size <= 4 * GIB ? 16 * KIB : 64 * KIB;
  return size <= GIB ? 64 * KIB : 256 * KIB;
}

const PIECES = [16 * KIB, 64 * KIB, 256 * KIB];

/**
 * Bytes of a piece of a cut file, from its size and the number of its pieces: what a listing says.
 * @returns the size of the whole where there is one piece
 */
export function pieceSizeOf(size: number, count: number): number {
  if (count <= 1) return Math.max(size, 1);
  return PIECES.find((piece) => Math.ceil(size / piece) === count) ?? Math.ceil(size / count);
}
