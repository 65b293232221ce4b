// One vault as a process that stays sees it: what was read once is kept while the vault says that nothing changed. Looking writes
// nothing into the vault, the caches included: `keep` does, which a server calls when it starts and after a change.
//
// Invariant: what is kept here is shown, never restored from and never decided by.

import { statSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import type { Context } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import { namesIn } from '../os/files.ts';
import { listAdopted } from '../vault/adopted.ts';
import { resolveAmong, type SnapshotRef } from '../vault/catalog.ts';
import { CatalogWatch } from '../vault/catalog-watch.ts';
import type { ChainLine } from '../vault/chain.ts';
import type { History } from '../vault/history.ts';
import { NAMES, timeOfId } from '../vault/layout.ts';
import { ListingReader } from '../vault/listing-text.ts';
import { openLocated, type VaultLocation } from '../vault/locate.ts';
import { type Protection, protectionsOf } from '../vault/seal.ts';
import type { Vault } from '../vault/vault.ts';
import { historyOf } from './path-history.ts';
import { ContentSource } from './read-content.ts';
import { type Facts, FactsIndex } from './view-facts.ts';
import { type Marks, marksIn } from './view-marks.ts';
import { PathIndex } from './view-paths.ts';
import { StorageIndex } from './view-storage.ts';
import type { SnapshotTree } from './view-tree.ts';
import { SnapshotTrees } from './view-trees.ts';

/** One snapshot: a save, a backup, or both. */
export type SnapshotRow = {
  readonly id: string;
  readonly refs: readonly SnapshotRef[];
  /** The backup where there are both. */
  readonly main: SnapshotRef;
  readonly facts: Facts;
  /** Milliseconds since 1970. */
  readonly time: number;
  /** Bytes of the files of all forms. */
  readonly storedBytes: number;
};

/** The history of all paths, and the same in the order of paths. */
export type Past = { readonly history: History; readonly paths: PathIndex };

/** Milliseconds in which a second look at the directories is left out, and for which flags are believed. */
const LOOK_AGAIN = 400;
const FLAGS_KEPT = 60_000;
/** What is kept outlives the request that asked first. */
const NEVER = new AbortController().signal;

export class VaultView {
  readonly vault: Vault;
  readonly location: VaultLocation;
  readonly #watch: CatalogWatch;
  readonly #facts: FactsIndex;
  readonly storage: StorageIndex;
  /** Ends what goes on between questions. */
  #life = NEVER;
  #looked = 0;
  #chain = '';
  /** Grows with each change of the vault. */
  #generation = 0;
  #rows: { readonly generation: number; readonly rows: readonly SnapshotRow[] } | undefined;
  #marks: { readonly generation: number; readonly until: number; readonly marks: Marks } | undefined;
  #flags: { readonly generation: number; readonly until: number; readonly flags: ReadonlyMap<string, Protection> } | undefined;
  #past: { readonly generation: number; readonly past: Past } | undefined;
  #loading: Promise<void> = Promise.resolve();
  #building: Promise<void> | undefined;
  #listings: ListingReader;
  #source: { readonly generation: number; readonly source: ContentSource } | undefined;
  readonly #trees: SnapshotTrees;
  readonly #answers = new Map<string, unknown>();

  constructor(vault: Vault, location: VaultLocation) {
    this.vault = vault;
    this.location = location;
    this.#watch = new CatalogWatch(vault);
    this.#facts = new FactsIndex(vault);
    this.storage = new StorageIndex(vault);
    this.#listings = new ListingReader(vault);
    this.#trees = new SnapshotTrees(vault);
  }

  /** Looks whether the vault changed, and reads what did. */
  async refresh(ctx: Context): Promise<void> {
    const now = ctx.now();
    const stat = statSync(`${this.vault.root}/${NAMES.chain}`, { throwIfNoEntry: false });
    const chain = stat === undefined ? '' : `${stat.ino} ${stat.size} ${stat.mtimeMs}`;
    if (chain !== this.#chain || Math.abs(now - this.#looked) >= LOOK_AGAIN) {
      this.#looked = now;
      this.#chain = chain;
      if (this.#watch.refresh(now)) this.#changed();
    }
    // Who asks meanwhile waits for the same reading.
    await this.#loading;
  }

  #changed(): void {
    this.#generation += 1;
    this.#answers.clear();
    // Keyframes may have been moved, and one that could not be read may be whole again.
    this.#listings = new ListingReader(this.vault);
    const { refs } = this.#watch;
    this.#loading = this.#loading.then(() => this.#facts.load(refs));
  }

  get refs(): readonly SnapshotRef[] {
    return this.#watch.refs;
  }

  get lines(): readonly ChainLine[] {
    return this.#watch.lines;
  }

  get listings(): ListingReader {
    return this.#listings;
  }

  facts(ref: SnapshotRef): Facts {
    return this.#facts.of(ref);
  }

  /** Every snapshot, oldest first; the newer form of two gives the place. */
  rows(): readonly SnapshotRow[] {
    if (this.#rows?.generation === this.#generation) return this.#rows.rows;
    const groups = new Map<string, SnapshotRef[]>();
    for (const ref of this.refs) {
      const group = groups.get(ref.id) ?? [];
      groups.delete(ref.id);
      groups.set(ref.id, [...group, ref]);
    }
    const rows = [...groups.values()].flatMap((refs): SnapshotRow[] => {
      const main = refs.find(({ kind }) => kind === 'backup') ?? refs[0];
      if (main === undefined) return [];
      const storedBytes = refs.reduce((sum, ref) => sum + this.facts(ref).storedBytes, 0);
      return [{ id: main.id, refs, main, facts: this.facts(main), time: timeOfId(main.id), storedBytes }];
    });
    this.#rows = { generation: this.#generation, rows };
    return rows;
  }

  marks(now: number): Marks {
    // A pin may end without a line.
    if (this.#marks?.generation !== this.#generation || now > this.#marks.until)
      this.#marks = { generation: this.#generation, until: now + FLAGS_KEPT, marks: marksIn(this.lines, now) };
    return this.#marks.marks;
  }

  /** What keeps each backup from being changed, by id; a quick look that is believed for a minute. */
  protections(now: number): ReadonlyMap<string, Protection> {
    if (this.#flags?.generation !== this.#generation || now > this.#flags.until) {
      const backups = this.refs.filter(({ kind }) => kind === 'backup');
      const flags = new Map([...protectionsOf(this.vault, backups)].map(([ref, protection]) => [ref.id as string, protection]));
      this.#flags = { generation: this.#generation, until: now + FLAGS_KEPT, flags };
    }
    return this.#flags.flags;
  }

  /** The snapshot that a person names (see `resolveSnapshot`). @throws CoraError unknown_snapshot, ambiguous_snapshot, refused for one of another tool */
  resolve(name: string, now: number): SnapshotRef {
    try {
      return resolveAmong({ refs: this.refs, tell: (ref) => this.#told(ref) }, name, now);
    } catch (error) {
      // It is in the list, so it is not called unknown.
      if (listAdopted(this.vault).snapshots.some(({ id }) => id === name))
        throw new CoraError('refused', `${name} was made by another tool: what is in it is not listed`, { hint: `cora restore ${name} --to DIR` });
      throw error;
    }
  }

  #told(ref: SnapshotRef) {
    const { readable, status, label, note, scope } = this.facts(ref);
    return readable ? { status, label, note, ...(scope === null ? {} : { scope }) } : undefined;
  }

  /** The form of a snapshot that is quickest to read (see `quickestForm`). */
  quickest(ref: SnapshotRef): SnapshotRef {
    if (ref.kind !== 'backup') return ref;
    const from = this.facts(ref).exportedFrom;
    return (
      this.refs.find(({ id, kind }) => kind === 'save' && id === ref.id) ?? this.refs.find(({ id, kind }) => kind === 'save' && id === from) ?? ref
    );
  }

  /** The listing of one snapshot. @throws CoraError damaged, locked */
  tree(named: SnapshotRef): Promise<SnapshotTree> {
    return this.#trees.open(named, this.quickest(named), this.#listings);
  }

  /** What reads contents. It is another one after each change of the vault. */
  source(ctx: Context): ContentSource {
    if (this.#source?.generation !== this.#generation) {
      this.#source?.source.close();
      this.#source = {
        generation: this.#generation,
        source: new ContentSource(this.location, this.vault, { ...ctx, signal: NEVER }, () => this.packs()),
      };
    }
    return this.#source.source;
  }

  /** Drops the reader of contents: clean-up may have moved what it had looked up. */
  dropSource(): void {
    this.#source?.source.close();
    this.#source = undefined;
  }

  /** An answer that holds until the vault changes. */
  async remembered<T>(key: string, answer: () => T | Promise<T>): Promise<T> {
    if (this.#answers.has(key)) return this.#answers.get(key) as T;
    const generation = this.#generation;
    const value = await answer();
    if (this.#answers.size >= 32) this.#answers.clear();
    if (generation === this.#generation) this.#answers.set(key, value);
    return value;
  }

  /** Undefined while it is being read for the first time; one of before the last change is not given out. @throws what reading threw */
  async past(patience: number): Promise<Past | undefined> {
    if (this.#past?.generation === this.#generation) return this.#past.past;
    const built = this.#build().then(() => (this.#past?.generation === this.#generation ? this.#past.past : undefined));
    // Who does not wait for the end still hears of a failure, the next time.
    built.catch(() => undefined);
    return Promise.race([built, setTimeout(patience, undefined)]);
  }

  #build(): Promise<void> {
    this.#building ??= this.#readPast().finally(() => {
      this.#building = undefined;
    });
    return this.#building;
  }

  async #readPast(): Promise<void> {
    const generation = this.#generation;
    const history = await historyOf(this.vault, { keep: false, lockWait: 0, signal: this.#life });
    this.#past = { generation, past: { history, paths: await PathIndex.build(history) } };
  }

  /** Reads everything that questions may need, and writes the caches. For a server's start and after each change. Never for a question. */
  async keep(ctx: Context): Promise<void> {
    this.#life = ctx.signal;
    await this.refresh(ctx);
    this.#facts.store();
    if (this.#past?.generation !== this.#generation) await this.#build();
    this.#past?.past.history.store?.();
    await this.#count();
    this.storage.store();
  }

  /** Counts what each save costs, unless that is done; waits for the end of it no longer than that. @throws CoraError locked */
  async counted(patience: number): Promise<void> {
    const counting = this.#count();
    counting.catch(() => undefined);
    await Promise.race([counting, setTimeout(patience)]);
  }

  #count(): Promise<void> {
    return this.storage.update(this.refs, () => this.packs(), this.listings, this.#life);
  }

  /** As `listPacks`, without a look at each snapshot again. */
  packs(): string[] {
    const own = this.refs.filter((ref) => ref.kind === 'save' && this.facts(ref).packBytes > 0).map(({ directory }) => `${directory}/${NAMES.pack}`);
    const kept = namesIn(`${this.vault.root}/${NAMES.packs}`).filter((name) => name.endsWith('.tar.zst'));
    return [...own.sort(), ...kept.sort().map((name) => `${NAMES.packs}/${name}`)];
  }

  close(): void {
    this.dropSource();
  }
}

let open: VaultView | undefined;

/** The view of a vault, as it is now. This process keeps the last one. @throws CoraError vault_missing, vault_foreign */
export async function viewOf(location: VaultLocation, ctx: Context): Promise<VaultView> {
  const vault = openLocated(location);
  if (open === undefined || open.vault.root !== vault.root || open.vault.info.vault_id !== vault.info.vault_id) {
    open?.close();
    open = new VaultView(vault, location);
  }
  await open.refresh(ctx);
  return open;
}
