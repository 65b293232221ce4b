// What a restore would do, as data: which entries, where to, and what stands there now. Nothing is written.

import { lstatSync, type Stats } from 'node:fs';
import { hostname } from 'node:os';
import { isArtefactPath } from '../base/artefact.ts';
import { type Bytes, bytes, fsPath, joinBytes, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError, errnoOf } from '../base/errors.ts';
import type { Entry } from '../format/file-list.ts';
import type { Report, SnapshotKind } from '../format/report.ts';
import { exists, namesIn } from '../os/files.ts';
import { onPath } from '../os/long-path.ts';
import { readReport, resolveSnapshot, type SnapshotRef } from '../vault/catalog.ts';
import { loadEntries } from '../vault/listing.ts';
import { openLocated, type VaultLocation } from '../vault/locate.ts';
import { rootOf, type Vault } from '../vault/vault.ts';
import { checkpointEntries } from './checkpoint.ts';
import type { ProjectFacts } from './open-project.ts';
import { databasesAmong, findExtras } from './restore-extras.ts';
import { type Here, noteSeenFromHere, relativePath } from './restore-paths.ts';
import { artefactPaths, askedDirectories, lacksLinkTarget, rowsFor, selectEntries } from './restore-select.ts';

export type RestoreOptions = {
  /** A snapshot name, `ID:path`, or undefined for the latest. */
  readonly target: Bytes | undefined;
  /** Paths to restore, relative to the project; empty for everything. */
  readonly paths: readonly Bytes[];
  /** Where the command runs, and its words: a path that is there too, seen from there, is told of. */
  readonly here?: Here;
  /** Absolute; undefined: in place. */
  readonly to: Bytes | undefined;
  /** Only critical files and databases. */
  readonly critical: boolean;
  /** Only databases. */
  readonly databases?: boolean;
  /** Names of artefacts: these alone, or all but these. */
  readonly artefacts?: { readonly with: readonly string[]; readonly without: readonly string[] };
  /** In place: what the snapshot does not hold is moved aside. */
  readonly deleteExtra?: boolean;
  /** In place: owners and modes of what is overwritten; `live` (default) keeps them, `snapshot` makes them what they were. */
  readonly modes?: 'live' | 'snapshot';
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
  /** Relative paths that are there, not in the snapshot and not excluded; only where they are to go. */
  readonly extras: readonly Bytes[];
  /** Databases that stand there now, or whose `-wal` or `-journal` does: a person must say how they may be replaced. */
  readonly liveDatabases: readonly Bytes[];
  /** Why this snapshot is of another deployment than where it would go; undefined where it is not. */
  readonly elsewhere: string | undefined;
  readonly modes: 'live' | 'snapshot';
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
  /** Directories among them that were asked for themselves; the others merely lead to what was. */
  readonly asked: ReadonlySet<Bytes>;
  /** Live entries of another type that stay as they are; each with the reason. */
  readonly refused: readonly { readonly path: Bytes; readonly code: string; readonly reason: string }[];
};

/**
 * @param project undefined where the command runs outside of any project: then `to` is needed
 * @throws CoraError unknown_snapshot, ambiguous_snapshot, not_found, target_not_empty, usage, damaged
 */
export async function planRestore(
  project: ProjectFacts | undefined,
  location: VaultLocation,
  options: RestoreOptions,
  ctx: Context,
): Promise<RestorePlan> {
  const vault = openLocated(location);
  const root = rootOf(vault.info);
  const { ref, paths: named } = findTarget(vault, options, [root, ...(project === undefined ? [] : [project.root])], ctx.now());
  const report = readReport(vault, ref);
  const paths = [...named, ...artefactPaths(report, options.artefacts?.with ?? [])];
  const except = artefactPaths(report, options.artefacts?.without ?? []);
  if (report.status === 'suspect') ctx.monitor.note(`${ref.id} is SUSPECT: when it was made something was lost (cora show ${ref.id})`);
  const directory = options.to ?? inPlaceRoot(project);
  const inPlace = options.to === undefined;
  // Where nothing is, nothing needs to be looked at.
  const fresh = options.to !== undefined && options.overwrite === undefined;
  if (options.to !== undefined) requireEmpty(options.to, options.overwrite);
  let all = ref.kind === 'fallback' ? await checkpointEntries(vault, ref) : loadEntries(vault, ref, rowsFor(paths));
  if (lacksLinkTarget(all) && ref.kind !== 'fallback') all = loadEntries(vault, ref);
  const only = onlyOf(options, report);
  if (options.here !== undefined && ref.kind !== 'fallback') noteSeenFromHere(vault, ref, project?.root ?? root, options.here, options.paths, ctx);
  const selected = selectEntries(all, paths, only, except, ref);
  const databases = new Set(report.databases.filter(({ stored }) => stored === 'copy').map(({ path }) => path));
  const changes: PlannedChange[] = [];
  const entries: Entry[] = [];
  const refused: { path: Bytes; code: string; reason: string }[] = [];
  let total = 0;
  const closed = new Set<string>();
  const liveDatabases: Bytes[] = [];
  for (const entry of selected) {
    // Outputs of commands are no part of the project; `cora artefact restore` hands them to theirs.
    if (inPlace && isArtefactPath(entry.path)) continue;
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
    if (inPlace && databases.has(toText(entry.path)) && (live !== undefined || hasSidecar(joinBytes(directory, entry.path)))) {
      liveDatabases.push(entry.path);
    }
    const sidecars = live !== undefined && databases.has(toText(entry.path)) ? sidecarsOf(joinBytes(directory, entry.path)) : [];
    const action = decide(entry, live, sidecars, options.overwrite ?? 'always');
    changes.push({ action, path: entry.path, size: entry.size });
    if (action === 'keep') continue;
    entries.push(entry);
    total += entry.type === 'h' ? 0 : entry.size;
  }
  const extras = inPlace && options.deleteExtra === true && project !== undefined ? findExtras(project, all, report, paths, ctx) : [];
  const restored = new Set(entries.map(({ path }) => path));
  const count = (action: PlannedChange['action']): number => changes.filter((change) => change.action === action).length;
  return {
    id: ref.id,
    kind: ref.kind,
    directory,
    inPlace,
    create: count('create'),
    replace: count('replace'),
    keep: count('keep'),
    bytes: total,
    changes,
    extras,
    liveDatabases: [...liveDatabases.filter((path) => restored.has(path)), ...databasesAmong(directory, extras)],
    elsewhere: inPlace && project !== undefined ? otherDeployment(project.root, vault, report) : undefined,
    modes: options.modes ?? 'live',
    work: {
      vault,
      ref,
      report,
      entries,
      whole: paths.length + except.length === 0 && only === undefined,
      asked: only === undefined ? askedDirectories(entries, paths, except) : new Set(),
      refused,
    },
  };
}

