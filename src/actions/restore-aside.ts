// A directory beside the live files that a restore goes into where nobody said yes to one in place:
// `.cora-restore-side/ID` at the top of the project. No save captures it and git does not see it.

import { chownSync, lstatSync, mkdirSync, realpathSync, statSync } from 'node:fs';
import { type Bytes, bytes, fromBuffer, fsPath, joinBytes, printable, toText } from '../base/bytes.ts';
import { CoraError, errnoOf } from '../base/errors.ts';
import { exists, writeNewFile } from '../os/files.ts';

/** NAME_MAX and PATH_MAX of Linux, without the NUL. */
const NAME_BYTES = 255;
const PATH_BYTES = 4095;
const ASIDE = '.cora-restore-side';
/** What git or Cora itself reads as instructions: the record of a restore says what the next run moves where. */
const KEPT_CLEAR = /(?:^|\/)(?:\.git|\.cora-restore(?!-side(?:\/|$))[^/]*)(?:\/|$)/;

/**
 * A directory that does not exist yet. Nothing is made.
 * @throws CoraError refused where something else has the name of the directory around it: a link would lead anywhere
 */
export function asideFor(root: Bytes, id: string): Bytes {
  const base = joinBytes(root, ASIDE);
  requireDirectory(base);
  for (let number = 1; ; number++) {
    const path = joinBytes(base, number === 1 ? id : `${id}-${number}`);
    if (!exists(toText(path))) return path;
  }
}

/** Makes the directory around those that `asideFor` names, where a plan leads there; for all else nothing. */
export function makeAside(root: Bytes, directory: Bytes): void {
  const base = joinBytes(root, ASIDE);
  if (!directory.startsWith(`${base}/`)) return;
  requireDirectory(base);
  if (exists(toText(base))) return;
  mkdirSync(fsPath(base), { mode: 0o700 });
  const ignore = bytes(`${base}/.gitignore`);
  writeNewFile(toText(ignore), '*\n');
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = statSync(fsPath(root));
  for (const path of [base, ignore]) chownSync(fsPath(path), uid, gid);
}

function requireDirectory(base: Bytes): void {
  const stat = lstatSync(fsPath(base), { throwIfNoEntry: false });
  if (stat === undefined || stat.isDirectory()) return;
  throw new CoraError('refused', `${printable(base)} is not a directory: nothing was restored`, { hint: 'move it away, or name a directory' });
}

/**
 * A directory that somebody named for a restore, as it really is: through links, and of its parents those that exist.
 * @param within real paths of directories that it must lie below
 * @throws CoraError refused
 */
export function requireWithin(directory: Bytes, within: readonly Bytes[]): Bytes {
  const real = realParents(directory);
  if (within.some((one) => real.startsWith(one === '/' ? '/' : `${one}/`)) && !KEPT_CLEAR.test(real)) return real;
  throw new CoraError('refused', `${printable(directory)} does not lie in a directory that may be written to: nothing was planned`, {
    hint: `name a new directory below ${within.map(printable).join(' or ')}, outside of .git and .cora-restore`,
  });
}

function realParents(path: Bytes): Bytes {
  const missing: string[] = [];
  if (path.split('/').some((part) => part.length > NAME_BYTES) || path.length > PATH_BYTES)
    throw new CoraError('refused', `${printable(path).slice(0, 80)}... is longer than names may be: nothing was planned`, {
      hint: 'name a shorter one',
    });
  for (let at: string = path; ; ) {
    // By lstat: a link that leads nowhere is there, and what is written through it lands where it points.
    if (exists(toText(bytes(at)))) return joinBytes(realOf(bytes(at)), missing.toReversed().join('/'));
    const slash = at.lastIndexOf('/');
    missing.push(at.slice(slash + 1));
    at = at.slice(0, slash) || '/';
  }
}

/** @throws CoraError refused for a link that leads nowhere, or round and round */
function realOf(path: Bytes): Bytes {
  try {
    return fromBuffer(realpathSync(fsPath(path), { encoding: 'buffer' }));
  } catch (error) {
    throw new CoraError('refused', `${printable(path)} leads nowhere (${errnoOf(error) ?? 'unknown error'}): nothing was planned`, {
      hint: 'name a new directory, not below such a link',
      cause: error,
    });
  }
}
