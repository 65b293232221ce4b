// A save: capture what changed, write the listing or what differs from the keyframe, commit. The
// whole path from scan up to "record"; a backup begins with the same steps.

import { bytes } from '../base/bytes.ts';
import type { Context, Problem } from '../base/context.ts';
import { errnoOf, writeFailure } from '../base/errors.ts';
import type { ArtefactReport, DatabaseReport, LossReport, Report } from '../format/report.ts';
import { exists } from '../os/files.ts';
import { endPhase } from '../os/memory.ts';
import { findUnits } from '../source/databases.ts';
import { appendSegment } from '../store/object-index.ts';
import { loadTree, storeTree, type Tree } from '../store/stat-cache.ts';
import { tryReport } from '../vault/catalog.ts';
import { appendLine, findLast, readHead } from '../vault/chain.ts';
import { NAMES, parseId, type SnapshotId, saveDirectory, timeOfId } from '../vault/layout.ts';
import { openLocated, type VaultLocation } from '../vault/locate.ts';
import { commitSnapshot } from '../vault/snapshot.ts';
import { openStage, type Vault } from '../vault/vault.ts';
import { type ArtefactScan, describeArtefacts, scanWithArtefacts } from './artefact-capture.ts';
import { type ArtefactChoice, NO_ARTEFACTS, withDumps } from './artefact-dumps.ts';
import type { Scanned } from './capture.ts';
import { halfRestored, standingProblems, toCarry } from './capture-problems.ts';
import { databaseNotes, describeTree, gitFacts, makeReport } from './describe.ts';
import { recordSnapshot, withFailureLogged } from './logged-run.ts';
import type { WatchList } from './loss-baseline.ts';
import { lossProblems } from './loss-text.ts';
import { findLosses, notedLosses, standingLosses, unsettledLosses, withId } from './loss-watch.ts';
import { openForWriting, openOnce, type ProjectFacts } from './open-project.ts';
import { type Captured, type CaptureMode, captureInto, LARGE_TREE } from './save-capture.ts';
import { collectDatabases, lastSave, readQuicklyChecked } from './save-known.ts';
import { writeListing } from './save-listing.ts';
import { type BuiltTree, buildTree } from './tree-build.ts';

export type SaveOptions = {
  readonly note?: string;
  readonly label?: string;
  /** Milliseconds: nothing is done where the newest save is younger. */
  readonly ifOlder?: number;
  readonly trigger: string;
  /** Named artefacts that this run takes or leaves out, and who runs their commands. */
  readonly artefacts?: ArtefactChoice;
};

export type SaveResult = {
  /** `recent`: the newest save is younger than `ifOlder`. */
  readonly outcome: 'saved' | 'unchanged' | 'recent';
  /** The new save, or the newest one that is as good. */
  readonly id: string;
  /** Absolute path of its directory. */
  readonly path: string;
  /** Milliseconds since that snapshot was made; 0 for a new one. */
  readonly ageMs: number;
  /** Undefined where no snapshot was made. */
  readonly report: Report | undefined;
  /** Problems met in this run, also where nothing changed. */
  readonly problems: readonly Problem[];
  /** What is lost against the last good snapshot and was not accepted. */
  readonly losses: readonly LossReport[];
};

/**
 * Saves the project.
 * @throws CoraError locked, vault_missing, vault_foreign, no_space, read_only, io, validation_failed, interrupted
 */
export async function save(project: ProjectFacts, location: VaultLocation, options: SaveOptions, ctx: Context): Promise<SaveResult> {
  if (options.ifOlder !== undefined) {
    const recent = recentSave(project, location, options.ifOlder, ctx);
    if (recent !== undefined) return recent;
  }
  return withFailureLogged(location, { kind: 'save', type: 'save' }, ctx, async () => {
    const open = () => openOnce(project, location, ctx);
    const saved = await withDumps(project, options.artefacts ?? {}, false, open, ctx, async (artefacts) => {
      const { vault, release } = openForWriting(project, location, ctx);
      try {
        return { vault, ...(await saveInto(vault, project, options, { check: 'quick_check', rereadSlice: -1, artefacts }, ctx)) };
      } finally {
        release();
      }
    });
    // What found nothing to do is written by the next run: it must stay as quick as it is.
    if (saved.result.outcome === 'saved') await recordSnapshot(saved.vault, ctx);
    return saved.result;
  });
}

