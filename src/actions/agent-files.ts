// Files of a project that are edited for AI assistants: read and written so that nothing outside the project is touched,
// whatever the repository's links say. Text is latin1, a character a byte. Owner and mode stay as they are.

import { chownSync, lstatSync, mkdirSync, readFileSync, realpathSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { errnoOf, messageOf } from '../base/errors.ts';
import { exists } from '../os/files.ts';
import { replaceText } from './key-config.ts';

export type Place =
  | { readonly state: 'absent'; readonly real: string }
  | { readonly state: 'file'; readonly real: string; readonly text: string }
  /** It must not be edited; the reason is the end of a sentence. */
  | { readonly state: 'closed'; readonly reason: string };

/** Nobody writes settings by hand that are larger. */
const LARGEST = 1 << 20;

/** @param path relative to the project's root */
export function lookAt(root: string, path: string): Place {
  try {
    const full = join(root, path);
    const real = realOf(full);
    if (real === undefined) return { state: 'closed', reason: 'it is a link that leads nowhere' };
    if (!real.startsWith(`${realpathSync(root)}/`))
      return { state: 'closed', reason: 'it is a link, or lies behind one, that leads out of the project' };
    const status = lstatSync(real, { throwIfNoEntry: false });
    if (status === undefined) return { state: 'absent', real };
    if (!status.isFile()) return { state: 'closed', reason: 'it is no file' };
    if ((status.mode & 0o200) === 0) return { state: 'closed', reason: 'it is read-only' };
    if (status.size > LARGEST) return { state: 'closed', reason: 'it is larger than 1 MB' };
    return { state: 'file', real, text: readFileSync(real, 'latin1') };
  } catch (error) {
    return { state: 'closed', reason: `it cannot be read: ${errnoOf(error) ?? messageOf(error)}` };
  }
}

/** Where a path really is, also where its last parts do not exist yet; undefined for a link to nowhere. */
function realOf(path: string): string | undefined {
  const status = lstatSync(path, { throwIfNoEntry: false });
  if (status !== undefined)
    return status.isSymbolicLink() && statSync(path, { throwIfNoEntry: false }) === undefined ? undefined : realpathSync(path);
  const parent = realOf(dirname(path));
  return parent === undefined ? undefined : join(parent, basename(path));
}

/** By rename. A new file, and directories that it needs, belong to whoever owns the directory above. */
export function writeAt(real: string, text: string): void {
  const isThere = exists(real);
  if (!isThere) makeDirectory(dirname(real));
  replaceText(real, Buffer.from(text, 'latin1'), isThere);
  if (!isThere) ownAsAbove(real);
}

export function removeAt(real: string): void {
  rmSync(real);
}

function makeDirectory(directory: string): void {
  if (exists(directory)) return;
  makeDirectory(dirname(directory));
  mkdirSync(directory, { mode: 0o755 });
  ownAsAbove(directory);
}

function ownAsAbove(path: string): void {
  if (process.geteuid?.() !== 0) return;
  const { uid, gid } = statSync(dirname(path));
  chownSync(path, uid, gid);
}
