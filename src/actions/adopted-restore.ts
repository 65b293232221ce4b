// Restoring a backup that another tool made into a new directory. Invariants: it is verified first; it is
// unpacked in a new private directory beside the target and put in its place by one rename; the backup is only read.

import { chmodSync, lstatSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { type Bytes, bytes, dirnameBytes, fsPath, joinBytes, printable, toText } from '../base/bytes.ts';
import type { Context, Problem } from '../base/context.ts';
import { CoraError, errnoOf, writeFailure } from '../base/errors.ts';
import { pathFields } from '../base/path-fields.ts';
import { freeBytes, makePath, syncDirectory } from '../os/files.ts';
import { tame } from '../os/foreign-tar.ts';
import { onPath } from '../os/long-path.ts';
import { syncFileSystem } from '../os/sync.ts';
import { temporaryName } from '../store/temporary-name.ts';
import type { AdoptedSnapshot } from '../vault/adopted.ts';
import type { Vault } from '../vault/vault.ts';
import { planContents } from './adopted-contents.ts';
import { verifyAdopted } from './adopted-verify.ts';

export type AdoptedRestoreOptions = {
  /** Absolute; does not exist, or is empty. */
  readonly to: Bytes;
  /** Relative to what is restored; empty for everything. */
  readonly paths: readonly Bytes[];
  /** CORA's backups: the plain copies of critical files and databases alone. */
  readonly critical: boolean;
  readonly dryRun: boolean;
};

export type AdoptedRestoreResult = {
  readonly snapshot: AdoptedSnapshot;
  readonly directory: Bytes;
  readonly dryRun: boolean;
  /** What would be restored, where it is a dry run. */
  readonly files: number;
  readonly bytes: number;
  readonly seconds: number;
  /** How far the backup was checked before. */
  readonly checked: readonly string[];
  readonly unchecked: readonly string[];
  readonly problems: readonly Problem[];
};

/** @throws CoraError damaged (nothing is written then), target_not_empty, not_found, usage, no_space, io, interrupted */
export async function restoreAdopted(
  vault: Vault,
  snapshot: AdoptedSnapshot,
  options: AdoptedRestoreOptions,
  ctx: Context,
): Promise<AdoptedRestoreResult> {
  const begun = performance.now();
  if (options.critical && snapshot.layout !== 'cora') {
    throw new CoraError('usage', '--critical is for backups that hold critical files apart, and this one does not', { hint: 'name paths instead' });
  }
  requireEmpty(options.to);
  const check = await verifyAdopted(vault, snapshot, ctx);
  const [damage] = check.damaged;
  if (damage !== undefined) {
    throw new CoraError('damaged', `${snapshot.id} is damaged: ${printable(damage.path)}: ${damage.reason}`, {
      hint: `nothing was restored; cora verify ${snapshot.id} lists all of it`,
      details: { damaged: check.damaged },
    });
  }
  ctx.monitor.phase('restore');
  const plan = await planContents(snapshot, options.paths, options.critical, ctx);
  const done = (files: number, count: number, problems: readonly Problem[]): AdoptedRestoreResult => ({
    snapshot,
    directory: options.to,
    dryRun: options.dryRun,
    files,
    bytes: count,
    seconds: (performance.now() - begun) / 1000,
    checked: check.checked,
    unchecked: check.unchecked,
    problems,
  });
  if (options.dryRun) return done(plan.files, plan.bytes, []);
  try {
    return await intoPlace(options.to, plan.bytes, async (stage) => {
      await plan.fill(stage);
      const tamed = tame(stage);
      const problems = problemsOf([...plan.leftOut, ...tamed.removed], tamed.stripped);
      for (const problem of problems) ctx.monitor.problem(problem);
      return done(tamed.files, tamed.bytes, problems);
    });
  } catch (error) {
    throw writeFailure(error, toText(options.to));
  }
}

function problemsOf(removed: readonly Bytes[], stripped: readonly Bytes[]): Problem[] {
  const problem = (path: Bytes, message: string): Problem => ({ code: 'not_restored', ...pathFields(path), message, severity: 'warning' });
  return [
    ...[...new Set(removed)].map((path) => problem(path, 'A device, FIFO or socket of a foreign archive is not restored')),
    ...stripped.map((path) => problem(path, 'Its setuid or setgid bit is not restored')),
  ];
}

function requireEmpty(to: Bytes): void {
  try {
    if (readdirSync(fsPath(to)).length === 0) return;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return;
    if (errnoOf(error) !== 'ENOTDIR') throw error;
  }
  throw new CoraError('target_not_empty', `${toText(to)} is not an empty directory`, { hint: 'name a new directory' });
}

/** Fills a new private directory on the target's file system, and makes it the target. A failure leaves nothing. */
async function intoPlace<T>(to: Bytes, size: number, fill: (stage: Bytes) => Promise<T>): Promise<T> {
  const there = lstatSync(fsPath(to), { throwIfNoEntry: false }) !== undefined;
  // A directory that is there may be a mount point: then it is filled, else the new one takes its name.
  const parent = there ? to : dirnameBytes(to);
  makePath(parent);
  if (freeBytes(toText(parent)) < size) {
    throw new CoraError('no_space', `${toText(parent)} has no room for ${size} bytes`, { hint: 'free space there, or name another directory' });
  }
  // An archive may set the mode of its own top; the directory around it stays ours alone.
  const around = joinBytes(parent, temporaryName());
  const stage = joinBytes(around, 'tree');
  for (const directory of [around, stage]) mkdirSync(fsPath(directory), { mode: 0o700 });
  try {
    const result = await fill(stage);
    syncFileSystem(stage);
    if (there) {
      for (const name of readdirSync(fsPath(stage), { encoding: 'latin1' }).map(bytes)) {
        onPath(joinBytes(stage, name), (from) => renameSync(from, fsPath(joinBytes(to, name))));
      }
    } else {
      const { mode } = lstatSync(fsPath(stage));
      // A directory that its owner may not write cannot be moved by him.
      chmodSync(fsPath(stage), mode | 0o700);
      renameSync(fsPath(stage), fsPath(to));
      chmodSync(fsPath(to), mode & 0o1777);
    }
    // The names were given after everything else was synced.
    onPath(parent, syncDirectory);
    return result;
  } finally {
    rmSync(fsPath(around), { recursive: true, force: true });
  }
}
