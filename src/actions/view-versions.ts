// The versions of one path over all snapshots, what differs between two of them, and what differs between two snapshots. Contents are read
// only for the one path that was asked for.

import { type BigIntStats, lstatSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { type Bytes, joinBytes, printable, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError, errnoOf } from '../base/errors.ts';
import type { Entry } from '../format/file-list.ts';
import type { DatabaseReport } from '../format/report.ts';
import { onPath } from '../os/long-path.ts';
import { readReport, type SnapshotRef, tryReport } from '../vault/catalog.ts';
import type { History } from '../vault/history.ts';
import { sideOf } from './diff.ts';
import { type ContentDiff, contentDiff } from './diff-content.ts';
import { type Aspect, compareLayers, type FileChange } from './diff-rows.ts';
import type { ProjectFacts } from './open-project.ts';
import { type ChangesBelow, countChanges, type Version, versionsOf } from './path-history.ts';
import { type DatabaseChange, databaseChanges, databasesOf } from './snapshot-changes.ts';
import type { Past, VaultView } from './view.ts';

export type PathVersions = {
  /** Newest first. */
  readonly versions: readonly Version[];
  readonly newest: SnapshotRef | undefined;
  readonly present: boolean;
  readonly isDatabase: boolean;
  /** Where it was a directory: newest first. */
  readonly changes: readonly ChangesBelow[] | undefined;
};

/** What tells one version of a path from the next, beside its moment and size. */
export type VersionMark = {
  /** Of a database, in all its tables; undefined for what is none. */
  readonly rows: number | undefined;
  /** Something critical was missing, here or elsewhere, when it was first saved. */
  readonly isSuspect: boolean;
};

/** Reads a report a version, and only where the newest snapshot that has the path calls it a database. */
export function markVersions(view: VaultView, path: Bytes, isDatabase: boolean, versions: readonly Version[]): readonly VersionMark[] {
  return versions.map(({ first }) => ({
    // A checkpoint without the engine counts none.
    rows: isDatabase && first.kind !== 'fallback' ? databasesOf(tryReport(view.vault, first)?.databases ?? []).get(path)?.rows : undefined,
    isSuspect: view.facts(first).status === 'suspect',
  }));
}

/** Snapshots that changed something below a directory, of which the newest are told. */
const CHANGES = 200;

/** @throws CoraError not_found where no snapshot has it */
export function pathVersions(view: VaultView, { history }: Past, path: Bytes): Promise<PathVersions> {
  return view.remembered(`versions ${path}`, async () => {
    const versions = versionsOf(history, path).toReversed();
    if (versions.length === 0)
      throw new CoraError('not_found', `No snapshot has ${printable(path)}`, {
        hint: 'cora find PATTERN looks for names; paths are relative to the project',
      });
    const newest = history.steps.findLast(({ isThere, ref }) => isThere && ref !== undefined)?.ref;
    const isDirectory = versions.some(({ entry }) => entry.type === 'd');
    return {
      versions,
      newest,
      present: versions[0]?.last.id === newest?.id,
      isDatabase: versions[0] !== undefined && databasesOf(tryReport(view.vault, versions[0].last)?.databases ?? []).has(path),
      changes: isDirectory ? (await changesOf(history, path)).slice(-CHANGES).reverse() : undefined,
    };
  });
}

async function changesOf(history: History, path: Bytes): Promise<readonly ChangesBelow[]> {
  const counting = countChanges(history, path);
  for (;;) {
    const { done, value } = counting.next();
    if (done === true) return value;
    await setImmediate();
  }
}

export type VersionDiff = {
  readonly before: SnapshotRef;
  /** Undefined for the project as it is now. */
  readonly after: SnapshotRef | undefined;
  readonly change: 'same' | 'created' | 'changed' | 'deleted';
  readonly aspects: readonly Aspect[];
  readonly entryBefore: Entry | undefined;
  readonly entryAfter: Entry | undefined;
  /** Undefined where nothing differs in it. */
  readonly content: ContentDiff | undefined;
  /** Of a database: its numbers of rows. */
  readonly rows: DatabaseChange | undefined;
};

export type DiffRequest = {
  readonly path: Bytes;
  readonly before: SnapshotRef;
  /** Undefined for the project as it is now. */
  readonly after: SnapshotRef | undefined;
  readonly project: ProjectFacts;
  /** Of a database: at most so many rows of each side and table. */
  readonly limit: number;
};

/** @throws CoraError not_found where neither has it; damaged */
export async function diffVersions(view: VaultView, { path, before, after, project, limit }: DiffRequest, ctx: Context): Promise<VersionDiff> {
  const [old, now] = [view.quickest(before), after === undefined ? undefined : view.quickest(after)];
  const source = view.source(ctx);
  const entryBefore = await source.entry(old, path);
  const entryAfter = now === undefined ? liveEntry(project, path) : await source.entry(now, path);
  if (entryBefore === undefined && entryAfter === undefined)
    throw new CoraError('not_found', `Neither of the two has ${printable(path)}`, { hint: `cora log ${printable(path)}` });
  const databases = { before: databasesIn(view, before), after: now === undefined ? undefined : databasesIn(view, after ?? before) };
  const isDatabase = databasesOf(databases.before).has(path) || databasesOf(databases.after ?? []).has(path);
  const aspects = entryBefore === undefined || entryAfter === undefined ? [] : aspectsOf(entryBefore, entryAfter, now === undefined);
  const change = entryBefore === undefined ? 'created' : entryAfter === undefined ? 'deleted' : aspects.length === 0 ? 'same' : 'changed';
  const wanted = change === 'created' || change === 'deleted' || aspects.includes('content');
  const asked: FileChange = { path, change: change === 'same' ? 'changed' : change, aspects, before: entryBefore, after: entryAfter };
  const request = { change: asked, before: old, after: now, project, rows: isDatabase ? limit : undefined };
  const content = wanted ? await contentDiff(view.location, view.vault, request, ctx, source) : undefined;
  // Of a file as it is now size and time alone are known before: it may be the same.
  const isSame = now === undefined && content?.kind === 'text' && content.hunks.length === 0 && aspects.length === 1 && aspects[0] === 'content';
  const rows =
    isDatabase && databases.after !== undefined && change !== 'same'
      ? databaseChanges(databases.before, databases.after, new Map([[path, asked.change]]))[0]
      : undefined;
  return {
    before,
    after,
    change: isSame ? 'same' : change,
    aspects: isSame ? [] : aspects,
    entryBefore,
    entryAfter,
    content: isSame ? undefined : content,
    rows,
  };
}

function databasesIn(view: VaultView, ref: SnapshotRef): readonly DatabaseReport[] {
  return readReport(view.vault, ref).databases;
}

function aspectsOf(was: Entry, is: Entry, live: boolean): Aspect[] {
  const aspects: Aspect[] = [];
  const [before, after] = [kindOf(was), kindOf(is)];
  if (before !== after) aspects.push('type');
  else if (before === 'f' && !sameContent(was, is, live)) aspects.push('content');
  if (was.mode !== is.mode) aspects.push('mode');
  if (was.uid !== is.uid || was.gid !== is.gid) aspects.push('owner');
  if (before === after && before !== 'f' && was.link !== is.link) aspects.push('target');
  return aspects;
}

const kindOf = ({ type }: Entry) => (type === 'S' || type === 'h' ? 'f' : type);

function sameContent(was: Entry, is: Entry, live: boolean): boolean {
  if (was.size !== is.size) return false;
  if (live) return was.mtime === is.mtime;
  if (was.sha256 !== undefined && is.sha256 !== undefined) return was.sha256 === is.sha256;
  if (was.pieces !== undefined && is.pieces !== undefined) return Buffer.compare(was.pieces, is.pieces) === 0;
  // One has hashes of its pieces, the other one of the whole: then sizes and times tell.
  return was.sha256 === is.sha256 && was.pieces === is.pieces ? true : was.mtime === is.mtime;
}

/** Undefined where nothing is there, also because a file stands where a directory would have to, or no name can be so long. */
function lookAt(path: Bytes): BigIntStats | undefined {
  try {
    return onPath(path, (reachable) => lstatSync(reachable, { bigint: true, throwIfNoEntry: false }));
  } catch (error) {
    if (errnoOf(error) === 'ENOTDIR' || errnoOf(error) === 'ENAMETOOLONG') return undefined;
    throw error;
  }
}

/** A path of the project as it is now; undefined where it is not there. Nothing is opened. */
function liveEntry(project: ProjectFacts, path: Bytes): Entry | undefined {
  const stat = lookAt(joinBytes(project.root, path));
  if (stat === undefined) return undefined;
  const type = stat.isFile() ? 'f' : stat.isDirectory() ? 'd' : stat.isSymbolicLink() ? 'l' : stat.isFIFO() ? 'p' : stat.isSocket() ? 's' : 'c';
  return {
    type,
    mode: Number(stat.mode & 0o7777n),
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    mtime: stat.mtimeNs,
    size: type === 'f' ? Number(stat.size) : 0,
    sha256: undefined,
    path,
    link: undefined,
    pieces: undefined,
  };
}

export type SnapshotDiff = { readonly files: readonly FileChange[]; readonly databases: readonly DatabaseChange[] };

/** What differs between two snapshots: files in the order of paths, and databases apart. @throws CoraError damaged */
export function diffSnapshots(view: VaultView, before: SnapshotRef, after: SnapshotRef): Promise<SnapshotDiff> {
  return view.remembered(`diff ${before.kind} ${before.id} ${after.kind} ${after.id}`, async () => {
    const sides = [
      await sideOf(view.vault, view.listings, view.quickest(before)),
      await sideOf(view.vault, view.listings, view.quickest(after)),
    ] as const;
    const all = compareLayers(sides[0].layers, sides[1].layers);
    const names = new Set([...databasesOf(sides[0].databases).keys(), ...databasesOf(sides[1].databases).keys()]);
    const changed = new Map(all.filter(({ path }) => names.has(path)).map(({ path, change }) => [path, change]));
    return { files: all.filter(({ path }) => !names.has(path)), databases: databaseChanges(sides[0].databases, sides[1].databases, changed) };
  });
}

/** One line of a hunk. */
export type HunkLine = { readonly op: ' ' | '-' | '+'; readonly text: Bytes };

export type Hunk = {
  readonly beforeStart: number;
  readonly beforeLines: number;
  readonly afterStart: number;
  readonly afterLines: number;
  readonly lines: readonly HunkLine[];
};

/** The lines of a unified diff as hunks, of at most so many lines together. */
export function hunksOf(lines: readonly Bytes[], most: number): { readonly hunks: readonly Hunk[]; readonly truncated: boolean } {
  const hunks: (Hunk & { lines: HunkLine[] })[] = [];
  for (const line of lines.slice(0, most)) {
    const head = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@$/.exec(line);
    if (head !== null) {
      const [, a, b, c, d] = head;
      hunks.push({ beforeStart: Number(a), beforeLines: Number(b ?? 1), afterStart: Number(c), afterLines: Number(d ?? 1), lines: [] });
      continue;
    }
    const op = line[0];
    // What is said of a last line without a newline is no line.
    if (op === ' ' || op === '-' || op === '+') hunks.at(-1)?.lines.push({ op, text: line.slice(1) as Bytes });
  }
  return { hunks, truncated: lines.length > most };
}

/** A path as listings have it: without `./` before and slashes behind. @throws CoraError usage for one that leads out of the project */
export function listedPath(path: Bytes): Bytes {
  const plain = (path.replace(/^(?:\.\/)+/, '').replace(/\/+$/, '') || '.') as Bytes;
  if (
    plain.startsWith('/') ||
    plain.split('/').some((part) => part === '..' || (part === '.' && plain !== '.') || part === '') ||
    plain.includes('\0')
  )
    throw new CoraError('usage', `The path leads out of the project, or is none: ${toText(plain).slice(0, 100)}`, {
      hint: 'name it relative to the project',
    });
  return plain;
}
