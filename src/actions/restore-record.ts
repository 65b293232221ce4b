// A restore in place makes files older on purpose. The ledger says which ones, so that the loss watch
// does not take them for losses.

import type { Context } from '../base/context.ts';
import { messageOf } from '../base/errors.ts';
import { appendLine, readHead } from '../vault/chain.ts';
import { lockForWriting } from '../vault/vault.ts';
import { encodePath } from './loss-watch.ts';
import type { RestorePlan } from './restore-plan.ts';

/** More than this many paths are one `*`. */
const NAMED_MOST = 100;

/** Where it cannot be written (read-only vault) the next save may call a loss what was a restore. */
export function recordRestore(plan: RestorePlan, ctx: Context): void {
  if (!plan.inPlace) return;
  const replaced = plan.changes.filter(({ action }) => action === 'replace').map(({ path }) => encodePath(path));
  if (replaced.length === 0) return;
  const { vault } = plan.work;
  try {
    const lock = lockForWriting(vault, ctx.lockWait);
    try {
      const extra = replaced.length > NAMED_MOST ? '*' : replaced.join(',');
      const line = { kind: 'restore', id: plan.id, time: new Date(ctx.now()).toISOString(), sums: '-', extra };
      appendLine(vault.root, readHead(vault.root), line);
    } finally {
      lock.release();
    }
  } catch (error) {
    ctx.monitor.note(`This restore is not recorded: ${messageOf(error)}`);
  }
}
