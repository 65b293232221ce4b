// Paths longer than the kernel takes in one call (PATH_MAX, 4096 bytes): the directory is opened step
// by step and the rest is reached through /proc/self/fd. Shorter paths cost one comparison.

import { closeSync, constants, openSync } from 'node:fs';
import { type Bytes, fsPath } from '../base/bytes.ts';

const LIMIT = 3900;
const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** Calls `use` with a form of the absolute path that the kernel takes. The form is valid only during the call. */
export function onPath<T>(path: Bytes, use: (path: string | Buffer) => T): T {
  if (path.length < LIMIT) return use(fsPath(path));
  let fd = -1;
  let rest: string = path;
  try {
    while (rest.length >= LIMIT) {
      const cut = rest.lastIndexOf('/', LIMIT - 64);
      const part = rest.slice(0, cut);
      const next = openSync(fsPath((fd < 0 ? part : `/proc/self/fd/${fd}/${part}`) as Bytes), DIRECTORY);
      if (fd >= 0) closeSync(fd);
      fd = next;
      rest = rest.slice(cut + 1);
    }
    return use(fsPath(`/proc/self/fd/${fd}/${rest}` as Bytes));
  } finally {
    if (fd >= 0) closeSync(fd);
  }
}
