// What a restore would do, as data: which entries, where to, and what stands there now. Nothing is written.

import { lstatSync, type Stats } from 'node:fs';
import { type Bytes, bytes, fsPath, joinBytes, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError, errnoOf } from '../base/errors.ts';
import { type Entry, escapeField } from '../format/file-list.ts';
import type { Report, SnapshotKind } from '../format/report.ts';
import { exists, namesIn } from '../os/files.ts';
import { onPath } from '../os/long-path.ts';
import { readReport, resolveSnapshot, type SnapshotRef } from '../vault/catalog.ts';
import { loadEntries } from '../vault/listing.ts';
import { openLocated, type VaultLocation } from '../vault/locate.ts';
import { rootOf, type Vault } from '../vault/vault.ts';
import { checkpointEntries } from './checkpoint.ts';

export type RestoreOptions = {
  /** A snapshot name, `ID:path`, or undefined for the latest. */
  readonly target: Bytes | undefined;
  /** Paths to restore, relative to the project; empty for everything. */
  readonly paths: readonly Bytes[];
  /** Absolute; undefined: in place. */
  readonly to: Bytes | undefined;
  /** Only critical files and databases. */
  readonly critical: boolean;
  /** Undefined: `always` in place, and a `to` directory must be empty. */
  readonly overwrite: 'always' | 'if-changed' | 'if-newer' | 'never' | undefined;
};

export type PlannedChange = { readonly action: 'create' | 'replace' | 'keep'; readonly path: Bytes; readonly size: number };

export type RestorePlan = {
  readonly id: string;
  readonly kind: SnapshotKind;
  readonly directory: Bytes;
  readonly inPlace: boolean;
  readonly create: number;
  readonly replace: number;
  readonly keep: number;
  readonly bytes: number;
  readonly changes: readonly PlannedChange[];
  /** For `applyRestore`. */
  readonly work: RestoreWork;
};

export type RestoreWork = {
  readonly vault: Vault;
  readonly ref: SnapshotRef;
  readonly report: Report;
  /** Entries to write, directories that lead to them included, in the listing's order. */
  readonly entries: readonly Entry[];
  /** The whole snapshot is wanted. */
  readonly whole: boolean;
  /** Live entries of another type, or live databases, that stay as they are; each with the reason. */
  readonly refused: readonly { readonly path: Bytes; readonly code: string; readonly reason: string }[];
};

/**
 * @param project undefined where the command runs outside of any project: then `to` is needed
 * @throws CoraError unknown_snapshot, ambiguous_snapshot, not_found, target_not_empty, usage, damaged
 */
