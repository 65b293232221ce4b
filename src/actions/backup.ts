// A backup: a save made self-contained. The same capture path, then an export from the save's objects
// (both show one instant), read back from the disk, and committed only if everything validates.

import { readdirSync, statSync } from 'node:fs';
import { fromText } from '../base/bytes.ts';
import type { Context, Problem } from '../base/context.ts';
import { CoraError, errnoOf, writeFailure } from '../base/errors.ts';
import type { Entry } from '../format/file-list.ts';
import type { DatabaseReport, Report } from '../format/report.ts';
import { exists, freeBytes } from '../os/files.ts';
import { syncFileSystem } from '../os/sync.ts';
import { openIndex } from '../store/object-index.ts';
import { WorkerPool } from '../store/pool.ts';
import { listPacks, listSnapshots, type SnapshotRef, tryReport } from '../vault/catalog.ts';
import { readHead } from '../vault/chain.ts';
import { NAMES, parseId, timeOfId } from '../vault/layout.ts';
import { loadEntries } from '../vault/listing.ts';
import { openLocated, type VaultLocation } from '../vault/locate.ts';
import type { SealState } from '../vault/seal.ts';
import { commitSnapshot } from '../vault/snapshot.ts';
import { lockForReading, lockForWriting, openStage, type Vault } from '../vault/vault.ts';
import { type ArtefactChoice, type ArtefactRun, withDumps } from './artefact-dumps.ts';
import { typeOfBackup } from './backup-type.ts';
import { describeTree, gitFacts, makeReport } from './describe.ts';
import { Export, type Exported } from './export.ts';
import { recordRuns } from './ledger.ts';
import { withFailureLogged } from './logged-run.ts';
import { openForWriting, openOnce, type ProjectFacts } from './open-project.ts';
import { isGoodButArtefacts } from './report-state.ts';
import { type Saved, type SaveResult, saveInto } from './save.ts';
import { sealNew } from './seal.ts';
import { entryOf, isListed } from './tree-rows.ts';

export type BackupOptions = {
  readonly mode: 'now' | 'auto';
  readonly label?: string;
  readonly note?: string;
  readonly trigger: string;
  readonly artefacts?: ArtefactChoice;
};

export type BackupResult = {
  /** `not_needed`: auto, and the newest good backup is young enough. */
  readonly outcome: 'made' | 'not_needed';
  readonly id: string;
  /** Absolute path of its directory. */
  readonly path: string;
  readonly ageMs: number;
  readonly report: Report | undefined;
  /** Bytes of the backup's files on disk. */
  readonly bytes: number;
  /** Seconds of writing the archive alone. */
  readonly archiveSeconds: number;
  readonly save: SaveResult | undefined;
  /** What keeps it from being changed; undefined where none was made. */
  readonly seal?: SealState;
  readonly problems: readonly Problem[];
};

/**
 * Backs the project up.
 * @throws CoraError as `save` does; db_integrity_check_failed, validation_failed where the backup does not validate: then nothing is visible
 */
export async function backup(project: ProjectFacts, location: VaultLocation, options: BackupOptions, ctx: Context): Promise<BackupResult> {
  const type = typeOfBackup(options, ctx.now());
  const open = () => openOnce(project, location, ctx);
  return withFailureLogged(location, { kind: 'backup', type }, ctx, () =>
    withDumps(project, options.artefacts ?? {}, isDue(location, project, options, ctx), open, ctx, async (artefacts) => {
      const first = await attempt(project, location, options, artefacts, false, ctx);
      if (first !== undefined) return first;
      ctx.monitor.note('A database fails the full check, which its last save did not make: it is read again, to tell whose damage that is');
      return (await attempt(project, location, options, artefacts, true, ctx)) as BackupResult;
    }),
  );
}

/** Whether commands of artefacts run: not for each question whether a backup is needed. What else makes `auto` need one is known after its save only. */
function isDue(location: VaultLocation, project: ProjectFacts, options: BackupOptions, ctx: Context): boolean {
  if (options.mode === 'now' || options.label !== undefined || project.config.artefacts.length === 0) return true;
  if (!exists(`${location.path}/${NAMES.vaultJson}`)) return true;
  const good = newestBackup(openLocated(location), ctx.now(), isGoodButArtefacts);
  return good === undefined || ctx.now() - timeOfId(good.ref.id) > project.config.backup.minAge;
}

