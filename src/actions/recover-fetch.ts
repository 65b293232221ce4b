// One copy from a remote into a directory of ours, as the snapshot's directory was, every file compared with SHA256SUMS.txt and that
// with the marker. Invariant: it returns only where everything is what the marker vouches for; anything else is an error that names
// it, and then nothing of the copy is used.

import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { type Bytes, bytes, fromText, fsPath, isAscii, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError, errnoOf } from '../base/errors.ts';
import { formatBytes } from '../base/units.ts';
import { parseSums, type Sum } from '../format/checksums.ts';
import { COMPLETE } from '../format/complete.ts';
import { readCold } from '../os/cold-read.ts';
import { freeBytes, syncTreeDirectories } from '../os/files.ts';
import { syncFileSystem } from '../os/sync.ts';
import { NAMES } from '../vault/layout.ts';
import { bytesBelow } from './list.ts';
import { listObjects, type Remote, type RemoteCopy } from './offsite-remote.ts';
import { downloadDirectory, downloadObject, type FetchProgress, makeRunnable, readWhole } from './recover-download.ts';
import { stopIfAborted } from './settle.ts';

export type Fetched = {
  /** The snapshot's directory as it was, synced. */
  readonly directory: string;
  readonly files: number;
  readonly bytes: number;
  /** Bytes that this run took from the remote. */
  readonly downloaded: number;
  readonly downloadSeconds: number;
  readonly decryptSeconds: number;
  readonly checkSeconds: number;
};

/** From this size on an object is fetched alone, and goes on in its middle after a break. */
const LARGE = 8 << 20;
const MOST_SUMS = 1 << 30;
/** Names in a sentence; `--json` has all. */
const SHOWN = 5;

/** @throws CoraError damaged with every name that is wrong */
export function refuseDamaged(copy: RemoteCopy, wrong: readonly string[], reason: string): never {
  throw damagedCopy(copy, wrong, reason);
}

export function damagedCopy(copy: RemoteCopy, wrong: readonly string[], reason: string): CoraError {
  const shown = wrong.slice(0, SHOWN).join(', ');
  const more = wrong.length > SHOWN ? ` and ${wrong.length - SHOWN} more` : '';
  return new CoraError('damaged', `The copy ${copy.directory} is damaged: ${shown}${more} ${reason}; nothing of it was used`, {
    hint: 'cora recover REMOTE lists the other copies; take an older one',
    details: { copy: copy.directory, objects: [...wrong], reason },
  });
}

/**
 * A copy in the clear.
 * @param stage `parts/` and `files/` in it are ours
 * @throws CoraError damaged, remote_failed, no_space, interrupted
 */
export async function fetchPlain(remote: Remote, copy: RemoteCopy, stage: string, ctx: Context): Promise<Fetched> {
  const begun = performance.now();
  ctx.monitor.phase('fetch');
  const files = `${stage}/files`;
  const there = await listObjects(remote, copy.directory);
  const text = await readSums(remote, copy, there);
  const sums = safeSums(text, copy);
  const missing = sums.map(({ path }) => path).filter((path) => isPlain(path) && !there.has(toText(path)));
  if (missing.length > 0) refuseDamaged(copy, missing.map(toText), missing.length === 1 ? 'is missing' : 'are missing');
  const total = [...there.values()].reduce((sum, size) => sum + size, 0);
  const had = bytesBelow(stage);
  requireRoom(stage, total - had);
  writeFileSync(`${files}/${NAMES.sums}`, text, { mode: 0o600 });
  const progress: FetchProgress = { files: 0, bytes: 0, totalFiles: there.size, totalBytes: total };
  let wrong = sums;
  // A file that a cut left under its own name is fetched once more; what is wrong then is wrong at the remote.
  for (let round = 0; round < 2 && wrong.length > 0; round++) {
    await fetchFiles(remote, copy, wrong, there, stage, progress, ctx);
    syncFileSystem(fromText(stage));
    wrong = await compare(files, round === 0 ? sums : wrong, ctx);
    for (const { path } of wrong) rmSync(fsPath(bytes(`${fromText(files)}/${path}`)), { force: true, recursive: true });
  }
  const seconds = (performance.now() - begun) / 1000;
  if (wrong.length > 0)
    refuseDamaged(
      copy,
      wrong.map(({ path }) => toText(path)),
      wrong.length === 1 ? 'was altered' : 'were altered',
    );
  finishFiles(files, sums, ctx);
  const size = bytesBelow(files);
  return {
    directory: files,
    files: sums.length + 1,
    bytes: size,
    downloaded: Math.max(0, size - had),
    downloadSeconds: seconds,
    decryptSeconds: 0,
    checkSeconds: 0,
  };
}

async function readSums(remote: Remote, copy: RemoteCopy, there: ReadonlyMap<string, number>): Promise<Buffer> {
  const size = there.get(NAMES.sums);
  if (size === undefined) return refuseDamaged(copy, [NAMES.sums], 'is missing');
  const text = await readWhole(remote, `${copy.directory}/${NAMES.sums}`, Math.min(MOST_SUMS, size + 1));
  return requireSums(text, copy);
}