/** A loss that the newest save has found stands, whether or not another save is due. */
function recentSave(project: ProjectFacts, location: VaultLocation, ifOlder: number, ctx: Context): SaveResult | undefined {
  if (!exists(`${location.path}/${NAMES.vaultJson}`)) return undefined;
  const line = findLast(location.path, ({ kind }) => kind === 'save' || kind === 'unchanged');
  const id = parseId(line?.id ?? '');
  if (line === undefined || id === undefined) return undefined;
  const age = ctx.now() - Date.parse(line.time);
  if (age < 0 || age > ifOlder) return undefined;
  const vault = openLocated(location);
  const directory = saveDirectory(id);
  const noted = tryReport(vault, { id, kind: 'save', directory, sequence: undefined })?.losses ?? [];
  const losses = unsettledLosses(vault, noted, id);
  const problems: Problem[] = [];
  takeOver(problems, lossProblems(losses, { root: project.root, vault }), ctx);
  return { outcome: 'recent', id, path: `${location.path}/${directory}`, ageMs: ctx.now() - timeOfId(id), report: undefined, problems, losses };
}

/** What a backup needs after its save. */
export type Saved = {
  readonly result: SaveResult;
  readonly tree: Tree;
  readonly scanned: Scanned;
  readonly databases: readonly DatabaseReport[];
  readonly artefacts: readonly ArtefactReport[];
};

/** The save itself, into a vault that the caller has locked. */
export async function saveInto(vault: Vault, project: ProjectFacts, options: SaveOptions, mode: CaptureMode, ctx: Context): Promise<Saved> {
  const old = loadTree(vault.root);
  const seen = await scanWithArtefacts(project, old, mode.rereadSlice, mode.artefacts ?? NO_ARTEFACTS, ctx);
  try {
    return await saveSeen(vault, project, options, mode, { ...seen, old }, ctx);
  } finally {
    await seen.unlock();
  }
}

type Seen = ArtefactScan & { readonly old: Tree | undefined };

async function saveSeen(vault: Vault, project: ProjectFacts, options: SaveOptions, mode: CaptureMode, seen: Seen, ctx: Context): Promise<Saved> {
  const { old, scanned } = seen;
  const last = lastSave(vault);
  const place = { root: project.root, vault };
  const problems = [...halfRestored(ctx), ...scanned.scan.problems];
  for (const problem of problems) ctx.monitor.problem(problem);
  problems.push(...seen.problems);
  const artefactsOf = (tree: Tree, databases: readonly DatabaseReport[]) => {
    const found = describeArtefacts(project, mode.artefacts ?? NO_ARTEFACTS, { tree, old, started: scanned.scan.started }, databases, problems);
    takeOver(problems, found.problems, ctx);
    return found;
  };
  if (mode.recheck === true) readQuicklyChecked(scanned, old);
  const nothingToRead = scanned.diff.toRead.length === 0 && !scanned.diff.structureChanged;
  const standing = old === undefined ? [] : standingLosses(vault, old);
  // A loss that was accepted or undone meanwhile deserves a snapshot that says so.
  const asBefore =
    old !== undefined && last !== undefined && old.snapshot === last && standing.length === notedLosses(old) && options.note === undefined;
  if (nothingToRead && asBefore) {
    takeOver(problems, [...standingProblems(old, scanned, () => false), ...lossProblems(standing, place)], ctx);
    const { reports } = artefactsOf(old, Object.values(databaseNotes(old)));
    return { ...unchanged(vault, last, old, scanned, problems, standing, ctx), artefacts: reports };
  }
  const stage = openStage(vault);
  try {
    const captured = await captureInto(vault, project, scanned, old, `${stage.path}`, mode, ctx);
    takeOver(problems, await seen.unlock(), ctx);
    const { contents } = captured.stored;
    problems.push(...captured.stored.problems);
    takeOver(
      problems,
      standingProblems(captured.old, captured.scanned, (row) => contents.has(row)),
      ctx,
    );
    if (scanned.scan.paths.length > LARGE_TREE) endPhase();
    const built = buildTree(project.root, captured.scanned, captured.old, captured.stored);
    const databases = collectDatabases(built.tree, captured, old);
    const { losses, watch } = findLosses(vault, project.root, old, built.tree, captured.scanned, databases);
    takeOver(problems, lossProblems(losses, place), ctx);
    const artefacts = artefactsOf(built.tree, databases);
    const notes = {
      ...artefacts.notes,
      databases: Object.fromEntries(databases.map((database) => [database.path, database])),
      problems: toCarry(problems),
      losses,
    };
    const tree: Tree = { ...built.tree, notes };
    if (!built.changed && captured.old !== undefined && asBefore && captured.old.snapshot === last) {
      await captured.pack;
      const known = { ...tree, snapshot: last, notes: { ...notes, watch: withId(watch, last) } };
      const result = unchanged(vault, last, known, captured.scanned, problems, losses, ctx);
      storeTree(vault.root, result.tree);
      return { ...result, artefacts: artefacts.reports };
    }
    const result = await commitSave(
      { vault, project, options, last, tree, built, captured, databases, problems, losses, watch, stage: stage.path, artefacts: artefacts.reports },
      ctx,
    );
    return { result, tree: { ...tree, snapshot: result.id }, scanned: captured.scanned, databases, artefacts: artefacts.reports };
  } catch (error) {
    throw errnoOf(error) === undefined ? error : writeFailure(error, vault.root);
  } finally {
    stage.release();
  }
}

