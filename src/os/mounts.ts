// Mount points below a directory, from /proc/self/mountinfo (proc_pid_mountinfo(5)). A bind mount has its
// parent's device number, so stat alone does not tell: rename(2) over or out of one fails.

import { readFileSync } from 'node:fs';
import { type Bytes, bytes } from '../base/bytes.ts';

/** Relative paths of what is mounted below `root`, parents first; files that something is mounted on included. */
export function mountPointsBelow(root: Bytes): Bytes[] {
  const prefix = root === '/' ? '/' : `${root}/`;
  const found = new Set<string>();
  for (const line of readFileSync('/proc/self/mountinfo', 'latin1').split('\n')) {
    const field = line.split(' ')[4];
    if (field === undefined) continue;
    // Blank, tab, newline and backslash stand as octal numbers.
    const path = field.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
    if (path.startsWith(prefix) && path !== prefix) found.add(path.slice(prefix.length));
  }
  return [...found].sort().map(bytes);
}
