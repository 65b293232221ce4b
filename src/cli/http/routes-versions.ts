// Looking back at paths: the versions of one, what differs between two of them, and every path that there ever was.

import { z } from 'zod';
import { viewOf } from '../../actions/view.ts';
import { compileSearch, type KnownPath } from '../../actions/view-paths.ts';
import { diffVersions, hunksOf, markVersions, pathVersions, type VersionDiff } from '../../actions/view-versions.ts';
import { type Bytes, fromText } from '../../base/bytes.ts';
import { contentDocument, databaseDocument } from '../render-diff.ts';
import { damagedDocument } from '../render-travel.ts';
import type { Document } from '../results.ts';
import { type Route, route } from './route.ts';
import {
  bytesFields,
  count,
  entry,
  entryFields,
  entryOf,
  flag,
  hunk,
  hunkDocument,
  indexing,
  openView,
  pageOf,
  pageQuery,
  pathQuery,
  pathShape,
  ref,
  refOf,
  requiredPath,
  text,
} from './view-shapes.ts';

const damaged = z.array(z.object({ snapshot_id: text, file: text, reason: text }));
const cell = z.union([z.null(), z.number(), text, z.object({ base64: text })]);
const rowCounts = z.object({
  ...pathShape,
  change: z.enum(['created', 'changed', 'deleted']),
  rows: z.object({ before: count.nullable(), after: count.nullable() }),
  tables: z.array(z.object({ table: text, before: count.nullable(), after: count.nullable() })),
});

/** How long a question waits for an index that is being built before it says so. Milliseconds. */
const PATIENCE = 150;
/** Lines of a diff that are told. */
const MOST_LINES = 10_000;

