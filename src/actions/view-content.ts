// The content of one file of a snapshot for whoever looks at it: a range of its bytes, or the beginning of it as text. Every piece is
// checked against its hash before it is given out (read-content.ts).

import { isUtf8 } from 'node:buffer';
import { type Bytes, printable } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import type { Entry } from '../format/file-list.ts';
import type { SnapshotRef } from '../vault/catalog.ts';
import type { StoredFile } from './read-content.ts';
import type { VaultView } from './view.ts';

/** More than that is fetched by the command line. */
export const CONTENT_LIMIT = 1 << 30;

/** A part of a file, from byte `start` up to `end` (not in it). */
export type Range = { readonly start: number; readonly end: number };

/**
 * @throws CoraError not_found where the snapshot has no such file; damaged
 */
export async function openContent(view: VaultView, named: SnapshotRef, path: Bytes, ctx: Context): Promise<StoredFile> {
  const open = async (): Promise<StoredFile> => await view.source(ctx).open(view.quickest(named), path);
  try {
    return await open();
  } catch (error) {
    if (!(error instanceof CoraError) || error.code !== 'damaged' || view.quickest(named) === named) throw error;
    // A backup answers for itself where its save cannot be read.
    return await view.source(ctx).open(named, path);
  }
}

/** @throws CoraError damaged */
export async function* rangeOf(view: VaultView, file: StoredFile, { start, end }: Range, ctx: Context): AsyncGenerator<Uint8Array> {
  let at = start;
  try {
    for await (const chunk of file.chunks(start)) {
      const part = chunk.subarray(0, end - at);
      at += part.length;
      if (part.length > 0) yield part;
      if (at >= end) return;
    }
  } catch (error) {
    if (!(error instanceof CoraError) || error.code !== 'damaged' || at > start) throw error;
    // Clean-up may have put the objects into another pack since they were looked up.
    view.dropSource();
    const again = await view.source(ctx).open(file.ref, file.entry.path);
    for await (const chunk of again.chunks(start)) {
      const part = chunk.subarray(0, end - at);
      at += part.length;
      if (part.length > 0) yield part;
      if (at >= end) return;
    }
  }
  if (at < end) throw new CoraError('damaged', `${printable(file.entry.path)} of ${file.ref.id} is shorter than its listing says`);
}

/** What `Range` asks for: a part, everything (undefined), or nothing that is there. A form that is not understood asks for everything (RFC 9110). */
export function rangeIn(header: string | undefined, size: number): Range | 'outside' | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header?.trim() ?? '');
  const [, first, last] = match ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined;
  if (first === '') {
    const count = Number(last);
    return count === 0 || size === 0 ? 'outside' : { start: Math.max(0, size - count), end: size };
  }
  const start = Number(first);
  const end = last === '' ? size : Math.min(size, Number(last) + 1);
  if (last !== '' && Number(last) < start) return undefined;
  return start >= size ? 'outside' : { start, end };
}

export type TextPreview = {
  readonly entry: Entry;
  readonly offset: number;
  readonly content: Buffer;
  /** There is more after it. */
  readonly truncated: boolean;
  /** UTF-8 without NUL, as far as it goes. */
  readonly isText: boolean;
};

/** @throws CoraError not_found, damaged */
export async function previewOf(view: VaultView, named: SnapshotRef, path: Bytes, offset: number, bytes: number, ctx: Context): Promise<TextPreview> {
  const file = await openContent(view, named, path, ctx);
  const { size } = file.entry;
  const range = { start: Math.min(offset, size), end: Math.min(size, offset + bytes) };
  const parts: Uint8Array[] = [];
  if (range.end > range.start) for await (const part of rangeOf(view, file, range, ctx)) parts.push(part);
  let content = Buffer.concat(parts);
  const truncated = range.end < size;
  // A character that the end cuts is left for the next part.
  if (truncated) content = content.subarray(0, content.length - cutAtEnd(content));
  return { entry: file.entry, offset: range.start, content, truncated, isText: isUtf8(content) && !content.includes(0) };
}

/** Bytes of a UTF-8 character that is not whole at the end. */
function cutAtEnd(content: Buffer): number {
  for (let back = 1; back <= Math.min(3, content.length); back++) {
    const byte = content[content.length - back] ?? 0;
    if (byte < 0x80) return 0;
    if (byte >= 0xc0) return (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) > back ? back : 0;
  }
  return 0;
}
