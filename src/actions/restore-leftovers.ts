// What a restore that was killed left beside the files it wrote: entries with a temporary name of ours, which no snapshot holds.
// Invariant: only names that our own processes make go, and only once the process that made them is gone.

import { readdirSync } from 'node:fs';
import { type Bytes, fromBuffer, joinBytes } from '../base/bytes.ts';
import { errnoOf } from '../base/errors.ts';
import { tryRemove } from '../os/files.ts';
import { onPath } from '../os/long-path.ts';
import { makerOf } from '../store/temporary-name.ts';

/**
 * Removes them from one directory, as far as the disk lets it; one that is not there, or is none, has none.
 * @throws the system error of reading the directory
 */
export function removeLeftovers(directory: Bytes): void {
  for (const name of namesOf(directory)) if (isLeftover(name)) onPath(joinBytes(directory, name), tryRemove);
}

/** The same for a directory and all below it; links are not followed. */
export function removeLeftoversBelow(directory: Bytes): void {
  removeLeftovers(directory);
  for (const entry of onPath(directory, (path) => readdirSync(path, { withFileTypes: true, encoding: 'buffer' })))
    if (entry.isDirectory()) removeLeftoversBelow(joinBytes(directory, fromBuffer(entry.name)));
}

function namesOf(directory: Bytes): Bytes[] {
  try {
    return onPath(directory, (path) => readdirSync(path, { encoding: 'buffer' })).map(fromBuffer);
  } catch (error) {
    const code = errnoOf(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw error;
  }
}

function isLeftover(name: Bytes): boolean {
  const maker = makerOf(name);
  if (maker === undefined) return false;
  // In a container every run may have the same number: what is older than this process is not its own.
  if (maker.pid === process.pid) return maker.origin < Math.floor(performance.timeOrigin);
  try {
    process.kill(maker.pid, 0);
    return false;
  } catch (error) {
    // EPERM: it lives, and is somebody else's.
    return errnoOf(error) === 'ESRCH';
  }
}