export const VERSION_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/api/v1/versions',
    summary: 'The versions of one path',
    about: 'As cora log, newest first. ready is false while the history is being read for the first time; ask again.',
    command: 'log',
    query: z.strictObject({ ...pageQuery(100), ...pathQuery }),
    output: z.object({
      ready: z.boolean(),
      indexing,
      ...pathShape,
      present: z.boolean(),
      newest: ref.nullable(),
      total: count,
      next: text.nullable(),
      versions: z.array(
        z.object({
          ...entryFields,
          first: ref,
          last: ref,
          snapshots: count,
          gone_in: text.nullable(),
          rows: count.nullable().describe('of a database: in all its tables'),
          suspect: z.boolean().describe('something critical was missing when it was first saved'),
        }),
      ),
      changes: z.array(z.object({ ...ref.shape, created: count, changed: count, deleted: count })).nullable(),
      damaged,
    }),
    run: async ({ query }, session) => {
      const view = await openView(session);
      const path = requiredPath(query);
      const past = await view.past(PATIENCE);
      const nothing = { present: false, newest: null, total: 0, next: null, versions: [], changes: null, damaged: [] };
      if (past === undefined) return { data: { ready: false, indexing: null, ...bytesFields('path', path), ...nothing } };
      const { versions, newest, present, isDatabase, changes } = await pathVersions(view, past, path);
      const page = pageOf(versions, query);
      const marks = markVersions(view, path, isDatabase, page.items);
      return {
        data: {
          ready: true,
          indexing: null,
          ...bytesFields('path', path),
          present,
          newest: newest === undefined ? null : refOf(newest),
          total: page.total,
          next: page.next,
          versions: page.items.map((one, nth) => ({
            ...entryOf(one.entry),
            first: refOf(one.first),
            last: refOf(one.last),
            snapshots: one.snapshots,
            gone_in: one.goneIn?.id ?? null,
            rows: marks[nth]?.rows ?? null,
            suspect: marks[nth]?.isSuspect === true,
          })),
          changes: changes?.map(({ ref: of, ...counts }) => ({ ...refOf(of), ...counts })) ?? null,
          damaged: damagedDocument(past.history.damaged),
        },
      };
    },
  }),
  route({
    method: 'GET',
    path: '/api/v1/versions/diff',
    summary: 'What differs between two versions of a path',
    about: 'Text in hunks of lines (and as one unified diff), a database as rows of its tables. b may be now: the project as it is.',
    command: 'diff',
    query: z.strictObject({ ...pathQuery, a: z.string(), b: z.string(), rows: z.coerce.number().int().min(1).max(500).default(100) }),
    output: z.object({
      before: ref,
      after: ref.nullable(),
      ...pathShape,
      change: z.enum(['same', 'created', 'changed', 'deleted']),
      aspects: z.array(z.enum(['content', 'type', 'mode', 'owner', 'target'])),
      entry_before: entry.nullable(),
      entry_after: entry.nullable(),
      content: z
        .union([
          z.object({ kind: z.literal('none'), reason: text }),
          z.object({ kind: z.literal('text'), truncated: z.boolean(), hunks: z.array(hunk), unified: text, unified_base64: text.optional() }),
          z.object({
            kind: z.literal('rows'),
            tables: z.array(
              z.object({
                table: text,
                columns: z.array(text),
                before: z.array(z.array(cell)),
                after: z.array(z.array(cell)),
                more: z.boolean(),
                reason: text.optional(),
              }),
            ),
          }),
        ])
        .nullable(),
      rows: rowCounts.nullable(),
    }),
    run: async ({ query }, session) => {
      const { project, location } = await session.open();
      const view = await viewOf(location, session.ctx);
      const now = session.ctx.now();
      const before = view.resolve(query.a, now);
      const after = query.b === 'now' ? undefined : view.resolve(query.b, now);
      const request = { path: requiredPath(query), before, after, project, limit: query.rows };
      return { data: diffDocument(request.path, await diffVersions(view, request, session.ctx)) };
    },
  }),
  route({
    method: 'GET',
    path: '/api/v1/find',
    summary: 'Every path that any snapshot ever had',
    about: 'As cora find; q as in a search within a snapshot, nothing finds all. sort=gone: what went last comes first. ready as in versions.',
    command: 'find',
    query: z.strictObject({ ...pageQuery(100), q: z.string().max(500).default(''), gone: flag, sort: z.enum(['path', 'gone']).default('path') }),
    output: z.object({
      ready: z.boolean(),
      indexing,
      newest: text.nullable(),
      total: count,
      gone: count,
      next: text.nullable(),
      found: z.array(z.object({ ...entryFields, ...pathShape, gone: z.boolean(), last_seen: ref, gone_in: ref.nullable() })),
      damaged,
    }),
    run: async ({ query }, session) => {
      const view = await openView(session);
      const newest = view.rows().at(-1)?.id ?? null;
      const past = await view.past(PATIENCE);
      if (past === undefined) return { data: { ready: false, indexing: null, newest, total: 0, gone: 0, next: null, found: [], damaged: [] } };
      const { paths, history } = past;
      const all = await view.remembered(`find ${query.gone} ${query.sort} ${query.q}`, () => {
        const found = paths.matching(compileSearch(fromText(query.q)), query.gone === 'true');
        return { found: query.sort === 'gone' ? paths.byDeparture(found) : found, gone: found.filter((at) => paths.isGone(at)).length };
      });
      const page = pageOf(all.found, query);
      return {
        data: {
          ready: true,
          indexing: null,
          newest,
          total: page.total,
          gone: all.gone,
          next: page.next,
          found: page.items.flatMap((at) => {
            const known = paths.at(at);
            return known === undefined ? [] : knownDocument(known);
          }),
          damaged: damagedDocument(history.damaged),
        },
      };
    },
  }),
];

function knownDocument({ path, isGone, lastSeen, goneIn, entry: of }: KnownPath): Document {
  const gone = goneIn === undefined ? null : refOf(goneIn);
  return { ...entryOf(of), ...bytesFields('path', path), gone: isGone, last_seen: refOf(lastSeen), gone_in: gone };
}

function diffDocument(path: Bytes, diff: VersionDiff): Document {
  const { before, after, change, aspects, entryBefore, entryAfter, content, rows } = diff;
  const parts = content?.kind === 'text' ? hunksOf(content.hunks, MOST_LINES) : undefined;
  const told = content === undefined ? undefined : contentDocument(content);
  return {
    before: refOf(before),
    after: after === undefined ? null : refOf(after),
    ...bytesFields('path', path),
    change,
    aspects,
    entry_before: entryBefore === undefined ? null : entryOf(entryBefore),
    entry_after: entryAfter === undefined ? null : entryOf(entryAfter),
    content: told === undefined ? null : parts === undefined ? told : { ...told, truncated: parts.truncated, hunks: parts.hunks.map(hunkDocument) },
    rows: rows === undefined ? null : databaseDocument(rows),
  };
}
