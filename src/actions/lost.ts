// `cora lost`: the losses that stand, and their acceptance by a person.

import { bytes } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import type { LossReport } from '../format/report.ts';
import { listSnapshots, tryReport } from '../vault/catalog.ts';
import { appendLine, readHead } from '../vault/chain.ts';
import { openLocated, type VaultLocation } from '../vault/locate.ts';
import type { Vault } from '../vault/vault.ts';
import { encodePath, unacceptedLosses } from './loss-watch.ts';
import { openForWriting, type ProjectFacts } from './open-project.ts';
import { type SaveResult, saveInto } from './save.ts';

export type LostResult = {
  readonly losses: readonly LossReport[];
  readonly accepted: readonly LossReport[];
  /** The save that the acceptance made. */
  readonly save: SaveResult | undefined;
};

/** @throws CoraError vault_missing, vault_foreign */
export function listLost(location: VaultLocation): readonly LossReport[] {
  return lossesOf(openLocated(location));
}

/** What the newest save lost and nobody accepted. While there is any, nothing old may be cleaned up: it may be the last that holds it. */
export function lossesOf(vault: Vault): readonly LossReport[] {
  const last = listSnapshots(vault).findLast(({ kind }) => kind === 'save');
  const losses = last === undefined ? undefined : tryReport(vault, last)?.losses;
  return losses === undefined || losses.length === 0 ? [] : unacceptedLosses(vault, losses);
}

/**
 * Writes the acceptance into the ledger and makes a save that is good again. The caller has asked a person.
 * @param names paths, or ids of snapshots that are marked for them; undefined for all
 * @throws CoraError refused where no loss has that name
 */
export async function acceptLosses(project: ProjectFacts, location: VaultLocation, names: readonly string[], ctx: Context): Promise<LostResult> {
  const { vault, release } = openForWriting(project, location, ctx);
  try {
    const standing = lossesOf(vault);
    const last = listSnapshots(vault).findLast(({ kind }) => kind === 'save');
    for (const name of names) {
      if (name !== last?.id && !standing.some(({ path }) => path === name)) {
        throw new CoraError('refused', `No loss of ${name} is known`, { hint: 'cora lost lists them' });
      }
    }
    const accepted = standing.filter(({ path }) => names.includes(path) || (last !== undefined && names.includes(last.id)));
    for (const loss of accepted) {
      const path =
        loss.path_base64 === undefined ? Buffer.from(loss.path).toString('latin1') : Buffer.from(loss.path_base64, 'base64').toString('latin1');
      appendLine(vault.root, readHead(vault.root), {
        kind: 'accept',
        id: last?.id ?? '-',
        time: new Date(ctx.now()).toISOString(),
        sums: '-',
        extra: encodePath(bytes(path)),
      });
    }
    const saved = await saveInto(vault, project, { trigger: 'manual' }, { check: 'quick_check', rereadSlice: -1 }, ctx);
    return { losses: saved.result.losses, accepted, save: saved.result };
  } finally {
    release();
  }
}
