// The ends of runs on their way into backup_log. The table's module is loaded only where there is something to
// write: a save that finds nothing to do must not pay for it.

import type { Context } from '../base/context.ts';
import { CoraError, EXIT } from '../base/errors.ts';
import type { VaultLocation } from '../vault/locate.ts';
import type { Vault } from '../vault/vault.ts';
import type { RunFacts } from './ledger.ts';

/** Runs the work, and gives a failure of it a row before it goes on. */
export async function withFailureLogged<T>(location: VaultLocation, facts: RunFacts, ctx: Context, work: () => Promise<T>): Promise<T> {
  const started = ctx.now();
  try {
    return await work();
  } catch (error) {
    if (isFailure(error)) await (await import('./ledger.ts')).recordFailure(location, facts, error, started, ctx);
    throw error;
  }
}

/** A slip of the caller's or a person's Ctrl-C is none. */
function isFailure(error: unknown): boolean {
  return !(error instanceof CoraError) || (error.exitCode !== EXIT.usage && error.exitCode !== EXIT.interrupted && error.exitCode !== EXIT.noVault);
}

/** Adds what the chain has and the table lacks, this run's snapshot with it. Never throws. */
export async function recordSnapshot(vault: Vault, ctx: Context): Promise<void> {
  await (await import('./ledger.ts')).recordRuns(vault, ctx);
}
