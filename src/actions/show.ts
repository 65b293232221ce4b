// One snapshot in all its forms: what REPORT.json says of the save, of the backup, or of both.

import type { Context } from '../base/context.ts';
import type { Pin } from '../base/retention-rules.ts';
import type { Report } from '../format/report.ts';
import { listSnapshots, readReport, resolveSnapshot, type SnapshotRef } from '../vault/catalog.ts';
import { openLocated, type VaultLocation } from '../vault/locate.ts';
import { pinsOf } from '../vault/pins.ts';
import { type SealState, sealStateOf } from '../vault/seal.ts';
import type { Vault } from '../vault/vault.ts';

export type ShowResult = {
  readonly id: string;
  /** Undefined where it is not pinned. */
  readonly pin?: Pin | undefined;
  readonly forms: readonly ShownForm[];
};

export type ShownForm = {
  readonly path: string;
  readonly report: Report;
  /** Backups: what every file's flags say now. */
  readonly seal: SealState | undefined;
};

/**
 * @param target a snapshot name (docs: `resolveSnapshot`)
 * @throws CoraError vault_missing, unknown_snapshot, ambiguous_snapshot, metadata_missing, metadata_invalid_json
 */
export async function show(location: VaultLocation, target: string, ctx: Context): Promise<ShowResult> {
  const vault = openLocated(location);
  const { id } = resolveSnapshot(vault, target, ctx.now());
  const refs = listSnapshots(vault).filter((ref) => ref.id === id);
  return { id, pin: pinsOf(vault, ctx.now()).get(id), forms: shownForms(vault, refs) };
}

/** @throws CoraError metadata_missing, metadata_invalid_json */
export function shownForms(vault: Vault, refs: readonly SnapshotRef[]): readonly ShownForm[] {
  return refs.map((ref) => formOf(vault, ref));
}

function formOf(vault: Vault, ref: SnapshotRef): ShownForm {
  return {
    path: `${vault.root}/${ref.directory}`,
    report: readReport(vault, ref),
    seal: ref.kind === 'backup' ? sealStateOf(vault, ref) : undefined,
  };
}
