// Keeps what the routes look at read and its caches written, so that no question has to: when the server starts, and after each change of
// the ledger, whoever made it. Invariant: this, and no GET, writes the caches; a failure only means that questions read by themselves.

import { statSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { viewOf } from '../../actions/view.ts';
import type { Context } from '../../base/context.ts';
import { NAMES } from '../../vault/layout.ts';
import type { VaultLocation } from '../../vault/locate.ts';

const LOOK_MS = 1000;
/** After a failure: another Cora cleans up, or the disk is away. */
const AGAIN_MS = 15_000;

/** Goes on until the signal; never throws. */
export async function keepView(location: VaultLocation, ctx: Context): Promise<void> {
  let known: string | undefined;
  while (!ctx.signal.aborted) {
    let wait = LOOK_MS;
    try {
      const now = ledgerNow(location.path);
      if (now !== known) {
        await (await viewOf(location, ctx)).keep(ctx);
        known = now;
      }
    } catch {
      wait = AGAIN_MS;
    }
    await setTimeout(wait, undefined, { signal: ctx.signal, ref: false }).catch(() => undefined);
  }
}

function ledgerNow(root: string): string {
  const stat = statSync(`${root}/${NAMES.chain}`, { throwIfNoEntry: false });
  return stat === undefined ? 'none' : `${stat.ino} ${stat.size} ${stat.mtimeMs}`;
}
