// zstd frames (RFC 8878): compress one, decompress one, and find where each frame of a file ends
// without decoding it, so that a pack can be read frame by frame.

import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { CoraError } from '../base/errors.ts';

const LEVEL = 3;

/** One frame with content size and checksum, so that the zstd program finds damage by itself. */
export function compressFrame(content: Uint8Array): Buffer {
  return zstdCompressSync(content, {
    params: {
      [constants.ZSTD_c_compressionLevel]: LEVEL,
      [constants.ZSTD_c_contentSizeFlag]: 1,
      [constants.ZSTD_c_checksumFlag]: 1,
    },
    chunkSize: Math.max(1024, (content.length >> 1) + 128),
  });
}

/**
 * @param frame exactly one frame, or several in a row
 * @param expectedBytes size of the content where known and the frame does not tell; only a hint for the buffer
 * @throws CoraError damaged
 */
export function decompressFrame(frame: Uint8Array, expectedBytes = 0, limitBytes = 1 << 30): Buffer {
  try {
    // One buffer of the right size; a little more, for a buffer that is just full makes zlib ask for another.
    const chunkSize = Math.max(64, Math.min(contentBytes(frame) ?? Math.max(65_536, expectedBytes), LARGEST_HINT)) + 64;
    return zstdDecompressSync(frame, { chunkSize, maxOutputLength: limitBytes });
  } catch (error) {
    throw new CoraError('damaged', 'A zstd frame does not decode', { cause: error });
  }
}

/** What a frame's header says is believed up to here: damage must not make us ask for gigabytes. */
const LARGEST_HINT = 16 << 20;

/** The content size in the frame's header; undefined where it has none. */
function contentBytes(frame: Uint8Array): number | undefined {
  const descriptor = frame[4] ?? 0;
  const singleSegment = (descriptor >> 5) & 1;
  const flag = descriptor >> 6;
  const at = 6 - singleSegment + ([0, 1, 2, 4][descriptor & 3] ?? 0);
  const width = flag === 0 ? singleSegment : 1 << flag;
  if (width === 0 || at + width > frame.length) return undefined;
  let size = 0;
  for (let i = width - 1; i >= 0; i--) size = size * 256 + (frame[at + i] ?? 0);
  return width === 2 ? size + 256 : size;
}

const MAGIC = 0xfd2fb528;
const SKIPPABLE_MASK = 0xfffffff0;
const SKIPPABLE = 0x184d2a50;

/**
 * Bytes of the frame that begins at `start`, or undefined where the buffer ends before the frame does.
 * @throws CoraError damaged where no frame begins there
 */
export function frameLength(buffer: Buffer, start: number): number | undefined {
  if (start + 6 > buffer.length) return undefined;
  const magic = buffer.readUInt32LE(start);
  if ((magic & SKIPPABLE_MASK) >>> 0 === SKIPPABLE) {
    return start + 8 > buffer.length ? undefined : 8 + buffer.readUInt32LE(start + 4);
  }
  if (magic !== MAGIC) throw new CoraError('damaged', 'A pack holds something that is no zstd frame');
  const descriptor = buffer[start + 4] ?? 0;
  const singleSegment = (descriptor >> 5) & 1;
  const contentSizeFlag = descriptor >> 6;
  const contentSizeBytes = contentSizeFlag === 0 ? singleSegment : 1 << contentSizeFlag;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
  let at = start + 5 + (singleSegment === 1 ? 0 : 1) + dictionaryBytes + contentSizeBytes;
  for (;;) {
    if (at + 3 > buffer.length) return undefined;
    const header = buffer.readUIntLE(at, 3);
    const blockSize = header >> 3;
    const type = (header >> 1) & 3;
    at += 3 + (type === 1 ? 1 : blockSize);
    if ((header & 1) === 1) break;
  }
  if (((descriptor >> 2) & 1) === 1) at += 4;
  return at > buffer.length ? undefined : at - start;
}
