// What the routes that look have in common: how a path, a page and a snapshot are asked for, and how each is told. Names are those of
// docs/json.md.

import { z } from 'zod';
import { type VaultView, viewOf } from '../../actions/view.ts';
import type { SnapshotCard } from '../../actions/view-snapshots.ts';
import { type Hunk, listedPath } from '../../actions/view-versions.ts';
import { type Bytes, base64Of, fromText, isText, toText } from '../../base/bytes.ts';
import { CoraError } from '../../base/errors.ts';
import type { Session } from '../command.ts';
import { entryDocument, refDocument } from '../render-travel.ts';
import type { Document } from '../results.ts';
import { pathFromBase64 } from './fields.ts';

/** Entries of one page. */
export const PAGE = 200;

export const number = z.number();
export const count = z.int();
export const text = z.string();
export const time = z.iso.datetime();

export const ref = z.object({ snapshot_id: text, kind: z.enum(['save', 'backup', 'fallback']), time });

export const entryFields = {
  type: z.enum(['file', 'directory', 'link', 'fifo', 'socket', 'device']),
  size: count,
  sha256: text.nullable(),
  mode: text,
  uid: count,
  gid: count,
  mtime: time,
  link: text.optional(),
  link_base64: text.optional(),
};
export const entry = z.object(entryFields);

/** A path, and its bytes where they are no text. */
export const pathShape = { path: text, path_base64: text.optional() };

export const indexing = z.object({ done: count, total: count }).nullable();

/** @param fallback entries of a page where nothing is said */
export function pageQuery(fallback = 50) {
  return {
    limit: z.coerce.number().int().min(1).max(PAGE).default(fallback),
    after: z
      .string()
      .regex(/^\d{1,9}$/)
      .optional(),
    offset: z.coerce.number().int().min(0).max(999_999_999).optional(),
  };
}

export const pathQuery = { path: z.string().optional(), path_base64: z.string().optional() };
export const flag = z.enum(['true', 'false']).default('false');
export const moment = z
  .string()
  .refine((value) => !Number.isNaN(Date.parse(value)), 'is no date')
  .transform((value) => Date.parse(value))
  .meta({ description: 'RFC 3339' });

export type Page = { readonly limit: number; readonly after?: string | undefined; readonly offset?: number | undefined };

export const offsetOf = ({ after, offset }: Page): number => offset ?? (after === undefined ? 0 : Number(after));

/** The page of a list, and where the next one begins. */
export function pageOf<T>(all: readonly T[], page: Page): { readonly items: readonly T[]; readonly next: string | null; readonly total: number } {
  const from = offsetOf(page);
  return { items: all.slice(from, from + page.limit), next: nextOf(from, page.limit, all.length), total: all.length };
}

export const nextOf = (from: number, limit: number, total: number): string | null => (from + limit < total ? String(from + limit) : null);

/**
 * The path that was asked for, relative to the project.
 * @throws CoraError usage
 */
export function askedPath({
  path,
  path_base64: raw,
}: {
  readonly path?: string | undefined;
  readonly path_base64?: string | undefined;
}): Bytes | undefined {
  if (raw !== undefined) {
    if (path !== undefined) throw new CoraError('usage', 'The query has path and path_base64', { hint: 'give one of them' });
    const exact = pathFromBase64(raw);
    if (exact === undefined) throw new CoraError('usage', 'path_base64 is no path', { hint: 'send what an answer gave as path_base64' });
    return listedPath(exact);
  }
  return path === undefined ? undefined : listedPath(fromText(path));
}

/** @throws CoraError usage where none was given */
export function requiredPath(query: Parameters<typeof askedPath>[0]): Bytes {
  const path = askedPath(query);
  if (path === undefined) throw new CoraError('usage', 'The query needs path or path_base64', { hint: 'see /openapi.json' });
  return path;
}

/** The vault of the request's project. @throws CoraError vault_missing, vault_foreign */
export async function openView(session: Session): Promise<VaultView> {
  const { location } = await session.open();
  return viewOf(location, session.ctx);
}

export const entryOf = entryDocument;
export const refOf = refDocument;
export const rfc3339 = (milliseconds: number): string => new Date(milliseconds).toISOString();

export function bytesFields(key: string, value: Bytes): Document {
  return isText(value) ? { [key]: toText(value) } : { [key]: toText(value), [`${key}_base64`]: base64Of(value) };
}

const checked = z.object({ ok: z.boolean(), time }).nullable();

export const card = z.object({
  snapshot_id: text,
  kinds: z.array(z.enum(['save', 'backup', 'fallback', 'adopted'])),
  type: text.nullable(),
  status: z.enum(['complete', 'partial', 'suspect', 'unknown']),
  sequence: count.nullable(),
  time,
  label: text.nullable(),
  note: text.nullable(),
  trigger: text.nullable(),
  branch: text.nullable(),
  total_files_processed: count.nullable(),
  total_bytes_processed: count.nullable(),
  files_new: count.nullable(),
  files_changed: count.nullable(),
  files_removed: count.nullable(),
  data_added: count.nullable(),
  total_duration: number.nullable(),
  size: count,
  losses: count,
  problems: count,
  databases: count,
  pinned: z.boolean(),
  pinned_until: time.nullable(),
  protection: z.enum(['kernel', 'permissions', 'none']).nullable(),
  seal_missing: z.boolean(),
  verified: checked,
  drilled: checked,
  offsite: z.array(z.object({ remote: text, time })),
  unique_bytes: count.nullable(),
});

export function cardDocument(one: SnapshotCard): z.output<typeof card> {
  const { facts, pin } = one;
  const check = (of: SnapshotCard['verified']) => (of === undefined ? null : { ok: of.ok, time: rfc3339(of.time) });
  return {
    snapshot_id: one.id,
    kinds: [...one.kinds],
    type: facts?.type ?? null,
    status: facts?.status ?? 'unknown',
    sequence: one.sequence ?? null,
    time: rfc3339(one.time),
    label: facts?.label ?? null,
    note: facts?.note ?? null,
    trigger: facts?.trigger ?? null,
    branch: facts?.branch ?? null,
    total_files_processed: facts?.files ?? null,
    total_bytes_processed: facts?.contentBytes ?? null,
    files_new: facts?.filesNew ?? null,
    files_changed: facts?.filesChanged ?? null,
    files_removed: facts?.filesRemoved ?? null,
    data_added: facts?.dataAdded ?? null,
    total_duration: facts?.duration ?? null,
    size: one.storedBytes,
    losses: facts?.losses ?? 0,
    problems: facts?.problems ?? 0,
    databases: facts?.databases ?? 0,
    pinned: pin !== undefined,
    pinned_until: pin?.until === undefined ? null : rfc3339(pin.until),
    protection: one.protection ?? null,
    seal_missing: one.sealMissing,
    verified: check(one.verified),
    drilled: check(one.drilled),
    offsite: [...(one.offsite ?? [])].map(([remote, at]) => ({ remote, time: rfc3339(at) })),
    unique_bytes: one.uniqueBytes ?? null,
  };
}

export const hunk = z.object({
  before_start: count,
  before_lines: count,
  after_start: count,
  after_lines: count,
  lines: z.array(z.object({ op: z.enum([' ', '-', '+']), text, text_base64: text.optional() })),
});

export function hunkDocument({ beforeStart, beforeLines, afterStart, afterLines, lines }: Hunk): Document {
  return {
    before_start: beforeStart,
    before_lines: beforeLines,
    after_start: afterStart,
    after_lines: afterLines,
    lines: lines.map(({ op, text: line }) => ({ op, ...bytesFields('text', line) })),
  };
}
