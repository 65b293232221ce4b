// The tar entry of an object in a pack: a POSIX ustar header with a fixed shape, so that it is
// encoded by patching a template (this runs once for every object of every save).

import { CoraError } from '../base/errors.ts';

export const BLOCK = 512;
/** What ends a tar archive. */
export const TAR_END = Buffer.alloc(2 * BLOCK);
const PREFIX = 'objects/';

const TEMPLATE = Buffer.alloc(BLOCK);
TEMPLATE.write(PREFIX, 0, 'latin1');
TEMPLATE.write('0000600\0' + '0000000\0' + '0000000\0', 100, 'latin1');
TEMPLATE.write('00000000000\0', 136, 'latin1');
TEMPLATE.write('        ', 148, 'latin1');
TEMPLATE.write('0', 156, 'latin1');
TEMPLATE.write('ustar\x0000', 257, 'latin1');
const TEMPLATE_SUM = TEMPLATE.reduce((sum, byte) => sum + byte, 0);

/** Bytes of zeros that follow `size` bytes of content. */
export function paddingOf(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK;
}

/** Bytes of the whole entry: header, content, padding. */
export function entryBytes(size: number): number {
  return BLOCK + size + paddingOf(size);
}

/** Writes the header of object `hex` with `size` bytes (below 8 GiB) at `at`. */
export function writeObjectHeader(target: Buffer, at: number, hex: string, size: number): void {
  TEMPLATE.copy(target, at);
  target.write(hex, at + PREFIX.length, 64, 'latin1');
  target.write(size.toString(8).padStart(11, '0'), at + 124, 11, 'latin1');
  let sum = TEMPLATE_SUM;
  for (let i = 8; i < 72; i++) sum += target[at + i] ?? 0;
  for (let i = 124; i < 136; i++) sum += target[at + i] ?? 0;
  target.write(`${sum.toString(8).padStart(6, '0')}\0 `, at + 148, 8, 'latin1');
}

export type ObjectEntry = { readonly hex: string; readonly contentAt: number; readonly size: number };

/**
 * The objects of one decoded frame, in order. The two zero blocks at a pack's end yield nothing.
 * @throws CoraError damaged where an entry is malformed or cut
 */
export function* readObjectEntries(frame: Buffer): Generator<ObjectEntry> {
  let at = 0;
  while (at + BLOCK <= frame.length) {
    if (frame[at] === 0) {
      at += BLOCK;
      continue;
    }
    const name = frame.toString('latin1', at, at + PREFIX.length + 64);
    const size = Number.parseInt(frame.toString('latin1', at + 124, at + 135), 8);
    if (!/^objects\/[0-9a-f]{64}$/.test(name) || !Number.isSafeInteger(size) || at + BLOCK + size > frame.length) {
      throw new CoraError('damaged', 'A pack holds a malformed entry');
    }
    yield { hex: name.slice(PREFIX.length), contentAt: at + BLOCK, size };
    at += entryBytes(size);
  }
}
