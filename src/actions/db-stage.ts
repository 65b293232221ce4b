// Where a single database is put together before it gets its name: a private directory beside that name, on the same
// file system, which no save ever captures. And the warning for work that takes longer than anyone expects.

import { randomBytes } from 'node:crypto';
import { closeSync, constants, linkSync, lstatSync, mkdirSync, openSync, readdirSync, renameSync, rmdirSync, rmSync, unlinkSync } from 'node:fs';
import { type Bytes, bytes, joinBytes, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError, errnoOf } from '../base/errors.ts';
import { databaseFailure } from '../os/database-errors.ts';
import { syncDirectory, syncFile } from '../os/files.ts';
import { onPath } from '../os/long-path.ts';

/** Never captured (source/walk.ts); the process that made it is named, so that what a dead one left can be told. */
const PREFIX = '.cora-restore-db-';
/** Process numbers are used again, and may be those of another container: an old directory of a dead process is rubbish. */
const STALE_MS = 86_400_000;

/** A staging directory. `path` is text that programs and SQLite take, whatever the directory is called. */
export type Stage = { readonly path: string; readonly close: () => void };

/** Makes a staging directory in `directory`, mode 0700. @throws CoraError read_only, no_space, io */
export function openStage(directory: Bytes, now: number): Stage {
  removeStale(directory, now);
  const made = joinBytes(directory, bytes(`${PREFIX}${process.pid}-${randomBytes(4).toString('hex')}`));
  try {
    onPath(made, (path) => mkdirSync(path, { mode: 0o700 }));
  } catch (error) {
    throw databaseFailure(error, toText(directory), 'written');
  }
  // A descriptor gives a name of any bytes a path of plain text.
  const fd = onPath(made, (path) => openSync(path, constants.O_RDONLY | constants.O_DIRECTORY));
  return {
    path: `/proc/self/fd/${fd}`,
    close: () => {
      try {
        for (const name of readdirSync(`/proc/self/fd/${fd}`)) rmSync(`/proc/self/fd/${fd}/${name}`, { force: true });
        onPath(made, (path) => rmdirSync(path));
      } catch {
        // What happened before counts; the directory is private, no save takes it in, and a later run removes it.
      } finally {
        closeSync(fd);
      }
    },
  };
}

function removeStale(directory: Bytes, now: number): void {
  for (const name of onPath(directory, (path) => readdirSync(path, { encoding: 'latin1' }))) {
    const pid = new RegExp(`^\\${PREFIX}(\\d+)-[0-9a-f]{8}$`).exec(name)?.[1];
    if (pid === undefined || lstatSync(`/proc/${pid}`, { throwIfNoEntry: false }) !== undefined) continue;
    const path = joinBytes(directory, bytes(name));
    try {
      if (now - onPath(path, (reachable) => lstatSync(reachable)).mtimeMs > STALE_MS)
        onPath(path, (old) => rmSync(old, { recursive: true, force: true }));
    } catch {
      // Somebody else's; it is in nobody's way.
    }
  }
}

/**
 * Gives a staged file its name, durably; never over anything that is there.
 * @throws CoraError target_exists; system errors
 */
export function publish(staged: string, target: Bytes, directory: Bytes): void {
  syncFile(staged);
  onPath(target, (path) => {
    try {
      linkSync(staged, path);
      unlinkSync(staged);
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') throw targetExists(target, 'choose another name');
      if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK', 'ENOSYS'].includes(errnoOf(error) ?? '')) throw error;
      // No hard links here (vfat): between the look and the rename somebody could be faster, by microseconds.
      if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) throw targetExists(target, 'choose another name');
      renameSync(staged, path);
    }
  });
  onPath(directory, syncDirectory);
}

/** The refusal to write over something. */
export function targetExists(target: Bytes, hint: string): CoraError {
  return new CoraError('target_exists', `${toText(target)} exists already; nothing was changed`, { hint });
}

/** Says `message` once when `milliseconds` have passed and it still runs. Call what it gives when it is done: a check that kept this thread busy may have kept it back. */
export function warnWhenSlow(ctx: Context, milliseconds: number, message: string): () => void {
  const begun = performance.now();
  let said = false;
  const say = (): void => {
    if (!said) ctx.monitor.problem({ code: 'db_slow', message, severity: 'warning' });
    said = true;
  };
  const timer = setTimeout(say, milliseconds);
  timer.unref();
  return () => {
    clearTimeout(timer);
    if (performance.now() - begun >= milliseconds) say();
  };
}

/** `20261121-031500`, UTC. */
export function stampOf(time: number): string {
  return new Date(time)
    .toISOString()
    .replace(/\.\d+Z$/, '')
    .replaceAll('-', '')
    .replaceAll(':', '')
    .replace('T', '-');
}
