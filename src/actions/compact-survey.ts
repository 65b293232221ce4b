// What a compaction has to do: which objects and keyframes the remaining saves name, and where they lie. Changes nothing.

import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import type { Context } from '../base/context.ts';
import { CoraError, messageOf } from '../base/errors.ts';
import { parseSums, type Sum } from '../format/checksums.ts';
import { rowKey } from '../format/file-list.ts';
import { exists, namesIn } from '../os/files.ts';
import { type ObjectIndex, openIndex } from '../store/object-index.ts';
import { listPacks, listSnapshots, type SnapshotRef } from '../vault/catalog.ts';
import { looseName, NAMES, parseId, type SnapshotId, saveDirectory } from '../vault/layout.ts';
import { eachReference } from '../vault/references.ts';
import type { Vault } from '../vault/vault.ts';
import { choosePlaces, type Fate, GATHERED, GOES, type Places, STAYS } from './compact-places.ts';
import { stopIfAborted } from './settle.ts';

/** A file to copy into `progress/packs/` byte for byte: a keyframe, or the sums of its save, whose hash is in the ledger. */
export type LooseFile = {
  readonly name: string;
  /** Relative to the vault. */
  readonly from: string;
  readonly size: number;
  /** What it must have; undefined where nothing says. */
  readonly sha256: string | undefined;
};

export type Survey = {
  readonly index: ObjectIndex;
  readonly places: Places;
  readonly loose: readonly LooseFile[];
  /** Ids of the saves that stay. */
  readonly survivors: ReadonlySet<string>;
  /** The sums of the files in `progress/packs/` that are there. */
  readonly listed: readonly Sum[];
  /** Names in `progress/packs/` that nothing needs once the doomed saves are gone. */
  readonly dead: readonly string[];
};

/**
 * @param anew read every pack instead of the cached index
 * @throws CoraError damaged where something that a remaining save names is nowhere
 */
export async function surveyPacks(vault: Vault, doomed: readonly SnapshotRef[], anew: boolean, ctx: Context): Promise<Survey> {
  const going = new Set(doomed.map(({ directory }) => directory));
  const survivors = listSnapshots(vault).filter(({ kind, directory }) => kind === 'save' && !going.has(directory));
  const listed = sumsOfPacks(vault).filter(({ path }) => exists(`${vault.root}/${NAMES.packs}/${path}`));
  const vouched = new Set<string>(listed.map(({ path }) => path));
  const index = openIndex(vault.root, listPacks(vault), 0, false, anew);
  const live = new Uint8Array(index.table.count);
  const named = await eachReference(vault, survivors, (hash, row, id) => {
    const record = index.table.find(hash);
    if (record < 0) throw missing(hash, row, id);
    live[record] = 1;
  });
  stopIfAborted(ctx);
  const staying = new Set(survivors.map(({ directory }) => `${directory}/${NAMES.pack}`));
  const fates = index.packs.map((path): Fate => {
    const relative = path.slice(vault.root.length + 1);
    if (staying.has(relative)) return STAYS;
    return relative.startsWith(`${NAMES.packs}/`) && vouched.has(relative.slice(NAMES.packs.length + 1)) ? GATHERED : GOES;
  });
  const places = choosePlaces(index, live, fates);
  const ids = new Set<string>(survivors.map(({ id }) => id));
  const expired = [...named].filter((id) => !ids.has(id));
  const loose = expired.flatMap((id) => toCopy(vault, id, listed));
  const deadPacks = new Set([...places.deadPacks].map((pack) => (index.packs[pack] ?? '').slice(vault.root.length + NAMES.packs.length + 2)));
  const needed = new Set<string>(expired.flatMap((id) => LOOSE.map((kind) => looseName(id, kind))));
  const dead = namesIn(`${vault.root}/${NAMES.packs}`).filter(
    (name) => deadPacks.has(name) || isLeftover(name, vouched) || (isLoose(name) && !needed.has(name)),
  );
  return { index, places, loose, survivors: ids, listed, dead };
}

/** What is kept of a save whose keyframe is needed. */
const LOOSE = [NAMES.keyframe, NAMES.sums] as const;

/** SHA256SUMS.txt of `progress/packs/`; nothing where it is missing or damaged: then what lies there is copied again, object by object. */
export function sumsOfPacks(vault: Vault): Sum[] {
  const path = `${vault.root}/${NAMES.packs}/${NAMES.sums}`;
  try {
    return exists(path) ? parseSums(readFileSync(path)) : [];
  } catch (error) {
    if (error instanceof CoraError) return [];
    throw error;
  }
}

function isLoose(name: string): boolean {
  return LOOSE.some((kind) => name.endsWith(`.${kind}`) && parseId(name.slice(0, -kind.length - 1)) !== undefined);
}

/** What only a run of ours that was killed leaves there. */
function isLeftover(name: string, vouched: ReadonlySet<string>): boolean {
  return name === `${NAMES.sums}.new` || (/^[0-9a-f]{64}\.tar\.zst$/.test(name) && !vouched.has(name));
}

function toCopy(vault: Vault, id: SnapshotId, listed: readonly Sum[]): LooseFile[] {
  const own = saveDirectory(id);
  return LOOSE.flatMap((kind): LooseFile[] => {
    const name = looseName(id, kind);
    const kept = `${NAMES.packs}/${name}`;
    const sum = listed.find(({ path }) => path === name);
    const from = exists(`${vault.root}/${own}/${kind}`) ? `${own}/${kind}` : kept;
    // The copy that is about to go is as good as the one that is there already, unless that was damaged.
    if (sum !== undefined && (from === kept || hashOf(`${vault.root}/${kept}`) === sum.sha256)) return [];
    if (!exists(`${vault.root}/${from}`)) return [];
    return [{ name, from, size: statSync(`${vault.root}/${from}`).size, sha256: kind === NAMES.keyframe ? recordedHash(vault, id) : undefined }];
  });
}

function hashOf(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

/** What the sums of its save say of a keyframe; undefined where there are none (any more). */
function recordedHash(vault: Vault, id: SnapshotId): string | undefined {
  const path = [`${saveDirectory(id)}/${NAMES.sums}`, `${NAMES.packs}/${looseName(id, NAMES.sums)}`].find((one) => exists(`${vault.root}/${one}`));
  if (path === undefined) return undefined;
  try {
    return parseSums(readFileSync(`${vault.root}/${path}`)).find((sum) => sum.path === NAMES.keyframe)?.sha256;
  } catch (error) {
    throw new CoraError('damaged', `${path} cannot be read: ${messageOf(error)}`, { hint: `cora verify ${id}`, cause: error });
  }
}

function missing(hash: Buffer, row: string, id: SnapshotId): CoraError {
  const path = Buffer.from(rowKey(row), 'latin1').toString();
  return new CoraError('damaged', `The save ${id} names content of ${path} that is in no pack: nothing is removed`, {
    hint: `cora verify ${id}`,
    details: { snapshot_id: id, path, object: hash.toString('hex') },
  });
}
