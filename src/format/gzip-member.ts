// One gzip member (RFC 1952): deflated, or in stored blocks where compression would only cost time.
// Members one after the other are one gzip file (RFC 1952 2.2). No name, no time: the same content
// gives the same bytes.

import { constants, crc32, deflateRawSync } from 'node:zlib';

/** 10 bytes: magic, deflate, no flags, no time, fastest algorithm, Unix. */
const HEADER = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 3);
const TRAILER = 8;
/** What one stored block holds at most. */
const STORED_BLOCK = 65_535;

/** A member of the content: stored where a probe says that it does not compress, or where deflating made it no smaller. */
export function gzipMember(content: Uint8Array): Buffer {
  if (looksIncompressible(content)) return storedMember(content);
  const deflated = deflateRawSync(content, {
    level: 1,
    memLevel: 9,
    strategy: constants.Z_DEFAULT_STRATEGY,
    chunkSize: Math.max(1024, (content.length >> 1) + 128),
  });
  if (deflated.length >= storedBytes(content.length)) return storedMember(content);
  const member = Buffer.allocUnsafeSlow(HEADER.length + deflated.length + TRAILER);
  member.set(HEADER);
  member.set(deflated, HEADER.length);
  writeTrailer(member, content);
  return member;
}

/** A member of stored blocks: valid everywhere, 5 bytes a block larger than its content. */
export function storedMember(content: Uint8Array): Buffer {
  const member = Buffer.allocUnsafeSlow(HEADER.length + storedBytes(content.length) + TRAILER);
  member.set(HEADER);
  let at = HEADER.length;
  let from = 0;
  do {
    const size = Math.min(STORED_BLOCK, content.length - from);
    member[at] = from + size === content.length ? 1 : 0;
    member.writeUInt16LE(size, at + 1);
    member.writeUInt16LE(~size & 0xffff, at + 3);
    member.set(content.subarray(from, from + size), at + 5);
    at += 5 + size;
    from += size;
  } while (from < content.length);
  writeTrailer(member, content);
  return member;
}

function storedBytes(size: number): number {
  return size + 5 * Math.max(1, Math.ceil(size / STORED_BLOCK));
}

function writeTrailer(member: Buffer, content: Uint8Array): void {
  member.writeUInt32LE(crc32(content), member.length - 8);
  member.writeUInt32LE(content.length % 2 ** 32, member.length - 4);
}

const SAMPLE_RUNS = 4;
const SAMPLE_RUN = 1024;
const SAMPLE = SAMPLE_RUNS * SAMPLE_RUN;
/** Bits a byte from which deflate gains nothing worth its time. Random bytes measure 7.95 in this sample. */
const ENTROPY_LIMIT = 7.9;
const counts = new Uint32Array(256);

/** True where the bytes of a sample are spread like random ones. Little content is always worth a try. */
export function looksIncompressible(content: Uint8Array): boolean {
  if (content.length < 2 * SAMPLE) return false;
  counts.fill(0);
  const step = Math.floor((content.length - SAMPLE_RUN) / (SAMPLE_RUNS - 1));
  for (let run = 0; run < SAMPLE_RUNS; run++) {
    const start = run * step;
    for (let at = start; at < start + SAMPLE_RUN; at++) {
      const byte = content[at] ?? 0;
      counts[byte] = (counts[byte] ?? 0) + 1;
    }
  }
  let weighted = 0;
  for (const count of counts) if (count > 0) weighted += count * Math.log2(count);
  return Math.log2(SAMPLE) - weighted / SAMPLE > ENTROPY_LIMIT;
}
