// Files that the kernel guards (+a, +i) in the way of a restore in place. Invariant: a file that was
// append-only is so again in the end, whoever set the flag, and where the flag cannot be lifted nothing at
// all is written.

import { type Bytes, joinBytes, printable } from '../base/bytes.ts';
import { CoraError } from '../base/errors.ts';
import { readFlags } from '../os/chattr.ts';
import { liftAppendOnly } from '../vault/append-only.ts';
import type { Vault } from '../vault/vault.ts';

/**
 * Lifts +a from what a restore in place replaces, moves aside or links to. The caller holds the write lock and calls
 * `setAgain` in the end, also after an error.
 * @throws CoraError refused where a flag cannot be lifted, or a person made a file immutable
 */
export function liftForRestore(vault: Vault, directory: Bytes, paths: readonly Bytes[]): void {
  const flags = flagsOf(directory, paths);
  const immutable = paths.find((_, index) => flags[index]?.immutable === true);
  if (immutable !== undefined) {
    throw new CoraError('refused', `${printable(immutable)} is immutable (chattr +i): nothing was restored`, {
      hint: 'take the flag away (chattr -i), or restore beside the project with --to DIR',
    });
  }
  if (!flags.some((flag) => flag?.append === true)) return;
  const lifted = liftAppendOnly(vault, directory, paths);
  const held = flagsOf(directory, lifted).findIndex((flag) => flag?.append === true);
  if (held < 0) return;
  throw new CoraError('refused', `${printable(lifted[held] ?? '')} is append-only, and this process may not lift that: nothing was restored`, {
    hint: 'run the command as root, or restore beside the project with --to DIR',
  });
}

function flagsOf(directory: Bytes, paths: readonly Bytes[]) {
  return readFlags(paths.map((path) => joinBytes(directory, path)));
}
