// Every path that any snapshot ever had, with where it was last seen, out of an open history: a search looks at each path once, however
// often it changed. Pure but for turns that it gives to others.

import { setImmediate } from 'node:timers/promises';
import { type Bytes, bytes } from '../base/bytes.ts';
import { CoraError } from '../base/errors.ts';
import { type Entry, unescapeField } from '../format/file-list.ts';
import { compileGlob } from '../format/glob.ts';
import type { SnapshotRef } from '../vault/catalog.ts';
import type { History } from '../vault/history.ts';
import { entryOfRow } from './path-history.ts';

/** Rows that are read before others get a turn. */
const AT_ONCE = 20_000;
/** Each multiplies the ways to try, and a server has others to answer. */
const MOST_STARS = 6;

/** A path of the index, as it was last seen. */
export type KnownPath = {
  readonly path: Bytes;
  readonly isGone: boolean;
  readonly lastSeen: SnapshotRef;
  /** The first snapshot that has it no more; undefined where it is there. */
  readonly goneIn: SnapshotRef | undefined;
  readonly entry: Entry;
};

export class PathIndex {
  readonly #history: History;
  readonly #paths: Bytes[];
  /** By the place in `#paths`: the step that it was last seen at, and where its row begins. */
  readonly #seenAt: Int32Array;
  readonly #rowAt: Float64Array;
  readonly #newest: number;

  private constructor(history: History, paths: Bytes[], seenAt: Int32Array, rowAt: Float64Array, newest: number) {
    this.#history = history;
    this.#paths = paths;
    this.#seenAt = seenAt;
    this.#rowAt = rowAt;
    this.#newest = newest;
  }

  static async build(history: History): Promise<PathIndex> {
    const { steps, rows, starts } = history;
    const lastThere: number[] = [];
    let newest = -1;
    for (const [step, { isThere, ref }] of steps.entries()) {
      if (isThere && ref !== undefined) newest = step;
      lastThere.push(newest);
    }
    type Seen = { row: number; since: number; seenAt: number; seenRow: number };
    const seen = new Map<string, Seen>();
    const close = (one: Seen, end: number): void => {
      const at = end < 0 ? -1 : (lastThere[end] ?? -1);
      if (one.row < 0 || at < one.since) return;
      one.seenAt = at;
      one.seenRow = one.row;
    };
    let read = 0;
    for (let step = 0; step < steps.length; step++) {
      const end = starts[step + 1] ?? 0;
      for (let at = starts[step] ?? 0; at < end; ) {
        const tab = rows.indexOf(9, at);
        const newline = rows.indexOf(10, tab);
        const key = rows.toString('latin1', at, tab);
        let one = seen.get(key);
        if (one === undefined) {
          one = { row: -1, since: 0, seenAt: -1, seenRow: -1 };
          seen.set(key, one);
        }
        close(one, step - 1);
        // `-` alone: it was removed.
        one.row = newline === tab + 2 ? -1 : at;
        one.since = step;
        at = newline + 1;
        if (++read % AT_ONCE === 0) await setImmediate();
      }
    }
    const found: [Bytes, Seen][] = [];
    for (const [key, one] of seen) {
      close(one, steps.length - 1);
      if (one.seenAt >= 0 && key !== '.') found.push([unescapeField(key), one]);
    }
    found.sort((a, b) => (a[0] < b[0] ? -1 : 1));
    return new PathIndex(
      history,
      found.map(([path]) => path),
      Int32Array.from(found, ([, one]) => one.seenAt),
      Float64Array.from(found, ([, one]) => one.seenRow),
      newest,
    );
  }

  /** Numbers of the paths that a test accepts, in the order of paths. */
  matching(accepts: (path: Bytes) => boolean, onlyGone: boolean): number[] {
    const found: number[] = [];
    for (const [at, path] of this.#paths.entries()) {
      if ((!onlyGone || this.#seenAt[at] !== this.#newest) && accepts(path)) found.push(at);
    }
    return found;
  }

  isGone(at: number): boolean {
    return this.#seenAt[at] !== this.#newest;
  }

  /** What went last comes first, and what is there comes last; the order of paths where both are the same. */
  byDeparture(found: readonly number[]): number[] {
    const order = (at: number): number => (this.isGone(at) ? (this.#seenAt[at] ?? 0) : -1);
    return found.toSorted((a, b) => order(b) - order(a) || a - b);
  }

  at(number: number): KnownPath | undefined {
    const path = this.#paths[number];
    const step = this.#seenAt[number] ?? -1;
    const { steps, rows } = this.#history;
    const lastSeen = steps[step]?.ref;
    const start = this.#rowAt[number] ?? -1;
    if (path === undefined || lastSeen === undefined || start < 0) return undefined;
    const goneIn = this.isGone(number) ? steps.slice(step + 1).find(({ isThere, ref }) => isThere && ref !== undefined)?.ref : undefined;
    return { path, isGone: this.isGone(number), lastSeen, goneIn, entry: entryOfRow(rows.toString('latin1', start, rows.indexOf(10, start))) };
  }
}

/**
 * A test of paths by what a person types: part of a name whatever its case, a shell pattern where it has `*`, `?` or `[`, and of whole paths
 * where it has a slash. Nothing typed accepts all.
 * @param query UTF-8 bytes
 * @throws CoraError usage for a pattern that could take too long
 */
export function compileSearch(query: Bytes): (path: Bytes) => boolean {
  if (query === '') return () => true;
  if (query.split('*').length > MOST_STARS + 1)
    throw new CoraError('usage', `A pattern has at most ${MOST_STARS} stars here`, { hint: 'cora find takes any pattern' });
  if (/[*?[]/.test(query)) return compileGlob(query, true);
  const wanted = lower(query.replace(/^\.\//, ''));
  if (wanted.includes('/')) return (path) => lower(path).includes(wanted);
  return (path) => lower(path.slice(path.lastIndexOf('/') + 1)).includes(wanted);
}

const NON_ASCII = /[^\x00-\x7f]/;

/** Small letters, those beyond ASCII too where the bytes are UTF-8. */
function lower(text: string): string {
  if (!NON_ASCII.test(text)) return text.toLowerCase();
  return bytes(Buffer.from(Buffer.from(text, 'latin1').toString('utf8').toLowerCase(), 'utf8').toString('latin1'));
}
