// A project back from a remote, on a machine that has nothing but Cora and the keys: its copies into a vault as the lost one was, then
// the tree out of that vault, then the repository out of the backup's bundle. Invariant: nothing of a copy is in the vault, and
// nothing in the directory, before every byte of that copy was compared.

import { lstatSync, rmSync } from 'node:fs';
import { type Bytes, fromText, fsPath, toText } from '../base/bytes.ts';
import type { Context, Problem } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import { makePath, namesIn, readTextIfThere, replaceFile } from '../os/files.ts';
import { readReport, type SnapshotRef } from '../vault/catalog.ts';
import { originOf, readLines } from '../vault/chain.ts';
import { NAMES } from '../vault/layout.ts';
import type { VaultEnvironment, VaultLocation } from '../vault/locate.ts';
import type { SealState } from '../vault/seal.ts';
import { lockForWriting, type Vault } from '../vault/vault.ts';
import type { Remote, RemoteCopy } from './offsite-remote.ts';
import { realOf } from './open-project.ts';
import { type CopyGroup, timeOf } from './recover-choose.ts';
import { type FetchedCopy, fetchCopies, recordFetched } from './recover-copies.ts';
import { requireRoom } from './recover-fetch.ts';
import { type RecoveredGit, recoverGit } from './recover-git.ts';
import { type FetchStages, openFetchStages } from './recover-stage.ts';
import { findCopy, giveTo, NOWHERE, openRecoveryVault, refuseWithin, rememberVault, removeEmptyVault } from './recover-vault.ts';
import { applyRestore, type RestoreResult } from './restore.ts';
import { removeLeftoversBelow } from './restore-leftovers.ts';
import { planRestore } from './restore-plan.ts';
import { sealNew } from './seal.ts';
import { verify } from './verify.ts';

export type RecoverOptions = {
  /** Where the project goes, absolute; undefined: the vault alone. */
  readonly to: Bytes | undefined;
  /** Every copy of the project, not the chosen one alone. */
  readonly all: boolean;
  readonly environment: VaultEnvironment;
  /** Files of age identities that were named, absolute; none: those in the usual place. */
  readonly identities: readonly string[];
  /** So that commands in the directory find the vault. */
  readonly remembers: boolean;
};

export type RecoverResult = {
  readonly copy: RemoteCopy;
  readonly remote: string;
  readonly vault: {
    readonly path: string;
    readonly id: string;
    readonly made: boolean /** The last known line of the ledger that was lost; 0 where none was. */;
    readonly goesOnAfter: number;
  };
  /** What this run brought into the vault, oldest first. */
  readonly fetched: readonly FetchedCopy[];
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
  if (root !== NOWHERE) refuseWithin(root, remote.type === 'local' ? remote.base : undefined);
  const opened = openRecoveryVault(group, root, options.environment, ctx);
  let { vault } = opened;
  let stages: FetchStages | undefined;
  try {
    stages = openFetchStages(vault);
    if (options.to !== undefined) requireEmpty(vault, root, copy);
    const source = { remote, group, identities: options.identities, home: options.environment.home };
    const history = options.to === undefined ? undefined : historyOf(group, copy);
    const { fetched, had } = await fetchCopies(source, wantedCopies(group, copy, history, options.all), vault, stages, ctx);
    const ref = fetched.find((one) => one.copy === copy)?.ref ?? findCopy(vault, copy)?.ref;
    if (ref === undefined) throw new CoraError('internal', `${copy.directory} was fetched and is not in the vault`);
    await proveWhole(vault, ref, fetched, ctx);
    const report = readReport(vault, ref);
    if (root !== NOWHERE || vault.info.root === NOWHERE) vault = giveTo(vault, root === NOWHERE ? fromText(report.project.root) : root);
    const seal = sealAll(vault, fetched, ctx);
    recordFetched(vault, source, fetched, ctx);
    const restored = options.to === undefined ? undefined : await restoreTo(vault, root, ref, history, ctx);
    if (root !== NOWHERE && options.remembers) rememberVault(vault, root, options.environment);
    const kept = stages.clear().map((path): Problem => ({ code: 'left_behind', message: `${path} could not be removed`, severity: 'warning' }));
    for (const problem of kept) ctx.monitor.problem(problem);
    return {
      copy,
      remote: remote.name,
      vault: { path: vault.root, id: vault.info.vault_id, made: opened.made, goesOnAfter: originOf(readLines(vault.root)[0]?.line).sequence },
      fetched,
      had,
      seal,
      restore: restored?.restore,
      git: restored?.git,
      problems: [...(restored?.restore.problems ?? []), ...(restored?.git?.problems ?? []), ...kept],
      seconds: (performance.now() - begun) / 1000,
    };
  } finally {
    stages?.release();
    removeEmptyVault(vault);
  }
}

/** Oldest first. A save is nothing without those that hold its listing and contents; the repository is in backups alone. */
function wantedCopies({ copies }: CopyGroup, copy: RemoteCopy, history: RemoteCopy | undefined, all: boolean): readonly RemoteCopy[] {
  const oldestFirst = copies.toReversed();
  if (all) return oldestFirst;
  return oldestFirst.filter((one) => one === copy || one === history || (copy.complete.kind === 'save' && one.complete.kind === 'save'));
}

/** The backup whose bundle the repository comes out of: the copy itself, or the newest one that is not younger. */
function historyOf({ copies }: CopyGroup, copy: RemoteCopy): RemoteCopy | undefined {
  if (copy.complete.kind === 'backup') return copy;
  return copies.find((one) => one.complete.kind === 'backup' && timeOf(one) <= timeOf(copy));
}

/** What was just fetched was compared; a save also needs its keyframe and contents of other saves, and what was there is read again. */
async function proveWhole(vault: Vault, ref: SnapshotRef, fetched: readonly FetchedCopy[], ctx: Context): Promise<void> {
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

function sealAll(vault: Vault, fetched: readonly FetchedCopy[], ctx: Context): SealState | undefined {
  const backups = fetched.filter(({ ref }) => ref.kind === 'backup');
  if (backups.length === 0) return undefined;
  const lock = lockForWriting(vault, ctx.lockWait);
  try {
    return backups.map(({ ref }) => sealNew(vault, ref.id, 'auto', ctx)).at(-1);
  } finally {
    lock.release();
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
  history: RemoteCopy | undefined,
  ctx: Context,
): Promise<{ readonly restore: RestoreResult; readonly git: RecoveredGit | undefined }> {
  const isRest = namesIn(toText(root)).length > 0;
  if (isRest) removeLeftoversBelow(root);
  makePath(root);
  const note: Restoring = { id: ref.id, directory: toText(root), ino: lstatSync(fsPath(root)).ino };
  replaceFile(noteOf(vault), `${JSON.stringify(note)}\n`, true);
  const plan = await planRestore(
    undefined,
    locationOf(vault),
    { target: fromText(ref.id), paths: [], to: root, critical: false, overwrite: isRest ? 'always' : undefined },
    ctx,
  );
  requireRoom(toText(root), plan.bytes);
  const restore = await applyRestore(plan, ctx);
  const backup = history === undefined ? undefined : findCopy(vault, history)?.ref;
  const git = backup === undefined ? undefined : await recoverGit(vault, backup, root, ctx);
  rmSync(noteOf(vault), { force: true });
  return { restore, git };
}
