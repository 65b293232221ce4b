// Everything of a file system to the disk at once, through sync(1) (Node has no syncfs). Invariant: it returns only
// where the kernel said that it is done; a failure is an error, for what was written may be lost, and is never tried again.

import { closeSync, constants, openSync, readdirSync } from 'node:fs';
import { type Bytes, fromBuffer, joinBytes, printable } from '../base/bytes.ts';
import { CoraError } from '../base/errors.ts';
import { syncDirectory, syncFile } from './files.ts';
import { onPath } from './long-path.ts';
import { findProgram, runSync } from './run.ts';

/**
 * One syncfs for the file system of a directory: all that was written below it, however many files.
 * Without sync(1), or with one that has no -f, each file and directory below is synced by itself.
 * @throws CoraError io where the disk did not take it all; the system error of open
 */
export function syncFileSystem(directory: Bytes): void {
  if (!syncAtOnce(directory)) syncBelow(directory);
}

/** @returns false where there is no program that can */
function syncAtOnce(directory: Bytes): boolean {
  const sync = findProgram('sync');
  if (sync === undefined) return false;
  // By descriptor: a path may be no text, or too long for an argument.
  const fd = onPath(directory, (path) => openSync(path, constants.O_RDONLY | constants.O_DIRECTORY));
  try {
    const { exitCode, stderr } = runSync(sync, ['-f', '--', '/proc/self/fd/3'], { inherit: [fd], timeout: 600_000 });
    if (exitCode === 0) return true;
    if (/option|usage/i.test(stderr)) return false;
    throw new CoraError(
      'io',
      `The disk did not take all that was written below ${printable(directory)}: ${stderr.trim() || 'no answer in 10 minutes'}`,
      {
        hint: 'check that disk (dmesg, smartctl), then run the command again',
      },
    );
  } finally {
    closeSync(fd);
  }
}

function syncBelow(directory: Bytes): void {
  for (const entry of onPath(directory, (path) => readdirSync(path, { withFileTypes: true, encoding: 'buffer' }))) {
    const path = joinBytes(directory, fromBuffer(entry.name));
    if (entry.isDirectory()) syncBelow(path);
    else if (entry.isFile()) onPath(path, syncFile);
  }
  onPath(directory, syncDirectory);
}
