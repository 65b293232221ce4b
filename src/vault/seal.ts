// Sealing: the immutable flag on every file and directory of a backup. Invariant: a backup is called
// sealed only where lsattr has just said so of each of them.

import { lstatSync, readdirSync } from 'node:fs';
import { type Bytes, fromBuffer, fromText, joinBytes } from '../base/bytes.ts';
import { messageOf } from '../base/errors.ts';
import { changeFlags, flagReason, readFlags } from '../os/chattr.ts';
import { onPath } from '../os/long-path.ts';
import { syncFileSystem } from '../os/sync.ts';
import type { SnapshotRef } from './catalog.ts';
import { readLines } from './chain.ts';
import type { Vault } from './vault.ts';

/** What keeps a backup from being changed or deleted: the kernel, the modes of the vault's directory, or nothing. */
export type Protection = 'kernel' | 'permissions' | 'none';

export type SealState = {
  readonly protection: Protection;
  /** Why it is not the kernel; undefined where it is. */
  readonly reason: string | undefined;
};

/**
 * Seals everything in a backup and, only once each flag is read back, its directory: so the directory's own flag stands for the
 * whole, also after a crash half way. Never throws for a flag that cannot be set.
 */
export function sealSnapshot(vault: Vault, ref: SnapshotRef): SealState {
  const directory = fromText(`${vault.root}/${ref.directory}`);
  const entries = entriesBelow(directory);
  const content = entries.slice(0, -1);
  let failure = changeFlags('+i', content);
  if (readFlags(content).every((flags) => flags?.immutable === true)) failure = changeFlags('+i', [directory]);
  // One fsync of the directory carries the flags of the others on ext4 and xfs, and none of them on btrfs.
  const unsynced = whyNotOnDisk(directory);
  if (unsynced !== undefined) return withoutKernel(vault, unsynced);
  const missing = readFlags(entries).filter((flags) => flags?.immutable !== true).length;
  if (missing === 0) return { protection: 'kernel', reason: undefined };
  const reason = flagReason(failure ?? 'unsupported');
  return withoutKernel(vault, missing === entries.length ? reason : `${missing} of ${entries.length} files and directories have no flag: ${reason}`);
}

function whyNotOnDisk(directory: Bytes): string | undefined {
  try {
    syncFileSystem(directory);
    return undefined;
  } catch (error) {
    return `the disk did not take the flags (${messageOf(error)})`;
  }
}

/**
 * Takes the flag away again, first from the directory itself, so that what is half done never looks sealed.
 * @returns true where nothing of the backup has it any more
 */
export function unsealSnapshot(vault: Vault, ref: SnapshotRef): boolean {
  return unsealTree(fromText(`${vault.root}/${ref.directory}`));
}

/** The same for a directory wherever it lies. */
export function unsealTree(directory: Bytes): boolean {
  const entries = entriesBelow(directory).reverse();
  changeFlags('-i', entries);
  return readFlags(entries).every((flags) => flags?.immutable !== true);
}

/** Takes the flag from the directory itself alone. @returns false where it stays: then nothing else can be unsealed either */
export function openSealed(vault: Vault, ref: SnapshotRef): boolean {
  const directory = fromText(`${vault.root}/${ref.directory}`);
  changeFlags('-i', [directory]);
  return readFlags([directory])[0]?.immutable !== true;
}

/** Looks at every file and directory. */
export function sealStateOf(vault: Vault, ref: SnapshotRef): SealState {
  const entries = entriesBelow(fromText(`${vault.root}/${ref.directory}`));
  const missing = readFlags(entries).filter((flags) => flags?.immutable !== true).length;
  if (missing === 0) return { protection: 'kernel', reason: undefined };
  const reason = missing === entries.length ? 'it is not sealed' : `${missing} of ${entries.length} files and directories have no immutable flag`;
  return withoutKernel(vault, reason);
}

/** A quick look, for lists: the directory itself alone, which gets its flag last; all of them in one call. */
export function protectionsOf(vault: Vault, refs: readonly SnapshotRef[]): Map<SnapshotRef, Protection> {
  const flags = readFlags(refs.map(({ directory }) => fromText(`${vault.root}/${directory}`)));
  const otherwise = withoutKernel(vault, '').protection;
  return new Map(refs.map((ref, index) => [ref, flags[index]?.immutable === true ? 'kernel' : otherwise]));
}

/** Ids of the backups that the ledger says are sealed: the last of its `seal` and `unseal` lines counts. */
export function sealedInLedger(vault: Vault): Map<string, 'seal' | 'unseal'> {
  const last = new Map<string, 'seal' | 'unseal'>();
  for (const { line } of readLines(vault.root)) if (line?.kind === 'seal' || line?.kind === 'unseal') last.set(line.id, line.kind);
  return last;
}

/** Those of `refs` that the ledger calls sealed and a quick look does not. */
export function lostSeals(vault: Vault, refs: readonly SnapshotRef[]): SnapshotRef[] {
  const ledger = sealedInLedger(vault);
  return [...protectionsOf(vault, refs)].flatMap(([ref, protection]) => (protection !== 'kernel' && ledger.get(ref.id) === 'seal' ? [ref] : []));
}

/** Whom nobody but us can reach is protected from all others; we ourselves can still delete by a slip. */
function withoutKernel(vault: Vault, reason: string): SealState {
  const { mode, uid } = lstatSync(vault.root);
  if (uid !== process.geteuid?.()) return { protection: 'none', reason: `${reason}; the vault belongs to another user (${uid})` };
  if ((mode & 0o022) !== 0) return { protection: 'none', reason: `${reason}; others may write into the vault's directory` };
  return { protection: 'permissions', reason };
}

/**
 * The directory's content and then itself, so that a seal that a crash cut off never looks whole; links and pipes have no flags.
 */
function entriesBelow(directory: Bytes): Bytes[] {
  const entries: Bytes[] = [];
  for (const entry of onPath(directory, (path) => readdirSync(path, { withFileTypes: true, encoding: 'buffer' }))) {
    const path = joinBytes(directory, fromBuffer(entry.name));
    if (entry.isDirectory()) entries.push(...entriesBelow(path));
    else if (entry.isFile()) entries.push(path);
  }
  entries.push(directory);
  return entries;
}
