// What an encrypted copy consists of: few objects with neutral names, so that the remote learns no name of a file of the project
// (docs/format.md). Pure but for reading the snapshot's files, whose sums are checked on the way.

import { createHash } from 'node:crypto';
import { createReadStream, statSync } from 'node:fs';
import { type Bytes, bytes, fromText, fsPath, toText } from '../base/bytes.ts';
import type { Sum } from '../format/checksums.ts';
import { TAR_TYPES, tarHeader } from '../format/tar-entry.ts';
import { NAMES } from '../vault/layout.ts';
import { damagedSource } from './ship-compare.ts';

/** One object before it is encrypted. */
export type Part = {
  /** At the remote: `db.tar.age`. */
  readonly name: string;
  /** Several files in a tar, or one file as it is. */
  readonly tar: boolean;
  readonly files: readonly Sum[];
};

/** Everything at the top of a snapshot but its archive. */
export const RECORDS = 'records.tar.age';

/** @param sums of every file of the snapshot, SHA256SUMS.txt too */
export function partsOf(sums: readonly Sum[]): Part[] {
  // Tens of thousands of critical files are one group.
  const groups = Map.groupBy(sums, ({ path }) => objectNameOf(path));
  const parts = [...groups].map(([name, files]) => ({ name, files, tar: name.endsWith('.tar.age') }));
  // The largest last: what is small is there soon, and a run that is cut off has less to do again.
  return parts.sort((a, b) => Number(b.tar) - Number(a.tar) || (a.name < b.name ? -1 : 1));
}

function objectNameOf(path: Bytes): string {
  const slash = path.indexOf('/');
  if (slash > 0) return `${toText(bytes(path.slice(0, slash)))}.tar.age`;
  if (path.endsWith('-full.tar.gz')) return 'archive.tar.gz.age';
  if (path === NAMES.pack || path === NAMES.checkpoint) return `${path}.age`;
  return RECORDS;
}

/** Bytes of a part before encryption. */
export function plainBytesOf(local: string, part: Part): number {
  const sizes = part.files.map(({ path }) => statSync(pathOf(local, path)).size);
  if (!part.tar) return sizes[0] ?? 0;
  return sizes.reduce((sum, size) => sum + 1024 + Math.ceil(size / 512) * 512, 1024);
}

/**
 * The bytes of a part.
 * @throws CoraError damaged where a file does not have its sum: then what was given out is of no use
 */
export async function* contentOf(local: string, part: Part): AsyncGenerator<Buffer> {
  for (const { path, sha256 } of part.files) {
    const file = pathOf(local, path);
    const { size, mtimeNs } = statSync(file, { bigint: true });
    if (part.tar) yield tarHeader({ type: TAR_TYPES.file, name: path, mode: 0o600, uid: 0, gid: 0, mtime: mtimeNs, size: Number(size) });
    const digest = createHash('sha256');
    let read = 0;
    for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>) {
      digest.update(chunk);
      read += chunk.length;
      yield chunk;
    }
    if (BigInt(read) !== size || digest.digest('hex') !== sha256) throw damagedSource([toText(path)]);
    if (part.tar && read % 512 !== 0) yield Buffer.alloc(512 - (read % 512));
  }
  if (part.tar) yield Buffer.alloc(1024);
}

function pathOf(local: string, path: Bytes): string | Buffer {
  return fsPath(bytes(`${fromText(local)}/${path}`));
}
