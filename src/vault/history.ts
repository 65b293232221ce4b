// What became of every path over all snapshots: the full listing of the oldest one, then for each later one the rows that
// changed. Kept in `.cache/history.tsv`, which may be deleted at any time; what it lacks is read from the listings and added.
//
// Form: `#cora-history 2`, then for each snapshot a line `TAB id SP form SP stamp SP bytes SP crc32` and so many bytes of rows, in the
// order of the path field: the fields of a listing's row with the path first. A cut file has for sha256 `~<number>`, which is another
// one whenever its pieces are others (`~<number>d`: a database); a removed path has `-` alone. Snapshots that clean-up removed stay as steps on the way.

import { mkdirSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { CoraError, messageOf } from '../base/errors.ts';
import type { RowText } from '../format/row-merge.ts';
import { exists, readCacheFile, replaceFile } from '../os/files.ts';
import { listSnapshots, type SnapshotRef, tryReport } from './catalog.ts';
import { HistoryWriter } from './history-writer.ts';
import { NAMES } from './layout.ts';
import { ListingReader, listingStamp } from './listing-text.ts';
import { lockForReading, type Vault } from './vault.ts';

/** One snapshot as a step of the history. */
export type Step = {
  readonly id: string;
  /** It is in the vault; else only what it changed is known. */
  readonly isThere: boolean;
  /** Of which form the rows are; undefined where neither can be read. */
  readonly ref: SnapshotRef | undefined;
};

export type ListingDamage = { readonly id: string; readonly file: string; readonly reason: string };

export type History = {
  /** Oldest first. */
  readonly steps: readonly Step[];
  /** Rows of all steps, one text. */
  readonly rows: RowText;
  /** Where the rows of each step begin in it, and one more: the end. */
  readonly starts: readonly number[];
  /** Snapshots that cannot be answered for. */
  readonly damaged: readonly ListingDamage[];
  /** Writes into the cache what it lacks; undefined where it lacks nothing. Never throws. */
  readonly store: (() => void) | undefined;
};

export type HistoryOptions = {
  /** False: what was read is not kept in the cache. Default true. */
  readonly keep?: boolean;
  /** How long to wait for a clean-up, in milliseconds. Default 30 s. */
  readonly lockWait?: number;
  readonly signal?: AbortSignal;
};

const HEADER = '#cora-history 2\n';
const CACHE = `${NAMES.cache}/history.tsv`;
/** With less than this of it, removed snapshots are no reason to begin anew. */
const SMALL = 8 << 20;

type Segment = { readonly id: string; readonly form: string; readonly stamp: string; readonly rows: RowText };

/** One snapshot, and where its listing may be read, the cheapest first: the save that a backup was made from holds the same. */
type Wanted = { readonly id: string; readonly own: SnapshotRef; readonly forms: readonly SnapshotRef[] };

/**
 * The history of all snapshots; checkpoints of critical files alone are not in it (they do not say what else there was).
 * @param list reads a checkpoint's entries as rows
 * @throws CoraError locked, io, interrupted
 */
export async function openHistory(
  vault: Vault,
  list: (ref: SnapshotRef) => Promise<RowText>,
  { keep = true, lockWait, signal }: HistoryOptions = {},
): Promise<History> {
  // Each of the steps takes a moment where there are thousands, and a server has others to answer in between.
  const wanted = wantedSnapshots(vault);
  await setImmediate();
  const cached = readCache(vault);
  await setImmediate();
  const reader = new ListingReader(vault);
  const known = usable(vault, wanted, cached, reader) ? cached : [];
  const inCache = new Set(known.map(({ id }) => id));
  const missing = wanted.filter(({ id }) => !inCache.has(id));
  let segments: readonly Segment[] = known;
  const damaged: ListingDamage[] = [];
  if (missing.length > 0) {
    const lock = lockForReading(vault, lockWait);
    try {
      segments = [...known, ...(await readMissing(vault, known, wanted, missing, reader, list, signal))];
    } finally {
      lock?.release();
    }
    await setImmediate();
    if (keep) store(vault, segments);
  }
  const isKept = keep || missing.length === 0;
  const byId = new Map(wanted.map((one) => [one.id, one]));
  for (const { id, form } of segments) {
    const forms = byId.get(id)?.forms ?? [];
    // What was damaged is looked at again each time: it is named until it is whole or gone.
    for (const ref of forms) {
      if (ref.kind === form) break;
      if (form === 'save' && ref.kind === 'backup') break;
      if (ref.id !== id) continue;
      const reason = damageOf(ref, reader);
      if (reason !== undefined) damaged.push({ id, file: ref.directory, reason });
    }
  }
  return {
    ...join(segments),
    steps: segments.map(({ id, form }) => stepOf(id, form, byId.get(id))),
    damaged,
    store: isKept ? undefined : () => store(vault, segments),
  };
}

function stepOf(id: string, form: string, wanted: Wanted | undefined): Step {
  if (form === 'none') return { id, isThere: false, ref: undefined };
  return { id, isThere: wanted !== undefined, ref: wanted?.own };
}

function join(segments: readonly Segment[]): Pick<History, 'rows' | 'starts'> {
  const starts: number[] = [0];
  for (const { rows } of segments) starts.push((starts.at(-1) ?? 0) + rows.length);
  return { rows: Buffer.concat(segments.map(({ rows }) => rows)), starts };
}

/** Every snapshot once, in the order of the ledger. */
function wantedSnapshots(vault: Vault): Wanted[] {
  const all = listSnapshots(vault);
  const saves = new Map(all.flatMap((ref) => (ref.kind === 'save' ? [[ref.id as string, ref] as const] : [])));
  const byId = new Map<string, Wanted>();
  for (const ref of all) {
    if (ref.kind === 'fallback' && tryReport(vault, ref)?.scope !== 'tree') continue;
    const known = byId.get(ref.id);
    if (known === undefined) byId.set(ref.id, { id: ref.id, own: ref, forms: ref.kind === 'backup' ? [...savesOf(vault, ref, saves), ref] : [ref] });
    else if (ref.kind === 'backup') byId.set(ref.id, { ...known, forms: [...known.forms, ref] });
  }
  return [...byId.values()];
}

/** The save that a backup was exported from: of its own id, or one that was still as good. */
function savesOf(vault: Vault, backup: SnapshotRef, saves: ReadonlyMap<string, SnapshotRef>): SnapshotRef[] {
  const save = saves.get(backup.id) ?? saves.get(tryReport(vault, backup)?.exported_from ?? '');
  return save === undefined ? [] : [save];
}

/** The form of a snapshot that is quickest to read: the save itself, or the one that a backup was exported from; else what it is. */
export function quickestForm(vault: Vault, ref: SnapshotRef): SnapshotRef {
  if (ref.kind !== 'backup') return ref;
  const saves = new Map(listSnapshots(vault).flatMap((one) => (one.kind === 'save' ? [[one.id as string, one] as const] : [])));
  return savesOf(vault, ref, saves)[0] ?? ref;
}

/** Whether the cache is of this vault as it is now, up to snapshots that came since and snapshots that went. */
function usable(vault: Vault, wanted: readonly Wanted[], cached: readonly Segment[], reader: ListingReader): boolean {
  const place = new Map(wanted.map(({ id }, index) => [id, index]));
  let next = 0;
  let gone = 0;
  let total = 0;
  for (const { id, form, stamp, rows } of cached) {
    total += rows.length;
    const index = place.get(id);
    if (index === undefined) {
      gone += rows.length;
      continue;
    }
    // A snapshot that came in between (from a copy off-site), or another order.
    if (index !== next) return false;
    next += 1;
    const forms = wanted[index]?.forms ?? [];
    const ref = forms.find(({ kind }) => kind === form);
    if (ref !== undefined && listingStamp(vault, ref) !== stamp) return false;
    // What could not be read when it was noted, and can now.
    for (const better of forms) {
      if (better.kind === form || (form === 'save' && better.kind === 'backup')) break;
      if (better.id === id && damageOf(better, reader) === undefined) return false;
    }
  }
  // The last step is what new ones are compared with.
  if (next < wanted.length && cached.length > 0 && lastStep(cached, wanted) === undefined) return false;
  return total < SMALL || gone < total / 2;
}

function damageOf(ref: SnapshotRef, reader: ListingReader): string | undefined {
  try {
    if (ref.kind !== 'fallback') reader.layers(ref).keyframe();
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

/** The newest step that could be read, as its snapshot is now; undefined where that form of it is gone. */
function lastStep(known: readonly Segment[], wanted: readonly Wanted[]): SnapshotRef | undefined {
  const last = known.findLast(({ form }) => form !== 'none');
  return wanted.find(({ id }) => id === last?.id)?.forms.find(({ kind }) => kind === last?.form);
}

async function readMissing(
  vault: Vault,
  known: readonly Segment[],
  wanted: readonly Wanted[],
  missing: readonly Wanted[],
  reader: ListingReader,
  list: (ref: SnapshotRef) => Promise<RowText>,
  signal: AbortSignal | undefined,
): Promise<Segment[]> {
  const writer = new HistoryWriter(reader);
  const last = lastStep(known, wanted);
  if (last !== undefined) {
    const text = last.kind === 'fallback' ? await list(last) : undefined;
    writer.continueFrom(
      known.map(({ rows }) => rows),
      last,
      text,
    );
  }
  const added: Segment[] = [];
  for (const { id, forms } of missing) {
    if (added.length % 4 === 3) await setImmediate();
    if (signal?.aborted === true) throw new CoraError('interrupted', 'Interrupted');
    let segment: Segment = { id, form: 'none', stamp: '-', rows: Buffer.alloc(0) };
    for (const ref of forms) {
      const stamp = listingStamp(vault, ref) ?? '-';
      try {
        const rows = writer.add(ref, known.length + added.length, ref.kind === 'fallback' ? await list(ref) : undefined);
        segment = { id, form: ref.kind, stamp, rows };
        break;
      } catch (error) {
        if (!(error instanceof CoraError) || error.code !== 'damaged') throw error;
      }
    }
    added.push(segment);
  }
  return added;
}

function readCache(vault: Vault): Segment[] {
  const data = readCacheFile(`${vault.root}/${CACHE}`);
  if (data === undefined || data.toString('latin1', 0, HEADER.length) !== HEADER) return [];
  const segments: Segment[] = [];
  for (let at = HEADER.length; at < data.length; ) {
    const end = data.indexOf(10, at);
    const match = /^\t([!-~]+) ([a-z]+) ([!-~]+) (\d+) (\d+)$/.exec(data.toString('latin1', at, Math.max(at, end)));
    const [, id, form, stamp, bytes, sum] = match ?? [];
    if (id === undefined || form === undefined || stamp === undefined) return [];
    const rows = data.subarray(end + 1, end + 1 + Number(bytes));
    if (rows.length !== Number(bytes) || crc32(rows) !== Number(sum) || (rows.length > 0 && rows.at(-1) !== 10)) return [];
    segments.push({ id, form, stamp, rows });
    at = end + 1 + rows.length;
  }
  return segments;
}

/** Not synced: a torn one is noticed. Where the vault cannot be written the next run does the same again. */
function store(vault: Vault, segments: readonly Segment[]): void {
  const parts: Buffer[] = [Buffer.from(HEADER)];
  for (const { id, form, stamp, rows } of segments) {
    parts.push(Buffer.from(`\t${id} ${form} ${stamp} ${rows.length} ${crc32(rows)}\n`), rows);
  }
  try {
    if (!exists(`${vault.root}/${NAMES.cache}`)) mkdirSync(`${vault.root}/${NAMES.cache}`, { mode: 0o700 });
    replaceFile(`${vault.root}/${CACHE}`, Buffer.concat(parts), false);
  } catch {
    // A vault on a read-only disk answers too.
  }
}
