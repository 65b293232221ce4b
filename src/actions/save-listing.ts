// The listing of a save: a keyframe with every row, or a delta against one.

import { createHash } from 'node:crypto';
import { bytes } from '../base/bytes.ts';
import { DELTA_HEADER, FILES_HEADER, listingBytes, sortedRows } from '../format/file-list.ts';
import { compressFrame } from '../format/zstd-frame.ts';
import { exists, writeNewFile } from '../os/files.ts';
import type { Tree } from '../store/stat-cache.ts';
import type { SnapshotRef } from '../vault/catalog.ts';
import { NAMES, type SnapshotId, saveDirectory } from '../vault/layout.ts';
import { keyframeFile, loadDelta } from '../vault/listing.ts';
import type { StagedFile } from '../vault/snapshot.ts';
import type { Vault } from '../vault/vault.ts';
import { allRows, deltaRows } from './tree-rows.ts';

export type ListingFacts = {
  readonly vault: Vault;
  readonly stage: string;
  readonly tree: Tree;
  /** The newest save. */
  readonly last: SnapshotId | undefined;
  /** The tree before, and its row for each row of the new one. */
  readonly old: Tree | undefined;
  readonly oldRow: Int32Array;
};

export type Listing = { readonly file: StagedFile; readonly keyframe: string | undefined };

/** A delta where the last save is what the old tree describes and the delta stays small; else a keyframe. */
export function writeListing(facts: ListingFacts): Listing {
  const { vault, tree, last, old } = facts;
  if (old !== undefined && last !== undefined && old.snapshot === last) {
    const before = deltaBefore(vault, last);
    if (before !== undefined) {
      const rows = deltaRows(before.rows, old, tree, facts.oldRow);
      const keyframeRowCount = tree.count + tree.hashes.length / 32;
      if (rows.size <= Math.max(64, keyframeRowCount / 5)) {
        return { file: writeRows(facts.stage, NAMES.delta, `${DELTA_HEADER} ${before.keyframe}`, sortedRows(rows)), keyframe: before.keyframe };
      }
    }
  }
  return { file: writeRows(facts.stage, NAMES.keyframe, FILES_HEADER, allRows(tree)), keyframe: undefined };
}

/** The last save's own delta, or an empty one where it is a keyframe; undefined where it cannot be read. */
function deltaBefore(vault: Vault, last: SnapshotId): { keyframe: string; rows: Map<string, string> } | undefined {
  const ref: SnapshotRef = { id: last, kind: 'save', directory: saveDirectory(last), sequence: undefined };
  if (exists(`${vault.root}/${ref.directory}/${NAMES.keyframe}`)) return { keyframe: last, rows: new Map() };
  try {
    const delta = loadDelta(vault, ref);
    return exists(`${vault.root}/${keyframeFile(vault, delta.keyframe)}`) ? delta : undefined;
  } catch {
    // A damaged delta must not spoil the saves after it: they begin a new keyframe.
    return undefined;
  }
}

function writeRows(stage: string, name: string, header: string, rows: Iterable<string>): StagedFile {
  const content = compressFrame(listingBytes(header, rows));
  writeNewFile(`${stage}/${name}`, content);
  return { path: bytes(name), size: content.length, sha256: createHash('sha256').update(content).digest('hex') };
}
