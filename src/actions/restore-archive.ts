// Contents of a backup: unpacked by GNU tar from its archive into a staging directory on the target's
// file system, checked, and moved into place. The archive alone is enough; the vault's packs are not needed,
// except for logs that the archive holds by their newest part only.

import { chmodSync, closeSync, existsSync, lchownSync, lstatSync, mkdirSync, openSync, renameSync, rmSync } from 'node:fs';
import { type Bytes, bytes, dirnameBytes, joinBytes, toBuffer, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import { pathFields } from '../base/path-fields.ts';
import { EMPTY_SHA256, type Entry } from '../format/file-list.ts';
import { tryRemove } from '../os/files.ts';
import { onPath } from '../os/long-path.ts';
import { requireProgram, run, runSync } from '../os/run.ts';
import { WorkerPool } from '../store/pool.ts';
import { temporaryName } from '../store/temporary-name.ts';
import { listSnapshots, type SnapshotRef } from '../vault/catalog.ts';
import { NAMES } from '../vault/layout.ts';
import { loadEntries } from '../vault/listing.ts';
import { archiveName } from './backup-names.ts';
import { restoreFromObjects } from './restore-objects.ts';
import type { RestorePlan } from './restore-plan.ts';
import type { RestoreTarget } from './restore-target.ts';
import { settleAll } from './settle.ts';

const TAR_TIMEOUT = 12 * 3_600_000;
const HASH_BATCH = 256;
/** Of a path relative to where tar unpacks, so that it and `./` are below the kernel's 4,096 bytes. */
const TAR_PATH_LIMIT = 4000;

export async function restoreFromArchive(plan: RestorePlan, contents: readonly Entry[], target: RestoreTarget, ctx: Context): Promise<void> {
  const { report } = plan.work;
  // Text is not the whole name where that is not UTF-8; with size and hash it is the same content at least.
  const capped = new Set(report.capped.map(({ path, size, sha256 }) => `${sha256} ${size} ${path}`));
  const isCapped = ({ path, size, sha256 }: Entry): boolean => capped.has(`${sha256} ${size} ${toText(path)}`);
  const inArchive = contents.filter((entry) => !isCapped(entry));
  if (inArchive.length > 0) await unpack(plan, inArchive, target, ctx);
  const logs = contents.filter(isCapped);
  if (logs.length > 0) await restoreLogs(plan, logs, target, ctx);
}

async function unpack(plan: RestorePlan, contents: readonly Entry[], target: RestoreTarget, ctx: Context): Promise<void> {
  const { vault, ref, report, whole, entries } = plan.work;
  const archive = `${vault.root}/${ref.directory}/${ref.kind === 'fallback' ? NAMES.checkpoint : archiveName(report.project.name)}`;
  const stage = joinBytes(target.directory, temporaryName());
  onPath(stage, (path) => mkdirSync(path, { mode: 0o700 }));
  try {
    const tar = requireProgram('tar', 'tar');
    const reachable = contents.filter(({ path }) => path.length <= TAR_PATH_LIMIT);
    const names = Buffer.concat(reachable.flatMap((entry) => [Buffer.from('./'), toBuffer(entry.path), Buffer.alloc(1)]));
    // Everything or nearly: reading a list of names costs tar more than unpacking what is not asked for. But a
    // directory that we may not write into, with its mode set, would keep what is in it: then files alone.
    const unpackAll = whole && (target.owners || entries.every(({ type, mode }) => type !== 'd' || (mode & 0o700) === 0o700));
    const selected = unpackAll ? [] : ['--null', '--verbatim-files-from', '-T', '-'];
    const result = await run(tar, ['--force-local', '-xpzf', archive, '-C', '.', ...selected], {
      cwd: toText(stage),
      timeout: TAR_TIMEOUT,
      signal: ctx.signal,
      ...(unpackAll ? {} : { input: names }),
    });
    if (ctx.signal.aborted) throw new CoraError('interrupted', 'Interrupted');
    if (result.exitCode !== 0 && /No space left|Disk quota/.test(result.stderr)) {
      throw new CoraError('no_space', `No space left while unpacking into ${toText(target.directory)}`, {
        hint: 'free space there, or restore into another directory',
      });
    }
    refuseLinksIn(stage, contents);
    const moved = new Map<Bytes, Bytes>();
    for (const { path } of contents) if (path.length > TAR_PATH_LIMIT) moved.set(path, unpackLong(tar, archive, path, stage));
    await moveChecked(stage, contents, moved, target, ctx);
  } catch (error) {
    onPath(stage, tryRemove);
    throw error;
  }
  // What was done is whole, but a directory of ours among the user's files has to be told.
  onPath(stage, (path) => rmSync(path, { recursive: true, force: true }));
}

/** A link where a directory has to be would have us read, change and move what lies elsewhere. @throws CoraError damaged */
function refuseLinksIn(stage: Bytes, contents: readonly Entry[]): void {
  const seen = new Set<Bytes>();
  for (const { path } of contents) {
    for (let at = dirnameBytes(path); at !== '.' && !seen.has(at); at = dirnameBytes(at)) {
      seen.add(at);
      const stat = onPath(joinBytes(stage, at), (place) => lstatSync(place, { throwIfNoEntry: false }));
      if (stat?.isSymbolicLink() !== true) continue;
      throw new CoraError('damaged', `The archive has a link where the listing has the directory ${toText(at)}; nothing was restored`, {
        hint: 'take another snapshot',
      });
    }
  }
}

/** GNU tar cannot make a file at a path this long, but it can write one's content: into a short name, by a pass of its own. */
function unpackLong(tar: string, archive: string, path: Bytes, stage: Bytes): Bytes {
  const short = joinBytes(stage, temporaryName());
  const fd = onPath(short, (reachable) => openSync(reachable, 'wx', 0o600));
  try {
    const args = ['--force-local', '-xzOf', archive, '--null', '--verbatim-files-from', '-T', '-'];
    const input = Buffer.concat([Buffer.from('./'), toBuffer(path), Buffer.alloc(1)]);
    runSync('/bin/sh', ['-c', 'exec "$@" >&3', 'sh', tar, ...args], { input, inherit: [fd], timeout: TAR_TIMEOUT });
  } finally {
    closeSync(fd);
  }
  return short;
}

/**
 * Hashes every unpacked file against the listing, then moves it into place.
 * @param moved where a file is that does not lie at its own path below `stage`
 */
async function moveChecked(
  stage: Bytes,
  contents: readonly Entry[],
  moved: ReadonlyMap<Bytes, Bytes>,
  target: RestoreTarget,
  ctx: Context,
): Promise<void> {
  const none = new SharedArrayBuffer(4);
  const pool = new WorkerPool(ctx.workers, { table: { records: new SharedArrayBuffer(56), slots: none, counter: none }, packs: [] });
  let files = 0;
  let count = 0;
  const stagedAt = (path: Bytes): Bytes => moved.get(path) ?? joinBytes(stage, path);
  const place = (entry: Entry, actual: string | undefined): void => {
    const from = stagedAt(entry.path);
    if (actual !== (entry.sha256 ?? EMPTY_SHA256)) {
      target.damaged(
        entry.path,
        actual === undefined ? 'The archive does not hold it any more' : 'The archive holds other bytes than the backup recorded',
      );
      return;
    }
    onPath(from, (path) => {
      if (target.owners) lchownSync(path, entry.uid, entry.gid);
      chmodSync(path, entry.mode);
      onPath(joinBytes(target.directory, entry.path), (to) => renameSync(path, to));
    });
    files += 1;
    count += entry.size;
    target.progress(files, count);
  };
  try {
    const batches: Promise<void>[] = [];
    for (let at = 0; at < contents.length; at += HASH_BATCH) {
      const batch = contents.slice(at, at + HASH_BATCH);
      const job = pool.run({ kind: 'hash-files', paths: batch.map(({ path }) => stagedAt(path)) });
      batches.push(
        job.then(({ sha256 }) => {
          for (const [index, entry] of batch.entries()) place(entry, sha256[index]);
        }),
      );
    }
    await settleAll(batches);
  } finally {
    await pool.close();
  }
}

/** Whole from the save that the backup was exported from; else the newest part, beside the live file. */
async function restoreLogs(plan: RestorePlan, logs: readonly Entry[], target: RestoreTarget, ctx: Context): Promise<void> {
  const { vault, report } = plan.work;
  const save = listSnapshots(vault).find((ref): ref is SnapshotRef => ref.kind === 'save' && ref.id === report.exported_from);
  const lost = new Set<Bytes>(logs.map(({ path }) => path));
  let whole: Entry[] = [];
  try {
    if (save !== undefined) whole = loadEntries(vault, save).filter((entry) => lost.has(entry.path));
  } catch {
    // A damaged save leaves the newest parts.
  }
  for (const { path } of whole) lost.delete(path);
  await restoreFromObjects(plan, whole, { ...target, damaged: (path) => lost.add(path) }, ctx);
  const missing = logs.filter(({ path }) => lost.has(path));
  if (missing.length === 0) return;
  const tails = missing.map((entry) => ({ ...entry, path: bytes(`${entry.path}.tail`) }));
  await unpackTails(plan, tails, target, ctx);
  for (const entry of missing) {
    target.leftOut(entry.path);
    target.problem({
      code: 'log_capped',
      ...pathFields(entry.path),
      message: `Only its newest part is in the backup and the save is gone; that part is in ${toText(entry.path)}.tail`,
      severity: 'warning',
    });
  }
}

async function unpackTails(plan: RestorePlan, tails: readonly Entry[], target: RestoreTarget, ctx: Context): Promise<void> {
  const { vault, ref, report } = plan.work;
  const tar = requireProgram('tar', 'tar');
  const stage = joinBytes(target.directory, temporaryName());
  onPath(stage, (path) => mkdirSync(path, { mode: 0o700 }));
  try {
    const archive = `${vault.root}/${ref.directory}/${archiveName(report.project.name)}`;
    const names = Buffer.concat(tails.flatMap((entry) => [Buffer.from('./'), toBuffer(entry.path), Buffer.alloc(1)]));
    await run(tar, ['--force-local', '-xpzf', archive, '-C', '.', '--null', '--verbatim-files-from', '-T', '-'], {
      cwd: toText(stage),
      timeout: TAR_TIMEOUT,
      signal: ctx.signal,
      input: names,
    });
    for (const entry of tails) {
      onPath(joinBytes(stage, entry.path), (from) => {
        if (existsSync(from)) onPath(joinBytes(target.directory, entry.path), (to) => renameSync(from, to));
      });
    }
  } catch (error) {
    onPath(stage, tryRemove);
    throw error;
  }
  // What was done is whole, but a directory of ours among the user's files has to be told.
  onPath(stage, (path) => rmSync(path, { recursive: true, force: true }));
}
