// Stores a file that Cora itself made in its staging directory: the copy of a database or a registry, the
// output of a command. Nobody else writes it, so what cannot be read back whole is our own disk's failure.

import type { Bytes } from '../base/bytes.ts';
import { CoraError } from '../base/errors.ts';
import { pieceSize } from '../store/chunker.ts';
import { FILE_FAILED } from '../store/jobs.ts';
import type { PackOutput } from '../store/pack-output.ts';
import type { WorkerPool } from '../store/pool.ts';
import type { Content } from './capture.ts';

type Pieces = (path: Bytes, size: number, piece: number) => Promise<{ readonly hashes: Uint8Array; readonly size: number }>;

/** @throws CoraError io where it cannot be read back */
export async function storeStaged(
  { pool, output }: { readonly pool: WorkerPool; readonly output: PackOutput },
  storePieces: Pieces,
  copy: Bytes,
  size: number,
  database: boolean,
): Promise<{ readonly content: Omit<Content, 'flags'>; readonly added: number }> {
  const piece = pieceSize(size, database);
  const lost = () => new CoraError('io', `The staged copy ${copy} could not be read back`);
  if (piece > 0) {
    const stored = await storePieces(copy, size, piece);
    if (stored.size !== size) throw lost();
    return { content: { piece, size, hashes: stored.hashes, facts: undefined }, added: 0 };
  }
  const result = await pool.run({ kind: 'files', items: [{ path: copy, size, mtimeMs: 0, ctimeMs: 0, ino: 0, staged: true }] });
  output.addFrames(result.frames);
  const facts = result.facts[0];
  if (facts === undefined || facts.status === FILE_FAILED || facts.size !== size) throw lost();
  const hashes = size === 0 ? new Uint8Array() : result.hashes.slice(0, 32);
  return { content: { piece: 0, size, hashes, facts: undefined }, added: result.added };
}
