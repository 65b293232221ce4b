// `cora db backup`: one database into one file that stands alone, without a project and without a vault. The file has its
// name only when it is complete, verified and durable.

import { lstatSync } from 'node:fs';
import { type Bytes, basenameBytes, bytes, dirnameBytes, joinBytes, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import { databaseFailure } from '../os/database-errors.ts';
import { findDatabaseHolders, realDatabase } from '../os/database-files.ts';
import { freeBytes } from '../os/files.ts';
import { onPath } from '../os/long-path.ts';
import { openLive } from '../os/sqlite-open.ts';
import { type CopyFacts, copyDatabase } from './db-copy.ts';
import { openStage, publish, stampOf, targetExists, warnWhenSlow } from './db-stage.ts';

export type DbBackupOptions = {
  /** Absolute. */
  readonly source: Bytes;
  /** Absolute; undefined: beside the database, named after it and the time. */
  readonly output: Bytes | undefined;
  readonly checkpoint: boolean;
  readonly verify: boolean;
  /** Milliseconds that a writer may keep it locked. */
  readonly timeout: number;
  /** Milliseconds after which it says that it takes long; default five minutes. */
  readonly slowAfter?: number;
};

/** What became of the checkpoint: `held` where a program has the database open, `off` where nobody wanted it, `none` where there is no WAL. */
export type Checkpoint = 'done' | 'held' | 'off' | 'none' | 'failed';

export type DbBackupResult = CopyFacts & {
  readonly source: Bytes;
  readonly path: Bytes;
  readonly checkpoint: Checkpoint;
  readonly seconds: number;
};

const SLOW_MS = 300_000;
const SLOW = 'The backup has taken over 5 minutes: it goes on; a slow disk, a very large -wal or a writer that keeps the lock are the usual reasons';

/**
 * Makes a copy of a database that may be in use. On any failure nothing is left at the output's name.
 * @throws CoraError target_exists, no_space, read_only, io, and those of `copyDatabase`
 */
export async function backupDatabase(options: DbBackupOptions, ctx: Context): Promise<DbBackupResult> {
  const begun = performance.now();
  const output = options.output ?? freeName(options.source, ctx.now());
  const directory = dirnameBytes(output);
  if (onPath(output, isTaken)) throw targetExists(output, 'choose another name with --backup, or move the file away');
  const done = warnWhenSlow(ctx, options.slowAfter ?? SLOW_MS, SLOW);
  try {
    ctx.monitor.phase('databases');
    checkDirectory(directory, options.source);
    const stage = openStage(directory, ctx.now());
    let facts: CopyFacts;
    try {
      const target = `${stage.path}/copy`;
      facts = await copyDatabase({ source: options.source, target, verify: options.verify, timeout: options.timeout }, ctx);
      publish(target, output, directory);
    } finally {
      stage.close();
    }
    // Only now: a database is touched when there is a copy of it.
    const checkpoint = await writeBack(options.source, options.checkpoint ? facts.journalMode : undefined);
    return { ...facts, source: options.source, path: output, checkpoint, seconds: (performance.now() - begun) / 1000 };
  } catch (error) {
    throw databaseFailure(error, toText(options.source), 'copied');
  } finally {
    done();
  }
}

/** `app-backup-20261121-031500.db` for `app.db`, with `-2` and so on where that is taken. */
function freeName(source: Bytes, now: number): Bytes {
  const stem = basenameBytes(source).replace(/(?<=.)\.(?:db|sqlite3?|db3)$/i, '');
  for (let number = 1; ; number++) {
    const path = joinBytes(dirnameBytes(source), bytes(`${stem}-backup-${stampOf(now)}${number > 1 ? `-${number}` : ''}.db`));
    if (!onPath(path, isTaken)) return path;
  }
}

function checkDirectory(directory: Bytes, source: Bytes): void {
  const stat = onPath(directory, (path) => lstatSync(path, { throwIfNoEntry: false }));
  if (stat === undefined)
    throw new CoraError('not_found', `There is no directory ${toText(directory)}`, { hint: 'make it (mkdir -p), then run the command again' });
  const needed = onPath(source, (path) => lstatSync(path, { throwIfNoEntry: false }))?.size ?? 0;
  const free = onPath(directory, (path) => freeBytes(path));
  if (free < needed) {
    throw new CoraError('no_space', `The copy of ${toText(source)} needs ${needed} bytes in ${toText(directory)}, and ${free} are free`, {
      hint: 'free space (df -h), or name another place with --backup',
      details: { needed, free },
    });
  }
}

/** Has SQLite write the -wal back into the main file and empty it, where nobody else has the database open. */
async function writeBack(source: Bytes, journalMode: string | undefined): Promise<Checkpoint> {
  if (journalMode === undefined) return 'off';
  if (journalMode !== 'wal') return 'none';
  try {
    const live = realDatabase(source);
    if (findDatabaseHolders(live).holders.length > 0) return 'held';
    const { database, release } = await openLive(live, 1000);
    try {
      const [state] = database.pragma('wal_checkpoint(TRUNCATE)') as { busy: number }[];
      return state?.busy === 0 ? 'done' : 'held';
    } finally {
      release();
    }
  } catch {
    // It may not be written by us, or somebody came in between: the copy has what the -wal holds anyway.
    return 'failed';
  }
}

function isTaken(path: string | Buffer): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}
