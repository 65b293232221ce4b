// Which snapshots there are, asked again and again by a process that stays: a directory that did not change since is not read again.
// Invariant: what a directory held is believed only while its times say that nothing came or went.

import { lstatSync } from 'node:fs';
import { exists, namesIn } from '../os/files.ts';
import type { SnapshotRef } from './catalog.ts';
import { type ChainLine, placeOf, readLines } from './chain.ts';
import { NAMES, parseId, type SnapshotId, saveDirectory, timeOfId } from './layout.ts';
import type { Vault } from './vault.ts';

/** A change that follows so soon may leave the same time behind. Milliseconds. */
const RACY = 100;

/** Stands for what has just changed: it is looked at once more. */
const JUST_NOW = 'now';

type Seen<T> = { readonly stamp: string; readonly found: T };

export class CatalogWatch {
  readonly #vault: Vault;
  readonly #days = new Map<string, Seen<readonly SnapshotRef[]>>();
  readonly #names = new Map<string, Seen<readonly string[]>>();
  #backups: Seen<readonly SnapshotRef[]> | undefined;
  #now = 0;
  #chain = '';
  #state = '';
  #refs: readonly SnapshotRef[] = [];
  #lines: readonly ChainLine[] = [];

  constructor(vault: Vault) {
    this.#vault = vault;
  }

  /** Every snapshot, oldest first, in the order of `listSnapshots`; as of the last `refresh`. */
  get refs(): readonly SnapshotRef[] {
    return this.#refs;
  }

  /** The ledger's lines that can be read; as of the last `refresh`. */
  get lines(): readonly ChainLine[] {
    return this.#lines;
  }

  /**
   * Looks again.
   * @param now milliseconds since 1970
   * @returns true where anything may have changed
   */
  refresh(now: number): boolean {
    this.#now = now;
    const { root } = this.#vault;
    const chain = this.#stampOf(NAMES.chain);
    const parts: string[] = [chain, this.#stampOf(NAMES.packs)];
    const found: (readonly SnapshotRef[])[] = [];
    const days = new Set<string>();
    for (const year of this.#below(NAMES.progress, /^\d{4}$/)) {
      for (const month of this.#below(year, /^\d{2}$/)) {
        for (const day of this.#below(month, /^\d{2}$/)) {
          days.add(day);
          found.push(this.#day(day));
          parts.push(this.#days.get(day)?.stamp ?? JUST_NOW);
        }
      }
    }
    for (const day of this.#days.keys()) if (!days.has(day)) this.#days.delete(day);
    found.push(this.#backupsNow());
    parts.push(this.#backups?.stamp ?? JUST_NOW);
    const state = parts.join(' ');
    if (state === this.#state && !parts.includes(JUST_NOW)) return false;
    this.#state = state;
    if (chain !== this.#chain || chain === JUST_NOW) {
      this.#chain = chain;
      this.#lines = readLines(root).flatMap(({ line }) => line ?? []);
    }
    this.#refs = this.#ordered(found.flat());
    return true;
  }

  #ordered(found: readonly SnapshotRef[]): readonly SnapshotRef[] {
    const places = new Map<string, number>();
    for (const line of this.#lines) places.set(`${line.kind} ${line.id}`, placeOf(line));
    const placed = found.map((ref) => ({ ...ref, sequence: places.get(`${ref.kind} ${ref.id}`) }));
    const order = ({ sequence }: SnapshotRef): number => sequence ?? Number.MAX_SAFE_INTEGER;
    return placed.sort((a, b) => order(a) - order(b) || timeOfId(a.id) - timeOfId(b.id));
  }

  #below(directory: string, form: RegExp): readonly string[] {
    const stamp = this.#stampOf(directory);
    const known = this.#names.get(directory);
    if (known !== undefined && isStill(known, stamp)) return known.found;
    const found = namesIn(`${this.#vault.root}/${directory}`)
      .filter((name) => form.test(name))
      .map((name) => `${directory}/${name}`);
    this.#names.set(directory, { stamp, found });
    return found;
  }

  #day(day: string): readonly SnapshotRef[] {
    const stamp = this.#stampOf(day);
    const known = this.#days.get(day);
    if (known !== undefined && isStill(known, stamp)) return known.found;
    const date = day.slice(NAMES.progress.length + 1).replaceAll('/', '');
    const found = namesIn(`${this.#vault.root}/${day}`).flatMap((name) => {
      const id = parseId(`${date}-${name}`);
      return id === undefined || saveDirectory(id) !== `${day}/${name}` ? [] : this.#refOf(id, `${day}/${name}`, undefined);
    });
    this.#days.set(day, { stamp, found });
    return found;
  }

  #backupsNow(): readonly SnapshotRef[] {
    const stamp = this.#stampOf('.');
    const known = this.#backups;
    if (known !== undefined && isStill(known, stamp)) return known.found;
    const found = namesIn(this.#vault.root).flatMap((name) => {
      const id = parseId(name);
      return id === undefined ? [] : this.#refOf(id, name, 'backup');
    });
    this.#backups = { stamp, found };
    return found;
  }

  #refOf(id: SnapshotId, directory: string, kind: 'backup' | undefined): SnapshotRef[] {
    const at = `${this.#vault.root}/${directory}`;
    if (!exists(`${at}/${NAMES.sums}`)) return [];
    return [{ id, kind: kind ?? (exists(`${at}/${NAMES.checkpoint}`) ? 'fallback' : 'save'), directory, sequence: undefined }];
  }

  #stampOf(path: string): string {
    const stat = lstatSync(`${this.#vault.root}/${path}`, { bigint: true, throwIfNoEntry: false });
    if (stat === undefined) return 'absent';
    return this.#now - Number(stat.mtimeMs) < RACY ? JUST_NOW : `${stat.ino}-${stat.size}-${stat.mtimeNs}`;
  }
}

const isStill = (known: Seen<unknown>, stamp: string): boolean => stamp !== JUST_NOW && known.stamp === stamp;
