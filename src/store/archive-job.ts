// The jobs of a backup's archive: one gzip member of tar bytes, and the search for a line's start.
// A member whose content is not exactly as long as its headers say is never made.

import { CoraError } from '../base/errors.ts';
import { gzipMember, looksIncompressible, type Range } from '../format/gzip-member.ts';
import { endPhase, noteGarbage } from '../os/memory.ts';
import type { ArchiveBatchJob, ArchiveBatchResult, FindLineJob, FindLineResult } from './jobs.ts';
import type { ObjectReader } from './object-reader.ts';

const NEWLINE = 0x0a;

/** The tar bytes of the batch being built; kept between jobs. */
let raw = Buffer.alloc(0);

/** Node frees the 150 kB of a zstd decoder only in a full collection; one costs 5 ms, so one for each 16 batches. */
const COLLECT_EVERY = 16;
let batches = 0;

/** @throws CoraError damaged where an object cannot be read or the content has another size than planned */
export function archiveBatch(job: ArchiveBatchJob, reader: ObjectReader): ArchiveBatchResult {
  const { plan } = job;
  let total = 0;
  for (let step = 0; step < plan.length; step += 4) total += (plan[step] ?? 0) + (plan[step + 3] ?? 0);
  if (raw.length < total) raw = Buffer.allocUnsafeSlow(total);
  const stored: Range[] = [];
  let at = 0;
  let literal = 0;
  let object = 0;
  for (let step = 0; step < plan.length; step += 4) {
    const literalEnd = literal + (plan[step] ?? 0);
    raw.set(job.literals.subarray(literal, literalEnd), at);
    at += literalEnd - literal;
    literal = literalEnd;
    let skip = plan[step + 2] ?? 0;
    const end = at + (plan[step + 3] ?? 0);
    for (const last = object + (plan[step + 1] ?? 0); object < last; object++) {
      const part = reader.read(job.hashes.subarray(object * 32, object * 32 + 32));
      if (at + part.length - skip > end) throw wrongSize();
      part.copy(raw, at, skip);
      if (looksIncompressible(part)) addRange(stored, at, at + part.length - skip);
      at += part.length - skip;
      skip = 0;
    }
    if (at !== end) throw wrongSize();
  }
  const member = gzipMember(raw.subarray(0, total), stored);
  // The deflated blocks, the member, and its copy in the message.
  noteGarbage(total + member.length);
  batches += 1;
  if (batches % COLLECT_EVERY === 0) endPhase();
  return { member, rawBytes: total };
}

/** Pieces of one file lie side by side and become one range. */
function addRange(ranges: Range[], start: number, end: number): void {
  const last = ranges.at(-1);
  if (last !== undefined && last.end === start) ranges[ranges.length - 1] = { start: last.start, end };
  else ranges.push({ start, end });
}

function wrongSize(): CoraError {
  return new CoraError('damaged', 'A file in the listing has another size than its objects');
}

export function findLine(job: FindLineJob, reader: ObjectReader): FindLineResult {
  const end = job.from + job.within;
  let offset = 0;
  for (let object = 0; object < job.hashes.length && offset < end; object += 32) {
    const part = reader.read(job.hashes.subarray(object, object + 32));
    // A line begins after a newline, so the byte before `from` counts too.
    const newline = part.indexOf(NEWLINE, Math.max(0, job.from - 1 - offset));
    if (offset + part.length >= job.from && newline >= 0) return { offset: offset + newline + 1 <= end ? offset + newline + 1 : job.from };
    offset += part.length;
  }
  return { offset: job.from };
}
