// Reads the entries of a tar stream as GNU tar writes it with --format=gnu (ustar fields, long names in
// `L` and `K` entries, large numbers in base 256), with the hash of each content. For fallback
// checkpoints, whose archive is their only listing. Names stay bytes.

import { createHash, type Hash } from 'node:crypto';
import { type Bytes, bytes } from '../base/bytes.ts';
import { CoraError } from '../base/errors.ts';
import type { Entry, EntryType } from './file-list.ts';

const BLOCK = 512;
const TYPES: Readonly<Record<string, EntryType>> = { '0': 'f', '\0': 'f', '1': 'h', '2': 'l', '3': 'c', '4': 'b', '5': 'd', '6': 'p' };

/**
 * Every entry in order; a leading `./` and a trailing slash are taken off the names.
 * @param chunks the stream, already decompressed
 * @throws CoraError damaged where it is no such stream
 */
export async function readTarEntries(chunks: AsyncIterable<Buffer>): Promise<Entry[]> {
  const reader = new TarReader();
  for await (const chunk of chunks) reader.push(chunk);
  return reader.finish();
}

class TarReader {
  readonly #entries: Entry[] = [];
  #rest: Buffer = Buffer.alloc(0);
  /** Of the entry that is being read: bytes of content to come, and of padding after it. */
  #content = 0;
  #padding = 0;
  #header: Buffer | undefined;
  #hash: Hash | undefined;
  #long: Buffer[] = [];
  #name: Bytes | undefined;
  #link: Bytes | undefined;
  #ended = false;

  push(chunk: Buffer): void {
    let data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    for (;;) {
      if (this.#content > 0) {
        const part = data.subarray(0, this.#content);
        this.#take(part);
        this.#content -= part.length;
        data = data.subarray(part.length);
        if (this.#content > 0) break;
      }
      if (this.#header !== undefined) {
        if (data.length < this.#padding) break;
        data = data.subarray(this.#padding);
        this.#close(this.#header);
        this.#header = undefined;
      }
      if (data.length < BLOCK) break;
      this.#open(data.subarray(0, BLOCK));
      data = data.subarray(BLOCK);
    }
    this.#rest = Buffer.from(data);
  }

  finish(): Entry[] {
    if (!this.#ended || this.#header !== undefined) throw new CoraError('damaged', 'The archive is cut', { hint: 'cora verify' });
    return this.#entries;
  }

  #open(header: Buffer): void {
    if (this.#ended || header.every((byte) => byte === 0)) {
      this.#ended = true;
      return;
    }
    const sum = header.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 32 : byte), 0);
    if (sum !== numberAt(header, 148, 8)) throw new CoraError('damaged', 'The archive has a header that is none', { hint: 'cora verify' });
    this.#header = Buffer.from(header);
    const type = header.toString('latin1', 156, 157);
    // Only these have content, whatever their size field says.
    this.#content = type === '0' || type === '\0' || type === 'L' || type === 'K' ? numberAt(header, 124, 12) : 0;
    this.#padding = (BLOCK - (this.#content % BLOCK)) % BLOCK;
    this.#hash = createHash('sha256');
    this.#long = [];
  }

  #take(part: Buffer): void {
    const type = this.#header?.toString('latin1', 156, 157);
    if (type === 'L' || type === 'K') this.#long.push(Buffer.from(part));
    else this.#hash?.update(part);
  }

  #close(header: Buffer): void {
    const mark = header.toString('latin1', 156, 157);
    if (mark === 'L' || mark === 'K') {
      const text = bytes(Buffer.concat(this.#long).toString('latin1').replace(/\0+$/, ''));
      if (mark === 'L') this.#name = text;
      else this.#link = text;
      return;
    }
    const type = TYPES[mark];
    if (type === undefined)
      throw new CoraError('damaged', `The archive has an entry of type ${JSON.stringify(mark)}`, { hint: 'unpack it with tar -xzpf' });
    const device = type === 'c' || type === 'b' ? bytes(`${numberAt(header, 329, 8)},${numberAt(header, 337, 8)}`) : undefined;
    const link = type === 'h' ? normal(this.#link ?? textAt(header, 157, 100)) : type === 'l' ? (this.#link ?? textAt(header, 157, 100)) : device;
    this.#entries.push({
      type,
      mode: numberAt(header, 100, 8) & 0o7777,
      uid: numberAt(header, 108, 8),
      gid: numberAt(header, 116, 8),
      mtime: BigInt(numberAt(header, 136, 12)) * 1_000_000_000n,
      size: type === 'f' ? numberAt(header, 124, 12) : 0,
      sha256: type === 'f' ? this.#hash?.digest('hex') : undefined,
      path: normal(this.#name ?? textAt(header, 0, 100)),
      link,
      pieces: undefined,
    });
    this.#name = undefined;
    this.#link = undefined;
  }
}

/** @throws CoraError damaged for a path that leads out of the project */
function normal(name: Bytes): Bytes {
  const path = name.replace(/^(?:\.\/+)+/, '').replace(/\/+$/, '');
  if (path.startsWith('/') || path.split('/').includes('..')) throw new CoraError('damaged', 'The archive has a path that leads out of the project');
  return bytes(path === '' ? '.' : path);
}

function textAt(header: Buffer, at: number, length: number): Bytes {
  const end = header.indexOf(0, at);
  return bytes(header.toString('latin1', at, end < 0 || end > at + length ? at + length : end));
}

/** Octal text, or base 256 where the first bit is set (negative where the second is, too). */
function numberAt(header: Buffer, at: number, length: number): number {
  const first = header[at] ?? 0;
  if ((first & 0x80) === 0) return Number.parseInt(header.toString('latin1', at, at + length).replace(/[\0 ]/g, '') || '0', 8);
  let value = BigInt(first & 0x7f);
  for (let index = at + 1; index < at + length; index++) value = value * 256n + BigInt(header[index] ?? 0);
  return Number(BigInt.asIntN(8 * length - 1, value));
}
