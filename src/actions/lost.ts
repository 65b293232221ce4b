// `cora lost`: the losses that stand, and their acceptance by a person.

import { type Bytes, bytes, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import type { LossReport, Report } from '../format/report.ts';
import { resolveSnapshot, type SnapshotRef, tryReport } from '../vault/catalog.ts';
import { appendLine, readHead } from '../vault/chain.ts';
import { openLocated, requireOwn, type VaultLocation } from '../vault/locate.ts';
import type { Vault } from '../vault/vault.ts';
import { keyOf, newestSave } from './loss-baseline.ts';
import { encodePath } from './loss-ledger.ts';
import { unsettledLosses } from './loss-watch.ts';
import { openForWriting, type ProjectFacts } from './open-project.ts';
import { type SaveResult, saveInto } from './save.ts';

export type LostResult = {
  readonly losses: readonly LossReport[];
  readonly accepted: readonly LossReport[];
  /** The save that the acceptance made. */
  readonly save: SaveResult;
};

/** @throws CoraError vault_missing, vault_foreign */
export function listLost(
  project: { readonly root: Bytes },
  location: VaultLocation,
): { readonly vault: Vault; readonly losses: readonly LossReport[] } {
  const vault = openLocated(location);
  requireOwn(vault, project);
  return { vault, losses: lossesOf(vault) };
}

/** What the newest save found lost, and nobody accepted or restored since. @param refs as for `newestSave` */
export function lossesOf(vault: Vault, refs?: readonly SnapshotRef[]): readonly LossReport[] {
  const last = newestSave(vault, refs);
  return last?.losses === undefined ? [] : unsettledLosses(vault, last.losses, last.snapshot_id);
}

/** True while a loss stands: then nothing old may be cleaned up, because it may be the last that holds what was lost. */
export function isFrozen(vault: Vault, refs?: readonly SnapshotRef[]): boolean {
  // A restore settles a loss only when the next save has seen the file.
  return (newestSave(vault, refs)?.losses?.length ?? 0) > 0;
}

/**
 * The standing losses that names stand for.
 * @param names paths, or snapshots that are marked for a loss
 * @throws CoraError refused where a name stands for none
 */
export function namedLosses(vault: Vault, names: readonly Bytes[], now: number): readonly LossReport[] {
  const standing = lossesOf(vault);
  const matchers = names.map((name) => matcherOf(vault, name, standing, now));
  return standing.filter((loss) => matchers.some((matches) => matches(loss)));
}

function matcherOf(vault: Vault, name: Bytes, standing: readonly LossReport[], now: number): (loss: LossReport) => boolean {
  const path = bytes(name.replace(/^\.\/(?=.)/, ''));
  if (standing.some((loss) => keyOf(loss) === path)) return (loss) => keyOf(loss) === path;
  const marked = new Set(reportNamed(vault, toText(name), now)?.losses?.map((loss) => keyOf(loss)));
  const matches = (loss: LossReport): boolean => marked.has(keyOf(loss));
  if (standing.some(matches)) return matches;
  throw new CoraError('refused', `No loss of ${toText(name)} is known`, { hint: 'cora lost lists them' });
}

function reportNamed(vault: Vault, name: string, now: number): Report | undefined {
  try {
    return tryReport(vault, resolveSnapshot(vault, name, now));
  } catch {
    // No snapshot either: the caller says so.
    return undefined;
  }
}

/**
 * Writes the acceptance into the ledger and makes a save that is good again. The caller has asked a person.
 * @param names as for `namedLosses`
 * @throws CoraError refused where no loss has that name; what `save` throws
 */
export async function acceptLosses(project: ProjectFacts, location: VaultLocation, names: readonly Bytes[], ctx: Context): Promise<LostResult> {
  const { vault, release } = openForWriting(project, location, ctx);
  try {
    const accepted = namedLosses(vault, names, ctx.now());
    const last = newestSave(vault);
    for (const loss of accepted) {
      const line = {
        kind: 'accept',
        id: last?.snapshot_id ?? '-',
        time: new Date(ctx.now()).toISOString(),
        sums: '-',
        extra: encodePath(keyOf(loss)),
      };
      appendLine(vault.root, readHead(vault.root), line);
    }
    const saved = await saveInto(vault, project, { trigger: 'manual' }, { check: 'quick_check', rereadSlice: -1 }, ctx);
    return { losses: saved.result.losses, accepted, save: saved.result };
  } finally {
    release();
  }
}