/** What was wrong with content that was not read again is still wrong, and this run ends with 3 as the first one did. */
function takeOver(problems: Problem[], standing: readonly Problem[], ctx: Context): void {
  problems.push(...standing);
  for (const problem of standing) ctx.monitor.problem(problem);
}

function unchanged(
  vault: Vault,
  last: SnapshotId,
  tree: Tree,
  scanned: Scanned,
  problems: readonly Problem[],
  losses: readonly LossReport[],
  ctx: Context,
): Omit<Saved, 'artefacts'> {
  appendLine(vault.root, readHead(vault.root), { kind: 'unchanged', id: last, time: new Date(ctx.now()).toISOString(), sums: '-', extra: '-' });
  const result: SaveResult = {
    outcome: 'unchanged',
    id: last,
    path: `${vault.root}/${saveDirectory(last)}`,
    ageMs: ctx.now() - timeOfId(last),
    report: undefined,
    problems,
    losses,
  };
  return { result, tree, scanned, databases: Object.values(databaseNotes(tree)) };
}

type CommitFacts = {
  readonly vault: Vault;
  readonly project: ProjectFacts;
  readonly options: SaveOptions;
  readonly last: SnapshotId | undefined;
  readonly tree: Tree;
  readonly built: BuiltTree;
  readonly captured: Captured;
  readonly databases: readonly DatabaseReport[];
  readonly problems: readonly Problem[];
  readonly losses: readonly LossReport[];
  readonly watch: WatchList;
  readonly artefacts: readonly ArtefactReport[];
  readonly stage: string;
};

async function commitSave(facts: CommitFacts, ctx: Context): Promise<SaveResult> {
  const { vault, project, options, tree, built, captured, stage } = facts;
  ctx.monitor.phase('snapshot');
  const listing = writeListing({ vault, stage, tree, last: facts.last, old: captured.old, oldRow: captured.scanned.diff.oldRow });
  const pack = await captured.pack;
  const files = pack === undefined ? [listing.file] : [pack, listing.file];
  const git = gitFacts(project.root);
  const started = captured.scanned.scan.started;
  const committed = commitSnapshot(vault, {
    kind: 'save',
    stage,
    files,
    time: started,
    sha: git?.sha,
    report: (identity) =>
      makeReport(
        {
          kind: 'save',
          type: 'save',
          vaultId: vault.info.vault_id,
          project,
          git,
          note: options.note ?? null,
          label: options.label ?? null,
          trigger: options.trigger,
          started,
          keyframe: listing.keyframe ?? null,
          exportedFrom: null,
          described: describeTree(tree, captured.scanned.isCritical, project.config),
          counts: {
            filesNew: built.filesNew,
            filesChanged: built.filesChanged,
            filesUnmodified: built.filesUnmodified,
            filesRemoved: captured.scanned.diff.removedRows.length,
          },
          added: captured.stored.added,
          addedPacked: captured.packedBytes,
          databases: facts.databases,
          units: findUnits(facts.databases.map((database) => bytes(Buffer.from(database.path).toString('latin1')))),
          artefacts: facts.artefacts,
          capped: [],
          notCovered: captured.scanned.scan.notCovered,
          problems: facts.problems,
          losses: facts.losses,
        },
        identity,
        ctx,
      ),
  });
  storeTree(vault.root, {
    ...tree,
    snapshot: committed.id,
    notes: { ...tree.notes, watch: withId(facts.watch, committed.id), keyframe: listing.keyframe ?? committed.id },
  });
  if (pack !== undefined) appendSegment(vault.root, `${committed.directory}/${NAMES.pack}`, captured.records);
  return {
    outcome: 'saved',
    id: committed.id,
    path: `${vault.root}/${committed.directory}`,
    ageMs: 0,
    report: committed.report,
    problems: facts.problems,
    losses: facts.losses,
  };
}
