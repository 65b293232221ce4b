// Looking into snapshots: directories, names, and contents.

import { z } from 'zod';
import { CONTENT_LIMIT, openContent, previewOf, rangeIn, rangeOf } from '../../actions/view-content.ts';
import { compileSearch } from '../../actions/view-paths.ts';
import type { SnapshotTree } from '../../actions/view-tree.ts';
import { type Bytes, basenameBytes, bytes, dirnameBytes, fromText, printable, toText } from '../../base/bytes.ts';
import { CoraError } from '../../base/errors.ts';
import type { Entry } from '../../format/file-list.ts';
import type { Document } from '../results.ts';
import { refusal } from './problem.ts';
import { type Route, route } from './route.ts';
import {
  askedPath,
  bytesFields,
  count,
  entryFields,
  entryOf,
  nextOf,
  offsetOf,
  openView,
  PAGE,
  type Page,
  pageQuery,
  pathQuery,
  pathShape,
  requiredPath,
  text,
} from './view-shapes.ts';

const treeEntry = z.object({ ...entryFields, name: text, name_base64: text.optional(), ...pathShape, children: count.nullable() });
const listed = { snapshot_id: text, ...pathShape, total: count, next: text.nullable(), entries: z.array(treeEntry) };
const TEXT_MOST = 1 << 20;
/** Contents up to this are read before they are sent. */
const AT_ONCE = 1 << 20;
const TYPES = z.enum(['file', 'directory']);

