// The vault that copies come back into: where it lies, made with the id of the one that was lost, and snapshots put into it. The
// ledger of a rebuilt vault goes on after the last line that a marker names, so that whoever compares sees one history.
// Invariant: a snapshot is visible only when every file of it was compared; a vault of another project is never touched.

import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, renameSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { type Bytes, bytes, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import type { Report } from '../format/report.ts';
import { exists, makeDirectories, namesIn, syncDirectory, tryRemove } from '../os/files.ts';
import { type SnapshotRef, snapshotsOnDisk } from '../vault/catalog.ts';
import { appendLine, type ChainHead, RECOVER, readHead, readLines, recoveredExtra } from '../vault/chain.ts';
import { NAMES, parseId, type SnapshotId, snapshotDirectory } from '../vault/layout.ts';
import { locateVault, remember, type VaultEnvironment } from '../vault/locate.ts';
import { safeName } from '../vault/project.ts';
import { restoreScript } from '../vault/restore-script.ts';
import { adoptUnrecorded, intendRecovered, timeOfReport } from '../vault/snapshot.ts';
import { createVault, lockForWriting, moveProject, openVault, repairVault, rootOf, type Vault } from '../vault/vault.ts';
import type { RemoteCopy } from './offsite-remote.ts';
import { realOf, refuseInside } from './open-project.ts';
import type { CopyGroup } from './recover-choose.ts';

/** No project lies here: the root of a vault whose project's place is not known yet. */
export const NOWHERE = bytes('/');

export type RecoveryVault = {
  readonly vault: Vault;
  /** It was not there, or an earlier run was cut off before anything was in it. */
  readonly made: boolean;
};

/**
 * Opens the vault that the copies belong to, or makes it.
 * @param root where the project comes back, real path; NOWHERE where only the vault is wanted
 * @throws CoraError refused where another vault is there, vault_missing, project_refused, no_space, io
 */
export function openRecoveryVault(group: CopyGroup, root: Bytes, env: VaultEnvironment, ctx: Context): RecoveryVault {
  const name = safeName(group.project);
  const path = placeOfVault(group, root, name, env);
  if (root !== NOWHERE) refuseInside(root, path);
  if (!exists(path)) {
    const vault = createVault(path, { name, root, vaultId: group.vaultId }, ctx.now(), restoreScript());
    return { vault, made: true };
  }
  const vault = openVault(path);
  if (vault.info.vault_id !== group.vaultId) {
    throw new CoraError('refused', `The vault ${path} holds another history, that of ${vault.info.root}; nothing was put into it`, {
      hint: 'name a place that does not exist yet with --vault DIR',
    });
  }
  const made = readHead(vault.root).sequence === 0 && snapshotsOnDisk(vault).length === 0;
  const there = rootOf(vault.info);
  if (root !== NOWHERE && there !== root && there !== NOWHERE && exists(toText(there))) {
    throw new CoraError('refused', `The vault ${path} belongs to ${vault.info.root}, which is still there`, {
      hint: `cora restore ID --vault ${path} --to DIR restores beside it; or name another place with --vault DIR`,
    });
  }
  return { vault, made };
}

/**
 * A project inside a vault, or where the copies lie, would be taken for a part of it, and be lost with it.
 * @param root real path
 * @param copies the directory of the remote; undefined where it is none of this machine
 * @throws CoraError project_refused
 */
export function refuseWithin(root: Bytes, copies: string | undefined): void {
  const refuse = (around: string) => {
    throw new CoraError('project_refused', `${toText(root)} lies inside ${around}`, { hint: 'name a directory elsewhere with --to' });
  };
  if (copies !== undefined && `${toText(root)}/`.startsWith(`${realOf(copies)}/`)) refuse(`${copies}, where the copies are`);
  for (let directory = toText(root); directory !== '/'; directory = dirname(directory)) {
    if (exists(`${directory}/${NAMES.vaultJson}`)) refuse(`the vault ${directory}`);
  }
}

/** The vault belongs to the project at `root` from here on: its own place is gone, or was never known. */
export function giveTo(vault: Vault, root: Bytes): Vault {
  return rootOf(vault.info) === root ? vault : moveProject(vault, root);
}

/** Where it was named, remembered or usual; a vault of this history at a usual place whose project is gone is taken too. */
function placeOfVault(group: CopyGroup, root: Bytes, name: string, env: VaultEnvironment): string {
  const location = locateVault({ root, name }, undefined, env);
  if (location.source !== 'default') return location.path;
  const wanted = `${dirname(location.path)}/${name}`;
  for (let number = 1; ; number++) {
    const path = number === 1 ? wanted : `${wanted}-${number}`;
    if (!exists(path)) return location.path;
    const vault = tryVault(path);
    if (vault?.info.vault_id !== group.vaultId) continue;
    const there = rootOf(vault.info);
    if (there === root || there === NOWHERE || !exists(toText(there))) return path;
  }
}

function tryVault(path: string): Vault | undefined {
  try {
    return openVault(path);
  } catch {
    return undefined;
  }
}

/** So that a command in the directory finds the vault. One that a variable names is named at each run. */
export function rememberVault(vault: Vault, root: Bytes, env: VaultEnvironment): void {
  const project = { root, name: safeName(vault.info.name) };
  const { memory } = locateVault(project, '/', { ...env, explicit: undefined });
  remember({ path: vault.root, source: 'remembered', expectedId: undefined, memory }, project, vault);
}

/** Whether the vault has this form of the snapshot, whole in its ledger or not. */
export function findCopy(vault: Vault, { complete }: RemoteCopy): { readonly ref: SnapshotRef; readonly recorded: boolean } | undefined {
  const ref = snapshotsOnDisk(vault).find(({ kind, id }) => kind === complete.kind && id === complete.snapshot_id);
  if (ref === undefined) return undefined;
  const recorded = readLines(vault.root).some(({ line }) => line?.kind === ref.kind && line.id === ref.id);
  return { ref, recorded };
}

export type Incoming = {
  readonly copy: RemoteCopy;
  /** Every file of it was compared. Undefined: it lies in its place already, and only its line is missing. */
  readonly directory: string | undefined;
  readonly report: Report;
};

export type Announce = {
  readonly group: CopyGroup;
  /** For people: where the copies are. */
  readonly source: string;
  /** False for what the run before it has said already. */
  readonly isFirst: boolean;
};

/**
 * Makes a snapshot that was fetched visible and writes its lines.
 * @param announce a line that says from where it came; a ledger without lines has one in any case
 * @throws CoraError locked, no_space, io
 */
export function placeSnapshot(vault: Vault, { copy, directory, report }: Incoming, announce: Announce, ctx: Context): SnapshotRef {
  const id = idOf(copy);
  const { kind } = copy.complete;
  const relative = snapshotDirectory(kind, id);
  const final = `${vault.root}/${relative}`;
  const lock = lockForWriting(vault, ctx.lockWait);
  try {
    adoptUnrecorded(vault);
    const ref = { kind, id, directory: relative, sequence: report.sequence };
    // The intent of the run that was cut off told enough to write its line.
    if (directory === undefined && findCopy(vault, copy)?.recorded === true) return ref;
    repairVault(vault, restoreScript);
    if (directory !== undefined && exists(final)) throw new CoraError('internal', `${final} appeared while it was being fetched`);
    const sums = createHash('sha256')
      .update(readFileSync(`${directory ?? final}/${NAMES.sums}`))
      .digest('hex');
    let head = beginning(vault, announce.group);
    const line = { id, time: new Date(ctx.now()).toISOString(), sums: '-' };
    if (announce.isFirst || head.line === undefined) {
      head = appendLine(vault.root, head, { ...line, kind: RECOVER, extra: encodeURIComponent(announce.source) });
    }
    // The ledger has its beginning by now: whatever happens from here on, any run can write the line of what is visible.
    if (directory !== undefined) {
      makeDirectories(vault.root, dirname(final));
      intendRecovered(vault, kind, id, sums);
      renameSync(directory, final);
      syncDirectory(dirname(final));
    }
    head = appendLine(vault.root, head, { kind, id, time: timeOfReport(report).toISOString(), sums, extra: recoveredExtra(report.sequence) });
    if (directory !== undefined) appendLine(vault.root, head, { ...line, kind: 'verify', extra: `${kind},ok` });
    return ref;
  } finally {
    lock.release();
  }
}

/** Where the next line goes: after the last one, or, in a ledger without lines, after the last one that a marker knows of the lost ledger. */
function beginning(vault: Vault, group: CopyGroup): ChainHead {
  const head = readHead(vault.root);
  if (head.sequence > 0) return head;
  const newest = group.copies.map(({ complete }) => complete.chain).reduce((last, chain) => (chain.sequence > last.sequence ? chain : last));
  return { ...newest, line: undefined };
}

export function idOf({ complete }: RemoteCopy): SnapshotId {
  const id = parseId(complete.snapshot_id);
  if (id === undefined) throw new CoraError('damaged', `${complete.snapshot_id} is no id of a snapshot`);
  return id;
}

/** Away with a vault that holds nothing at all, whole and at once: what a recovery that came to nothing made. Never throws. */
export function removeEmptyVault(vault: Vault): void {
  const places = [NAMES.ledger, NAMES.stage, NAMES.progress, NAMES.packs];
  try {
    if (snapshotsOnDisk(vault).length > 0 || places.some((place) => namesIn(`${vault.root}/${place}`).length > 0)) return;
    // Half of a vault under its own name would keep every later run out.
    const going = `${dirname(vault.root)}/.${basename(vault.root)}.new-${randomBytes(4).toString('hex')}`;
    renameSync(vault.root, going);
    tryRemove(going);
  } catch {
    // It stays, empty and whole: why the recovery failed is what has to be told.
  }
}
