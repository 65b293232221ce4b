// Bytes from a remote into files of ours, so that a run that was cut off goes on where it stopped. Nothing here believes what it
// gets: rclone's 0 lies on S3 (an object that is not there is empty), and a part on the disk may be of another object. The caller
// compares sums.

import { chmodSync, closeSync, fstatSync, fsyncSync, ftruncateSync, openSync } from 'node:fs';
import type { Context } from '../base/context.ts';
import { CoraError, writeFailure } from '../base/errors.ts';
import { writeAll } from '../os/files.ts';
import { type RcloneResult, rclone, readObject } from '../os/rclone.ts';
import { below, failure, type Remote } from './offsite-remote.ts';
import { stopIfAborted } from './settle.ts';

/** How much of all that is fetched in one run is there. */
export type FetchProgress = { files: number; bytes: number; readonly totalFiles: number; readonly totalBytes: number };

/** A line that breaks again and again without a byte is no line. */
const TRIES = 3;

export function showProgress(progress: FetchProgress, ctx: Context, more = 0, moreFiles = 0): void {
  const { totalFiles, totalBytes } = progress;
  ctx.monitor.progress({ phase: 'fetch', files: progress.files + moreFiles, totalFiles, bytes: progress.bytes + more, totalBytes });
}

/**
 * Downloads one object into a file, beginning where the file ends.
 * @param path below the remote
 * @param size as the remote's listing has it; the file has so many bytes afterwards
 * @returns false where the remote gave fewer or more bytes than that
 * @throws CoraError remote_failed, interrupted, no_space
 */
export async function downloadObject(
  remote: Remote,
  path: string,
  file: string,
  size: number,
  progress: FetchProgress,
  ctx: Context,
): Promise<boolean> {
  const fd = openSync(file, 'a', 0o600);
  try {
    let has = fstatSync(fd).size;
    if (has > size) {
      ftruncateSync(fd, 0);
      has = 0;
    }
    for (let tries = 0; has < size; ) {
      stopIfAborted(ctx);
      const before = has;
      const result = await readObject(remote.rclone, below(remote, path), has, (part) => {
        writeAll(fd, part);
        has += part.length;
        showProgress(progress, ctx, has);
        if (has > size) throw new TooLong();
      }).catch(endOfTooLong);
      if (result === undefined || has > size) return false;
      if (has === size) break;
      if (result.exitCode === 0) return false;
      tries = has > before ? 0 : tries + 1;
      if (tries >= TRIES) throw failure(remote.name, `did not give ${path}`, result);
    }
    fsyncSync(fd);
    progress.files += 1;
    progress.bytes += size;
    showProgress(progress, ctx);
    return true;
  } catch (error) {
    throw error instanceof CoraError ? error : writeFailure(error, file);
  } finally {
    closeSync(fd);
  }
}

class TooLong extends Error {}

function endOfTooLong(error: unknown): undefined {
  if (!(error instanceof TooLong)) throw error;
}

/**
 * A small object, whole.
 * @param most bytes
 * @throws CoraError remote_failed
 */
export async function readWhole(remote: Remote, path: string, most: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  const result: RcloneResult | undefined = await readObject(remote.rclone, below(remote, path), 0, (part) => {
    size += part.length;
    if (size > most) throw new TooLong();
    parts.push(part);
  }).catch(endOfTooLong);
  if (result !== undefined && result.exitCode !== 0) throw failure(remote.name, `did not give ${path}`, result);
  return Buffer.concat(parts);
}

/**
 * Downloads everything below a directory of the remote that is not there yet; a file of the same size counts as there.
 * rclone's own comparison is left out: what was altered is the caller's to find, by the sums that the marker vouches for.
 * Names that are no text come as they were: rclone's local file system decodes them.
 * @throws CoraError remote_failed, interrupted
 */
export async function downloadDirectory(
  remote: Remote,
  path: string,
  directory: string,
  except: readonly string[],
  progress: FetchProgress,
  ctx: Context,
): Promise<void> {
  const excluded = except.map((name) => `--exclude=/${name}`);
  const result = await rclone(
    remote.rclone,
    ['copy', '--size-only', '--ignore-checksum', '--transfers=8', ...excluded, '--', below(remote, path), directory],
    {
      retries: TRIES,
      onProgress: ({ bytes, files }) => showProgress(progress, ctx, bytes, files),
    },
  );
  if (result.exitCode === 0) return;
  if (/no space left|preallocate|disk quota/i.test(result.errors.join('\n'))) {
    throw new CoraError('no_space', `No space left while writing ${directory}`, {
      hint: 'free space there (df -h, df -i), or name another place with --vault, then run the command again',
    });
  }
  throw failure(remote.name, `did not give ${path}`, result);
}

/** Git runs no hook without the x, which an object store does not keep. */
export function makeRunnable(files: readonly string[]): void {
  for (const file of files) chmodSync(file, 0o700);
}
