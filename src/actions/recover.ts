// A project back from a remote, on a machine that has nothing but Cora and the keys: its copies into a vault as the lost one was, then
// the tree out of that vault, then the repository out of the backup's bundle. Invariant: nothing of a copy is in the vault, and
// nothing in the directory, before every byte of that copy was compared.

import { lstatSync, readFileSync, rmSync } from 'node:fs';
import { type Bytes, fromText, fsPath, toText } from '../base/bytes.ts';
import type { Context, Problem } from '../base/context.ts';
import { CoraError, messageOf } from '../base/errors.ts';
import type { Report } from '../format/report.ts';
import { makePath, namesIn, readTextIfThere, replaceFile } from '../os/files.ts';
import { readReport, type SnapshotRef } from '../vault/catalog.ts';
import { NAMES } from '../vault/layout.ts';
import type { VaultEnvironment, VaultLocation } from '../vault/locate.ts';
import { recordCopy } from '../vault/offsite-record.ts';
import type { SealState } from '../vault/seal.ts';
import { lockForWriting, moveProject, type Vault } from '../vault/vault.ts';
import type { Remote, RemoteCopy } from './offsite-remote.ts';
import { realOf } from './open-project.ts';
import { type CopyGroup, timeOf } from './recover-choose.ts';
import { type Fetched, fetchPlain } from './recover-fetch.ts';
import { type RecoveredGit, recoverGit } from './recover-git.ts';
import { type FetchStages, openFetchStages } from './recover-stage.ts';
import { findCopy, NOWHERE, openRecoveryVault, placeSnapshot, rememberVault, removeEmptyVault } from './recover-vault.ts';
import { applyRestore, type RestoreResult } from './restore.ts';
import { planRestore } from './restore-plan.ts';
import { sealNew } from './seal.ts';
import { verify } from './verify.ts';

export type RecoverOptions = {
  /** Where the project goes, absolute; undefined: the vault alone. */
  readonly to: Bytes | undefined;
  /** Every copy of the project, not the chosen one alone. */
  readonly all: boolean;
  readonly environment: VaultEnvironment;
  /** So that commands in the directory find the vault. */
  readonly remembers: boolean;
};

export type RecoveredCopy = Fetched & { readonly id: string; readonly kind: string; readonly ref: SnapshotRef };

export type RecoverResult = {
  readonly copy: RemoteCopy;
  readonly remote: string;
  readonly vault: { readonly path: string; readonly id: string; readonly made: boolean; readonly goesOnAfter: number | undefined };
  /** What this run brought into the vault, oldest first. */
  readonly fetched: readonly RecoveredCopy[];
  /** Ids that the vault had. */
  readonly had: readonly string[];
  readonly seal: SealState | undefined;
  readonly restore: RestoreResult | undefined;
  readonly git: RecoveredGit | undefined;
  readonly problems: readonly Problem[];
  readonly seconds: number;
};

/**
 * @throws CoraError damaged (nothing was restored, nothing of the copy is in the vault), remote_failed, refused, target_not_empty,
 * no_space, locked, interrupted
 */
export async function recover(remote: Remote, group: CopyGroup, copy: RemoteCopy, options: RecoverOptions, ctx: Context): Promise<RecoverResult> {
  const begun = performance.now();
  const root = options.to === undefined ? NOWHERE : fromText(realOf(toText(options.to)));
  const opened = openRecoveryVault(group, root, options.environment, ctx);
  let { vault } = opened;
  let stages: FetchStages | undefined;
  try {
    stages = openFetchStages(vault);
    if (options.to !== undefined) requireEmpty(vault, root, copy);
    const { fetched, had } = await fetchAll(remote, group, wantedCopies(group, copy, options.all), vault, stages, ctx);
    const ref = fetched.find((one) => one.id === copy.complete.snapshot_id && one.kind === copy.complete.kind)?.ref ?? findCopy(vault, copy)?.ref;
    if (ref === undefined) throw new CoraError('internal', `${copy.directory} was fetched and is not in the vault`);
    await proveWhole(vault, ref, fetched, ctx);
    const report = readReport(vault, ref);
    if (vault.info.root === NOWHERE) vault = moveProject(vault, fromText(report.project.root));
    const seal = sealAll(vault, fetched, ctx);
    recordCopies(vault, remote, group, fetched, ctx);
    const restored = options.to === undefined ? undefined : await restoreTo(vault, root, ref, report, ctx);
    if (root !== NOWHERE && options.remembers) rememberVault(vault, root, options.environment);
    stages.clear();
    return {
      copy,
      remote: remote.name,
      vault: { path: vault.root, id: vault.info.vault_id, made: opened.made, goesOnAfter: opened.made ? lastKnown(group) : undefined },
      fetched,
      had,
      seal,
      restore: restored?.restore,
      git: restored?.git,
      problems: [...(restored?.restore.problems ?? []), ...(restored?.git?.problems ?? [])],
      seconds: (performance.now() - begun) / 1000,
    };
  } finally {
    stages?.release();
    removeEmptyVault(vault);
  }
}

