// Questions to the history of a vault: the versions of one path, what changed below a directory, which paths match.
// Pure over an open history. Invariant: only snapshots that are in the vault are named.

import { type Bytes, bytes } from '../base/bytes.ts';
import { type Entry, escapeField, formatEntry, parseRow, unescapeField } from '../format/file-list.ts';
import type { RowText } from '../format/row-merge.ts';
import type { SnapshotRef } from '../vault/catalog.ts';
import { type History, type HistoryOptions, openHistory } from '../vault/history.ts';
import { sortRows } from '../vault/history-writer.ts';
import type { Vault } from '../vault/vault.ts';
import { checkpointEntries } from './checkpoint.ts';

/** @throws CoraError locked, io, interrupted */
export async function historyOf(vault: Vault, options: HistoryOptions = {}): Promise<History> {
  return openHistory(vault, async (ref) => sortRows((await checkpointEntries(vault, ref)).map(formatEntry)), options);
}

/** A run of snapshots with one content at a path. */
export type Version = {
  readonly first: SnapshotRef;
  readonly last: SnapshotRef;
  /** Snapshots that have it. */
  readonly snapshots: number;
  /** As the last of them has it; of a cut file without its pieces. */
  readonly entry: Entry;
  /** The first snapshot after it that has nothing at this path; undefined where it is there still or another version followed. */
  readonly goneIn: SnapshotRef | undefined;
};

/** What one step says of a path: its row (path first), or undefined where it was removed. */
type Said = { readonly step: number; readonly row: string | undefined };

/** The versions of one path, oldest first. None where no snapshot has it. */
export function versionsOf(history: History, path: Bytes): Version[] {
  const key = escapeField(path);
  const said = rowsOf(history, key);
  const targets = new Map<string, readonly Said[]>();
  const contentOf = (row: string, step: number): Told => {
    const fields = row.split('\t');
    const [type, mtime, size, content, link] = [fields[1] ?? '', fields[5] ?? '', fields[6] ?? '', fields[7] ?? '', fields[8] ?? ''];
    const told = (kind: string, of: string): Told => ({ kind, content: of, size, mtime });
    if (type === 'd' || type === 'p' || type === 's') return told(type, '');
    if (type === 'h' && content === '-') {
      let of = targets.get(link);
      if (of === undefined) {
        of = rowsOf(history, link);
        targets.set(link, of);
      }
      const target = of.findLast((one) => one.step <= step)?.row;
      return target === undefined || target.split('\t')[1] === 'h' ? told('f', content) : contentOf(target, step);
    }
    // A hard link and a file with holes have the content of a file.
    return type === 'f' || type === 'S' || type === 'h' ? told('f', content) : told(type, link);
  };
  const versions: { -readonly [K in keyof Version]: Version[K] }[] = [];
  let at = 0;
  let row: string | undefined;
  let open: (typeof versions)[number] | undefined;
  let openContent: Told | undefined;
  history.steps.forEach(({ isThere, ref }, step) => {
    for (let next = said[at]; next !== undefined && next.step <= step; next = said[++at]) row = next.row;
    if (!isThere || ref === undefined) return;
    if (row === undefined) {
      if (open !== undefined) open.goneIn = ref;
      open = undefined;
      return;
    }
    const content = contentOf(row, step);
    if (open === undefined || openContent === undefined || !isSame(openContent, content)) {
      open = { first: ref, last: ref, snapshots: 0, entry: entryOfRow(row), goneIn: undefined };
      versions.push(open);
    }
    openContent = content;
    open.last = ref;
    open.snapshots += 1;
    open.entry = entryOfRow(row);
  });
  return versions;
}

/** What the content of a path is known by at one step. */
type Told = { readonly kind: string; readonly content: string; readonly size: string; readonly mtime: string };

