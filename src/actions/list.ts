// Which snapshots there are, oldest first, as rows for a table. A save and the backup of the same id
// are one row. REPORT.json is read only for the rows that are shown.

import { lstatSync, readdirSync } from 'node:fs';
import { type Bytes, bytes, fsPath, printable, toBuffer, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import type { Pin } from '../base/retention-rules.ts';
import { escapeField, rowKey } from '../format/file-list.ts';
import type { Report, SnapshotKind } from '../format/report.ts';
import { exists } from '../os/files.ts';
import { type AdoptedLayout, type AdoptedSnapshot, listAdopted } from '../vault/adopted.ts';
import { isLastResort, listSnapshots, type SnapshotRef, tryReport } from '../vault/catalog.ts';
import { NAMES, parseId, saveDirectory, timeOfId } from '../vault/layout.ts';
import { eachRow, loadDelta } from '../vault/listing.ts';
import { openLocated, type VaultLocation } from '../vault/locate.ts';
import { pinsOf } from '../vault/pins.ts';
import { type Protection, protectionsOf } from '../vault/seal.ts';
import type { Vault } from '../vault/vault.ts';
import { checkpointHolds } from './checkpoint.ts';
import { historyOf, snapshotsWith } from './path-history.ts';

export type ListOptions = {
  readonly kind: SnapshotKind | undefined;
  /** Only snapshots that hold this path of the project. */
  readonly path: Bytes | undefined;
  /** The newest so many; undefined for all. */
  readonly limit: number | undefined;
};

export type SnapshotSummary = {
  readonly id: string;
  /** Both where a backup was exported from the save of the same id. */
  readonly kinds: readonly (SnapshotKind | 'adopted')[];
  /** Of an adopted backup: who made it. */
  readonly layout?: AdoptedLayout;
  readonly type: string;
  /** `unknown`: an adopted backup does not say. */
  readonly status: Report['status'] | 'unknown';
  readonly sequence: number;
  /** Milliseconds since 1970. */
  readonly time: number;
  /** Undefined where it is not recorded. */
  readonly files: number | undefined;
  /** Bytes of content that it stands for; undefined where that is not recorded. */
  readonly contentBytes: number | undefined;
  /** Bytes that its own files take in the vault. */
  readonly storedBytes: number;
  readonly label: string | null;
  readonly note: string | null;
  /** Where clean-up leaves it alone, and until when; undefined where it is not pinned. */
  readonly pin?: Pin | undefined;
  /** Backups: what keeps it from being changed, by a look at its directory; undefined for a save alone. */
  readonly protection: Protection | undefined;
  /** Absolute; the backup's where there are both. */
  readonly path: string;
};

export type ListResult = { readonly snapshots: readonly SnapshotSummary[]; readonly total: number };

/** @throws CoraError vault_missing */
export async function list(location: VaultLocation, options: ListOptions, ctx: Context): Promise<ListResult> {
  const vault = openLocated(location);
  const groups = new Map<string, SnapshotRef[]>();
  const holds = options.path === undefined ? undefined : await holderOf(vault, options.path);
  for (const ref of listSnapshots(vault)) {
    if (options.kind !== undefined && ref.kind !== options.kind) continue;
    if (holds !== undefined && !(await holds(ref))) continue;
    // Set again, so that the newer form gives the place in the order.
    const group = groups.get(ref.id) ?? [];
    groups.delete(ref.id);
    groups.set(ref.id, [...group, ref]);
  }
  const all = [...groups.values()];
  const newest = <T>(items: readonly T[], count: number | undefined): readonly T[] =>
    count === undefined ? items : items.slice(Math.max(0, items.length - count));
  const shown = newest(all, options.limit);
  // What other tools made is older history, and comes first.
  const { snapshots: adopted, unreachable } =
    options.kind === undefined && options.path === undefined ? listAdopted(vault) : { snapshots: [], unreachable: [] };
  for (const place of unreachable) ctx.monitor.note(`${printable(place)} cannot be read now: the backups adopted there are not listed`);
  const shownAdopted = newest(adopted, options.limit === undefined ? undefined : Math.max(0, options.limit - all.length));
  const backups = shown.flatMap((refs) => refs.filter(({ kind }) => kind === 'backup'));
  const protections = protectionsOf(vault, backups);
  const pins = pinsOf(vault, ctx.now());
  const own = shown.map((refs) => summarize(vault, refs, protections, pins));
  return { snapshots: [...shownAdopted.map(summarizeAdopted), ...own], total: adopted.length + all.length };
}

export function summarizeAdopted({ id, layout, tier, path, time }: AdoptedSnapshot): SnapshotSummary {
  const size = (): number => {
    try {
      const stat = lstatSync(fsPath(path), { throwIfNoEntry: false });
      return stat?.isDirectory() === true ? bytesBelow(toBuffer(path)) : (stat?.size ?? 0);
    } catch {
      // Another user's, who may not be looked at by this one.
      return 0;
    }
  };
  return {
    id,
    kinds: ['adopted'],
    layout,
    type: tier ?? 'adopted',
    status: 'unknown',
    sequence: 0,
    time,
    files: undefined,
    contentBytes: undefined,
    storedBytes: size(),
    label: null,
    note: null,
    protection: undefined,
    path: toText(path),
  };
}

function summarize(
  vault: Vault,
  refs: readonly SnapshotRef[],
  protections: ReadonlyMap<SnapshotRef, Protection>,
  pins: ReadonlyMap<string, Pin>,
): SnapshotSummary {
  const main = refs.find(({ kind }) => kind === 'backup') ?? refs[0];
  if (main === undefined) throw new RangeError('a group of snapshots is never empty');
  const report = tryReport(vault, main);
  return {
    id: main.id,
    kinds: refs.map(({ kind }) => kind),
    type: report?.type ?? main.kind,
    status: report?.status ?? 'partial',
    sequence: main.sequence ?? report?.sequence ?? 0,
    time: timeOfId(main.id),
    files: report?.total_files_processed ?? 0,
    contentBytes: report?.total_bytes_processed ?? 0,
    storedBytes: refs.reduce((sum, ref) => sum + bytesBelow(`${vault.root}/${ref.directory}`), 0),
    label: report?.label ?? null,
    note: report?.note ?? null,
    pin: pins.get(main.id),
    protection: protections.get(main),
    path: `${vault.root}/${main.directory}`,
  };
}

/** Bytes of all files below a directory; names that are not text count too. */
export function bytesBelow(directory: string | Buffer): number {
  let total = 0;
  for (const entry of readdirSync(directory, { withFileTypes: true, encoding: 'buffer' })) {
    const path = Buffer.concat([Buffer.from(directory), Buffer.from('/'), entry.name]);
    if (entry.isDirectory()) total += bytesBelow(path);
    else total += lstatSync(path, { throwIfNoEntry: false })?.size ?? 0;
  }
  return total;
}

/**
 * The newest good snapshot that holds a path of the project; one of the last resort where no other does.
 * @param now milliseconds since 1970
 */
export async function newestHolding(vault: Vault, path: Bytes, now: number): Promise<SnapshotRef | undefined> {
  const holds = await holderOf(vault, path);
  let resort: SnapshotRef | undefined;
  for (const ref of listSnapshots(vault).toReversed()) {
    // Without the path its report is not read.
    if (!(await holds(ref))) continue;
    const report = timeOfId(ref.id) > now + 120_000 ? undefined : tryReport(vault, ref);
    if (report === undefined || (isLastResort(report) && resort !== undefined)) continue;
    if (!isLastResort(report)) return ref;
    resort = ref;
  }
  return resort;
}

/** Tells of each snapshot whether it holds a path: by the history, and where that has no answer (a checkpoint of critical files) by itself. */
async function holderOf(vault: Vault, typed: Bytes): Promise<(ref: SnapshotRef) => Promise<boolean>> {
  const path = plainPath(typed);
  const history = await historyOf(vault);
  const known = new Set(history.steps.flatMap(({ id, isThere }) => (isThere ? [id] : [])));
  const having = new Set<string>(snapshotsWith(history, path).map(({ id }) => id));
  const finder = new PathFinder(vault, path);
  return async (ref) => (known.has(ref.id) ? having.has(ref.id) : finder.isIn(ref));
}

/** A path as listings have it: without `./` before and slashes behind. */
const plainPath = (path: Bytes) => bytes(path.replace(/^(?:\.\/)+/, '').replace(/\/+$/, '') || '.');

/** Whether snapshots hold one path. A keyframe that many deltas share is read once. */
class PathFinder {
  readonly #vault: Vault;
  readonly #path: Bytes;
  readonly #key: string;
  readonly #keyframes = new Map<string, boolean>();

  constructor(vault: Vault, path: Bytes) {
    this.#vault = vault;
    this.#path = path;
    this.#key = escapeField(this.#path);
  }

  async isIn(ref: SnapshotRef): Promise<boolean> {
    try {
      if (ref.kind === 'fallback') return await checkpointHolds(this.#vault, ref, this.#path);
      if (ref.kind === 'backup' || exists(`${this.#vault.root}/${ref.directory}/${NAMES.keyframe}`)) return this.#inListing(ref);
      const { keyframe, rows } = loadDelta(this.#vault, ref);
      const row = rows.get(this.#key);
      if (row !== undefined) return !row.startsWith('-\t');
      const id = parseId(keyframe);
      return id !== undefined && this.#inListing({ id, kind: 'save', directory: saveDirectory(id), sequence: undefined });
    } catch {
      // A listing that cannot be read is verify's business; here it holds nothing.
      return false;
    }
  }

  #inListing(ref: SnapshotRef): boolean {
    let found = this.#keyframes.get(ref.directory);
    if (found === undefined) {
      found = false;
      for (const row of eachRow(this.#vault, ref)) {
        if (rowKey(row) !== this.#key) continue;
        found = true;
        break;
      }
      this.#keyframes.set(ref.directory, found);
    }
    return found;
  }
}
