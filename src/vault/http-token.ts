// The bearer token of `cora serve`: the only line of `ledger/http-token` (docs/format.md). Invariants: it is made
// once and appears whole or not at all; a file that others may read or write, or that is another user's, is refused.

import { randomBytes } from 'node:crypto';
import { closeSync, constants, fstatSync, linkSync, openSync, readSync } from 'node:fs';
import { dirname } from 'node:path';
import { CoraError, errnoOf, writeFailure } from '../base/errors.ts';
import { syncDirectory, tryRemove, writeNewFile } from '../os/files.ts';
import { NAMES } from './layout.ts';

const BYTES = 32;
const LINE = /^[A-Za-z0-9_-]{43}\n$/;

/** Where the token of a vault lies. */
export function tokenPath(vaultRoot: string): string {
  return `${vaultRoot}/${NAMES.httpToken}`;
}

/**
 * The token of a vault, made where there is none.
 * @throws CoraError refused where its file is not ours alone or holds no token; no_space, read_only, io
 */
export function openToken(vaultRoot: string): string {
  const path = tokenPath(vaultRoot);
  return readToken(path) ?? makeToken(path);
}

function makeToken(path: string): string {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.new`;
  try {
    writeNewFile(temporary, `${randomBytes(BYTES).toString('base64url')}\n`);
    // A name by link, not by rename: where two servers start at once, the second one takes the token of the first.
    linkSync(temporary, path);
    syncDirectory(dirname(path));
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw writeFailure(error, path);
  } finally {
    tryRemove(temporary);
  }
  const token = readToken(path);
  if (token === undefined) throw new CoraError('io', `${path} went while it was read`, { hint: 'run the command again' });
  return token;
}

/** Undefined where there is none. */
function readToken(path: string): string | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw refused(path, errnoOf(error) === 'ELOOP' ? 'is a link' : 'cannot be read');
  }
  try {
    const { mode, uid } = fstatSync(fd);
    if ((mode & 0o170000) !== constants.S_IFREG) throw refused(path, 'is no file');
    if (uid !== process.geteuid?.()) throw refused(path, 'belongs to another user');
    if ((mode & 0o077) !== 0) throw refused(path, `can be read or written by others (mode ${(mode & 0o777).toString(8)})`);
    const line = Buffer.alloc(64);
    const text = line.toString('latin1', 0, readSync(fd, line, 0, line.length, 0));
    if (!LINE.test(text)) throw refused(path, 'does not hold one token');
    return text.trimEnd();
  } finally {
    closeSync(fd);
  }
}

function refused(path: string, why: string): CoraError {
  return new CoraError('refused', `The token's file ${path} ${why}`, {
    hint: `remove it (rm ${path}), and the next cora serve makes a new token`,
  });
}