function isSame(a: Told, b: Told): boolean {
  if (a.kind !== b.kind) return false;
  if (a.content === b.content) return a.kind !== 'f' || a.size === b.size;
  // A save has hashes of a large file's pieces, a backup whose save is gone the whole one's: then size and time tell, but not of a database.
  const [cut, whole] = a.content.startsWith('~') ? [a.content, b.content] : [b.content, a.content];
  return cut.startsWith('~') && !whole.startsWith('~') && !cut.endsWith('d') && a.size === b.size && a.mtime === b.mtime;
}

/** What a snapshot changed below a directory, against the one before it. */
export type ChangesBelow = { readonly ref: SnapshotRef; readonly created: number; readonly changed: number; readonly deleted: number };

/** Snapshots in which something at or below a directory changed, oldest first; times of directories are no change. */
export function changesBelow(history: History, path: Bytes): ChangesBelow[] {
  const counting = countChanges(history, path);
  for (;;) {
    const { done, value } = counting.next();
    if (done === true) return value;
  }
}

/** Rows that are read between two of its stops. */
const BETWEEN = 4000;

/** The same in parts: who has others to answer stops where it yields. */
export function* countChanges(history: History, path: Bytes): Generator<undefined, ChangesBelow[]> {
  const state = new Map<string, string>();
  const found: ChangesBelow[] = [];
  const pending = new Map<string, string | undefined>();
  const everything = path === '.';
  const prefix = everything ? '' : `${escapeField(path)}/`;
  const wanted = everything ? eachRow(history) : rowsBelowOf(history, prefix);
  let next = wanted.next();
  let read = 0;
  for (const [step, { isThere, ref }] of history.steps.entries()) {
    for (; next.done !== true && next.value.step <= step; next = wanted.next()) {
      const { key, row } = next.value;
      // What it was when a person could last see it; steps that are gone are no snapshots any more.
      if (!pending.has(key)) pending.set(key, state.get(key));
      if (row === undefined) state.delete(key);
      else state.set(key, row);
      if (++read % BETWEEN === 0) yield undefined;
    }
    if (!isThere || ref === undefined) continue;
    const counts = { created: 0, changed: 0, deleted: 0 };
    for (const [key, before] of pending) {
      const now = state.get(key);
      if (key === '.' || before === now || (before !== undefined && now !== undefined && meaning(before) === meaning(now))) continue;
      counts[before === undefined ? 'created' : now === undefined ? 'deleted' : 'changed'] += 1;
    }
    pending.clear();
    if (counts.created + counts.changed + counts.deleted > 0) found.push({ ref, ...counts });
  }
  return found;
}

/** All that a person may call a change: not the time. */
function meaning(row: string): string {
  const fields = row.split('\t');
  return [fields[1], fields[2], fields[3], fields[4], ...fields.slice(6)].join('\t');
}

/** A path that was found, as it was last seen. */
export type FoundPath = {
  readonly path: Bytes;
  readonly lastSeen: SnapshotRef;
  /** As the last snapshot that has it says. */
  readonly entry: Entry;
  /** Not in the newest snapshot. */
  readonly isGone: boolean;
};

