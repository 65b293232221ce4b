// Looks at the first bytes of a file, to tell a SQLite database from anything else whatever its name.

import { closeSync, openSync, readSync } from 'node:fs';
import type { Bytes } from '../base/bytes.ts';
import { isSqliteHeader } from '../format/sqlite-header.ts';
import { onPath } from '../os/long-path.ts';
import { READ_FLAGS } from '../store/store-job.ts';

/** True where the file begins with the SQLite header; false where it cannot be read. */
export function hasSqliteHeader(path: Bytes): boolean {
  let fd: number;
  try {
    fd = onPath(path, (reachable) => openSync(reachable, READ_FLAGS));
  } catch {
    return false;
  }
  try {
    const head = Buffer.alloc(16);
    return readSync(fd, head, 0, 16, 0) === 16 && isSqliteHeader(head);
  } catch {
    return false;
  } finally {
    closeSync(fd);
  }
}
