// Files that the kernel guards (+a, +i) in the way of a restore in place. Invariant: a file that was
// append-only is so again in the end, whoever set the flag, and where the flag cannot be lifted nothing at
// all is written.

import { type Bytes, joinBytes, printable } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import { readFlags } from '../os/chattr.ts';
import { liftAppendOnly, setAgain } from '../vault/append-only.ts';
import { lockForWriting } from '../vault/vault.ts';
import type { RestorePlan } from './restore-plan.ts';

/**
 * Lifts +a from what a restore in place replaces or links to, under the write lock, which is held until the flags are set again.
 * @returns what sets them again; undefined where nothing had to be lifted
 * @throws CoraError refused where a flag cannot be lifted, or a person made a file immutable; locked
 */
export function liftForRestore({ inPlace, directory, changes, work: { vault, entries } }: RestorePlan, ctx: Context): (() => void) | undefined {
  if (!inPlace) return undefined;
  const replaced = changes.filter(({ action }) => action === 'replace').map(({ path }) => path);
  // A link to an append-only file cannot be made either.
  const linked = entries.flatMap(({ type, link }) => (type === 'h' && link !== undefined ? [link] : []));
  const paths = [...new Set([...replaced, ...linked])];
  const flags = flagsOf(directory, paths);
  const immutable = paths.find((_, index) => flags[index]?.immutable === true);
  if (immutable !== undefined) {
    throw new CoraError('refused', `${printable(immutable)} is immutable (chattr +i): nothing was restored`, {
      hint: 'take the flag away (chattr -i), or restore beside the project with --to DIR',
    });
  }
  if (!flags.some((flag) => flag?.append === true)) return undefined;
  const lock = lockForWriting(vault, ctx.lockWait);
  const finish = (): void => {
    try {
      for (const path of setAgain(vault, directory)) ctx.monitor.note(`${printable(path)} is not append-only again; cora protect says why`);
    } finally {
      lock.release();
    }
  };
  try {
    const lifted = liftAppendOnly(vault, directory, paths);
    const held = flagsOf(directory, lifted).findIndex((flag) => flag?.append === true);
    if (held < 0) return finish;
    throw new CoraError('refused', `${printable(lifted[held] ?? '')} is append-only, and this process may not lift that: nothing was restored`, {
      hint: 'run the command as root, or restore beside the project with --to DIR',
    });
  } catch (error) {
    finish();
    throw error;
  }
}

function flagsOf(directory: Bytes, paths: readonly Bytes[]) {
  return readFlags(paths.map((path) => joinBytes(directory, path)));
}