export async function planRestore(
  project: { readonly root: Bytes } | undefined,
  location: VaultLocation,
  options: RestoreOptions,
  ctx: Context,
): Promise<RestorePlan> {
  const vault = openLocated(location);
  const { ref, paths } = findTarget(vault, options, ctx.now());
  const report = readReport(vault, ref);
  if (report.status === 'suspect') ctx.monitor.note(`${ref.id} is SUSPECT: when it was made something was lost (cora show ${ref.id})`);
  const directory = options.to ?? inPlaceRoot(project, vault);
  // Where nothing is, nothing needs to be looked at.
  const fresh = options.to !== undefined && options.overwrite === undefined;
  if (options.to !== undefined) requireEmpty(options.to, options.overwrite);
  let all = ref.kind === 'fallback' ? await checkpointEntries(vault, ref) : loadEntries(vault, ref, rowsFor(paths));
  if (lacksLinkTarget(all) && ref.kind !== 'fallback') all = loadEntries(vault, ref);
  const selected = selectEntries(all, paths, options.critical, report, ref);
  const databases = new Set(report.databases.filter(({ stored }) => stored === 'copy').map(({ path }) => path));
  const changes: PlannedChange[] = [];
  const entries: Entry[] = [];
  const refused: { path: Bytes; code: string; reason: string }[] = [];
  let total = 0;
  const closed = new Set<string>();
  for (const entry of selected) {
    // Below a link or file that stands in a directory's place nothing is looked at or written: it may lead anywhere.
    if (closed.size > 0 && isBelow(entry.path, closed)) continue;
    const live = fresh ? undefined : onPath(joinBytes(directory, entry.path), (path) => lstatSync(path, { throwIfNoEntry: false }));
    if (entry.type === 'd') {
      if (live === undefined || live.isDirectory()) entries.push(entry);
      else {
        refused.push({ path: entry.path, code: 'type_conflict', reason: 'a directory in the snapshot, something else now; move it away first' });
        closed.add(entry.path);
      }
      continue;
    }
    if (live?.isDirectory() === true) {
      refused.push({ path: entry.path, code: 'type_conflict', reason: 'a directory now, something else in the snapshot; move it away first' });
      continue;
    }
    const isDatabase = databases.has(toText(entry.path));
    if (live !== undefined && isDatabase && options.to === undefined) {
      refused.push({ path: entry.path, code: 'database_in_place', reason: 'a live database is not overwritten; restore it with --to DIR' });
      changes.push({ action: 'keep', path: entry.path, size: entry.size });
      continue;
    }
    if (live === undefined && isDatabase && options.to === undefined && hasSidecar(joinBytes(directory, entry.path))) {
      refused.push({
        path: entry.path,
        code: 'database_in_place',
        reason: 'a stale -wal or -journal lies beside it, which would be replayed into it; move that away first',
      });
      continue;
    }
    const action = decide(entry, live, options.overwrite ?? 'always');
    changes.push({ action, path: entry.path, size: entry.size });
    if (action === 'keep') continue;
    entries.push(entry);
    total += entry.type === 'h' ? 0 : entry.size;
  }
  const count = (action: PlannedChange['action']): number => changes.filter((change) => change.action === action).length;
  return {
    id: ref.id,
    kind: ref.kind,
    directory,
    inPlace: options.to === undefined,
    create: count('create'),
    replace: count('replace'),
    keep: count('keep'),
    bytes: total,
    changes,
    work: { vault, ref, report, entries, whole: paths.length === 0 && !options.critical, refused },
  };
}

function inPlaceRoot(project: { readonly root: Bytes } | undefined, vault: Vault): Bytes {
  if (project === undefined) throw new CoraError('usage', 'There is no project here to restore into', { hint: 'name a new directory with --to DIR' });
  if (rootOf(vault.info) !== project.root) {
    throw new CoraError('refused', `This vault holds ${vault.info.root}, not ${toText(project.root)}`, {
      hint: 'restore into a new directory with --to DIR',
    });
  }
  return project.root;
}

/** `ID:path`, or a snapshot name with the paths given apart. */
function findTarget(vault: Vault, options: RestoreOptions, now: number): { ref: SnapshotRef; paths: readonly Bytes[] } {
  const text = options.target === undefined ? 'latest' : toText(options.target);
  const colon = text.indexOf(':');
  if (colon > 0 && options.target !== undefined) {
    const path = bytes(options.target.slice(options.target.indexOf(':') + 1));
    return { ref: resolveSnapshot(vault, text.slice(0, colon), now), paths: [...options.paths, path].map(normal) };
  }
  return { ref: resolveSnapshot(vault, text, now), paths: options.paths.map(normal) };
}

function normal(path: Bytes): Bytes {
  return bytes(path.replace(/^(?:\.\/)+/, '').replace(/\/+$/, '') || '.');
}

