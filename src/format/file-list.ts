// Rows of FILES.tsv and DELTA.tsv (docs/format.md, "Listings"): pure text, both ways.

import { type Bytes, bytes } from '../base/bytes.ts';
import { CoraError } from '../base/errors.ts';

/** Row types; see docs/format.md. */
export type EntryType = 'd' | 'f' | 'S' | 'l' | 'h' | 'p' | 's' | 'c' | 'b';

/** One entry of a snapshot: a row that is neither a piece nor a removal. */
export type Entry = {
  readonly type: EntryType;
  /** Permission bits, 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Nanoseconds since 1970; may be negative. */
  readonly mtime: bigint;
  /** Bytes of content; 0 for what has none. */
  readonly size: number;
  /** 64 hex digits; undefined for a cut file in a save and for what has no content. */
  readonly sha256: string | undefined;
  /** Relative to the project, `.` for the project itself. */
  readonly path: Bytes;
  /** Link target, hard-link path, or `major,minor`. */
  readonly link: Bytes | undefined;
  /** sha256 of each piece in order, 32 bytes each, of a cut file in a save. */
  readonly pieces: Uint8Array | undefined;
};

export const FILES_HEADER = '#cora-files 1';
export const DELTA_HEADER = '#cora-delta 1';
/** sha256 of nothing: the hash of an empty file, which has no object. */
export const EMPTY_SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

const NEEDS_ESCAPE = /[\\\t\n\r]/;
const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' };
const UNESCAPES: Readonly<Record<string, string>> = { '\\\\': '\\', '\\t': '\t', '\\n': '\n', '\\r': '\r' };

export function escapeField(value: Bytes): string {
  return NEEDS_ESCAPE.test(value) ? value.replace(/[\\\t\n\r]/g, (c) => ESCAPES[c] ?? c) : value;
}

export function unescapeField(field: string): Bytes {
  return bytes(field.includes('\\') ? field.replace(/\\[\\tnr]/g, (c) => UNESCAPES[c] ?? c) : field);
}

/** Nanoseconds as the decimal seconds of field 5. */
export function formatTime(nanoseconds: bigint): string {
  const sign = nanoseconds < 0n ? '-' : '';
  const digits = (nanoseconds < 0n ? -nanoseconds : nanoseconds).toString().padStart(10, '0');
  return `${sign}${digits.slice(0, -9)}.${digits.slice(-9)}`;
}

/** @throws CoraError damaged where the text is not field 5's form */
export function parseTime(field: string): bigint {
  const match = /^(-?)(\d+)\.(\d{9})$/.exec(field);
  if (match === null) throw new CoraError('damaged', `A listing has a malformed time: ${field.slice(0, 40)}`);
  const value = BigInt((match[2] ?? '') + (match[3] ?? ''));
  return match[1] === '-' ? -value : value;
}

/** The path field of piece `index` of a file; `escapedPath` is field 8 of its row. */
export function pieceKey(escapedPath: string, index: number): string {
  return `${escapedPath}//${index.toString().padStart(8, '0')}`;
}

/** The row of an entry itself, without its piece rows and without a newline. */
export function formatEntry(entry: Entry): string {
  const mode = entry.mode.toString(8).padStart(4, '0');
  const link = entry.link === undefined ? '-' : escapeField(entry.link);
  return `${entry.type}\t${mode}\t${entry.uid}\t${entry.gid}\t${formatTime(entry.mtime)}\t${entry.size}\t${entry.sha256 ?? '-'}\t${escapeField(entry.path)}\t${link}`;
}

export function formatPiece(key: string, size: number, sha256: string): string {
  return `+\t-\t-\t-\t-\t${size}\t${sha256}\t${key}\t-`;
}

export function formatRemoval(key: string): string {
  return `-\t-\t-\t-\t-\t-\t-\t${key}\t-`;
}

/** The path field (8) of a row, still escaped: what rows are ordered and matched by. */
export function rowKey(row: string): string {
  let start = 0;
  for (let field = 0; field < 7; field++) start = row.indexOf('\t', start) + 1;
  const end = row.indexOf('\t', start);
  return row.slice(start, end);
}

/** The path field of the file that a piece row's path field belongs to. */
export function pieceOwner(key: string): string {
  return key.slice(0, key.length - 10);
}

/**
 * The entry of a row that is neither a piece nor a removal.
 * @param pieces the hashes of its piece rows, 32 bytes each
 * @throws CoraError damaged where the row is malformed, or names something outside of the project: a listing may come from elsewhere
 */
export function parseRow(row: string, pieces?: Uint8Array): Entry {
  const fields = row.split('\t');
  const [type, mode, uid, gid, mtime, size, sha256, path, link] = fields;
  if (fields.length !== 9 || !isEntryType(type) || path === undefined || path === '' || link === undefined || !/^[0-7]{4}$/.test(mode ?? '')) {
    throw new CoraError('damaged', `A listing has a malformed row: ${JSON.stringify(row.slice(0, 80))}`);
  }
  const linked = type === 'l' || type === 'h' || type === 'c' || type === 'b';
  const name = unescapeField(path);
  const target = linked ? unescapeField(link) : undefined;
  if (leavesRoot(name) || (type === 'h' && leavesRoot(target ?? ''))) {
    throw new CoraError('damaged', `A listing has a row that leads out of the project: ${JSON.stringify(row.slice(0, 80))}`);
  }
  return {
    type,
    mode: Number.parseInt(mode ?? '', 8),
    uid: Number(uid),
    gid: Number(gid),
    mtime: parseTime(mtime ?? ''),
    size: Number(size),
    sha256: sha256 === '-' ? undefined : sha256,
    path: name,
    link: target,
    pieces,
  };
}

/** Whether a path that is joined to a directory may end elsewhere. The project's own directory is `.`. */
function leavesRoot(path: string): boolean {
  return path !== '.' && /(?:^|\/)\.{0,2}(?:\/|$)/.test(path);
}

const TYPES = new Set(['d', 'f', 'S', 'l', 'h', 'p', 's', 'c', 'b']);

function isEntryType(type: string | undefined): type is EntryType {
  return type !== undefined && TYPES.has(type);
}

/** Bytes of text that are joined before they become a buffer; a listing can have millions of rows. */
const TEXT_CHUNK = 1 << 18;

/**
 * A listing's bytes from its rows, which come ordered by the path field's bytes.
 * @param header FILES_HEADER, or DELTA_HEADER with a space and the keyframe's id
 */
export function listingBytes(header: string, rows: Iterable<string>): Buffer {
  const parts: Buffer[] = [];
  let text = `${header}\n`;
  for (const row of rows) {
    text += `${row}\n`;
    if (text.length < TEXT_CHUNK) continue;
    parts.push(Buffer.from(text, 'latin1'));
    text = '';
  }
  parts.push(Buffer.from(text, 'latin1'));
  return Buffer.concat(parts);
}

/** The rows of a map by path field, in the order of a listing. */
export function sortedRows(rows: ReadonlyMap<string, string>): string[] {
  return [...rows.keys()].sort().map((key) => rows.get(key) ?? '');
}
