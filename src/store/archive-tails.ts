// Which logs an archive holds by their newest part only, and from which byte on. A file is cut only
// where every name of it may be, and where no `<path>.tail` is in the way: else it is kept whole.

import { type Bytes, bytes } from '../base/bytes.ts';
import type { Entry } from '../format/file-list.ts';
import { objectsOf, TAIL, type Tail } from './archive-plan.ts';
import type { WorkerPool } from './pool.ts';

/** How far behind the cap a line's start is looked for. */
const LINE_REACH = 64 << 10;

/** The tails by path, of files and of their hard links. */
export async function planTails(
  entries: readonly Entry[],
  capOf: ((entry: Entry) => number | undefined) | undefined,
  pool: WorkerPool,
): Promise<ReadonlyMap<Bytes, Tail>> {
  const tails = new Map<Bytes, Tail>();
  if (capOf === undefined) return tails;
  const caps = new Map<Bytes, { entry: Entry; cap: number }>();
  for (const entry of entries) {
    const cap = entry.type === 'f' || entry.type === 'S' ? capOf(entry) : undefined;
    if (cap !== undefined && cap > 0 && entry.size > cap) caps.set(entry.path, { entry, cap });
  }
  if (caps.size === 0) return tails;
  const names = new Set(entries.map(({ path }) => path));
  const links = new Map<Bytes, Bytes[]>();
  for (const entry of entries) {
    if (entry.type !== 'h' || entry.link === undefined || !caps.has(entry.link)) continue;
    links.set(entry.link, [...(links.get(entry.link) ?? []), entry.path]);
    if (capOf(entry) === undefined || names.has(bytes(entry.path + TAIL))) caps.delete(entry.link);
  }
  for (const [path, { entry, cap }] of caps) {
    if (names.has(bytes(path + TAIL))) continue;
    const tail = { start: await tailStart(entry, cap, pool) };
    for (const name of [path, ...(links.get(path) ?? [])]) tails.set(name, tail);
  }
  return tails;
}

async function tailStart(entry: Entry, cap: number, pool: WorkerPool): Promise<number> {
  const { hashes, piece, size } = objectsOf(entry);
  const wanted = size - cap;
  // From the object of the byte before: a newline there makes `wanted` itself a line's start.
  const first = Math.floor((wanted - 1) / piece);
  const last = Math.min(hashes.length / 32, Math.floor((wanted + LINE_REACH) / piece) + 1);
  const from = wanted - first * piece;
  const within = Math.min(LINE_REACH, cap - 1);
  const { offset } = await pool.run({ kind: 'find-line', hashes: hashes.slice(first * 32, last * 32), from, within });
  return first * piece + offset;
}