/** @throws CoraError damaged where it is not the SHA256SUMS.txt that the marker names */
export function requireSums(text: Buffer, copy: RemoteCopy): Buffer {
  if (createHash('sha256').update(text).digest('hex') !== copy.complete.sums_sha256) refuseDamaged(copy, [NAMES.sums], 'was altered');
  return text;
}

/** @throws CoraError damaged for a name that leads out of the snapshot's directory */
export function safeSums(text: Buffer, copy: RemoteCopy): readonly Sum[] {
  const sums = parseSums(text);
  const odd = sums.filter(({ path }) => path.startsWith('/') || path.split('/').some((part) => part === '' || part === '.' || part === '..'));
  if (odd.length > 0)
    refuseDamaged(
      copy,
      odd.map(({ path }) => toText(path)),
      'leads out of the copy',
    );
  return sums;
}

/** A name that rclone shows as it is. What it writes in another way, its own copying brings back. */
function isPlain(path: Bytes): boolean {
  return isAscii(path) && !/[\x00-\x1f\x7f\\]/.test(path) && !/(^|\/)\.{1,2}(\/|$)|[ .](\/|$)/.test(path);
}

async function fetchFiles(
  remote: Remote,
  copy: RemoteCopy,
  wanted: readonly Sum[],
  there: ReadonlyMap<string, number>,
  stage: string,
  progress: FetchProgress,
  ctx: Context,
): Promise<void> {
  const files = `${stage}/files`;
  for (const { path, sha256 } of wanted) {
    const size = there.get(path) ?? 0;
    if (!isPlain(path) || size < LARGE || lstatSync(`${files}/${path}`, { throwIfNoEntry: false })?.size === size) continue;
    const part = `${stage}/parts/${sha256}`;
    // Fewer or more bytes than listed are found with the sums.
    await downloadObject(remote, `${copy.directory}/${path}`, part, size, progress, ctx);
    makeParents(files, path);
    renameSync(part, `${files}/${path}`);
  }
  stopIfAborted(ctx);
  await downloadDirectory(remote, copy.directory, files, [COMPLETE], progress, ctx);
}

function makeParents(root: string, path: string): void {
  const parts = path.split('/').slice(0, -1);
  for (let depth = 1; depth <= parts.length; depth++) {
    const directory = `${root}/${parts.slice(0, depth).join('/')}`;
    if (!existsSync(directory)) mkdirSync(directory, { mode: 0o700 });
  }
}

/** Files that do not have their hash, read past the cache. */
export async function compare(files: string, sums: readonly Sum[], ctx: Context): Promise<readonly Sum[]> {
  ctx.monitor.phase('verify');
  const wrong: Sum[] = [];
  let count = 0;
  let size = 0;
  for (const sum of sums) {
    stopIfAborted(ctx);
    const digest = createHash('sha256');
    try {
      size += readCold(fsPath(bytes(`${fromText(files)}/${sum.path}`)), (part) => digest.update(part)).bytes;
    } catch (error) {
      if (!['ENOENT', 'ENOTDIR', 'EISDIR', 'ELOOP'].includes(errnoOf(error) ?? '')) throw error;
      wrong.push(sum);
      continue;
    }
    if (digest.digest('hex') !== sum.sha256) wrong.push(sum);
    count += 1;
    ctx.monitor.progress({ phase: 'verify', files: count, totalFiles: sums.length, bytes: size, totalBytes: 0 });
  }
  return wrong;
}

/** What no sum names does not belong to the snapshot and goes; hooks get their x; directories are synced. */
export function finishFiles(files: string, sums: readonly Sum[], ctx: Context): void {
  const known = new Set<string>([NAMES.sums, ...sums.map(({ path }) => path)]);
  const hooks: string[] = [];
  for (const path of filesBelow(fromText(files), '')) {
    if (/^git\/(?:.*\/)?hooks\//.test(path)) hooks.push(`${files}/${path}`);
    if (known.has(path)) continue;
    rmSync(fsPath(bytes(`${fromText(files)}/${path}`)), { force: true });
    const message = 'It lies in the copy and SHA256SUMS.txt does not name it; it was left out';
    ctx.monitor.problem({ code: 'not_of_the_copy', path: toText(bytes(path)), message, severity: 'warning' });
  }
  makeRunnable(hooks.filter((path) => isAscii(path)));
  syncTreeDirectories(files);
}

/** Paths of everything that is no directory, as byte strings. */
export function* filesBelow(root: Bytes, prefix: string): Generator<string> {
  for (const entry of readdirSync(fsPath(bytes(`${root}/${prefix}`)), { withFileTypes: true, encoding: 'buffer' })) {
    const path = prefix + entry.name.toString('latin1');
    if (entry.isDirectory()) yield* filesBelow(root, `${path}/`);
    else yield path;
  }
}

/** @throws CoraError no_space */
export function requireRoom(directory: string, needed: number): void {
  const free = freeBytes(directory);
  if (needed <= free) return;
  throw new CoraError('no_space', `${formatBytes(needed)} are needed at ${directory}, and ${formatBytes(free)} are free`, {
    hint: 'free space there, or name another place with --vault, then run the command again',
    details: { needed, free },
  });
}