/** @returns undefined where a database that had a quick_check alone fails the full one: only from its live file can be told whose damage that is */
async function attempt(
  project: ProjectFacts,
  location: VaultLocation,
  options: BackupOptions,
  artefacts: ArtefactRun,
  recheck: boolean,
  ctx: Context,
): Promise<BackupResult | undefined> {
  const { vault, release } = openForWriting(project, location, ctx);
  let saved: Saved;
  try {
    const { label, note, trigger } = options;
    const saveOptions = { trigger, ...(label === undefined ? {} : { label }), ...(note === undefined ? {} : { note }) };
    saved = await saveInto(
      vault,
      project,
      saveOptions,
      { check: 'integrity_check', rereadSlice: options.mode === 'now' ? readHead(vault.root).sequence % 30 : -1, recheck, artefacts },
      ctx,
    );
  } finally {
    // The export is long; saves may go on meanwhile.
    release();
  }
  if (options.mode === 'auto' && options.label === undefined) {
    // While a loss stands no backup can be good: one of this state is enough, not one a push.
    const good = newestBackup(
      vault,
      ctx.now(),
      saved.result.losses.length > 0 ? (report) => isGoodButArtefacts(report) || report.status === 'suspect' : isGoodButArtefacts,
    );
    if (good !== undefined && !isNeeded(vault, project, saved, good, ctx.now())) {
      if (saved.result.outcome === 'saved') await recordRuns(vault, ctx);
      return {
        outcome: 'not_needed',
        id: good.ref.id,
        path: `${vault.root}/${good.ref.directory}`,
        ageMs: ctx.now() - timeOfId(good.ref.id),
        report: undefined,
        bytes: 0,
        archiveSeconds: 0,
        save: saved.result,
        problems: saved.result.problems,
      };
    }
  }
  try {
    return await exportBackup(vault, project, options, saved, ctx);
  } catch (error) {
    const unseen =
      error instanceof CoraError && error.code === 'db_integrity_check_failed' && saved.databases.some(({ check }) => check === 'quick_check');
    if (unseen && !recheck) return undefined;
    throw error;
  }
}

type Good = { readonly ref: SnapshotRef; readonly report: Report };

/** The newest that is wanted and is not dated in the future. */
function newestBackup(vault: Vault, now: number, isWanted: (report: Report) => boolean): Good | undefined {
  for (const ref of listSnapshots(vault).reverse()) {
    if (ref.kind !== 'backup' || timeOfId(ref.id) > now + 120_000) continue;
    const report = tryReport(vault, ref);
    if (report !== undefined && isWanted(report)) return { ref, report };
  }
  return undefined;
}

/** Whether the newest good backup is too old, or a critical or large file is not as it was then. */
function isNeeded(vault: Vault, project: ProjectFacts, saved: Saved, good: Good, now: number): boolean {
  if (now - timeOfId(good.ref.id) > project.config.backup.minAge) return true;
  const save = listSnapshots(vault).find((ref) => ref.kind === 'save' && ref.id === good.report.exported_from);
  if (save === undefined) return true;
  if (save.id === saved.result.id) return false;
  const described = describeTree(saved.tree, saved.scanned.isCritical, project.config);
  const watched = new Set([
    ...described.critical,
    ...described.largeFiles.map(({ path }) => path),
    ...good.report.critical,
    ...good.report.large_files.map(({ path }) => path),
  ]);
  const fingerprint = (entry: Entry): string => `${entry.sha256 ?? Buffer.from(entry.pieces ?? []).toString('base64')}`;
  const then = new Map(loadEntries(vault, save).map((entry) => [Buffer.from(entry.path, 'latin1').toString(), fingerprint(entry)]));
  const current = new Map(entriesOfTree(saved).map((entry) => [Buffer.from(entry.path, 'latin1').toString(), fingerprint(entry)]));
  return [...watched].some((path) => then.get(path) !== current.get(path));
}

function entriesOfTree({ tree }: Saved): Entry[] {
  const entries: Entry[] = [];
  for (let row = 0; row < tree.count; row++) if (isListed(tree, row)) entries.push(entryOf(tree, row));
  return entries;
}