/** Every path that a test accepts, in the order of paths. */
export function findPaths(history: History, matches: (path: Bytes) => boolean): FoundPath[] {
  const { steps, rows, starts } = history;
  const lastThere: number[] = [];
  let newest = -1;
  for (const [step, { isThere }] of steps.entries()) {
    if (isThere) newest = step;
    lastThere.push(newest);
  }
  type Seen = { row: string | undefined; since: number; seenAt: number; seenRow: string };
  const seen = new Map<string, Seen>();
  const close = (one: Seen, end: number): void => {
    const at = end < 0 ? -1 : (lastThere[end] ?? -1);
    if (one.row !== undefined && at >= one.since) Object.assign(one, { seenAt: at, seenRow: one.row });
  };
  for (let step = 0; step < steps.length; step++) {
    const end = starts[step + 1] ?? 0;
    for (let at = starts[step] ?? 0; at < end; at = rows.indexOf(10, at) + 1) {
      const key = rows.toString('latin1', at, rows.indexOf(9, at));
      // Most rows match nothing: they cost no more than this.
      if (!matches(key.includes('\\') ? unescapeField(key) : bytes(key))) continue;
      const { row } = keyed(rows, at, step);
      let one = seen.get(key);
      if (one === undefined) {
        one = { row: undefined, since: 0, seenAt: -1, seenRow: '' };
        seen.set(key, one);
      }
      close(one, step - 1);
      one.row = row;
      one.since = step;
    }
  }
  const found: FoundPath[] = [];
  for (const [key, one] of seen) {
    close(one, steps.length - 1);
    const lastSeen = steps[one.seenAt]?.ref;
    if (lastSeen !== undefined) found.push({ path: unescapeField(key), lastSeen, entry: entryOfRow(one.seenRow), isGone: one.seenAt !== newest });
  }
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Snapshots that have a path, newest first. */
export function snapshotsWith(history: History, path: Bytes): SnapshotRef[] {
  const said = rowsOf(history, escapeField(path));
  const found: SnapshotRef[] = [];
  let at = 0;
  let row: string | undefined;
  history.steps.forEach(({ isThere, ref }, step) => {
    for (let next = said[at]; next !== undefined && next.step <= step; next = said[++at]) row = next.row;
    if (isThere && ref !== undefined && row !== undefined) found.push(ref);
  });
  return found.reverse();
}

/** A row of the history as an entry; a cut file has neither hash nor pieces. */
export function entryOfRow(row: string): Entry {
  const [path, type, mode, uid, gid, mtime, size, content, link] = row.split('\t');
  return parseRow([type, mode, uid, gid, mtime, size, content?.startsWith('~') === true ? '-' : content, path, link].join('\t'));
}

/** What the steps say of one path, in their order. */
function rowsOf({ rows, starts }: History, key: string): Said[] {
  const found: Said[] = [];
  for (const at of places(rows, `${key}\t`)) {
    const row = rows.toString('latin1', at, rows.indexOf(10, at));
    found.push({ step: stepAt(starts, at), row: row.endsWith('\t-') && row.length === key.length + 2 ? undefined : row });
  }
  return found;
}

/** What one step says of a path; without a row it was removed. */
export type KeyedRow = { readonly key: string; readonly step: number; readonly row: string | undefined };

function* rowsBelowOf({ rows, starts }: History, prefix: string): Generator<KeyedRow> {
  for (const at of places(rows, prefix)) yield keyed(rows, at, stepAt(starts, at));
}

/** Every change of every path, step by step. */
export function* eachRow({ rows, starts }: History, from = 0): Generator<KeyedRow> {
  for (let step = from; step + 1 < starts.length; step++) {
    const end = starts[step + 1] ?? 0;
    for (let at = starts[step] ?? 0; at < end; at = rows.indexOf(10, at) + 1) yield keyed(rows, at, step);
  }
}

function keyed(rows: RowText, at: number, step: number): KeyedRow {
  const row = rows.toString('latin1', at, rows.indexOf(10, at));
  const tab = row.indexOf('\t');
  return { key: row.slice(0, tab), step, row: row.length === tab + 2 ? undefined : row };
}

/** Where rows begin with some bytes. */
function* places(rows: RowText, beginning: string): Generator<number> {
  const needle = Buffer.from(`\n${beginning}`, 'latin1');
  if (rows.length >= beginning.length && rows.toString('latin1', 0, beginning.length) === beginning) yield 0;
  for (let at = rows.indexOf(needle); at >= 0; at = rows.indexOf(needle, at + 1)) yield at + 1;
}

function stepAt(starts: readonly number[], offset: number): number {
  let low = 0;
  let high = starts.length - 1;
  // The last step that begins at or before it; empty steps begin where the next one does.
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((starts[middle] ?? 0) <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
}
