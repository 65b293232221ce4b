// Sealing: the immutable flag on every file and directory of a backup. Invariant: a backup is called
// sealed only where lsattr has just said so of each of them.

import { lstatSync, readdirSync } from 'node:fs';
import { type Bytes, fromBuffer, fromText, joinBytes } from '../base/bytes.ts';
import { changeFlags, flagReason, readFlags } from '../os/chattr.ts';
import { syncDirectory } from '../os/files.ts';
import { onPath } from '../os/long-path.ts';
import type { SnapshotRef } from './catalog.ts';
import { readChain } from './chain.ts';
import type { Vault } from './vault.ts';

/** What keeps a backup from being changed or deleted: the kernel, the modes of the vault's directory, or nothing. */
export type Protection = 'kernel' | 'permissions' | 'none';

export type SealState = {
  readonly protection: Protection;
  /** Why it is not the kernel; undefined where it is. */
  readonly reason: string | undefined;
};

/** Seals a directory and everything in it, and reads each flag back. Never throws for a flag that cannot be set. */
export function sealSnapshot(vault: Vault, ref: SnapshotRef): SealState {
  const directory = fromText(`${vault.root}/${ref.directory}`);
  const entries = entriesBelow(directory);
  const failure = changeFlags('+i', entries);
  onPath(directory, syncDirectory);
  const missing = readFlags(entries).filter((flags) => flags?.immutable !== true).length;
  if (missing === 0) return { protection: 'kernel', reason: undefined };
  const reason = flagReason(failure ?? 'unsupported');
  return {
    protection: withoutKernel(vault),
    reason: missing === entries.length ? reason : `${missing} of ${entries.length} files have no flag: ${reason}`,
  };
}

/** Takes the flag away again. @returns true where nothing of the backup has it any more */
export function unsealSnapshot(vault: Vault, ref: SnapshotRef): boolean {
  const entries = entriesBelow(fromText(`${vault.root}/${ref.directory}`));
  changeFlags('-i', entries);
  return readFlags(entries).every((flags) => flags?.immutable !== true);
}

/** Looks at every file and directory. */
export function sealStateOf(vault: Vault, ref: SnapshotRef): SealState {
  const entries = entriesBelow(fromText(`${vault.root}/${ref.directory}`));
  const missing = readFlags(entries).filter((flags) => flags?.immutable !== true).length;
  if (missing === 0) return { protection: 'kernel', reason: undefined };
  const reason = missing === entries.length ? 'it is not sealed' : `${missing} of ${entries.length} files and directories have no immutable flag`;
  return { protection: withoutKernel(vault), reason };
}

/** A quick look, for lists: the directory itself alone, all of them in one call. */
export function protectionsOf(vault: Vault, refs: readonly SnapshotRef[]): Map<SnapshotRef, Protection> {
  const flags = readFlags(refs.map(({ directory }) => fromText(`${vault.root}/${directory}`)));
  const otherwise = withoutKernel(vault);
  return new Map(refs.map((ref, index) => [ref, flags[index]?.immutable === true ? 'kernel' : otherwise]));
}

/** Ids of the backups that the ledger says are sealed: the last of its `seal` and `unseal` lines counts. */
export function sealedInLedger(vault: Vault): Map<string, 'seal' | 'unseal'> {
  const last = new Map<string, 'seal' | 'unseal'>();
  for (const { line } of readChain(vault.root)) if (line.kind === 'seal' || line.kind === 'unseal') last.set(line.id, line.kind);
  return last;
}

/** Others cannot enter a directory of mode 0700; its owner can still delete by a slip. */
function withoutKernel(vault: Vault): Protection {
  return (lstatSync(vault.root).mode & 0o077) === 0 ? 'permissions' : 'none';
}

/** The directory, its directories and regular files; links and pipes have no flags. */
function entriesBelow(directory: Bytes): Bytes[] {
  const entries: Bytes[] = [directory];
  for (const entry of onPath(directory, (path) => readdirSync(path, { withFileTypes: true, encoding: 'buffer' }))) {
    const path = joinBytes(directory, fromBuffer(entry.name));
    if (entry.isDirectory()) entries.push(...entriesBelow(path));
    else if (entry.isFile()) entries.push(path);
  }
  return entries;
}