function requireEmpty(to: Bytes, overwrite: RestoreOptions['overwrite']): void {
  if (overwrite !== undefined) return;
  let names: string[];
  try {
    names = namesIn(toText(to));
    const stat = lstatSync(fsPath(to), { throwIfNoEntry: false });
    if (stat !== undefined && !stat.isDirectory())
      throw new CoraError('target_not_empty', `${toText(to)} exists and is not a directory`, { hint: 'name a new directory' });
  } catch (error) {
    if (error instanceof CoraError) throw error;
    throw new CoraError('io', `${toText(to)} cannot be looked at (${errnoOf(error) ?? 'unknown error'})`, {
      hint: 'name another directory with --to',
      cause: error,
    });
  }
  if (names.length > 0) {
    throw new CoraError('target_not_empty', `${toText(to)} is not empty`, {
      hint: 'name a new directory, or say what happens to what is there with --overwrite',
    });
  }
}

/** Which rows of a listing can matter for some paths: what is at or below one, or leads to it. */
function rowsFor(paths: readonly Bytes[]): ((key: string) => boolean) | undefined {
  if (paths.length === 0 || paths.includes(bytes('.'))) return undefined;
  const keys = paths.map(escapeField);
  return (key) => key === '.' || keys.some((wanted) => key === wanted || key.startsWith(`${wanted}/`) || wanted.startsWith(`${key}/`));
}

/** A hard link's content may lie anywhere in the snapshot. */
function lacksLinkTarget(entries: readonly Entry[]): boolean {
  const links = entries.filter(({ type }) => type === 'h');
  if (links.length === 0) return false;
  const paths = new Set(entries.map(({ path }) => path));
  return links.some(({ link }) => link !== undefined && !paths.has(link));
}

/** The entries that are asked for, and the directories that lead to them. */
function selectEntries(all: readonly Entry[], paths: readonly Bytes[], critical: boolean, report: Report, ref: SnapshotRef): Entry[] {
  const isCritical = new Set(report.critical);
  const under = (path: Bytes): boolean =>
    paths.length === 0 || paths.some((wanted) => wanted === '.' || path === wanted || path.startsWith(`${wanted}/`));
  const chosen = new Set<string>();
  for (const wanted of paths) {
    if (!all.some((entry) => under(entry.path) && (wanted === '.' || entry.path === wanted || entry.path.startsWith(`${wanted}/`)))) {
      throw new CoraError('not_found', `${toText(wanted)} is not in ${ref.id}`, {
        hint: `cora show ${ref.id} tells what is; paths are relative to the project`,
      });
    }
  }
  for (const entry of all) {
    if (!under(entry.path) || (critical && !isCritical.has(toText(entry.path)))) continue;
    // A hard link's content comes with it, and with both the directories that lead there.
    for (const path of entry.type === 'h' && entry.link !== undefined ? [entry.path, entry.link] : [entry.path]) {
      chosen.add(path);
      for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) chosen.add(path.slice(0, at));
    }
  }
  chosen.add('.');
  // Parents before what they hold, whatever the order of the listing.
  return all.filter((entry) => chosen.has(entry.path)).sort((a, b) => (a.path < b.path ? -1 : 1));
}

function decide(entry: Entry, live: Stats | undefined, overwrite: NonNullable<RestoreOptions['overwrite']>): PlannedChange['action'] {
  if (live === undefined) return 'create';
  const sameTime = Math.abs(live.mtimeMs - Number(entry.mtime) / 1e6) < 0.001;
  switch (overwrite) {
    case 'always':
      return 'replace';
    case 'never':
      return 'keep';
    case 'if-newer':
      return Number(entry.mtime) / 1e6 > live.mtimeMs + 0.001 ? 'replace' : 'keep';
    case 'if-changed':
      return live.isFile() && (entry.type === 'f' || entry.type === 'S') && live.size === entry.size && sameTime ? 'keep' : 'replace';
  }
}

function isBelow(path: Bytes, closed: ReadonlySet<string>): boolean {
  for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) if (closed.has(path.slice(0, at))) return true;
  return false;
}

const SIDECARS = ['-wal', '-journal'];

function hasSidecar(path: Bytes): boolean {
  return SIDECARS.some((suffix) => exists(toText(bytes(path + suffix))));
}
