// Figures over all snapshots: what is stored, what dedup saved, and how it went over time.

import { z } from 'zod';
import { bytesBelow } from '../../actions/list.ts';
import type { SnapshotRow, VaultView } from '../../actions/view.ts';
import { uniqueBytes } from '../../actions/view-snapshots.ts';
import { storedByDay, type TrendPoint, trendsOf } from '../../actions/view-trends.ts';
import { exists, freeBytes } from '../../os/files.ts';
import type { Document } from '../results.ts';
import { type Route, route } from './route.ts';
import { drill, drillsDocument, isFailure, runsOf } from './runs-shapes.ts';
import { card, count, indexing, moment, number, openView, pageOf, pageQuery, rfc3339, text, time } from './view-shapes.ts';

const PATIENCE = 100;
const OF_A_VAULT = ['ledger', '.cache', '.stage', '.trash', 'progress/packs'];

export const STORAGE_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/api/v1/storage',
    summary: 'What the snapshots take, and what dedup saved',
    about:
      'unique_bytes of a snapshot is what deleting it would give back. ready is false while that is counted for the first time; with indexing beside figures, those are of a moment ago.',
    command: 'status',
    query: z.strictObject({ ...pageQuery(), sort: z.enum(['time', 'size', 'unique']).default('time') }),
    output: z.object({
      ready: z.boolean(),
      indexing,
      vault_bytes: count,
      free_bytes: count,
      content_bytes: count,
      object_bytes: count.nullable(),
      stored_bytes: count.nullable(),
      backup_bytes: count,
      saved_bytes: count.nullable(),
      dedup_ratio: number.nullable(),
      compression_ratio: number.nullable(),
      unreferenced_bytes: count.nullable(),
      growth: z.array(z.object({ day: text, saves: count, backups: count, bytes: count, total: count })),
      total: count,
      next: text.nullable(),
      snapshots: z.array(
        z.object({
          snapshot_id: text,
          kinds: card.shape.kinds,
          time,
          label: text.nullable(),
          content_bytes: count.nullable(),
          size: count,
          unique_bytes: count.nullable(),
          shared_bytes: count.nullable(),
        }),
      ),
    }),
    run: async ({ query }, session) => {
      const view = await openView(session);
      await view.counted(PATIENCE);
      const rows = view.rows();
      const { version } = view.storage;
      const page = pageOf(await view.remembered(`stored ${version} ${query.sort}`, () => sorted(view, rows, query.sort)), query);
      const sums = await view.remembered(`storage ${version}`, () => totals(view, rows));
      return {
        data: {
          ...sums,
          indexing: view.storage.progress ?? null,
          free_bytes: freeBytes(view.vault.root),
          total: page.total,
          next: page.next,
          snapshots: page.items.map((row) => storedDocument(view, row)),
        },
      };
    },
  }),
  route({
    method: 'GET',
    path: '/api/v1/trends',
    summary: 'How runs went over time',
    about: 'Duration, size, WAL and files of each snapshot (thinned to points), days with what failed, and restore drills.',
    command: 'status',
    query: z.strictObject({
      from: moment.optional(),
      to: moment.optional(),
      kind: z.enum(['save', 'backup', 'fallback']).optional(),
      points: z.coerce.number().int().min(2).max(2000).default(400),
    }),
    output: z.object({
      points: z.array(
        z.object({
          snapshot_id: text,
          kind: z.enum(['save', 'backup', 'fallback']),
          time,
          duration: number.nullable(),
          size: count,
          content_bytes: count.nullable(),
          wal_bytes: count.nullable(),
          files: count.nullable(),
          data_added: count.nullable(),
          ok: z.boolean(),
        }),
      ),
      total: count,
      days: z.array(z.object({ day: text, runs: count, ok: count, failed: count })),
      drills: z.object({ count, succeeded: count, rate: number.nullable(), points: z.array(drill) }),
    }),
    run: async ({ query }, session) => {
      const view = await openView(session);
      const failures = (await runsOf(session)).filter(isFailure).map((run) => run.time);
      const { from, to, kind, points: most } = query;
      const data = await view.remembered(`trends ${JSON.stringify([query, failures.length, failures.at(-1)])}`, () => {
        const { points, total, days, drills } = trendsOf(view, { from, to, kind, points: most }, failures, session.ctx.now());
        return { points: points.map(pointDocument), total, days, drills: drillsDocument(drills) };
      });
      return { data };
    },
  }),
];

function sorted(view: VaultView, rows: readonly SnapshotRow[], by: 'time' | 'size' | 'unique'): readonly SnapshotRow[] {
  const newest = rows.toReversed();
  if (by === 'time') return newest;
  const value = by === 'size' ? (row: SnapshotRow) => row.storedBytes : (row: SnapshotRow) => uniqueBytes(view, row) ?? 0;
  const values = new Map(newest.map((row) => [row, value(row)]));
  return newest.sort((a, b) => (values.get(b) ?? 0) - (values.get(a) ?? 0));
}

function totals(view: VaultView, rows: readonly SnapshotRow[]): Document {
  const { figures } = view.storage;
  const refs = rows.flatMap(({ refs: all }) => all);
  const sum = (values: readonly number[]) => values.reduce((all, one) => all + one, 0);
  const own = sum(rows.map(({ storedBytes }) => storedBytes));
  const around = OF_A_VAULT.filter((name) => exists(`${view.vault.root}/${name}`)).map((name) => bytesBelow(`${view.vault.root}/${name}`));
  const ofSaves = sum(refs.filter(({ kind }) => kind === 'save').map((one) => view.facts(one).contentBytes ?? 0));
  const ratio = (part: number, of: number | undefined) => (of === undefined || of === 0 ? null : Number((part / of).toFixed(2)));
  return {
    ready: figures !== undefined,
    vault_bytes: own + sum(around),
    content_bytes: sum(refs.map((one) => view.facts(one).contentBytes ?? 0)),
    object_bytes: figures?.objectBytes ?? null,
    stored_bytes: figures?.storedBytes ?? null,
    backup_bytes: sum(refs.filter(({ kind }) => kind !== 'save').map((one) => view.facts(one).storedBytes)),
    saved_bytes: figures === undefined ? null : Math.max(0, ofSaves - figures.objectBytes),
    dedup_ratio: ratio(ofSaves, figures?.objectBytes),
    compression_ratio: figures === undefined ? null : ratio(figures.objectBytes, figures.storedBytes),
    unreferenced_bytes: figures?.unreferencedBytes ?? null,
    growth: storedByDay(rows, ({ storedBytes }) => storedBytes),
  };
}

function storedDocument(view: VaultView, row: SnapshotRow): Document {
  const save = row.refs.find(({ kind }) => kind === 'save');
  return {
    snapshot_id: row.id,
    kinds: row.refs.map(({ kind }) => kind),
    time: rfc3339(row.time),
    label: row.facts.label ?? row.facts.note,
    content_bytes: row.facts.contentBytes,
    size: row.storedBytes,
    unique_bytes: uniqueBytes(view, row) ?? null,
    shared_bytes: save === undefined ? 0 : (view.storage.figures?.saves[save.id]?.shared ?? null),
  };
}

function pointDocument({ id, kind, time: at, storedBytes, facts }: TrendPoint): Document {
  return {
    snapshot_id: id,
    kind,
    time: rfc3339(at),
    duration: facts.duration,
    size: storedBytes,
    content_bytes: facts.contentBytes,
    wal_bytes: facts.walBytes,
    files: facts.files,
    data_added: facts.dataAdded,
    ok: facts.good,
  };
}
