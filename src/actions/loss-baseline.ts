// What the loss watch compares with: what was well in the last good snapshot. It is remembered in the
// stat cache's notes; where those are gone it is read from the snapshots themselves.

import { type Bytes, bytes, fromText, toText } from '../base/bytes.ts';
import type { LossReport, Report } from '../format/report.ts';
import type { Watched } from '../source/loss.ts';
import type { Tree } from '../store/stat-cache.ts';
import { listSnapshots, type SnapshotRef, tryReport } from '../vault/catalog.ts';
import { loadEntries } from '../vault/listing.ts';
import type { Vault } from '../vault/vault.ts';

export type WatchList = ReadonlyMap<Bytes, Watched>;

export type Baseline = {
  /** The save that it is the state of; undefined where there is none yet. */
  readonly id: string | undefined;
  readonly watch: WatchList;
};

/** Reports that are read to find what an incomplete save could not look at. */
const LOOK_BACK = 100;

/** What is to be compared with; empty where there is no save yet. */
export function baselineOf(vault: Vault, old: Tree | undefined): Baseline {
  const noted = old?.notes['watch'];
  if (old !== undefined && typeof noted === 'object' && noted !== null) {
    return { id: old.snapshot, watch: new Map(Object.entries(noted).map(([path, watched]) => [bytes(path), watched as Watched])) };
  }
  const saves = readableSaves(vault, listSnapshots(vault));
  const last = saves.next().value;
  if (last === undefined) return { id: undefined, watch: new Map() };
  const watch = new Map(watchedIn(vault, last));
  // What it could not look at is known from the saves before.
  const blind = last.report.problems.filter(({ severity, path }) => severity === 'error' && path !== undefined).map((problem) => keyOf(problem));
  for (let n = 0; blind.length > 0 && n < LOOK_BACK; n++) {
    const earlier = saves.next().value;
    if (earlier === undefined) break;
    for (const [path, watched] of watchedIn(vault, earlier)) {
      const known = watch.get(path);
      if (blind.some((at) => isAtOrBelow(path, at)) && (known === undefined || (known.tables === undefined && watched.tables !== undefined)))
        watch.set(path, watched);
    }
    if (earlier.report.status === 'complete') break;
  }
  for (const loss of last.report.losses ?? []) watch.set(keyOf(loss), watchedOf(vault, loss));
  return { id: last.ref.id, watch };
}

/** What was well in one snapshot, the save of that id first; undefined where nothing of it can be read. */
export function watchedById(vault: Vault, id: string): WatchList | undefined {
  const refs = listSnapshots(vault).filter((ref) => ref.id === id);
  const ref = refs.find(({ kind }) => kind === 'save') ?? refs[0];
  const report = ref === undefined ? undefined : tryReport(vault, ref);
  return ref === undefined || report === undefined ? undefined : watchedIn(vault, { ref, report });
}

/**
 * What a path is to be compared with after a restore of that snapshot: its state there, but where that was a loss itself. To have
 * it back, as after an undo, accepts no loss.
 */
export function measureById(vault: Vault, id: string, path: Bytes): Watched | undefined {
  const refs = listSnapshots(vault).filter((ref) => ref.id === id);
  const losses = refs.flatMap((ref) => tryReport(vault, ref)?.losses ?? []);
  const loss = losses.find((one) => keyOf(one) === path);
  return loss === undefined ? watchedById(vault, id)?.get(path) : watchedOf(vault, loss);
}

/** The state that a loss refers to. */
function watchedOf(vault: Vault, loss: LossReport): Watched {
  const tables = loss.tables === undefined ? {} : { database: true, tables: loss.tables };
  return watchedById(vault, loss.last_good)?.get(keyOf(loss)) ?? { size: loss.before, ...tables, id: loss.last_good };
}

type Readable = { readonly ref: SnapshotRef; readonly report: Report };

/** Newest first. */
function* readableSaves(vault: Vault, refs: readonly SnapshotRef[]): Generator<Readable, undefined> {
  for (const ref of refs.toReversed()) {
    const report = ref.kind === 'save' ? tryReport(vault, ref) : undefined;
    if (report !== undefined) yield { ref, report };
  }
  return undefined;
}

/**
 * The report of the newest save that has a readable one.
 * @param refs of `listSnapshots`, for who has them: to list thousands takes a while
 */
export function newestSave(vault: Vault, refs: readonly SnapshotRef[] = listSnapshots(vault)): Report | undefined {
  return readableSaves(vault, refs).next().value?.report;
}

function watchedIn(vault: Vault, { ref, report }: Readable): WatchList {
  const databases = new Map(report.databases.map((database) => [keyOf(database), database]));
  const watch = new Map<Bytes, Watched>([[bytes('.'), { size: report.total_files_processed, id: report.snapshot_id }]]);
  for (const [path, size] of criticalSizes(vault, ref, report)) {
    const database = databases.get(path);
    const rows = database?.stored === 'copy' ? { tables: database.tables } : {};
    watch.set(path, { size, ...(database === undefined ? {} : { database: true, ...rows }), id: report.snapshot_id });
  }
  return watch;
}

/** The listing has the exact bytes of names; a damaged one leaves what the report says. */
function criticalSizes(vault: Vault, ref: SnapshotRef, report: Report): (readonly [Bytes, number])[] {
  const critical = new Set(report.critical);
  try {
    return loadEntries(vault, ref)
      .filter(({ type, path }) => (type === 'f' || type === 'S' || type === 'h') && critical.has(toText(path)))
      .map(({ path, size }) => [path, size] as const);
  } catch {
    return Object.entries(report.critical_sizes ?? {}).map(([path, size]) => [fromText(path), size] as const);
  }
}

function isAtOrBelow(path: string, directory: string): boolean {
  return directory === '.' || path === directory || path.startsWith(`${directory}/`);
}

/** The bytes of a path that a report tells as text. */
export function keyOf({ path, path_base64: raw }: { readonly path?: string; readonly path_base64?: string }): Bytes {
  return raw === undefined ? fromText(path ?? '') : bytes(Buffer.from(raw, 'base64').toString('latin1'));
}
