// Headers of a backup's archive: ustar, with pax records for what ustar cannot hold.
//
// Names stand in the archive as the bytes they are. GNU tar, bsdtar and busybox all take them exactly
// from the ustar fields and from GNU's long-name records ('L', 'K'); a pax `path` that is not ASCII is
// translated or refused by bsdtar (by locale), and `hdrcharset=BINARY` makes GNU tar complain. So pax
// holds long names only where they are ASCII (for readers that know the standard alone), and busybox,
// which knows no pax at all, finds long names in the GNU records and big numbers in base 256.

import { type Bytes, isAscii } from '../base/bytes.ts';
import { CoraError } from '../base/errors.ts';
import { formatTime } from './file-list.ts';
import { BLOCK, paddingOf } from './object-entry.ts';

/** ustar's type letters that Cora writes. */
export const TAR_TYPES = { file: '0', hardLink: '1', symlink: '2', characterDevice: '3', blockDevice: '4', directory: '5', fifo: '6' } as const;
export type TarType = (typeof TAR_TYPES)[keyof typeof TAR_TYPES];

export type TarEntry = {
  readonly type: TarType;
  /** The name as it stands in the archive; a directory's ends in a slash. */
  readonly name: Bytes;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Nanoseconds since 1970; may be negative. */
  readonly mtime: bigint;
  /** Bytes that follow the header in the archive (of a sparse file: map and data). */
  readonly size: number;
  /** Target of a symbolic link, or the name of a hard link's target as it stands in the archive. */
  readonly link?: Bytes;
  /** Of a device. */
  readonly device?: readonly [major: number, minor: number];
  /** Bytes of a sparse file with its holes; its `size` then begins with the bytes of `sparseMap`. */
  readonly sparseSize?: number;
};

const NAME = 100;
const PREFIX = 155;
const SECOND = 1_000_000_000n;
/** What eleven octal digits hold. */
const OCTAL_11 = 8 ** 11;
const OCTAL_7 = 8 ** 7;

/** Everything that stands before an entry's content: one block in the simplest case. */
export function tarHeader(entry: TarEntry): Buffer {
  const extra: Buffer[] = [];
  const records: [key: string, value: string][] = [];
  let stored: Pick<TarEntry, 'name' | 'link'> = entry;
  if (entry.sparseSize !== undefined) {
    records.push(
      ['GNU.sparse.major', '1'],
      ['GNU.sparse.minor', '0'],
      ['GNU.sparse.name', entry.name],
      ['GNU.sparse.realsize', String(entry.sparseSize)],
    );
    stored = { ...entry, name: sparseName(entry.name) };
  }
  const split = splitName(stored.name);
  if (split === undefined) {
    if (isAscii(stored.name)) records.push(['path', stored.name]);
    extra.push(longName('L', stored.name));
  }
  const link = stored.link ?? '';
  if (link.length > NAME) {
    if (isAscii(link)) records.push(['linkpath', link]);
    extra.push(longName('K', link));
  }
  if (entry.mtime % SECOND !== 0n || entry.mtime < 0n || entry.mtime >= BigInt(OCTAL_11) * SECOND) records.push(['mtime', formatTime(entry.mtime)]);
  if (entry.uid >= OCTAL_7) records.push(['uid', String(entry.uid)]);
  if (entry.gid >= OCTAL_7) records.push(['gid', String(entry.gid)]);
  if (entry.size >= OCTAL_11) records.push(['size', String(entry.size)]);
  const [prefix, name] = split ?? ['', stored.name.slice(0, NAME)];
  const header = ustarHeader(entry, prefix, name, link.slice(0, NAME));
  if (records.length === 0 && extra.length === 0) return header;
  return Buffer.concat([...(records.length > 0 ? [paxHeader(records)] : []), ...extra, header]);
}

/** One header block; all text is latin1, so every byte stays. */
function ustarHeader(entry: Omit<TarEntry, 'name' | 'link'>, prefix: string, name: string, link: string): Buffer {
  const block = Buffer.alloc(BLOCK);
  block.write(name, 0, NAME, 'latin1');
  writeNumber(block, 100, 8, entry.mode);
  writeNumber(block, 108, 8, entry.uid);
  writeNumber(block, 116, 8, entry.gid);
  writeNumber(block, 124, 12, entry.size);
  writeNumber(block, 136, 12, secondsOf(entry.mtime));
  block.write(entry.type, 156, 1, 'latin1');
  block.write(link, 157, NAME, 'latin1');
  block.write('ustar\x0000', 257, 8, 'latin1');
  if (entry.device !== undefined) {
    writeNumber(block, 329, 8, entry.device[0]);
    writeNumber(block, 337, 8, entry.device[1]);
  }
  block.write(prefix, 345, PREFIX, 'latin1');
  // The sum counts its own field as eight spaces.
  let sum = 8 * 32;
  for (let i = 0; i < BLOCK; i++) sum += block[i] ?? 0;
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 8, 'latin1');
  return block;
}