function inPlaceRoot(project: ProjectFacts | undefined): Bytes {
  if (project === undefined) throw new CoraError('usage', 'There is no project here to restore into', { hint: 'name a new directory with --to DIR' });
  return project.root;
}

function otherDeployment(root: Bytes, vault: Vault, report: Report): string | undefined {
  const here = hostname();
  if (rootOf(vault.info) !== root) return `This vault holds ${vault.info.root}, not ${toText(root)}`;
  if (report.vault_id !== vault.info.vault_id) return `${report.snapshot_id} was made for another vault (of ${report.project.root})`;
  if (report.project.root !== toText(root)) return `${report.snapshot_id} was made of ${report.project.root}, not of ${toText(root)}`;
  return report.host.hostname === here ? undefined : `${report.snapshot_id} was made on the host ${report.host.hostname}, and this is ${here}`;
}

function onlyOf({ critical, databases }: RestoreOptions, report: Report): ReadonlySet<string> | undefined {
  if (databases === true) return new Set(report.databases.map(({ path }) => path));
  return critical ? new Set(report.critical) : undefined;
}

/** `ID:path`, or a snapshot name with the paths given apart. */
function findTarget(vault: Vault, options: RestoreOptions, roots: readonly Bytes[], now: number): { ref: SnapshotRef; paths: readonly Bytes[] } {
  const text = options.target === undefined ? 'latest' : toText(options.target);
  const colon = text.indexOf(':');
  if (colon > 0 && options.target !== undefined) {
    const path = bytes(options.target.slice(options.target.indexOf(':') + 1));
    return { ref: resolveSnapshot(vault, text.slice(0, colon), now), paths: [...options.paths, path].map((one) => relativePath(one, roots)) };
  }
  return { ref: resolveSnapshot(vault, text, now), paths: options.paths.map((one) => relativePath(one, roots)) };
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

function decide(
  entry: Entry,
  live: Stats | undefined,
  sidecars: readonly Stats[],
  overwrite: NonNullable<RestoreOptions['overwrite']>,
): PlannedChange['action'] {
  if (live === undefined) return 'create';
  // What was written last into a database may be in its -wal alone.
  const written = Math.max(live.mtimeMs, ...sidecars.map(({ mtimeMs }) => mtimeMs));
  const sameTime = Math.abs(live.mtimeMs - Number(entry.mtime) / 1e6) < 0.001;
  switch (overwrite) {
    case 'always':
      return 'replace';
    case 'never':
      return 'keep';
    case 'if-newer':
      return Number(entry.mtime) / 1e6 > written + 0.001 ? 'replace' : 'keep';
    case 'if-changed':
      return sidecars.length === 0 && live.isFile() && (entry.type === 'f' || entry.type === 'S') && live.size === entry.size && sameTime
        ? 'keep'
        : 'replace';
  }
}

/** Whether a path lies below one of some directories. */
export function isBelow(path: Bytes, closed: ReadonlySet<string>): boolean {
  for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) if (closed.has(path.slice(0, at))) return true;
  return false;
}

const SIDECARS = ['-wal', '-journal'];

function hasSidecar(path: Bytes): boolean {
  return SIDECARS.some((suffix) => exists(toText(bytes(path + suffix))));
}

/** Those that hold something. */
function sidecarsOf(path: Bytes): Stats[] {
  return SIDECARS.flatMap((suffix) => {
    const stat = onPath(bytes(path + suffix), (reachable) => lstatSync(reachable, { throwIfNoEntry: false }));
    return stat !== undefined && stat.size > 0 ? [stat] : [];
  });
}
