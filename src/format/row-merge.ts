// Listings as sorted text in a buffer: looked up by bisection, laid over each other and compared without making a
// string of every row. Pure. Invariant: rows are ordered by the bytes of their path field (docs/format.md).

import { CoraError } from '../base/errors.ts';
import { rowKey } from './file-list.ts';

/** Rows without the header line, each ended by a newline. */
export type RowText = Buffer;

export const NO_ROWS: RowText = Buffer.alloc(0);

const NEWLINE = 10;
const TAB = 9;
/** Bytes that are first compared at once where two listings agree; doubled while they do. */
const SMALL = 256;
const LARGE = 1 << 16;

/** The path field of the row that begins at `start`, still escaped. */
export function keyAt(rows: RowText, start: number): string {
  let at = start;
  for (let field = 0; field < 7; field++) at = rows.indexOf(TAB, at) + 1;
  return rows.toString('latin1', at, rows.indexOf(TAB, at));
}

/** Where the row after the one at `start` begins. */
function after(rows: RowText, start: number): number {
  const end = rows.indexOf(NEWLINE, start);
  return end < 0 ? rows.length : end + 1;
}

/** The row that begins at `start`, without its newline. */
function rowAt(rows: RowText, start: number): string {
  return rows.toString('latin1', start, after(rows, start) - 1);
}

/** Where the first row begins whose path field is not before `key`; the end where there is none. */
export function lowerBound(rows: RowText, key: string, from = 0): number {
  let low = from;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    // The row that holds the middle byte.
    const start = Math.max(low, middle === 0 ? 0 : rows.lastIndexOf(NEWLINE, middle - 1) + 1);
    if (keyAt(rows, start) < key) low = after(rows, start);
    else high = start;
  }
  return low;
}

/** The row of a path field; undefined where there is none. */
export function findRow(rows: RowText, key: string): string | undefined {
  const start = lowerBound(rows, key);
  return start < rows.length && keyAt(rows, start) === key ? rowAt(rows, start) : undefined;
}

/** The rows whose path fields begin with `prefix`. */
export function rowsBelow(rows: RowText, prefix: string): RowText {
  const start = lowerBound(rows, prefix);
  const last = prefix.charCodeAt(prefix.length - 1);
  return rows.subarray(start, lowerBound(rows, prefix.slice(0, -1) + String.fromCharCode(last + 1), start));
}

/** Each row as text. */
export function* eachRowOf(rows: RowText): Generator<string> {
  for (let at = 0; at < rows.length; ) {
    const next = after(rows, at);
    yield rows.toString('latin1', at, next - 1);
    at = next;
  }
}

/**
 * A keyframe with a delta laid over it: every row of the save.
 * @throws CoraError damaged where the delta's rows are not in order
 */
export function overlay(keyframe: RowText, delta: RowText): RowText {
  const parts: Buffer[] = [];
  let done = 0;
  let before: string | undefined;
  for (let at = 0; at < delta.length; ) {
    const next = after(delta, at);
    const key = keyAt(delta, at);
    if (before !== undefined && key <= before) throw new CoraError('damaged', 'A delta has rows that are not in order');
    before = key;
    const place = lowerBound(keyframe, key, done);
    if (place > done) parts.push(keyframe.subarray(done, place));
    done = place < keyframe.length && keyAt(keyframe, place) === key ? after(keyframe, place) : place;
    if (delta[at] !== 0x2d) parts.push(delta.subarray(at, next));
    at = next;
  }
  if (parts.length === 0) return keyframe;
  parts.push(keyframe.subarray(done));
  return Buffer.concat(parts);
}

/** Called with each path field whose rows differ; undefined where there is none. */
export type Differs = (key: string, before: string | undefined, after: string | undefined) => void;

/** Compares two listings row by row; what is the same in both costs next to nothing. */
export function compareRows(a: RowText, b: RowText, differs: Differs): void {
  let [ia, ib] = [0, 0];
  while (ia < a.length && ib < b.length) {
    const same = commonBytes(a, ia, b, ib);
    if (same > 0) {
      // Back to where the row begins that differs: up to there both are the same.
      const start = ia + same === a.length && ib + same === b.length ? ia + same : Math.max(ia, a.lastIndexOf(NEWLINE, ia + same - 1) + 1);
      ib += start - ia;
      ia = start;
      if (ia >= a.length || ib >= b.length) break;
    }
    const [endA, endB] = [after(a, ia), after(b, ib)];
    const [rowA, rowB] = [a.toString('latin1', ia, endA - 1), b.toString('latin1', ib, endB - 1)];
    const [before, now] = [rowKey(rowA), rowKey(rowB)];
    if (before <= now) ia = endA;
    if (now <= before) ib = endB;
    if (before === now) differs(before, rowA, rowB);
    else if (before < now) differs(before, rowA, undefined);
    else differs(now, undefined, rowB);
  }
  for (; ia < a.length; ia = after(a, ia)) differs(keyAt(a, ia), rowAt(a, ia), undefined);
  for (; ib < b.length; ib = after(b, ib)) differs(keyAt(b, ib), undefined, rowAt(b, ib));
}

/** How many bytes are the same from here on. */
function commonBytes(a: Buffer, ia: number, b: Buffer, ib: number): number {
  const limit = Math.min(a.length - ia, b.length - ib);
  let same = 0;
  for (let step = SMALL; same < limit; step = Math.min(step * 2, LARGE)) {
    const count = Math.min(step, limit - same);
    if (!equal(a, ia + same, b, ib + same, count)) {
      let [low, high] = [0, count];
      // The first `low` bytes are the same, the first `high` are not.
      while (high - low > 1) {
        const middle = (low + high) >> 1;
        if (equal(a, ia + same + low, b, ib + same + low, middle - low)) low = middle;
        else high = middle;
      }
      return same + low;
    }
    same += count;
  }
  return same;
}

function equal(a: Buffer, ia: number, b: Buffer, ib: number, count: number): boolean {
  return a.compare(b, ib, ib + count, ia, ia + count) === 0;
}
