// A restore in place makes files older on purpose. The ledger says which of those that the loss watch
// looks at, so that it compares them with the restored snapshot and not with the newer one.

import { type Bytes, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { messageOf } from '../base/errors.ts';
import { listSnapshots, tryReport } from '../vault/catalog.ts';
import { appendLine, readHead } from '../vault/chain.ts';
import { adoptUnrecorded } from '../vault/snapshot.ts';
import type { Vault } from '../vault/vault.ts';
import { encodePath } from './loss-ledger.ts';

/** Characters of one line's paths: short enough for people and tools that read the ledger. */
const LINE_LENGTH = 3000;

/**
 * Records that `paths` are now as in the snapshot `id`: after a restore, and after the way back from one. Called under the vault's
 * write lock and before the restore is on record as done, so that a crash in between is ended by whoever ends the restore.
 * Where it cannot be written (full disk) that is said, and the next save may call a loss what was a restore.
 */
export function recordChange(vault: Vault, id: string, paths: readonly Bytes[], ctx: Context): void {
  try {
    const ref = listSnapshots(vault).find((one) => one.id === id);
    const watched = new Set(ref === undefined ? [] : tryReport(vault, ref)?.critical);
    const written = paths.filter((path) => watched.has(toText(path))).map(encodePath);
    if (written.length === 0) return;
    // What a crash kept out of the ledger comes before a line of ours, or it could never be put in again.
    adoptUnrecorded(vault);
    const line = { kind: 'restore', id, time: new Date(ctx.now()).toISOString(), sums: '-' };
    for (const extra of inLines(written)) appendLine(vault.root, readHead(vault.root), { ...line, extra });
  } catch (error) {
    ctx.monitor.note(`This restore is not recorded: ${messageOf(error)}`);
  }
}

function inLines(paths: readonly string[]): string[] {
  const lines: string[] = [];
  for (const path of paths) {
    const line = lines.at(-1);
    if (line === undefined || line.length + path.length > LINE_LENGTH) lines.push(path);
    else lines[lines.length - 1] = `${line},${path}`;
  }
  return lines;
}
