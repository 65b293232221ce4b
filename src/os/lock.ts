// Locks that the kernel releases when their holder dies: flock(2) on a descriptor of ours, taken by
// flock(1) on our behalf (Node has no flock). There is never a stale lock and nothing to unlock by hand.

import { closeSync, fstatSync, openSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { CoraError } from '../base/errors.ts';
import { type RunResult, requireProgram, runSync } from './run.ts';

export type Lock = { readonly release: () => void };

/**
 * @param path the lock file; made where it is missing. Who removes one must hold it.
 * @param kind shared locks stand beside each other, an exclusive one stands alone
 * @param waitMilliseconds how long to wait for another holder; 0 does not wait
 * @throws CoraError locked where another process keeps it
 */
export function takeLock(path: string, kind: 'shared' | 'exclusive', waitMilliseconds: number): Lock {
  const lock = tryLock(path, kind, waitMilliseconds);
  if (lock === undefined) {
    throw new CoraError('locked', `Another Cora is working in this vault (${holderOf(path)})`, {
      hint: 'wait until it ends, or give it more time with --lock-wait 5m',
    });
  }
  return lock;
}

/** As `takeLock`, but undefined where another process keeps it. */
export function tryLock(path: string, kind: 'shared' | 'exclusive', waitMilliseconds: number): Lock | undefined {
  const fd = openSync(path, 'a+', 0o600);
  const result = flock(fd, kind, waitMilliseconds);
  if (result.exitCode !== 0) {
    closeSync(fd);
    if (result.exitCode === 1 || result.timedOut) return undefined;
    throw new CoraError('io', `The file system of ${path} has no locks: ${result.stderr.trim()}`, {
      hint: 'put the vault on a local file system (ext4, xfs, btrfs) with --vault',
    });
  }
  // Its holder may have removed the file after it was opened here: the lock of a removed file keeps nobody out.
  if (statSync(path, { throwIfNoEntry: false })?.ino !== fstatSync(fd).ino) {
    closeSync(fd);
    return tryLock(path, kind, waitMilliseconds);
  }
  // For people who ask who holds it; the lock itself is the kernel's.
  if (kind === 'exclusive') writeFileSync(path, `pid ${process.pid}\n`);
  return { release: () => closeSync(fd) };
}

/**
 * The lock of somebody else's file, on a descriptor of ours; closing it gives the lock back.
 * @returns false where another process keeps it, or the file system has no locks
 */
export function flockDescriptor(fd: number, kind: 'shared' | 'exclusive', waitMilliseconds: number): boolean {
  return flock(fd, kind, waitMilliseconds).exitCode === 0;
}

function flock(fd: number, kind: 'shared' | 'exclusive', waitMilliseconds: number): RunResult {
  const wait = waitMilliseconds > 0 ? ['-w', (waitMilliseconds / 1000).toFixed(3)] : ['-n'];
  const mode = kind === 'shared' ? '-s' : '-x';
  return runSync(requireProgram('flock', 'util-linux'), [...wait, mode, '3'], { inherit: [fd], timeout: waitMilliseconds + 10_000 });
}

function holderOf(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim().slice(0, 80) || 'unknown process';
  } catch {
    return 'unknown process';
  }
}
