// Restoring a backup that another tool made into a new directory. Invariants: it is verified first; it is
// unpacked in a new private directory beside the target and put in its place by one rename; the backup is only read.

import { chmodSync, constants, copyFileSync, lchownSync, lstatSync, mkdirSync, readdirSync, renameSync, rmSync, utimesSync } from 'node:fs';
import { type Bytes, basenameBytes, bytes, dirnameBytes, fsPath, joinBytes, printable, toText } from '../base/bytes.ts';
import type { Context, Problem } from '../base/context.ts';
import { CoraError, errnoOf, writeFailure } from '../base/errors.ts';
import { pathFields } from '../base/path-fields.ts';
import { freeBytes, makePath } from '../os/files.ts';
import { leadsOut, listTar, type TarMember, tame, unpackTar } from '../os/foreign-tar.ts';
import { onPath } from '../os/long-path.ts';
import { findProgram, runSync } from '../os/run.ts';
import { temporaryName } from '../store/read-jobs.ts';
import type { AdoptedSnapshot } from '../vault/adopted.ts';
import { NAMES } from '../vault/layout.ts';
import type { Vault } from '../vault/vault.ts';
import { filesBelow, verifyAdopted } from './adopted-verify.ts';
import { stopIfAborted } from './settle.ts';

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

/** Beside a database that is replaced by its copy: they would be replayed into the copy. */
const SIDECARS = ['-wal', '-shm', '-journal'];

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
  const plan = await planContents(snapshot, options, ctx);
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
      for (const problem of problemsOf(tamed)) ctx.monitor.problem(problem);
      return done(tamed.files, tamed.bytes, problemsOf(tamed));
    });
  } catch (error) {
    throw writeFailure(error, toText(options.to));
  }
}

function problemsOf({ removed, stripped }: { readonly removed: readonly Bytes[]; readonly stripped: readonly Bytes[] }): Problem[] {
  const problem = (path: Bytes, message: string): Problem => ({ code: 'not_restored', ...pathFields(path), message, severity: 'warning' });
  return [
    ...removed.map((path) => problem(path, 'A device, FIFO or socket of a foreign archive is not restored')),
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
    const sync = findProgram('sync');
    if (sync !== undefined) runSync(sync, ['-f', '--', '.'], { cwd: toText(stage), timeout: 600_000 });
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
    return result;
  } finally {
    rmSync(fsPath(around), { recursive: true, force: true });
  }
}

type Contents = { readonly files: number; readonly bytes: number; readonly fill: (stage: Bytes) => Promise<void> };

async function planContents(snapshot: AdoptedSnapshot, options: AdoptedRestoreOptions, ctx: Context): Promise<Contents> {
  const wanted = options.paths.map((path) => bytes(path.replace(/^(?:\.\/)+/, '').replace(/\/+$/, '') || '.'));
  const within = (path: Bytes): boolean => wanted.length === 0 || wanted.some((one) => one === '.' || path === one || path.startsWith(`${one}/`));
  const { layout, path } = snapshot;
  const contents =
    layout === 'atlas'
      ? await fromArchive(path, [], within, ctx)
      : layout === 'cora'
        ? await fromCora(path, options.critical, within, ctx)
        : layout === 'atocore'
          ? fromFiles(
              filesBelow(path)
                .filter(within)
                .map((file) => ({ from: joinBytes(path, file), to: file })),
              ctx,
            )
          : fromFiles(
              [{ from: path, to: basenameBytes(path) }].filter(({ to }) => within(to)),
              ctx,
            );
  if (contents.files === 0) {
    throw new CoraError('not_found', `${wanted.map(printable).join(', ') || 'Anything'} is not in ${snapshot.id}`, {
      hint: 'leave the paths out to restore all of it',
    });
  }
  return contents;
}

type Copy = { readonly from: Bytes; readonly to: Bytes };

