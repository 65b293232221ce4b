// What `cora db restore` would do, as data: which way, what is kept, and what is in the copy. Changes nothing.

import { lstatSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Bytes, bytes, dirnameBytes, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import { databaseFailure } from '../os/database-errors.ts';
import { databaseFiles, databaseHeader, findDatabaseHolders, realDatabase } from '../os/database-files.ts';
import type { Holder } from '../os/holders.ts';
import { onPath } from '../os/long-path.ts';
import { inspect } from '../os/sqlite-open.ts';
import { stampOf } from './db-stage.ts';

export type DbRestoreOptions = {
  /** Absolute. */
  readonly copy: Bytes;
  /** Absolute. */
  readonly target: Bytes;
  /** Consent to replace what is there. */
  readonly force: boolean;
  /** Milliseconds that a program may keep the target locked. */
  readonly timeout: number;
  /** Milliseconds after which it says that it takes long; default ten minutes. */
  readonly slowAfter?: number;
};

/** `new`: there is no such file; `replace`: nobody has it open; `into`: through SQLite, while programs have it open. */
export type DbRestoreWay = 'new' | 'replace' | 'into';

export type DbRestorePlan = {
  readonly options: DbRestoreOptions;
  /** The target itself, links followed. */
  readonly real: Bytes;
  readonly way: DbRestoreWay;
  readonly holders: readonly Holder[];
  /** Where what is there now is kept; undefined where nothing is there. */
  readonly keep: Bytes | undefined;
  /** True where something is there and nobody consented. */
  readonly needsForce: boolean;
};

/**
 * Looks at what is there; changes nothing, and does not look into the copy.
 * @throws CoraError not_found, usage
 */
export function planDatabaseRestore(options: DbRestoreOptions, ctx: Context): DbRestorePlan {
  const { copy, target } = options;
  const directory = dirnameBytes(target);
  if (onPath(directory, (path) => statSync(path, { throwIfNoEntry: false }))?.isDirectory() !== true)
    throw new CoraError('not_found', `There is no directory ${toText(directory)}`, { hint: 'make it (mkdir -p), then run the command again' });
  const source = onPath(copy, (path) => statSync(path, { throwIfNoEntry: false }));
  if (source === undefined) throw new CoraError('not_found', `There is no copy ${toText(copy)}`, { hint: 'check the path' });
  const live = onPath(target, (path) => statSync(path, { throwIfNoEntry: false }));
  if (live === undefined && onPath(target, (path) => lstatSync(path, { throwIfNoEntry: false })) !== undefined)
    throw new CoraError('usage', `${toText(target)} is a link to nothing`, { hint: 'name the database itself' });
  if (live !== undefined && !live.isFile())
    throw new CoraError('usage', `${toText(target)} is no file`, { hint: 'name the database itself with --db' });
  if (live !== undefined && live.ino === source.ino && live.dev === source.dev)
    throw new CoraError('usage', `The copy and the target are the same file: ${toText(target)}`, { hint: 'name another target with --db' });
  const real = live === undefined ? target : realDatabase(target);
  const { holders, unseen } = findDatabaseHolders(real);
  const there = databaseFiles(real).length > 0;
  // Where some processes cannot be looked at, SQLite's own locks are what can be relied on.
  const inUse = holders.length > 0 || unseen > 0;
  // A file of several names stays one file only if it is written into.
  const way = live === undefined ? 'new' : inUse || live.nlink > 1 ? 'into' : 'replace';
  return { options, real, way, holders, keep: there ? keptName(real, ctx.now()) : undefined, needsForce: there && !options.force };
}

/** What is in the copy, and what is in the target now (undefined: nothing, or nothing that can be read). Changes nothing. */
export async function previewDatabaseRestore(
  plan: DbRestorePlan,
): Promise<{ readonly copy: Awaited<ReturnType<typeof inspect>>; readonly current: Readonly<Record<string, number>> | undefined }> {
  const { copy, timeout } = plan.options;
  if (databaseHeader(copy).length === 0) throw verificationFailed(new CoraError('damaged', `${toText(copy)} is empty, or may not be read`));
  const scratch = mkdtempSync(join(tmpdir(), 'cora-db-'));
  try {
    const found = await inspect(copy, `${scratch}/link`, timeout, 'integrity_check').catch((error: unknown) => {
      throw verificationFailed(databaseFailure(error, toText(copy), 'checked'));
    });
    if (found.check.result !== 'ok')
      throw verificationFailed(new CoraError('damaged', `${toText(copy)} is damaged (${found.check.result.slice(0, 200)})`));
    if (plan.way === 'new') return { copy: found, current: undefined };
    const current = await inspect(plan.real, `${scratch}/link`, timeout, 'quick_check').catch(() => undefined);
    return { copy: found, current: current?.check.result === 'ok' ? current.check.tables : undefined };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** A copy that is no good is damage found (21); everything else keeps its answer. */
export function verificationFailed(error: unknown): unknown {
  if (!(error instanceof CoraError) || error.details?.['unreadable'] === true) return error;
  if (error.code !== 'db_open_failed' && error.code !== 'db_integrity_check_failed' && error.code !== 'damaged') return error;
  return new CoraError('damaged', `Backup verification failed: ${error.message.replace('; no copy was kept', '')}; nothing was changed`, {
    hint: 'take another copy, or one from the vault: cora list, cora restore ID PATH --to DIR',
    cause: error,
  });
}

/** `<target>.pre-restore-20261121-031500`, with `-2` and so on where that is taken. */
export function keptName(real: Bytes, now: number): Bytes {
  for (let number = 1; ; number++) {
    const path = bytes(`${real}.pre-restore-${stampOf(now)}${number > 1 ? `-${number}` : ''}`);
    if (databaseFiles(path).length === 0) return path;
  }
}
