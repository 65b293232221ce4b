// What every command does first in a project where a restore was stopped in the middle: end it.

import type { Bytes } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { messageOf } from '../base/errors.ts';

/** These go on where it cannot be ended: a save of what is there is better than none, and says what it holds. */
const SAVING: ReadonlySet<string> = new Set(['save', 'backup now', 'backup auto']);

/**
 * @param command as in the table
 * @returns why it could not be ended, where the command goes on all the same
 * @throws CoraError what `finishRestore` throws, for other commands
 */
export async function endRestore(root: Bytes, command: string, ctx: Context): Promise<string | undefined> {
  const { finishRestore } = await import('../actions/restore-recover.ts');
  try {
    const finished = await finishRestore(root, ctx);
    if (finished !== undefined) ctx.monitor.note(finished);
    return undefined;
  } catch (error) {
    if (!SAVING.has(command)) throw error;
    return messageOf(error);
  }
}
