// The snapshots of a view as pages: filtered, searched by what people call them or by a moment. Pure over what the view has read.

import type { Context } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import type { Pin } from '../base/retention-rules.ts';
import { readWhen } from '../language/when.ts';
import { listAdopted } from '../vault/adopted.ts';
import type { SnapshotRef } from '../vault/catalog.ts';
import type { Protection } from '../vault/seal.ts';
import { type SnapshotSummary, summarizeAdopted } from './list.ts';
import type { SnapshotRow, VaultView } from './view.ts';
import type { Facts } from './view-facts.ts';
import type { Checked, Marks } from './view-marks.ts';

export const MARKS = ['sealed', 'unsealed', 'verified', 'unverified', 'damaged', 'offsite', 'pinned', 'labelled', 'drilled'] as const;
export type Mark = (typeof MARKS)[number];

/** A snapshot with all that is known of it. */
export type SnapshotCard = {
  readonly id: string;
  readonly kinds: readonly (SnapshotRef['kind'] | 'adopted')[];
  readonly time: number;
  readonly sequence: number | undefined;
  readonly storedBytes: number;
  /** Undefined of what another tool made. */
  readonly facts: Facts | undefined;
  readonly pin: Pin | undefined;
  readonly protection: Protection | undefined;
  /** The ledger says sealed, the flag is gone. */
  readonly sealMissing: boolean;
  readonly verified: Checked | undefined;
  readonly drilled: Checked | undefined;
  readonly offsite: ReadonlyMap<string, number> | undefined;
  /** On disk, what only it needs; undefined where that is not counted yet. */
  readonly uniqueBytes: number | undefined;
};

export type SnapshotQuery = {
  readonly text: string | undefined;
  readonly at: string | undefined;
  readonly kind: SnapshotRef['kind'] | 'adopted' | undefined;
  readonly status: Facts['status'] | undefined;
  readonly mark: Mark | undefined;
  /** Milliseconds since 1970. */
  readonly from: number | undefined;
  readonly to: number | undefined;
  readonly order: 'newest' | 'oldest';
};

export type SnapshotPage = {
  readonly found: readonly SnapshotCard[];
  readonly total: number;
  /** The instant that was asked for in words. */
  readonly moment: number | undefined;
  readonly newest: string | undefined;
};

/** @throws CoraError usage, ambiguous_moment for a moment that is not understood */
export async function pageOfSnapshots(view: VaultView, query: SnapshotQuery, offset: number, limit: number, ctx: Context): Promise<SnapshotPage> {
  const now = ctx.now();
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  let rows = [...(query.kind === undefined ? adoptedRows(view) : query.kind === 'adopted' ? adoptedRows(view) : []), ...ownRows(view, query.kind)];
  const newest = view.rows().at(-1)?.id;
  let moment: number | undefined = query.at === undefined ? undefined : await momentOf(query.at, now, zone);
  if (query.text !== undefined && query.text !== '') {
    const named = rows.filter((row) => isCalled(row, query.text?.toLowerCase() ?? ''));
    if (named.length === 0) moment ??= await momentOf(query.text, now, zone).catch(() => undefined);
    if (named.length > 0 || moment === undefined) rows = named;
  }
  const marks = view.marks(now);
  const flags = query.mark === 'sealed' || query.mark === 'unsealed' ? view.protections(now) : undefined;
  rows = rows.filter(
    (row) =>
      (query.from === undefined || row.time >= query.from) &&
      (query.to === undefined || row.time <= query.to) &&
      (moment === undefined || row.time <= moment) &&
      (query.status === undefined || ('facts' in row && row.facts.status === query.status)) &&
      (query.mark === undefined || hasMark(row, query.mark, marks, flags)),
  );
  // A moment asks for the clock; all else for the order in which they were made.
  if (moment !== undefined) rows = rows.toSorted((a, b) => a.time - b.time);
  if (query.order === 'newest' || moment !== undefined) rows = rows.toReversed();
  const found = rows.slice(offset, offset + limit).map((row) => ('facts' in row ? cardOf(view, row, now) : adoptedCard(row)));
  return { found, total: rows.length, moment, newest };
}

async function momentOf(said: string, now: number, zone: string): Promise<number> {
  const when = await readWhen(said.replace(/^@/, '').trim(), now, zone);
  if (when.kind === 'moment') return when.time;
  if (when.time !== undefined) return when.time - 1;
  throw new CoraError('usage', `Not a moment that is understood: ${said}`, { hint: 'write it as "2 hours ago" or "2026-11-20 14:30"' });
}

