// Whether a copy lies at its remote byte for byte: every object is read back from there and hashed, because sizes and the remote's
// own checksums tell nothing of a changed byte on webdav, sftp or crypt remotes.

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type Bytes, bytes, fromText, fsPath, isText, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import type { Sum } from '../format/checksums.ts';
import { exists, tryRemove, writeNewFile } from '../os/files.ts';
import { RCLONE_EXIT, type RcloneResult, rclone } from '../os/rclone.ts';
import { below, failure, type Remote } from './offsite-remote.ts';
import { stopIfAborted } from './settle.ts';

/** An object that is not what it must be. `path` as the snapshot names it, or as rclone shows it where that cannot be told. */
export type Difference = { readonly path: string; readonly what: 'differs' | 'missing' };

/**
 * @param sums of every object of the copy
 * @param local the directory with the same files, for names that a list for rclone cannot hold; undefined: there are none
 * @param scratch a directory for the list
 * @returns what is not as it must be; empty: all of it was read and is right
 * @throws CoraError remote_failed where that could not be found out
 */
export async function compareRemote(
  remote: Remote,
  directory: string,
  sums: readonly Sum[],
  local: string | undefined,
  scratch: string,
  ctx: Context,
): Promise<Difference[]> {
  const total = sums.length;
  const onProgress = ({ bytes: done, totalBytes, files }: { bytes: number; totalBytes: number; files: number }) =>
    ctx.monitor.progress({ phase: 'check', files, totalFiles: total, bytes: done, totalBytes });
  ctx.monitor.phase('check');
  const target = below(remote, directory);
  if (sums.some(({ path }) => isOdd(path))) {
    if (local === undefined) return fetchAndCompare(remote, target, sums, scratch, ctx);
    // rclone lists both sides itself: then each name is what it makes of it. What it is compared with has to be right first.
    const damaged = await damagedLocally(local, sums);
    if (damaged.length > 0) throw damagedSource(damaged);
    return differencesOf(
      remote,
      await rclone(remote.rclone, ['check', '--download', '--one-way', '--combined=-', '--', local, target], { onProgress }),
    );
  }
  const list = `${scratch}/sums-${createHash('sha256').update(target).digest('hex').slice(0, 12)}`;
  writeNewFile(list, Buffer.from(sums.map(({ path, sha256 }) => `${sha256}  ${path}\n`).join(''), 'latin1'));
  try {
    const args = ['check', '--checkfile=sha256', '--download', '--one-way', '--combined=-', '--', list, target];
    const result = await rclone(remote.rclone, args, { onProgress });
    const differences = differencesOf(remote, result);
    // A list that rclone read wrongly must not look like a proof.
    const named = result.stdout
      .toString()
      .split('\n')
      .filter((line) => line !== '').length;
    if (differences.length === 0 && named !== total) {
      throw new CoraError('remote_failed', `${remote.name}: rclone compared ${named} of ${total} objects`, { hint: 'cora ship tries again' });
    }
    return differences;
  } finally {
    tryRemove(list);
  }
}

/** For names that no list can hold, where the snapshot itself is not here any more: all of it comes back to be hashed. */
async function fetchAndCompare(remote: Remote, target: string, sums: readonly Sum[], scratch: string, ctx: Context): Promise<Difference[]> {
  const directory = `${scratch}/fetched`;
  try {
    const result = await rclone(remote.rclone, ['copy', '--', target, directory], { retries: 2 });
    stopIfAborted(ctx);
    if (result.exitCode !== 0 && result.exitCode !== RCLONE_EXIT.directoryNotFound) throw failure(remote.name, 'cannot be read', result);
    const wrong = await damagedLocally(directory, sums);
    return wrong.map((path) => ({ path, what: exists(`${directory}/${path}`) ? 'differs' : 'missing' }));
  } finally {
    tryRemove(directory);
  }
}

/** A name that a list of sums for rclone cannot hold as it is. */
export function isOdd(path: Bytes): boolean {
  return !isText(path) || /[\x00-\x1f\x7f\\]|^ | $| \/|\/ /.test(path);
}

function differencesOf(remote: Remote, result: RcloneResult): Difference[] {
  const differences: Difference[] = [];
  for (const line of result.stdout.toString().split('\n')) {
    if (line.startsWith('* ')) differences.push({ path: line.slice(2), what: 'differs' });
    else if (line.startsWith('+ ')) differences.push({ path: line.slice(2), what: 'missing' });
    // What could not be read is no proof of damage: a server may be down.
    else if (line.startsWith('! ')) throw failure(remote.name, `cannot be read (${line.slice(2)})`, result);
  }
  if (result.exitCode !== 0 && differences.length === 0) throw failure(remote.name, 'cannot be compared', result);
  if (result.exitCode === null) throw failure(remote.name, 'cannot be compared', result);
  return differences;
}

/** Those files of a snapshot that do not have their sums. */
export async function damagedLocally(directory: string, sums: readonly Sum[]): Promise<string[]> {
  const damaged: string[] = [];
  for (const { path, sha256 } of sums) {
    const digest = createHash('sha256');
    try {
      for await (const part of createReadStream(fsPath(bytes(`${fromText(directory)}/${path}`)))) digest.update(part as Buffer);
    } catch {
      damaged.push(toText(path));
      continue;
    }
    if (digest.digest('hex') !== sha256) damaged.push(toText(path));
  }
  return damaged;
}

export function damagedSource(paths: readonly string[]): CoraError {
  return new CoraError('damaged', `The snapshot itself is damaged and was not sent: ${paths.slice(0, 3).join(', ')}`, {
    hint: 'cora verify --deep, then cora backup now',
    details: { paths: [...paths] },
  });
}
