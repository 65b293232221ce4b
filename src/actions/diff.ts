// What differs between two snapshots, or between a snapshot and the project as it is now.

import type { Bytes } from '../base/bytes.ts';
import type { Context, Problem } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import { formatEntry } from '../format/file-list.ts';
import type { DatabaseReport } from '../format/report.ts';
import { NO_ROWS } from '../format/row-merge.ts';
import { readReport, resolveSnapshot, type SnapshotRef } from '../vault/catalog.ts';
import { quickestForm } from '../vault/history.ts';
import { sortRows } from '../vault/history-writer.ts';
import { type Layers, ListingReader } from '../vault/listing-text.ts';
import { openLocated, requireOwn, type VaultLocation } from '../vault/locate.ts';
import { rootOf, type Vault } from '../vault/vault.ts';
import { checkpointEntries } from './checkpoint.ts';
import type { ContentDiff } from './diff-content.ts';
import { compareLayers, type FileChange } from './diff-rows.ts';
import type { ProjectFacts } from './open-project.ts';
import { candidatePaths } from './restore-word.ts';
import { type DatabaseChange, databaseChanges, databasesOf } from './snapshot-changes.ts';

/** One of the two that are compared. */
export type Side = {
  /** Undefined for the project as it is now. */
  readonly ref: SnapshotRef | undefined;
  readonly layers: Layers;
  readonly databases: readonly DatabaseReport[];
};

export type DiffResult = {
  readonly before: SnapshotRef;
  /** Undefined for the project as it is now. */
  readonly after: SnapshotRef | undefined;
  /** Databases left out, in the order of paths. */
  readonly files: readonly FileChange[];
  readonly databases: readonly DatabaseChange[];
  /** Of the one path that was asked for, where it is a file or database of both or of one: what differs in it. */
  readonly content: ContentDiff | undefined;
  /** What could not be looked at now. */
  readonly problems: readonly Problem[];
};

export type DiffOptions = {
  /** Snapshot names; the second is undefined for the project as it is now. */
  readonly before: string;
  readonly after: string | undefined;
  /** Only these paths and what is below them: as they were typed, and seen from where the command runs. */
  readonly paths: readonly { readonly typed: Bytes; readonly absolute: Bytes }[];
  /** Of a database: at most so many rows of each side and table that differ; undefined for none. */
  readonly rows: number | undefined;
};

/**
 * @param project needed for a comparison with now
 * @throws CoraError unknown_snapshot, ambiguous_snapshot, damaged, usage
 */
export async function diff(location: VaultLocation, project: ProjectFacts | undefined, options: DiffOptions, ctx: Context): Promise<DiffResult> {
  const vault = openLocated(location);
  const reader = new ListingReader(vault);
  const before = await sideOf(vault, reader, resolveSnapshot(vault, options.before, ctx.now()));
  const problems: Problem[] = [];
  const after =
    options.after === undefined
      ? await liveSide(vault, reader, project, problems, ctx)
      : await sideOf(vault, reader, resolveSnapshot(vault, options.after, ctx.now()));
  const root = project?.root ?? rootOf(vault.info);
  const wanted = options.paths.flatMap(({ typed, absolute }) => candidatePaths(root, typed, absolute));
  const all = compareLayers(before.layers, after.layers).filter(({ path }) => isWanted(path, wanted));
  const names = new Set([...databasesOf(before.databases).keys(), ...databasesOf(after.databases).keys()]);
  const changed = new Map(all.filter(({ path }) => names.has(path)).map(({ path, change }) => [path, change]));
  const [only] = all.length === 1 ? all : [];
  const asked = only !== undefined && wanted.includes(only.path) ? only : undefined;
  const wantsContent = asked !== undefined && (!names.has(asked.path) || options.rows !== undefined);
  const { contentDiff } = wantsContent ? await import('./diff-content.ts') : { contentDiff: undefined };
  return {
    before: before.ref as SnapshotRef,
    after: after.ref,
    files: all.filter(({ path }) => !names.has(path)),
    databases: databaseChanges(before.databases, after.databases, changed),
    content:
      asked === undefined || contentDiff === undefined
        ? undefined
        : await contentDiff(
            location,
            vault,
            { change: asked, before: before.ref, after: after.ref, project, rows: names.has(asked.path) ? options.rows : undefined },
            ctx,
          ),
    problems,
  };
}

async function liveSide(vault: Vault, reader: ListingReader, project: ProjectFacts | undefined, problems: Problem[], ctx: Context): Promise<Side> {
  if (project === undefined)
    throw new CoraError('usage', 'There is no project here to compare with', { hint: 'name a second snapshot: cora diff A B' });
  requireOwn(vault, project);
  const { readLive } = await import('./diff-live.ts');
  const live = await readLive(vault, reader, project, ctx);
  problems.push(...live.problems);
  return { ref: undefined, layers: live.layers, databases: live.databases };
}

/** @throws CoraError damaged, metadata_missing */
export async function sideOf(vault: Vault, reader: ListingReader, named: SnapshotRef): Promise<Side> {
  const ref = readableForm(vault, reader, named);
  const { databases } = readReport(vault, ref);
  if (ref.kind !== 'fallback') return { ref: named, layers: reader.layers(ref), databases };
  const text = sortRows((await checkpointEntries(vault, ref)).map(formatEntry));
  return { ref: named, layers: { base: ref.directory, keyframe: () => text, delta: NO_ROWS }, databases };
}

/** A backup answers for itself where the save that it was made from is damaged. */
function readableForm(vault: Vault, reader: ListingReader, named: SnapshotRef): SnapshotRef {
  const ref = quickestForm(vault, named);
  if (ref === named || named.kind !== 'backup') return ref;
  try {
    reader.layers(ref).keyframe();
    return ref;
  } catch {
    return named;
  }
}

function isWanted(path: Bytes, wanted: readonly Bytes[]): boolean {
  return wanted.length === 0 || wanted.some((one) => one === '.' || path === one || path.startsWith(`${one}/`));
}
