// The immutable (+i) and append-only (+a) flags of files, through chattr and lsattr. Invariant: what a
// flag is, is what lsattr says afterwards; chattr's exit code is never taken for it.

import type { Bytes } from '../base/bytes.ts';
import { findProgram, type RunResult, runSync } from './run.ts';

export type Flags = { readonly immutable: boolean; readonly append: boolean };
export type FlagChange = '+i' | '-i' | '+a' | '-a';

/** Why no flag was set: `denied` (no CAP_LINUX_IMMUTABLE), `unsupported` (this file system has none), `read_only`, `no_tool`, or what chattr alone knows. */
export type FlagFailure = 'denied' | 'unsupported' | 'read_only' | 'no_tool' | 'failed';

/** As many names at a time as their answer fits in memory with room to spare. */
const BATCH = 20_000;

/**
 * The flags of files and directories, in the order of `paths`.
 * @param paths absolute
 * @returns undefined for what has no flags (a link, a pipe, a file system without them) or is not there
 */
export function readFlags(paths: readonly Bytes[]): (Flags | undefined)[] {
  const lsattr = findProgram('lsattr');
  if (lsattr === undefined || paths.length === 0) return paths.map(() => undefined);
  if (paths.length > BATCH) return [...readFlags(paths.slice(0, BATCH)), ...readFlags(paths.slice(BATCH))];
  const text = onEach(lsattr, ['-d', '--'], paths).stdout.toString('latin1');
  let at = 0;
  return paths.map((path) => {
    // `----i---------e------- /path`, one a path in the order asked; a path that failed has no line.
    // The name is compared whole, so that a newline in it cannot pass for the next line.
    const end = text.indexOf(' ', at);
    if (end < 0 || !text.startsWith(`${path}\n`, end + 1)) return undefined;
    const field = text.slice(at, end);
    at = end + path.length + 2;
    return { immutable: field.includes('i'), append: field.includes('a') };
  });
}

/**
 * Asks for a flag to be set or taken. What came of it is for `readFlags` to say.
 * @param paths absolute; no links, pipes, sockets or devices
 * @returns undefined where chattr said nothing, else the first reason it gave
 */
export function changeFlags(change: FlagChange, paths: readonly Bytes[]): FlagFailure | undefined {
  const chattr = findProgram('chattr');
  if (chattr === undefined) return 'no_tool';
  if (paths.length === 0) return undefined;
  const { exitCode, stderr } = onEach(chattr, [change, '--'], paths);
  if (exitCode === 0) return undefined;
  if (/not permitted|Permission denied/.test(stderr)) return 'denied';
  if (stderr.includes('Read-only file system')) return 'read_only';
  return /not supported|Inappropriate ioctl|not implemented/.test(stderr) ? 'unsupported' : 'failed';
}

/** xargs hands names over as bytes, which our own arguments cannot be, and as many at a time as the kernel takes. */
function onEach(program: string, args: readonly string[], paths: readonly Bytes[]): RunResult {
  const xargs = findProgram('xargs') ?? '/usr/bin/xargs';
  return runSync(xargs, ['-0', '-r', '--', program, ...args], { input: Buffer.from(`${paths.join('\0')}\0`, 'latin1'), timeout: 600_000 });
}

/** The reason as half a sentence for people. */
export function flagReason(failure: FlagFailure): string {
  return {
    denied: 'this process may not set such flags: only root (with CAP_LINUX_IMMUTABLE) may',
    unsupported: 'this file system has no such flags',
    read_only: 'this file system is mounted read-only',
    no_tool: 'the program chattr is not installed (apt-get install e2fsprogs)',
    failed: 'chattr could not set the flag',
  }[failure];
}