function lastKnown({ copies }: CopyGroup): number {
  return Math.max(...copies.map(({ complete }) => complete.chain.sequence));
}

/** Oldest first. A save is nothing without those that hold its listing and contents. */
function wantedCopies({ copies }: CopyGroup, copy: RemoteCopy, all: boolean): readonly RemoteCopy[] {
  const oldestFirst = copies.toSorted((a, b) => timeOf(a) - timeOf(b));
  if (all) return oldestFirst;
  return copy.complete.kind === 'save' ? oldestFirst.filter(({ complete }) => complete.kind === 'save') : [copy];
}

async function fetchAll(
  remote: Remote,
  group: CopyGroup,
  wanted: readonly RemoteCopy[],
  vault: Vault,
  stages: FetchStages,
  ctx: Context,
): Promise<{ readonly fetched: RecoveredCopy[]; readonly had: string[] }> {
  const fetched: RecoveredCopy[] = [];
  const had: string[] = [];
  const source = `${remote.name.replace(/\/+$/, '')}/${group.env}`;
  for (const copy of wanted) {
    const { kind, snapshot_id: id } = copy.complete;
    const there = findCopy(vault, copy);
    if (there?.recorded === true) {
      had.push(id);
      continue;
    }
    const announce = { group, source, isFirst: fetched.length === 0 };
    if (there !== undefined) {
      // A crash came between its rename and its line.
      placeSnapshot(vault, { copy, directory: undefined, report: readReport(vault, there.ref) }, announce, ctx);
      had.push(id);
      continue;
    }
    const stage = stages.open(kind, id);
    try {
      const got = await fetchPlain(remote, copy, stage, ctx);
      const report = requireReport(got.directory, copy);
      fetched.push({ ...got, id, kind, ref: placeSnapshot(vault, { copy, directory: got.directory, report }, announce, ctx) });
    } catch (error) {
      // What is wrong at the remote is no use to the next run; what was cut off is.
      if (error instanceof CoraError && error.code === 'damaged') stages.remove(kind, id);
      throw error;
    }
    stages.remove(kind, id);
  }
  return { fetched, had };
}

/** The report is covered by the sums; that it is the one of this copy, only itself says. */
function requireReport(directory: string, { complete, directory: place }: RemoteCopy): Report {
  try {
    const report = JSON.parse(readFileSync(`${directory}/${NAMES.report}`, 'utf8')) as Report;
    if (report.snapshot_id === complete.snapshot_id && report.kind === complete.kind && report.vault_id === complete.vault_id) return report;
  } catch (error) {
    throw new CoraError('damaged', `The copy ${place} is damaged: its ${NAMES.report} cannot be read`, { cause: error });
  }
  throw new CoraError('damaged', `The copy ${place} is damaged: its ${NAMES.report} is that of another snapshot; nothing of it was used`, {
    hint: 'cora recover REMOTE lists the other copies',
  });
}

/** What was just fetched was compared; a save also needs its keyframe and contents of other saves, and what was there is read again. */
async function proveWhole(vault: Vault, ref: SnapshotRef, fetched: readonly RecoveredCopy[], ctx: Context): Promise<void> {
  if (ref.kind !== 'save' && fetched.some(({ ref: one }) => one.id === ref.id && one.kind === ref.kind)) return;
  const { snapshots } = await verify(locationOf(vault), { target: ref.id, deep: false }, ctx);
  const damaged = snapshots.filter(({ kind }) => kind === ref.kind).flatMap((snapshot) => snapshot.damaged);
  const [first] = damaged;
  if (first === undefined) return;
  throw new CoraError('damaged', `${ref.id} in ${vault.root} does not come back whole: ${first.path}: ${first.reason}; nothing was restored`, {
    hint: 'take another copy, or fetch this one into another vault (--vault DIR)',
    details: { damaged },
  });
}

