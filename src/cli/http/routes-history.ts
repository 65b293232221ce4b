// Looking at snapshots: pages of them, one of them, the time line, and what differs between two.

import { z } from 'zod';
import { type ShownForm, shownForms } from '../../actions/show.ts';
import type { VaultView } from '../../actions/view.ts';
import { cardOf, MARKS, pageOfSnapshots } from '../../actions/view-snapshots.ts';
import { flagsOf } from '../../actions/view-trends.ts';
import { diffSnapshots } from '../../actions/view-versions.ts';
import { CoraError } from '../../base/errors.ts';
import type { SnapshotRef } from '../../vault/catalog.ts';
import { databaseDocument, fileChangeDocument } from '../render-diff.ts';
import type { Document } from '../results.ts';
import { type Route, route } from './route.ts';
import {
  card,
  cardDocument,
  count,
  entry,
  moment,
  nextOf,
  offsetOf,
  openView,
  type Page,
  pageOf,
  pageQuery,
  pathShape,
  ref,
  refOf,
  rfc3339,
  text,
  time,
} from './view-shapes.ts';

const change = z.enum(['created', 'changed', 'deleted']);
const nullableCount = count.nullable();

const differences = {
  created: count,
  changed: count,
  deleted: count,
  total: count,
  next: text.nullable(),
  files: z.array(
    z.object({
      ...pathShape,
      change,
      aspects: z.array(z.enum(['content', 'type', 'mode', 'owner', 'target'])),
      before: entry.nullable(),
      after: entry.nullable(),
      renamed_from: text.optional(),
      renamed_from_base64: text.optional(),
    }),
  ),
  databases: z.array(
    z.object({
      ...pathShape,
      change,
      rows: z.object({ before: nullableCount, after: nullableCount }),
      tables: z.array(z.object({ table: text, before: nullableCount, after: nullableCount })),
    }),
  ),
};

