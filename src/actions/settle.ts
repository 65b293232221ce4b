// Waiting for several promises so that nothing goes on in the background after an error; stopping when asked.

import type { Context } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';

/** Waits for all, then throws the first failure. */
export async function settleAll(promises: readonly Promise<unknown>[]): Promise<void> {
  const results = await Promise.allSettled(promises);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

/** @throws CoraError interrupted once a person or the system has asked the run to stop */
export function stopIfAborted(ctx: Context): void {
  if (ctx.signal.aborted) throw new CoraError('interrupted', 'Interrupted');
}
