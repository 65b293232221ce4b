// Files of the project that Cora made append-only (+a). The list in `ledger/protected.json` tells which
// ones, not whether they still are: that is lsattr's. What has to be written anew is lifted under the
// write lock with a note in the vault, so that a crash in between is put right by the next run.

import { lstatSync, rmSync } from 'node:fs';
import { type Bytes, bytes, fromText, joinBytes } from '../base/bytes.ts';
import { pathFields } from '../base/path-fields.ts';
import { changeFlags, readFlags } from '../os/chattr.ts';
import { exists, readTextIfThere, replaceFile } from '../os/files.ts';
import { onPath } from '../os/long-path.ts';
import { NAMES } from './layout.ts';
import type { Vault } from './vault.ts';

type Stored = { readonly path: string; readonly path_base64?: string };

/** Relative paths of the files that were made append-only. */
export function protectedPaths(vault: Vault): Bytes[] {
  return readPaths(`${vault.root}/${NAMES.protected}`);
}

/** The caller holds the write lock. */
export function rememberProtected(vault: Vault, paths: readonly Bytes[]): void {
  writePaths(`${vault.root}/${NAMES.protected}`, paths);
}

/**
 * Takes +a from those of `paths` that have it, and writes them down first. The caller holds the write lock and calls
 * `setAgain` in the end.
 * @param root the project; paths are relative to it
 * @returns what was lifted
 */
export function liftAppendOnly(vault: Vault, root: Bytes, paths: readonly Bytes[]): Bytes[] {
  const flags = readFlags(paths.map((path) => joinBytes(root, path)));
  const lifted = paths.filter((_, index) => flags[index]?.append === true);
  if (lifted.length === 0) return [];
  writePaths(`${vault.root}/${NAMES.lifted}`, [...new Set([...readPaths(`${vault.root}/${NAMES.lifted}`), ...lifted])]);
  changeFlags(
    '-a',
    lifted.map((path) => joinBytes(root, path)),
  );
  return lifted;
}

/**
 * Sets +a again on what was lifted, by this run or one that crashed. The caller holds the write lock.
 * @returns files that are there and did not get it (this process may not): they stay in the note, for a run that may
 */
export function setAgain(vault: Vault, root: Bytes): Bytes[] {
  const note = `${vault.root}/${NAMES.lifted}`;
  if (!exists(note)) return [];
  const paths = readPaths(note).filter((path) => isFile(joinBytes(root, path)));
  const full = paths.map((path) => joinBytes(root, path));
  changeFlags('+a', full);
  const flags = readFlags(full);
  const left = paths.filter((_, index) => flags[index]?.append !== true);
  if (left.length === 0) rmSync(note, { force: true });
  else writePaths(note, left);
  return left;
}

/** A person took the flag away: no later run sets it again. The caller holds the write lock. */
export function forgetProtected(vault: Vault, paths: readonly Bytes[]): void {
  const gone = new Set<string>(paths);
  for (const file of [`${vault.root}/${NAMES.protected}`, `${vault.root}/${NAMES.lifted}`]) {
    const stored = readPaths(file);
    const kept = stored.filter((path) => !gone.has(path));
    if (kept.length < stored.length) writePaths(file, kept);
  }
}

function isFile(path: Bytes): boolean {
  return onPath(path, (reachable) => lstatSync(reachable, { throwIfNoEntry: false }))?.isFile() === true;
}

function readPaths(file: string): Bytes[] {
  try {
    const value: unknown = JSON.parse(readTextIfThere(file) ?? '[]');
    if (!Array.isArray(value)) return [];
    return (value as Stored[]).map(({ path, path_base64: raw }) =>
      raw === undefined ? fromText(path) : bytes(Buffer.from(raw, 'base64').toString('latin1')),
    );
  } catch {
    // A damaged list protects nothing, and hides nothing: state is what lsattr says.
    return [];
  }
}

function writePaths(file: string, paths: readonly Bytes[]): void {
  replaceFile(file, `${JSON.stringify(paths.map(pathFields), null, 2)}\n`, true);
}
