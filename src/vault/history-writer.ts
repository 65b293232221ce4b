// The steps of a history out of listings: what each snapshot changed against the one before it. Two saves with one
// keyframe are compared by their deltas alone.

import { pieceKey, pieceOwner, rowKey } from '../format/file-list.ts';
import { compareRows, type Differs, findRow, NO_ROWS, overlay, type RowText } from '../format/row-merge.ts';
import type { SnapshotRef } from './catalog.ts';
import { type Layers, type ListingReader, rowIn } from './listing-text.ts';

const TAB = '\t';

/** True for a file in pieces: its row has no hash. */
function isCut(row: string): boolean {
  return /^[fS]\t/.test(row) && row.split(TAB, 7)[6] === '-';
}

/** By its pieces (docs/format.md, "Cut files"): a database's time tells nothing of what its -wal brought. */
function isDatabase(layers: Layers, key: string): boolean {
  return rowIn(layers, pieceKey(key, 0))?.split(TAB, 6)[5] === '16384';
}

export class HistoryWriter {
  readonly #reader: ListingReader;
  #before: Layers | undefined;
  /** What stands for the content of each cut file now. */
  readonly #tags = new Map<string, string>();

  constructor(reader: ListingReader) {
    this.#reader = reader;
  }

  /** Goes on after steps that are known; `last` is the snapshot of the newest of them that could be read. */
  continueFrom(steps: readonly RowText[], last: SnapshotRef, text: RowText | undefined): void {
    for (const rows of steps) {
      for (let at = rows.indexOf('\t~'); at >= 0; at = rows.indexOf('\t~', at + 1)) {
        const start = rows.lastIndexOf(10, at) + 1;
        const fields = rows.toString('latin1', start, rows.indexOf(10, at)).split(TAB);
        if (fields[7]?.startsWith('~') === true) this.#tags.set(fields[0] ?? '', fields[7]);
      }
    }
    this.#before = this.#layers(last, text);
  }

  #layers(ref: SnapshotRef, text: RowText | undefined): Layers {
    if (text !== undefined) return { base: ref.directory, keyframe: () => text, delta: NO_ROWS };
    return this.#reader.layers(ref);
  }

  /**
   * What a snapshot changed, as rows of the history.
   * @param number of the step
   * @param text a checkpoint's rows
   * @throws CoraError damaged; then nothing is changed here
   */
  add(ref: SnapshotRef, number: number, text: RowText | undefined): RowText {
    const now = this.#layers(ref, text);
    // Damage of the keyframe shows here, before anything is noted.
    now.keyframe();
    const rows = new Map<string, string | undefined>();
    const touched = new Set<string>();
    const differs: Differs = (key, before, after) => {
      if ((after ?? before)?.startsWith('+\t') === true) touched.add(pieceOwner(key));
      else rows.set(key, after);
    };
    if (this.#before?.base === now.base) compareDeltas(this.#before, now, differs);
    else compareRows(this.#before === undefined ? NO_ROWS : whole(this.#before), whole(now), differs);
    for (const owner of touched) if (!rows.has(owner)) rows.set(owner, rowIn(now, owner));
    this.#before = now;
    return this.#write(rows, touched, number, now);
  }

  #write(rows: ReadonlyMap<string, string | undefined>, touched: ReadonlySet<string>, number: number, now: Layers): RowText {
    const parts: Buffer[] = [];
    let text = '';
    for (const key of [...rows.keys()].sort()) {
      const row = rows.get(key);
      text += row === undefined ? `${key}\t-\n` : `${key}${TAB}${this.#tagged(key, row, touched, number, now)}\n`;
      if (text.length > 1 << 18) {
        parts.push(Buffer.from(text, 'latin1'));
        text = '';
      }
    }
    parts.push(Buffer.from(text, 'latin1'));
    return Buffer.concat(parts);
  }

  /** The other fields of a row, in their order. */
  #tagged(key: string, row: string, touched: ReadonlySet<string>, number: number, now: Layers): string {
    const [type, mode, uid, gid, mtime, size, sha256, , link] = row.split(TAB);
    let content = sha256;
    if (isCut(row)) {
      const known = touched.has(key) ? undefined : this.#tags.get(key);
      content = known ?? `~${number}${isDatabase(now, key) ? 'd' : ''}`;
      this.#tags.set(key, content);
    }
    return [type, mode, uid, gid, mtime, size, content, link].join(TAB);
  }
}

function whole({ keyframe, delta }: Layers): RowText {
  return overlay(keyframe(), delta);
}

/** Two deltas of one keyframe: a row that one of them lacks is the keyframe's. */
export function compareDeltas(before: Layers, now: Layers, differs: Differs): void {
  const meant = (row: string | undefined, key: string): string | undefined =>
    row === undefined ? findRow(now.keyframe(), key) : row.startsWith('-\t') ? undefined : row;
  compareRows(before.delta, now.delta, (key, old, is) => {
    const [was, after] = [meant(old, key), meant(is, key)];
    if (was !== after) differs(key, was, after);
  });
}

/** Rows of a listing in the order of their path fields, for what has no such order (a checkpoint). */
export function sortRows(rows: Iterable<string>): RowText {
  const byKey = [...rows].map((row) => [rowKey(row), row] as const).sort((a, b) => (a[0] < b[0] ? -1 : 1));
  return Buffer.from(byKey.map(([, row]) => `${row}\n`).join(''), 'latin1');
}