async function exportBackup(vault: Vault, project: ProjectFacts, options: BackupOptions, saved: Saved, ctx: Context): Promise<BackupResult> {
  const described = describeTree(saved.tree, saved.scanned.isCritical, project.config);
  checkSpace(vault, described.bytes, saved.databases);
  const reading = lockForReading(vault);
  const index = openIndex(vault.root, listPacks(vault), 0, false);
  const stage = openStage(vault);
  const pool = new WorkerPool(ctx.workers, { table: index.table.shared, packs: index.packs });
  try {
    ctx.monitor.phase('export');
    const work = new Export(
      { stage: stage.path, project, entries: entriesOfTree(saved), databases: saved.databases, critical: new Set(described.critical), pool },
      ctx,
    );
    const exported = await work.perform();
    // One syncfs for all files; the directories follow in the commit.
    syncFileSystem(fromText(stage.path));
    const lock = lockForWriting(vault, Math.max(ctx.lockWait, 60_000));
    try {
      const made = commitBackup({ vault, project, options, saved, exported, stage: stage.path, described }, ctx);
      return { ...made, seal: sealNew(vault, made.id, project.config.seal, ctx) };
    } finally {
      lock.release();
      await recordRuns(vault, ctx, true);
    }
  } catch (error) {
    throw errnoOf(error) === undefined ? error : writeFailure(error, vault.root);
  } finally {
    await pool.close();
    stage.release();
    reading?.release();
  }
}

/** Refuses before anything is written where even a well-compressing project cannot fit. */
function checkSpace(vault: Vault, total: number, databases: readonly DatabaseReport[]): void {
  const free = freeBytes(vault.root);
  const needed = Math.round(total * 0.2 + databases.reduce((sum, { size }) => sum + size, 0)) + (1 << 20);
  if (free >= needed) return;
  throw new CoraError('no_space', `The vault's disk has ${free} bytes left; this backup needs about ${needed}`, {
    hint: 'free space on it (df -h), or name a vault on another disk with --vault',
  });
}

type CommitFacts = {
  readonly vault: Vault;
  readonly project: ProjectFacts;
  readonly options: BackupOptions;
  readonly saved: Saved;
  readonly exported: Exported;
  readonly stage: string;
  readonly described: ReturnType<typeof describeTree>;
};

function commitBackup(facts: CommitFacts, ctx: Context): BackupResult {
  const { vault, project, options, saved, exported, stage, described } = facts;
  ctx.monitor.phase('snapshot');
  const git = gitFacts(project.root);
  const save = saved.result;
  const problems = [...save.problems, ...exported.problems];
  const started = saved.scanned.scan.started;
  const committed = commitSnapshot(vault, {
    kind: 'backup',
    stage,
    files: exported.files,
    time: started,
    sha: git?.sha,
    sameAs: save.outcome === 'saved' ? parseId(save.id) : undefined,
    report: (identity) =>
      makeReport(
        {
          kind: 'backup',
          type: typeOfBackup(options, started),
          vaultId: vault.info.vault_id,
          project,
          git: exported.git ?? git,
          note: options.note ?? null,
          label: options.label ?? null,
          trigger: options.trigger,
          started,
          keyframe: null,
          exportedFrom: save.id,
          described,
          counts: {
            filesNew: save.report?.files_new ?? 0,
            filesChanged: save.report?.files_changed ?? 0,
            filesUnmodified: save.report?.files_unmodified ?? described.files,
            filesRemoved: save.report?.files_removed ?? 0,
          },
          added: save.report?.data_added ?? 0,
          addedPacked: save.report?.data_added_packed ?? 0,
          databases: exported.databases,
          units: exported.units,
          artefacts: saved.artefacts,
          capped: exported.capped,
          attributesLost: exported.attributesLost,
          notCovered: saved.scanned.scan.notCovered,
          problems,
          losses: save.losses,
        },
        identity,
        ctx,
      ),
  });
  const path = `${vault.root}/${committed.directory}`;
  return {
    outcome: 'made',
    id: committed.id,
    path,
    ageMs: 0,
    report: committed.report,
    bytes: exported.files.reduce((sum, file) => sum + file.size, 0) + textBytes(path),
    archiveSeconds: exported.archiveSeconds,
    save,
    problems,
  };
}

function textBytes(path: string): number {
  return readdirSync(path)
    .filter((name) => name.endsWith('.txt') || name.endsWith('.json'))
    .reduce((sum, name) => sum + statSync(`${path}/${name}`).size, 0);
}
