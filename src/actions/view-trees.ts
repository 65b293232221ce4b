// The listings of the snapshots that were looked into last, kept in memory. A snapshot does not change: what was read of it holds.

import { setImmediate } from 'node:timers/promises';
import { formatEntry } from '../format/file-list.ts';
import type { RowText } from '../format/row-merge.ts';
import type { SnapshotRef } from '../vault/catalog.ts';
import { sortRows } from '../vault/history-writer.ts';
import type { ListingReader } from '../vault/listing-text.ts';
import { lockForReading, type Vault } from '../vault/vault.ts';
import { checkpointEntries } from './checkpoint.ts';
import { SnapshotTree } from './view-tree.ts';

const KEPT = 4;

export class SnapshotTrees {
  readonly #vault: Vault;
  readonly #kept = new Map<string, SnapshotTree>();

  constructor(vault: Vault) {
    this.#vault = vault;
  }

  /**
   * @param quick the form of it that is quickest to read
   * @throws CoraError damaged, locked
   */
  async open(named: SnapshotRef, quick: SnapshotRef, listings: ListingReader): Promise<SnapshotTree> {
    const key = `${named.kind} ${named.id}`;
    const known = this.#kept.get(key);
    this.#kept.delete(key);
    const tree = known ?? (await this.#read(named, quick, listings));
    this.#kept.set(key, tree);
    const oldest = this.#kept.keys().next().value;
    if (this.#kept.size > KEPT && oldest !== undefined) this.#kept.delete(oldest);
    return tree;
  }

  async #read(named: SnapshotRef, quick: SnapshotRef, listings: ListingReader): Promise<SnapshotTree> {
    const rows = await this.#rows(named, quick, listings);
    // Each of the two takes a moment in which nobody else is answered.
    await setImmediate();
    return new SnapshotTree(rows);
  }

  async #rows(named: SnapshotRef, quick: SnapshotRef, listings: ListingReader): Promise<RowText> {
    const lock = lockForReading(this.#vault, 0);
    try {
      if (quick.kind === 'fallback') return sortRows((await checkpointEntries(this.#vault, quick)).map(formatEntry));
      try {
        return listings.rows(quick);
      } catch (error) {
        // A backup answers for itself where its save cannot be read.
        if (quick === named) throw error;
        return listings.rows(named);
      }
    } finally {
      lock?.release();
    }
  }
}
