// What differs in one file: a unified diff of text, or the rows of a database. Copies of databases lie in a private directory for
// a moment; nothing else is written.

import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Bytes, bytes, joinBytes, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError, messageOf } from '../base/errors.ts';
import type { Entry } from '../format/file-list.ts';
import { unifiedDiff } from '../format/unified.ts';
import { writeAll } from '../os/files.ts';
import { onPath } from '../os/long-path.ts';
import { takeCopy } from '../os/sqlite.ts';
import { differingRows, type TableRows } from '../os/sqlite-diff.ts';
import type { SnapshotRef } from '../vault/catalog.ts';
import { quickestForm } from '../vault/history.ts';
import type { VaultLocation } from '../vault/locate.ts';
import type { Vault } from '../vault/vault.ts';
import type { FileChange } from './diff-rows.ts';
import type { ProjectFacts } from './open-project.ts';
import { ContentSource } from './read-content.ts';

export type ContentDiff =
  /** Lines as bytes; without the names of the files. */
  | { readonly kind: 'text'; readonly hunks: readonly Bytes[] }
  | { readonly kind: 'rows'; readonly tables: readonly TableRows[] }
  /** Why there is nothing to show. */
  | { readonly kind: 'none'; readonly reason: string };

export type ContentRequest = {
  readonly change: FileChange;
  readonly before: SnapshotRef | undefined;
  /** Undefined for the project as it is now. */
  readonly after: SnapshotRef | undefined;
  readonly project: ProjectFacts | undefined;
  /** Set for a database. */
  readonly rows: number | undefined;
};

/** Larger texts are not compared line by line. */
const TEXT_LIMIT = 8 << 20;

/**
 * @param kept what reads contents, and stays open; without it one is opened
 * @throws CoraError damaged
 */
export async function contentDiff(
  location: VaultLocation,
  vault: Vault,
  request: ContentRequest,
  ctx: Context,
  kept?: ContentSource,
): Promise<ContentDiff> {
  const source = kept ?? new ContentSource(location, vault, ctx);
  try {
    return await (request.rows === undefined ? textDiff(vault, source, request) : rowsDiff(vault, source, request, request.rows));
  } finally {
    if (kept === undefined) source.close();
  }
}

const isFile = (entry: Entry | undefined): boolean => entry === undefined || entry.type === 'f' || entry.type === 'S' || entry.type === 'h';

async function textDiff(vault: Vault, source: ContentSource, { change, before, after, project }: ContentRequest): Promise<ContentDiff> {
  if (!isFile(change.before) || !isFile(change.after)) return { kind: 'none', reason: 'it is no file in both' };
  if ((change.before?.size ?? 0) > TEXT_LIMIT || (change.after?.size ?? 0) > TEXT_LIMIT)
    return { kind: 'none', reason: 'it is too large for a comparison by lines' };
  const stored = async (ref: SnapshotRef): Promise<string> => {
    const parts: Uint8Array[] = [];
    for await (const chunk of (await source.open(quickestForm(vault, ref), change.path)).chunks()) parts.push(chunk);
    return Buffer.concat(parts).toString('latin1');
  };
  const was = change.before === undefined || before === undefined ? '' : await stored(before);
  const is = change.after === undefined ? '' : after === undefined ? liveText(project, change.path) : await stored(after);
  if (was.includes('\0') || is.includes('\0')) return { kind: 'none', reason: 'it is not text' };
  return { kind: 'text', hunks: unifiedDiff(was, is).map(bytes) };
}

function liveText(project: ProjectFacts | undefined, path: Bytes): string {
  if (project === undefined) throw new CoraError('usage', 'There is no project here to compare with');
  return onPath(joinBytes(project.root, path), (reachable) => readFileSync(reachable, 'latin1'));
}

async function rowsDiff(vault: Vault, source: ContentSource, request: ContentRequest, limit: number): Promise<ContentDiff> {
  const { change, before, after, project } = request;
  const scratch = mkdtempSync(join(tmpdir(), 'cora-diff-'));
  try {
    const [old, now] = [`${scratch}/before.db`, `${scratch}/after.db`];
    await (change.before === undefined || before === undefined ? empty(old) : unpack(source, quickestForm(vault, before), change.path, old));
    if (change.after === undefined) empty(now);
    else if (after !== undefined) await unpack(source, quickestForm(vault, after), change.path, now);
    else if (project !== undefined) await takeCopy(joinBytes(project.root, change.path), now, Math.min(project.config.databases.timeout, 5000));
    return { kind: 'rows', tables: await differingRows(old, now, limit) };
  } catch (error) {
    if (error instanceof CoraError) throw error;
    return { kind: 'none', reason: `its rows cannot be compared (${messageOf(error)})` };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** A database without tables. */
function empty(path: string): void {
  closeSync(openSync(path, 'wx', 0o600));
}

async function unpack(source: ContentSource, ref: SnapshotRef, path: Bytes, to: string): Promise<void> {
  const fd = openSync(to, 'wx', 0o600);
  try {
    for await (const chunk of (await source.open(ref, path)).chunks()) writeAll(fd, chunk);
  } finally {
    closeSync(fd);
  }
  if (statSync(to).size === 0) throw new CoraError('not_found', `${toText(path)} of ${ref.id} has no content`);
}
