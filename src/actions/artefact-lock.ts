// The lock of an artefact's directory, held while it is captured: flock on a file that the application takes
// too, or the application's own commands. Bounded: an application that keeps it is not waited for in vain.

import { closeSync, constants, fchownSync, openSync, realpathSync, statSync } from 'node:fs';
import type { Artefact } from '../base/artefact.ts';
import { type Bytes, dirnameBytes, fromBuffer, fsPath, joinBytes, toText } from '../base/bytes.ts';
import type { Context, Problem } from '../base/context.ts';
import { CoraError, errnoOf, messageOf } from '../base/errors.ts';
import { flockDescriptor } from '../os/lock.ts';
import type { ProjectFacts } from './open-project.ts';
import { type CommandHost, requireTrusted, trusted } from './trust.ts';
import { runUserCommand } from './user-commands.ts';

/** Held where `release` is there; else `why` says what is in the way. */
export type DirectoryLock =
  | { readonly release: () => Promise<Problem | undefined>; readonly why?: undefined }
  | { readonly release?: undefined; readonly why: string };

const UNLOCK_MS = 120_000;

/** Takes the lock. What stands in the way is an answer, not an exception. @throws CoraError interrupted */
export async function lockDirectory(project: ProjectFacts, artefact: Artefact, host: CommandHost | undefined, ctx: Context): Promise<DirectoryLock> {
  if (artefact.lock !== undefined) return lockFile(project.root, artefact.lock, artefact.lockWait);
  const { lockCommand, unlockCommand } = artefact;
  if (lockCommand === undefined || unlockCommand === undefined) return { why: 'it has no lock' };
  if (host === undefined) return { why: 'this run may not start its lock command' };
  const options = { cwd: project.root, host, facts: { CORA_PROJECT: toText(project.root), CORA_ARTEFACT: artefact.name } };
  try {
    // What may lock must also be able to unlock.
    requireTrusted(project, [lockCommand, unlockCommand], host);
    const locked = await runUserCommand(trusted(project, lockCommand, host), { ...options, timeout: artefact.lockWait, signal: ctx.signal });
    if (!locked.ok) return { why: `its lock command ${locked.message}` };
  } catch (error) {
    if (!(error instanceof CoraError) || error.code !== 'refused') throw error;
    return { why: `${messageOf(error)}; ${error.hint ?? ''}` };
  }
  return {
    // Also after Ctrl-C, which is why the signal does not reach it.
    release: async () => {
      const unlocked = await runUserCommand(trusted(project, unlockCommand, host), { ...options, timeout: UNLOCK_MS });
      if (unlocked.ok) return undefined;
      const message = `The unlock command of the artefact ${artefact.name} ${unlocked.message}: its application may still be stopped`;
      return { code: 'artefact_unlock', message, severity: 'error' };
    },
  };
}

/** The file is made where it is missing, with the owner of its directory; a link is not followed, nor a way out of the project. */
function lockFile(root: Bytes, relative: Bytes, wait: number): DirectoryLock {
  const path = joinBytes(root, relative);
  let fd: number;
  try {
    const parent = fromBuffer(realpathSync.native(fsPath(dirnameBytes(path)), { encoding: 'buffer' }));
    if (parent !== root && !parent.startsWith(`${root}/`)) return { why: `its lock file ${toText(relative)} lies outside the project` };
    fd = openLock(path);
  } catch (error) {
    return { why: `its lock file ${toText(relative)} cannot be opened (${errnoOf(error) ?? messageOf(error)})` };
  }
  if (flockDescriptor(fd, 'exclusive', wait)) return { release: async () => closeSync(fd) as undefined };
  closeSync(fd);
  return { why: `its application kept the lock ${toText(relative)} for ${wait / 1000} s` };
}

function openLock(path: Bytes): number {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  try {
    return openSync(fsPath(path), flags);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
  const fd = openSync(fsPath(path), flags | constants.O_CREAT, 0o660);
  const { uid, gid } = statSync(fsPath(dirnameBytes(path)));
  if (process.geteuid?.() === 0) fchownSync(fd, uid, gid);
  return fd;
}