export const FILES_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/api/v1/snapshots/{id}/tree',
    summary: 'A directory of a snapshot',
    about: 'Directories first, a page at a time. Paths are relative to the project; without one it is the project itself.',
    command: 'find',
    params: z.strictObject({ id: z.string() }),
    query: z.strictObject({
      ...pageQuery(PAGE),
      ...pathQuery,
      sort: z.enum(['name', 'size', 'mtime']).default('name'),
      order: z.enum(['asc', 'desc']).default('asc'),
    }),
    output: z.object({ ...listed, parent: text.nullable(), parent_base64: text.optional() }),
    run: async ({ params, query }, session) => {
      const view = await openView(session);
      const named = view.resolve(params.id, session.ctx.now());
      const path = askedPath(query) ?? bytes('.');
      const tree = await view.tree(named);
      const of = tree.entry(path);
      if (path !== '.' && of?.type !== 'd') {
        throw new CoraError('not_found', of === undefined ? `${printable(path)} is not in ${named.id}` : `${printable(path)} is no directory`, {
          hint: `cora log ${printable(path)}`,
        });
      }
      const key = `tree ${named.kind} ${named.id} ${query.sort} ${query.order} ${path}`;
      const rows = await view.remembered(key, () => tree.childrenOf(path, query.sort, query.order === 'desc'));
      const parent = path === '.' ? { parent: null } : bytesFields('parent', path.includes('/') ? dirnameBytes(path) : bytes('.'));
      return { data: { snapshot_id: named.id, ...bytesFields('path', path), ...parent, ...entriesOf(tree, rows, query) } };
    },
  }),
  route({
    method: 'GET',
    path: '/api/v1/snapshots/{id}/search',
    summary: 'Names in a snapshot',
    about: 'Part of a name, letter case ignored; with *, ? or [ a shell pattern; with a slash of whole paths. Below a directory with path.',
    command: 'find',
    params: z.strictObject({ id: z.string() }),
    query: z.strictObject({ ...pageQuery(PAGE), ...pathQuery, q: z.string().max(500), type: TYPES.optional() }),
    output: z.object(listed),
    run: async ({ params, query }, session) => {
      const view = await openView(session);
      const named = view.resolve(params.id, session.ctx.now());
      const path = askedPath(query) ?? bytes('.');
      const tree = await view.tree(named);
      const key = `search ${named.kind} ${named.id} ${query.type ?? ''} ${query.q}\0${path}`;
      const rows = await view.remembered(key, () => tree.search(path, compileSearch(fromText(query.q)), query.type));
      return { data: { snapshot_id: named.id, ...bytesFields('path', path), ...entriesOf(tree, rows, query) } };
    },
  }),
  route({
    method: 'GET',
    path: '/api/v1/snapshots/{id}/content',
    summary: 'The bytes of a file',
    about: 'Checked against their hashes, always as a download. One range (Range: bytes=a-b) is answered with 206.',
    command: 'cat',
    params: z.strictObject({ id: z.string() }),
    query: z.strictObject(pathQuery),
    outputType: 'application/octet-stream',
    failures: [413, 416],
    run: async ({ params, query }, session, call) => {
      const view = await openView(session);
      const named = view.resolve(params.id, session.ctx.now());
      const path = requiredPath(query);
      const file = await openContent(view, named, path, session.ctx);
      const { size } = file.entry;
      if (size > CONTENT_LIMIT) {
        return refusal('http_too_large', `${printable(path)} is larger than 1 GiB`, `cora cat ${named.id} -- ${printable(path)} > FILE`);
      }
      const range = rangeIn(call.header('range'), size);
      const headers = {
        'Accept-Ranges': 'bytes',
        'Content-Disposition': attachment(basenameBytes(path)),
        'Content-Security-Policy': "default-src 'none'; sandbox",
        'X-Content-Type-Options': 'nosniff',
      };
      const type = 'application/octet-stream';
      if (range === 'outside') return { bytes: new Uint8Array(), type, status: 416, headers: { ...headers, 'Content-Range': `bytes */${size}` } };
      const { start, end } = range ?? { start: 0, end: size };
      const parts = rangeOf(view, file, { start, end }, session.ctx);
      // What is small is whole before the answer begins, so that damage is said; a stream that nobody reads holds no lock.
      const content = end - start <= AT_ONCE ? await whole(parts) : parts;
      return {
        bytes: content,
        type,
        status: range === undefined ? 200 : 206,
        headers: {
          ...headers,
          'Content-Length': String(end - start),
          ...(range === undefined ? {} : { 'Content-Range': `bytes ${start}-${end - 1}/${size}` }),
        },
      };
    },
  }),
  route({
    method: 'GET',
    path: '/api/v1/snapshots/{id}/text',
    summary: 'A look at a file',
    about: 'Up to 1 MB of it from offset on: as text where that part is UTF-8 without NUL, else in base64.',
    command: 'cat',
    params: z.strictObject({ id: z.string() }),
    query: z.strictObject({
      ...pathQuery,
      bytes: z.coerce
        .number()
        .int()
        .min(4)
        .max(TEXT_MOST)
        .default(TEXT_MOST / 4),
      offset: z.coerce.number().int().min(0).default(0),
    }),
    output: z.object({
      snapshot_id: text,
      ...pathShape,
      size: count,
      offset: count,
      bytes: count,
      truncated: z.boolean(),
      binary: z.boolean(),
      text: text.nullable(),
      base64: text.nullable(),
    }),
    run: async ({ params, query }, session) => {
      const view = await openView(session);
      const named = view.resolve(params.id, session.ctx.now());
      const path = requiredPath(query);
      const { entry: of, content, truncated, isText, offset } = await previewOf(view, named, path, query.offset, query.bytes, session.ctx);
      return {
        data: {
          snapshot_id: named.id,
          ...bytesFields('path', path),
          size: of.size,
          offset,
          bytes: content.length,
          truncated,
          binary: !isText,
          text: isText ? content.toString('utf8') : null,
          base64: isText ? null : content.toString('base64'),
        },
      };
    },
  }),
];

function entriesOf(tree: SnapshotTree, rows: readonly number[], page: Page): Document {
  const from = offsetOf(page);
  return {
    total: rows.length,
    next: nextOf(from, page.limit, rows.length),
    entries: rows.slice(from, from + page.limit).map((row) => treeDocument(tree, tree.at(row))),
  };
}

function treeDocument(tree: SnapshotTree, of: Entry): Document {
  const children = of.type === 'd' ? tree.countIn(of.path) : null;
  return { ...entryOf(of), ...bytesFields('name', basenameBytes(of.path)), ...bytesFields('path', of.path), children };
}

async function whole(parts: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const part of parts) all.push(part);
  return Buffer.concat(all);
}

/** The name for a download (RFC 6266): plain characters, and the whole in UTF-8 beside it. */
function attachment(name: Bytes): string {
  const whole = toText(name);
  const plain = whole.replace(/[^A-Za-z0-9._ -]/g, '_');
  const encoded = encodeURIComponent(whole.toWellFormed()).replace(/['()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
  return `attachment; filename="${plain}"; filename*=UTF-8''${encoded}`;
}