/** Those that have the kind; a backup that is shown with its save is both. */
function ownRows(view: VaultView, kind: SnapshotQuery['kind']): readonly SnapshotRow[] {
  if (kind === 'adopted') return [];
  return kind === undefined ? view.rows() : view.rows().filter(({ refs }) => refs.some((ref) => ref.kind === kind));
}

function adoptedRows(view: VaultView): readonly SnapshotSummary[] {
  return listAdopted(view.vault).snapshots.map(summarizeAdopted);
}

type Row = SnapshotRow | SnapshotSummary;

function isCalled(row: Row, wanted: string): boolean {
  const names = 'facts' in row ? [row.id, row.facts.label, row.facts.note, row.facts.branch, row.facts.type] : [row.id, row.type, row.layout];
  return names.some((name) => name?.toLowerCase().includes(wanted) === true);
}

function hasMark(row: Row, mark: Mark, marks: Marks, flags: ReadonlyMap<string, Protection> | undefined): boolean {
  if (!('facts' in row)) return false;
  const isBackup = row.main.kind === 'backup';
  const verified = verifiedOf(row, marks);
  switch (mark) {
    case 'sealed':
      return isBackup && flags?.get(row.id) === 'kernel';
    case 'unsealed':
      return isBackup && flags?.get(row.id) !== 'kernel';
    case 'verified':
      return verified?.ok === true;
    case 'unverified':
      return verified === undefined;
    case 'damaged':
      return verified?.ok === false;
    case 'offsite':
      return marks.offsite.has(row.id);
    case 'pinned':
      return marks.pins.has(row.id);
    case 'labelled':
      return row.facts.label !== null || row.facts.note !== null;
    case 'drilled':
      return marks.drilled.get(row.id)?.ok === true;
  }
}

/** By the last check; a backup is read back when it is made. */
export function verifiedOf(row: SnapshotRow, marks: Marks): Checked | undefined {
  return marks.verified.get(row.id) ?? (row.main.kind === 'backup' ? { ok: true, time: row.time } : undefined);
}

export function cardOf(view: VaultView, row: SnapshotRow, now: number): SnapshotCard {
  const marks = view.marks(now);
  const isBackup = row.main.kind === 'backup';
  const protection = isBackup ? view.protections(now).get(row.id) : undefined;
  return {
    id: row.id,
    kinds: row.refs.map(({ kind }) => kind),
    time: row.time,
    sequence: row.main.sequence ?? row.facts.sequence,
    storedBytes: row.storedBytes,
    facts: row.facts,
    pin: marks.pins.get(row.id),
    protection,
    sealMissing: isBackup && marks.sealed.has(row.id) && protection !== 'kernel',
    verified: verifiedOf(row, marks),
    drilled: marks.drilled.get(row.id),
    offsite: marks.offsite.get(row.id),
    uniqueBytes: uniqueBytes(view, row),
  };
}

function adoptedCard(row: SnapshotSummary): SnapshotCard {
  const nothing = { facts: undefined, pin: undefined, protection: undefined, verified: undefined, drilled: undefined, offsite: undefined };
  return {
    ...nothing,
    id: row.id,
    kinds: row.kinds,
    time: row.time,
    sequence: undefined,
    storedBytes: row.storedBytes,
    sealMissing: false,
    uniqueBytes: undefined,
  };
}

/**
 * Bytes on disk that deleting a snapshot would give back: its own files, of its pack what no other save needs, and its keyframe
 * where no other save is read with it. Undefined where it is not counted yet.
 */
export function uniqueBytes(view: VaultView, { refs }: SnapshotRow): number | undefined {
  let sum = 0;
  for (const ref of refs) {
    const { storedBytes, packBytes, keyframeBytes } = view.facts(ref);
    if (ref.kind !== 'save') {
      sum += storedBytes;
      continue;
    }
    const figures = view.storage.figures;
    const cost = figures?.saves[ref.id];
    if (figures === undefined || cost === undefined) return undefined;
    const readers = figures.keyframes[`${ref.directory}/FILES.tsv.zst`] ?? 0;
    sum += storedBytes - packBytes - (readers > 1 ? keyframeBytes : 0) + cost.unique;
  }
  return sum;
}
