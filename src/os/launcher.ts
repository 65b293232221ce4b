// Which path of bin/cora hooks and timers should call. An installed release lies in a directory of its
// version, which an upgrade takes away; beside it `current` is a link that always leads to the right one.

import { readlinkSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/**
 * @param launcher real path of bin/cora
 * @returns `<prefix>/current/bin/cora` where that is this very file, else the path as given
 */
export function stableLauncher(launcher: string): string {
  const release = dirname(dirname(launcher));
  const current = join(dirname(release), 'current');
  try {
    if (basename(readlinkSync(current)) === basename(release) && realpathSync(join(current, 'bin/cora')) === launcher)
      return join(current, 'bin/cora');
  } catch {
    // No release: a clone, or a directory that somebody unpacked.
  }
  return launcher;
}
