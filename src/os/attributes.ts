// Owner, mode, ACLs and extended attributes of one open file given to another, through GNU cp. By
// descriptors, never by names: where a user may write, a name can become a link to another's file.

import { fchmodSync, fchownSync, fstatSync } from 'node:fs';
import { CoraError } from '../base/errors.ts';
import { findProgram, runSync } from './run.ts';

/** @throws CoraError refused where the new file would not be what the old one is to everybody */
export function copyAttributes(from: number, to: number): void {
  const cp = findProgram('cp');
  const args = ['--attributes-only', '--preserve=mode,ownership,xattr', '--', '/proc/self/fd/3', '/proc/self/fd/4'];
  const run = cp === undefined ? undefined : runSync(cp, args, { inherit: [from, to] });
  const old = fstatSync(from);
  if (run?.exitCode !== 0) throw refused(run?.stderr.trim() ?? 'there is no program cp');
  const now = fstatSync(to);
  if (now.uid !== old.uid || now.gid !== old.gid) tryTo(() => fchownSync(to, old.uid, old.gid));
  // Last: a change of owner takes set-user-id bits away.
  if (now.mode !== old.mode) tryTo(() => fchmodSync(to, old.mode & 0o7777));
  const result = fstatSync(to);
  if (result.uid !== old.uid || result.gid !== old.gid || result.mode !== old.mode) throw refused('only root can give it that owner');
}

function tryTo(change: () => void): void {
  try {
    change();
  } catch {
    // What came of it is looked at, not what was said.
  }
}

function refused(why: string): CoraError {
  return new CoraError('refused', `A new file cannot get the owner, mode and attributes of the old one (${why})`, {
    hint: "run it as root or as the file's owner",
  });
}