function sealAll(vault: Vault, fetched: readonly RecoveredCopy[], ctx: Context): SealState | undefined {
  const backups = fetched.filter(({ kind }) => kind === 'backup');
  if (backups.length === 0) return undefined;
  const lock = lockForWriting(vault, ctx.lockWait);
  try {
    return backups.map(({ id }) => sealNew(vault, id, 'auto', ctx)).at(-1);
  } finally {
    lock.release();
  }
}

/** Every byte of these copies was just read back: the vault knows that they are there. */
function recordCopies(vault: Vault, remote: Remote, group: CopyGroup, fetched: readonly RecoveredCopy[], ctx: Context): void {
  for (const { id, kind } of fetched) {
    const found = group.copies.find(({ complete }) => complete.snapshot_id === id && complete.kind === kind);
    if (found === undefined) continue;
    const { complete, sha256 } = found;
    const { shipped_at, bytes, files, encryption } = complete;
    const checked_at = new Date(ctx.now()).toISOString();
    const record = { id, kind: complete.kind, shipped_at, checked_at, bytes, files, encryption, marker_sha256: sha256 };
    try {
      recordCopy(vault, remote.name, group.env, record, ctx.lockWait);
    } catch (error) {
      ctx.monitor.note(`That ${id} is at ${remote.name} could not be written down: ${messageOf(error)}`);
    }
  }
}

function locationOf(vault: Vault): VaultLocation {
  return { path: vault.root, source: 'default', expectedId: undefined, memory: undefined };
}

type Restoring = { readonly id: string; readonly directory: string; readonly ino: number };

const noteOf = (vault: Vault) => `${vault.root}/${NAMES.stage}/restoring.json`;

/**
 * The directory must hold nothing that is not ours.
 * @throws CoraError target_not_empty
 */
function requireEmpty(vault: Vault, root: Bytes, copy: RemoteCopy): void {
  const stat = lstatSync(fsPath(root), { throwIfNoEntry: false });
  if (stat === undefined || (stat.isDirectory() && namesIn(toText(root)).length === 0)) return;
  if (stat.isDirectory() && isHalfRestored(vault, root, copy.complete.snapshot_id)) return;
  throw new CoraError('target_not_empty', stat.isDirectory() ? `${toText(root)} is not empty` : `${toText(root)} exists and is no directory`, {
    hint: 'name a directory that does not exist yet; nothing was restored',
  });
}

/** What a recovery of the same snapshot left there when it was stopped is ours to finish. */
function isHalfRestored(vault: Vault, root: Bytes, id: string): boolean {
  try {
    const note = JSON.parse(readTextIfThere(noteOf(vault)) ?? 'null') as Restoring | null;
    return note !== null && note.id === id && note.directory === toText(root) && note.ino === lstatSync(fsPath(root)).ino;
  } catch {
    return false;
  }
}

async function restoreTo(
  vault: Vault,
  root: Bytes,
  ref: SnapshotRef,
  report: Report,
  ctx: Context,
): Promise<{ readonly restore: RestoreResult; readonly git: RecoveredGit | undefined }> {
  const isRest = namesIn(toText(root)).length > 0;
  makePath(root);
  const note: Restoring = { id: ref.id, directory: toText(root), ino: lstatSync(fsPath(root)).ino };
  replaceFile(noteOf(vault), `${JSON.stringify(note)}\n`, true);
  const plan = await planRestore(
    undefined,
    locationOf(vault),
    { target: fromText(ref.id), paths: [], to: root, critical: false, overwrite: isRest ? 'always' : undefined },
    ctx,
  );
  const restore = await applyRestore(plan, ctx);
  const git = ref.kind === 'backup' ? await recoverGit(`${vault.root}/${ref.directory}`, root, report, ctx) : undefined;
  rmSync(noteOf(vault), { force: true });
  return { restore, git };
}
