// The listing of a snapshot as one sorted text, and single entries out of it: for questions about a few of very many
// rows, which must not pay for parsing all of them. A keyframe that many deltas share is read once by a reader.

import { statSync } from 'node:fs';
import type { Bytes } from '../base/bytes.ts';
import { DELTA_HEADER, type Entry, escapeField, FILES_HEADER } from '../format/file-list.ts';
import { eachRowOf, findRow, NO_ROWS, overlay, type RowText, rowsBelow } from '../format/row-merge.ts';
import { exists } from '../os/files.ts';
import type { SnapshotRef } from './catalog.ts';
import { NAMES } from './layout.ts';
import { joinEntries, keyframeFile, malformed, readListing } from './listing.ts';
import type { Vault } from './vault.ts';

/** A listing as its two files have it. `base` names the keyframe's file: two listings with one base differ by their deltas alone. */
export type Layers = { readonly base: string; readonly keyframe: () => RowText; readonly delta: RowText };

/** Keyframes kept in memory: neighbours share them, and there are seldom more than two in one question. */
const KEPT = 3;

export class ListingReader {
  readonly #vault: Vault;
  readonly #kept = new Map<string, RowText | Error>();

  constructor(vault: Vault) {
    this.#vault = vault;
  }

  /**
   * The two layers of a save or a backup (whose delta is empty).
   * @throws CoraError damaged; also by `keyframe` later
   */
  layers(ref: SnapshotRef): Layers {
    const { base, delta } = this.#find(ref);
    return { base, keyframe: () => this.#keyframe(base), delta };
  }

  #find(ref: SnapshotRef): { base: string; delta: RowText } {
    if (ref.kind === 'backup') return { base: `${ref.directory}/${NAMES.backupListing}`, delta: NO_ROWS };
    const own = `${ref.directory}/${NAMES.keyframe}`;
    if (exists(`${this.#vault.root}/${own}`)) return { base: own, delta: NO_ROWS };
    const path = `${this.#vault.root}/${ref.directory}/${NAMES.delta}`;
    const { header, rows } = split(readListing(path));
    if (!header.startsWith(`${DELTA_HEADER} `)) throw malformed(path);
    return { base: keyframeFile(this.#vault, header.slice(DELTA_HEADER.length + 1)), delta: rows };
  }

  #keyframe(base: string): RowText {
    let rows = this.#kept.get(base);
    if (rows === undefined) {
      try {
        const path = `${this.#vault.root}/${base}`;
        const content = split(readListing(path));
        if (content.header !== FILES_HEADER) throw malformed(path);
        rows = content.rows;
      } catch (error) {
        // Hundreds of deltas may need it: it is not read again for each.
        rows = error instanceof Error ? error : new Error(String(error));
      }
      const oldest = this.#kept.keys().next().value;
      if (this.#kept.size >= KEPT && oldest !== undefined) this.#kept.delete(oldest);
      this.#kept.set(base, rows);
    }
    if (rows instanceof Error) throw rows;
    return rows;
  }

  /** Every row. @throws CoraError damaged */
  rows(ref: SnapshotRef): RowText {
    const { keyframe, delta } = this.layers(ref);
    return overlay(keyframe(), delta);
  }

  /** The entry of one path, its pieces joined; undefined where the snapshot has none. @throws CoraError damaged */
  entry(ref: SnapshotRef, path: Bytes): Entry | undefined {
    const layers = this.layers(ref);
    const key = escapeField(path);
    const row = rowIn(layers, key);
    if (row === undefined) return undefined;
    const cut = /^[fS]\t/.test(row) && row.split('\t', 7)[6] === '-';
    const pieces = cut ? overlay(rowsBelow(layers.keyframe(), `${key}//`), rowsBelow(layers.delta, `${key}//`)) : NO_ROWS;
    return joinEntries([row, ...eachRowOf(pieces)])[0];
  }
}

/** The row of a path field, whichever layer has it; undefined where there is none. */
export function rowIn({ keyframe, delta }: Layers, key: string): string | undefined {
  const changed = findRow(delta, key);
  if (changed !== undefined) return changed.startsWith('-\t') ? undefined : changed;
  return findRow(keyframe(), key);
}

function split(content: Buffer): { readonly header: string; readonly rows: RowText } {
  const end = content.indexOf(10);
  return { header: content.toString('latin1', 0, end), rows: content.subarray(end + 1) };
}

/** What tells one listing file from another at the same place: cheap, and changed by every write. Undefined where there is none. */
export function listingStamp(vault: Vault, ref: SnapshotRef): string | undefined {
  const names = { save: [NAMES.delta, NAMES.keyframe], backup: [NAMES.backupListing], fallback: [NAMES.checkpoint] }[ref.kind];
  for (const name of names) {
    const stat = statSync(`${vault.root}/${ref.directory}/${name}`, { throwIfNoEntry: false });
    if (stat !== undefined) return `${stat.size}-${stat.mtimeMs}-${stat.ino}`;
  }
  return undefined;
}
