// Puts another file in the place of a database that no program has open. Invariant: an old -wal or -journal never
// lies beside a new main file, for SQLite would play it into it and bring the old content back.

import { constants, linkSync, lstatSync, openSync, renameSync, rmSync } from 'node:fs';
import { type Bytes, bytes, dirnameBytes } from '../base/bytes.ts';
import { errnoOf } from '../base/errors.ts';
import { copyAttributes } from './attributes.ts';
import { databaseFiles, databaseHeader, isThere } from './database-files.ts';
import { closing, syncDirectory } from './files.ts';
import { onPath } from './long-path.ts';
import { openLive } from './sqlite-open.ts';

/** One file that was moved. */
export type MovedFile = { readonly from: Bytes; readonly to: Bytes };

/** How a database was replaced. */
export type Replaced = {
  /** What was at `live`, for undo: moving each `to` back to its `from` (after what is there now is taken away) brings it back. */
  readonly moved: readonly MovedFile[];
  /** True where the name never was without its file: a crash shows wholly old or wholly new. */
  readonly atomic: boolean;
};

/**
 * Puts `staged` in the place of `live`, and what was there under the name `aside`. Only for a database that no program has open.
 * Old content that was only in a -wal, or in the pages of a hot journal, is first brought into the main file by SQLite itself; where it
 * cannot (a damaged file), main file, -wal, -shm and -journal are moved together. The new file gets the old one's owner, mode, ACLs and extended attributes.
 * @param staged a complete, synced file on the same file system, with nothing beside it
 * @param live absolute, no link (`realDatabase`); need not exist
 * @param aside absolute, on the same file system; must not exist
 * @throws CoraError refused where they cannot be given (nothing was changed); system errors; what was moved until then is moved back
 */
export async function replaceDatabase(staged: Bytes, live: Bytes, aside: Bytes): Promise<Replaced> {
  const old = onPath(live, (path) => lstatSync(path, { throwIfNoEntry: false }));
  if (old !== undefined) {
    likeOriginal(live, staged);
  }
  const settled = old !== undefined && (await settle(live)) && databaseFiles(live).length === 1;
  const moved: MovedFile[] = [];
  try {
    if (settled && linkAside(live, aside)) {
      moved.push({ from: live, to: aside });
      onPath(dirnameBytes(live), syncDirectory);
    } else {
      // Sidecars first: a main file without its -wal is old; one with a foreign -wal is garbage.
      for (const from of databaseFiles(live).toReversed()) {
        const to = bytes(`${aside}${from.slice(live.length)}`);
        move(from, to);
        moved.push({ from, to });
      }
    }
    move(staged, live);
  } catch (error) {
    for (const { from, to } of moved) {
      if (onPath(from, isThere)) onPath(to, (path) => rmSync(path, { force: true }));
      else move(to, from);
    }
    onPath(dirnameBytes(live), syncDirectory);
    throw error;
  }
  onPath(dirnameBytes(live), syncDirectory);
  return { moved, atomic: settled || old === undefined };
}

/**
 * Takes what is at each `from` away and moves the old files back: `replaceDatabase` backwards.
 * @throws system errors
 */
export function putBack(replaced: Replaced, live: Bytes): void {
  for (const path of databaseFiles(live).toReversed()) {
    // One old file is renamed over the new one, so that the name is never without a file. Of several the main file comes last.
    if (path !== live || replaced.moved.length !== 1) onPath(path, (reachable) => rmSync(reachable, { force: true }));
  }
  for (const { from, to } of replaced.moved) move(to, from);
  onPath(dirnameBytes(live), syncDirectory);
}

/** False where the file system knows no hard links. */
function linkAside(live: Bytes, aside: Bytes): boolean {
  try {
    onPath(live, (from) => onPath(aside, (to) => linkSync(from, to)));
    return true;
  } catch (error) {
    if (['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK', 'ENOSYS'].includes(errnoOf(error) ?? '')) return false;
    throw error;
  }
}

function move(from: Bytes, to: Bytes): void {
  onPath(from, (source) => onPath(to, (target) => renameSync(source, target)));
}

/** Has SQLite bring everything into the main file. False where it cannot: damaged, locked, not a database. */
export async function settle(live: Bytes): Promise<boolean> {
  // Of a main file that was cut to nothing, SQLite would delete the -wal that may hold the last of its content.
  if (databaseHeader(live).toString('latin1', 0, 16) !== 'SQLite format 3\0') return false;
  try {
    const { database, release } = await openLive(live, 1000);
    try {
      // Rolls a hot journal back; the mode stays as it is.
      database.pragma('schema_version');
      const [state] = database.pragma('wal_checkpoint(TRUNCATE)') as { busy: number }[];
      return state?.busy === 0;
    } finally {
      release();
    }
  } catch {
    return false;
  }
}

/** Owner, mode, ACLs and extended attributes of the old file. No connection of ours is open. */
function likeOriginal(live: Bytes, staged: Bytes): void {
  const from = onPath(live, (path) => openSync(path, constants.O_RDONLY | constants.O_NONBLOCK));
  closing(from, () => {
    const to = onPath(staged, (path) => openSync(path, constants.O_RDWR));
    closing(to, () => copyAttributes(from, to));
  });
}