/** CORA-7: the archive is the project; a database's plain copy wins over what the archive holds, other plain copies fill gaps. */
async function fromCora(root: Bytes, critical: boolean, within: (path: Bytes) => boolean, ctx: Context): Promise<Contents> {
  const files = filesBelow(root);
  const below = (top: string): Copy[] =>
    files.filter((path) => path.startsWith(`${top}/`)).map((path) => ({ from: joinBytes(root, path), to: bytes(path.slice(top.length + 1)) }));
  const databases = below(NAMES.db).filter(({ to }) => within(to));
  const copies = [...databases, ...below(NAMES.critical).filter(({ to }) => within(to) && !databases.some((other) => other.to === to))];
  const archive = files.find((path) => path.endsWith('-full.tar.gz') && !path.includes('/'));
  if (critical || archive === undefined) return fromFiles(copies, ctx);
  return fromArchive(joinBytes(root, archive), copies, within, ctx, new Set(databases.map(({ to }) => to)));
}

/**
 * @param copies files beside the archive, put where the archive has none, or over it where they are in `instead`
 */
async function fromArchive(
  archive: Bytes,
  copies: readonly Copy[],
  within: (path: Bytes) => boolean,
  ctx: Context,
  instead: ReadonlySet<Bytes> = new Set(),
): Promise<Contents> {
  const all = await listTar(archive, ctx.signal);
  const out = all.find(leadsOut);
  if (out !== undefined) {
    throw new CoraError('damaged', `${toText(archive)} has an entry that leads out of it: ${printable(out.name)}`, {
      hint: 'nothing was restored; look at it by hand: tar -tzf',
    });
  }
  const stale = new Set([...instead].flatMap((path) => SIDECARS.map((suffix) => bytes(path + suffix))));
  const chosen = all.filter(({ path, type }) => within(path) && !stale.has(path) && !instead.has(path) && !'bcp'.includes(type));
  // A hard link's content may be in an entry that is not asked for; its link then has to be one that is replaced.
  const links = new Set(chosen.flatMap(({ link }) => (link === undefined ? [] : [link])));
  const present = new Set(chosen.map(({ path }) => path));
  const targets = all.filter(({ path }) => links.has(path) && !present.has(path));
  const members: readonly TarMember[] = [...targets, ...chosen];
  const inArchive = new Set(members.map(({ path }) => path));
  const added = copies.filter(({ to }) => !inArchive.has(to));
  const files = fromFiles(added, ctx);
  const whole = members.length === all.length;
  return {
    files: members.filter(({ type }) => type !== 'd').length + files.files,
    bytes: members.reduce((sum, { size }) => sum + size, 0) + files.bytes,
    fill: async (stage) => {
      await unpackTar(archive, stage, whole ? undefined : members, ctx.signal);
      await files.fill(stage);
    },
  };
}

/** Copies of single files; a link in the way is never followed. */
function fromFiles(copies: readonly Copy[], ctx: Context): Contents {
  const size = copies.reduce((sum, { from }) => sum + (onPath(from, (path) => lstatSync(path, { throwIfNoEntry: false }))?.size ?? 0), 0);
  return {
    files: copies.length,
    bytes: size,
    fill: async (stage) => {
      for (const { from, to } of copies) {
        makeParents(stage, to);
        stopIfAborted(ctx);
        copyInto(from, joinBytes(stage, to));
      }
    },
  };
}

/** Directories that lead to a path; one that the archive has as a link or file is an error, not a way out. */
function makeParents(stage: Bytes, path: Bytes): void {
  for (let at = path.indexOf('/'); at > 0; at = path.indexOf('/', at + 1)) {
    const directory = joinBytes(stage, path.slice(0, at));
    const stat = onPath(directory, (place) => lstatSync(place, { throwIfNoEntry: false }));
    if (stat === undefined) onPath(directory, (place) => mkdirSync(place, { mode: 0o700 }));
    else if (!stat.isDirectory()) {
      throw new CoraError('damaged', `${printable(path)} lies in both archive and copies, in one below what is no directory`, {
        hint: 'restore single paths',
      });
    }
  }
}

/** With mode (no setuid), times and, as root, owner. */
function copyInto(from: Bytes, to: Bytes): void {
  onPath(from, (source) =>
    onPath(to, (target) => {
      const { mode, uid, gid, atime, mtime } = lstatSync(source);
      copyFileSync(source, target, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
      if (process.geteuid?.() === 0) lchownSync(target, uid, gid);
      chmodSync(target, mode & 0o1777);
      utimesSync(target, atime, mtime);
    }),
  );
}