export const HISTORY_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/api/v1/snapshots',
    summary: 'Snapshots, a page at a time',
    about: 'Filtered, and searched by id, label, note, branch and type, or by a moment in words. A save and the backup of the same id are one.',
    command: 'list',
    query: z.strictObject({
      ...pageQuery(),
      order: z.enum(['newest', 'oldest']).default('newest'),
      q: z.string().max(200).optional(),
      at: z.string().max(200).optional(),
      kind: z.enum(['save', 'backup', 'fallback', 'adopted']).optional(),
      status: z.enum(['complete', 'partial', 'suspect']).optional(),
      mark: z.enum(MARKS).optional(),
      from: moment.optional(),
      to: moment.optional(),
    }),
    output: z.object({ total: count, moment: time.nullable(), newest: text.nullable(), next: text.nullable(), snapshots: z.array(card) }),
    run: async ({ query }, session) => {
      const view = await openView(session);
      const { q, at, kind, status, mark, from, to, order, limit } = query;
      const offset = offsetOf(query);
      const page = await pageOfSnapshots(view, { text: q, at, kind, status, mark, from, to, order }, offset, limit, session.ctx);
      return {
        data: {
          total: page.total,
          moment: page.moment === undefined ? null : rfc3339(page.moment),
          newest: page.newest ?? null,
          next: nextOf(offset, limit, page.total),
          snapshots: page.found.map(cardDocument),
        },
      };
    },
  }),
  route({
    method: 'GET',
    path: '/api/v1/snapshots/{id}',
    summary: 'One snapshot',
    about: 'By any name that the command line takes (latest, a prefix of an id, a label): its card, and REPORT.json of each form (docs/json.md).',
    command: 'show',
    params: z.strictObject({ id: z.string() }),
    output: z.object({
      snapshot: card,
      forms: z.array(
        z.object({
          kind: z.enum(['save', 'backup', 'fallback']),
          path: text,
          protection: z.enum(['kernel', 'permissions', 'none']).nullable(),
          protection_reason: text.nullable(),
          report: z.looseObject({}),
        }),
      ),
    }),
    run: async ({ params }, session) => {
      const view = await openView(session);
      const { id } = view.resolve(params.id, session.ctx.now());
      const row = view.rows().find((one) => one.id === id);
      if (row === undefined) throw new CoraError('unknown_snapshot', `There is no snapshot ${params.id}`, { hint: 'cora list' });
      return { data: { snapshot: cardDocument(cardOf(view, row, session.ctx.now())), forms: shownForms(view.vault, row.refs).map(formDocument) } };
    },
  }),
  route({
    method: 'GET',
    path: '/api/v1/timeline',
    summary: 'Every snapshot in one answer',
    about:
      'Columns, oldest first. Bits of flags: 1 save, 2 backup, 4 fallback, 8 adopted, 16 sealed, 32 verified, 64 damaged, 128 off-site, 256 suspect, 512 partial, 1024 pinned, 2048 drilled.',
    command: 'list',
    output: z.object({
      total: count,
      ids: z.array(text),
      times: z.array(count),
      flags: z.array(count),
      sizes: z.array(count),
      labels: z.record(z.string(), text),
    }),
    run: async (_input, session) => {
      const view = await openView(session);
      const rows = view.rows();
      const now = session.ctx.now();
      // A flag of the file system may change without a line.
      const data = await view.remembered(`timeline ${Math.floor(now / 60_000)}`, () => ({
        total: rows.length,
        ids: rows.map(({ id }) => id),
        times: rows.map((row) => row.time),
        flags: rows.map((row) => flagsOf(view, row, now)),
        sizes: rows.map(({ storedBytes }) => storedBytes),
        labels: Object.fromEntries(
          rows.flatMap(({ facts }, index) => {
            const label = facts.label ?? facts.note;
            return label === null ? [] : [[index, label]];
          }),
        ),
      }));
      return { data };
    },
  }),
  route({
    method: 'GET',
    path: '/api/v1/diff',
    summary: 'What differs between two snapshots',
    about: 'As cora diff A B: files in the order of paths a page at a time, and databases with the rows of their tables.',
    command: 'diff',
    query: z.strictObject({ ...pageQuery(100), a: z.string(), b: z.string(), change: change.optional() }),
    output: z.object({ before: ref, after: ref, ...differences }),
    run: async ({ query }, session) => {
      const view = await openView(session);
      const now = session.ctx.now();
      const [before, after] = [view.resolve(query.a, now), view.resolve(query.b, now)];
      return { data: { before: refOf(before), after: refOf(after), ...(await differencesOf(view, before, after, query)) } };
    },
  }),
  route({
    method: 'GET',
    path: '/api/v1/snapshots/{id}/changes',
    summary: 'What a snapshot changed',
    about: 'Against the snapshot before it, or another one (against). before is null for the oldest, of which nothing is told.',
    command: 'diff',
    params: z.strictObject({ id: z.string() }),
    query: z.strictObject({ ...pageQuery(100), against: z.string().optional(), change: change.optional() }),
    output: z.object({ before: ref.nullable(), after: ref, ...differences }),
    run: async ({ params, query }, session) => {
      const view = await openView(session);
      const now = session.ctx.now();
      const after = view.resolve(params.id, now);
      const rows = view.rows();
      const before = query.against === undefined ? rows[rows.findIndex(({ id }) => id === after.id) - 1]?.main : view.resolve(query.against, now);
      const nothing = { created: 0, changed: 0, deleted: 0, total: 0, next: null, files: [], databases: [] };
      const differs = before === undefined ? nothing : await differencesOf(view, before, after, query);
      return { data: { before: before === undefined ? null : refOf(before), after: refOf(after), ...differs } };
    },
  }),
];

type Asked = Page & { readonly change?: 'created' | 'changed' | 'deleted' | undefined };

async function differencesOf(view: VaultView, before: SnapshotRef, after: SnapshotRef, query: Asked): Promise<Document> {
  const { files, databases } = await diffSnapshots(view, before, after);
  const of = (wanted: string) => files.filter((file) => file.change === wanted).length;
  const page = pageOf(query.change === undefined ? files : files.filter((file) => file.change === query.change), query);
  return {
    created: of('created'),
    changed: of('changed'),
    deleted: of('deleted'),
    total: page.total,
    next: page.next,
    files: page.items.map(fileChangeDocument),
    databases: databases.map(databaseDocument),
  };
}

function formDocument({ path, report, seal }: ShownForm): Document {
  return { kind: report.kind, path, protection: seal?.protection ?? null, protection_reason: seal?.reason ?? null, report };
}
