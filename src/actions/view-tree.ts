// The listing of one snapshot for somebody who looks around in it: a directory at a time, and a search by name. Pure over rows that are
// in memory. Invariant: rows are ordered by the bytes of their path field (docs/format.md); rows of pieces are no entries.

import { type Bytes, bytes } from '../base/bytes.ts';
import { type Entry, escapeField, parseRow, unescapeField } from '../format/file-list.ts';
import type { RowText } from '../format/row-merge.ts';

const TAB = 9;
const NEWLINE = 10;
const SLASH = 47;
const PIECE = 43;
const DIRECTORY = 100;

export type TreeSort = 'name' | 'size' | 'mtime';

export class SnapshotTree {
  readonly #rows: RowText;
  readonly #count: number;
  /** Where each row begins, and its path field in it. */
  readonly #rowAt: Uint32Array;
  readonly #keyAt: Uint32Array;
  readonly #keyEnd: Uint32Array;
  #children: ReadonlyMap<string, number> | undefined;

  constructor(rows: RowText) {
    this.#rows = rows;
    let room = 1;
    for (let at = rows.indexOf(NEWLINE); at >= 0; at = rows.indexOf(NEWLINE, at + 1)) room += 1;
    const [rowAt, keyAt, keyEnd] = [new Uint32Array(room), new Uint32Array(room), new Uint32Array(room)];
    let count = 0;
    for (let start = 0; start < rows.length; ) {
      let at = start;
      let tabs = 0;
      while (tabs < 7 && at < rows.length) if (rows[at++] === TAB) tabs += 1;
      let end = at;
      while (end < rows.length && rows[end] !== TAB) end += 1;
      if (rows[start] !== PIECE) {
        rowAt[count] = start;
        keyAt[count] = at;
        keyEnd[count] = end;
        count += 1;
      }
      const newline = rows.indexOf(NEWLINE, end);
      start = newline < 0 ? rows.length : newline + 1;
    }
    [this.#count, this.#rowAt, this.#keyAt, this.#keyEnd] = [count, rowAt, keyAt, keyEnd];
  }

  /** The entry of a path, without pieces; undefined where there is none. */
  entry(path: Bytes): Entry | undefined {
    const key = escapeField(path);
    const row = this.#lowerBound(key);
    return row < this.#count && this.#key(row) === key ? this.#entryAt(row) : undefined;
  }

  /** Numbers of what lies directly in a directory: directories first, each group sorted. */
  childrenOf(directory: Bytes, sort: TreeSort, descending: boolean): number[] {
    const prefix = directory === '.' ? '' : `${escapeField(directory)}/`;
    const from = prefix === '' ? 0 : this.#lowerBound(prefix);
    const to = prefix === '' ? this.#count : this.#lowerBound(`${prefix.slice(0, -1)}0`);
    const directories: number[] = [];
    const others: number[] = [];
    for (let row = from; row < to; row++) {
      const start = (this.#keyAt[row] ?? 0) + prefix.length;
      const end = this.#keyEnd[row] ?? 0;
      let at = start;
      while (at < end && this.#rows[at] !== SLASH) at += 1;
      if (at < end || start >= end || (end - start === 1 && prefix === '' && this.#rows[start] === 46)) continue;
      (this.#isDirectory(row) ? directories : others).push(row);
    }
    const group = (rows: number[]): number[] => {
      const value = sort === 'size' ? (row: number) => this.#entryAt(row).size : (row: number) => Number(this.#entryAt(row).mtime);
      if (sort !== 'name') {
        const values = new Map(rows.map((row) => [row, value(row)]));
        rows.sort((a, b) => (values.get(a) ?? 0) - (values.get(b) ?? 0) || a - b);
      }
      return descending ? rows.reverse() : rows;
    };
    return [...group(directories), ...group(others)];
  }

  /** Numbers of the entries below a directory that a test of paths accepts, in the order of paths. */
  search(directory: Bytes, accepts: (path: Bytes) => boolean, type: 'file' | 'directory' | undefined): number[] {
    const prefix = directory === '.' ? '' : `${escapeField(directory)}/`;
    const from = prefix === '' ? 0 : this.#lowerBound(prefix);
    const to = prefix === '' ? this.#count : this.#lowerBound(`${prefix.slice(0, -1)}0`);
    const found: number[] = [];
    for (let row = from; row < to; row++) {
      if (type !== undefined && this.#isDirectory(row) !== (type === 'directory')) continue;
      const key = this.#key(row);
      if (key !== '.' && accepts(key.includes('\\') ? unescapeField(key) : bytes(key))) found.push(row);
    }
    return found;
  }

  at(row: number): Entry {
    return this.#entryAt(row);
  }

  /** How many entries lie directly in a directory. */
  countIn(directory: Bytes): number {
    this.#children ??= this.#countAll();
    return this.#children.get(directory === '.' ? '' : escapeField(directory)) ?? 0;
  }

  #countAll(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    let parent = '';
    let count = 0;
    for (let row = 0; row < this.#count; row++) {
      const key = this.#key(row);
      if (key === '.') continue;
      const of = key.slice(0, Math.max(0, key.lastIndexOf('/')));
      if (of !== parent) {
        if (count > 0) counts.set(parent, (counts.get(parent) ?? 0) + count);
        parent = of;
        count = 0;
      }
      count += 1;
    }
    if (count > 0) counts.set(parent, (counts.get(parent) ?? 0) + count);
    return counts;
  }

  #isDirectory(row: number): boolean {
    return this.#rows[this.#rowAt[row] ?? 0] === DIRECTORY;
  }

  #key(row: number): string {
    return this.#rows.toString('latin1', this.#keyAt[row], this.#keyEnd[row]);
  }

  #entryAt(row: number): Entry {
    const start = this.#rowAt[row] ?? 0;
    return parseRow(this.#rows.toString('latin1', start, this.#rows.indexOf(NEWLINE, start)));
  }

  /** The first row whose path field is not before `key`. */
  #lowerBound(key: string): number {
    let [low, high] = [0, this.#count];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#key(middle) < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
