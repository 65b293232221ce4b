// Which saves can go as they are: nobody that stays needs an object of their pack, or their keyframe. Reads every listing that
// stays, a keyframe once. It removes nothing.

import { exists } from '../os/files.ts';
import { openIndex } from '../store/object-index.ts';
import { listPacks, listSnapshots, type SnapshotRef } from '../vault/catalog.ts';
import { NAMES } from '../vault/layout.ts';
import { eachRow, keyframeFile, loadDelta } from '../vault/listing.ts';
import type { Vault } from '../vault/vault.ts';

/**
 * @param doomed saves that are to go
 * @returns directories of those that others need
 * @throws CoraError damaged where a listing that stays cannot be read: then nobody knows
 */
export function neededSaves(vault: Vault, doomed: readonly SnapshotRef[]): Set<string> {
  const goes = new Set(doomed.map(({ directory }) => directory));
  const index = openIndex(vault.root, listPacks(vault), 0, false);
  const needed = new Set<string>();
  const keyframes = new Set<string>();
  const packOwner = index.packs.map((pack) => pack.slice(vault.root.length + 1, -(NAMES.pack.length + 1)));
  const note = (row: string): void => {
    const hash = row.split('\t', 7)[6] ?? '-';
    if (hash.length !== 64) return;
    const record = index.table.find(Buffer.from(hash, 'hex'));
    const owner = record < 0 ? undefined : packOwner[index.table.location(record).pack];
    if (owner !== undefined && goes.has(owner)) needed.add(owner);
  };
  for (const ref of listSnapshots(vault)) {
    if (ref.kind !== 'save' || goes.has(ref.directory)) continue;
    if (exists(`${vault.root}/${ref.directory}/${NAMES.keyframe}`)) {
      for (const row of eachRow(vault, ref)) note(row);
      continue;
    }
    const { keyframe, rows } = loadDelta(vault, ref);
    for (const row of rows.values()) note(row);
    const file = keyframeFile(vault, keyframe);
    const owner = file.slice(0, file.lastIndexOf('/'));
    if (goes.has(owner)) needed.add(owner);
    if (keyframes.has(file)) continue;
    keyframes.add(file);
    // All of it: which rows a delta replaced is a question for who has to save the room.
    for (const row of eachRow(vault, ref)) note(row);
  }
  return needed;
}