/** Whole seconds, rounded down (also before 1970). */
function secondsOf(mtime: bigint): number {
  const seconds = mtime / SECOND;
  return Number(mtime % SECOND < 0n ? seconds - 1n : seconds);
}

/** Octal where it fits, else base 256 (the first byte 0x80, or 0xff for a negative number), as GNU tar writes it. */
function writeNumber(block: Buffer, at: number, width: number, value: number): void {
  if (value >= 0 && value < 8 ** (width - 1)) {
    block.write(value.toString(8).padStart(width - 1, '0'), at, width - 1, 'latin1');
    return;
  }
  block.fill(value < 0 ? 0xff : 0, at, at + width);
  if (width >= 12) block.writeBigInt64BE(BigInt(value), at + width - 8);
  else block.writeInt32BE(value | 0, at + width - 4);
  if (value >= 0) block[at] = 0x80;
}

/** The name as ustar's prefix and name, or undefined where it does not fit. */
function splitName(name: string): [prefix: string, name: string] | undefined {
  if (name.length <= NAME) return ['', name];
  if (name.length > PREFIX + 1 + NAME) return undefined;
  // The name field must not be empty, so a directory's own last slash is no place to split.
  const slash = name.indexOf('/', name.length - NAME - 1);
  if (slash <= 0 || slash > PREFIX || slash >= name.length - 1) return undefined;
  return [name.slice(0, slash), name.slice(slash + 1)];
}

const PLAIN = { mode: 0o644, uid: 0, gid: 0, mtime: 0n } as const;

function paxHeader(records: readonly (readonly [key: string, value: string])[]): Buffer {
  const body = Buffer.from(records.map(([key, value]) => paxRecord(key, value)).join(''), 'latin1');
  return special('x', './PaxHeader', body);
}

/** GNU's long name (`L`) or long link (`K`) for the entry that follows. */
function longName(type: 'L' | 'K', value: string): Buffer {
  return special(type, '././@LongLink', Buffer.from(`${value}\0`, 'latin1'));
}

function special(type: 'x' | 'L' | 'K', name: string, body: Buffer): Buffer {
  const header = ustarHeader({ ...PLAIN, type: type as TarType, size: body.length }, '', name, '');
  return Buffer.concat([header, body, Buffer.alloc(paddingOf(body.length))]);
}

/** `<length> <key>=<value>\n`; the length counts itself. */
export function paxRecord(key: string, value: string): string {
  const rest = key.length + value.length + 3;
  let length = rest + 1;
  while (length !== rest + String(length).length) length = rest + String(length).length;
  return `${length} ${key}=${value}\n`;
}

/** The name GNU tar gives a sparse file for readers that do not know the format. */
function sparseName(name: Bytes): Bytes {
  const slash = name.lastIndexOf('/') + 1;
  return `${name.slice(0, slash)}GNUSparseFile.0/${name.slice(slash)}` as Bytes;
}

export type Extent = { readonly offset: number; readonly size: number };

/**
 * The map that begins a sparse file's data in GNU's format 1.0, in whole blocks.
 * @param extents what is not a hole, in order
 * @param size bytes of the file; a hole at its end is told by an empty extent there
 */
export function sparseMap(extents: readonly Extent[], size: number): Buffer {
  const last = extents.at(-1);
  const all = last !== undefined && last.offset + last.size === size ? extents : [...extents, { offset: size, size: 0 }];
  const text = [all.length, ...all.flatMap((extent) => [extent.offset, extent.size])].join('\n');
  const map = Buffer.from(`${text}\n`, 'latin1');
  return Buffer.concat([map, Buffer.alloc(paddingOf(map.length))]);
}

/**
 * `major,minor` of a listing.
 * @throws CoraError damaged for anything else
 */
export function parseDevice(link: string): readonly [major: number, minor: number] {
  const match = /^(\d+),(\d+)$/.exec(link);
  if (match === null) throw new CoraError('damaged', `A listing has a malformed device number: ${link.slice(0, 40)}`);
  return [Number(match[1]), Number(match[2])];
}
