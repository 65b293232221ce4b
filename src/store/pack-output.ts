// A pack being written: made empty in the staging directory, filled by frame writers, ended, synced
// and read back from the disk frame by frame against the checksums taken in memory.

import { createHash } from 'node:crypto';
import { closeSync, fsyncSync, openSync, unlinkSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { CoraError } from '../base/errors.ts';
import { TAR_END } from '../format/object-entry.ts';
import { compressFrame } from '../format/zstd-frame.ts';
import { readCold } from '../os/cold-read.ts';
import { writeAll } from '../os/files.ts';
import type { FrameList, PoolSetup, SealPackJob, SealPackResult } from './jobs.ts';

export class PackOutput {
  readonly setup: NonNullable<PoolSetup['output']>;
  readonly #offset: BigInt64Array;
  readonly #frames: FrameList[] = [];

  /** @param path a new file; @param pack its number in the pool's list */
  constructor(path: string, pack: number) {
    closeSync(openSync(path, 'wx', 0o600));
    const offset = new SharedArrayBuffer(8);
    this.#offset = new BigInt64Array(offset);
    this.setup = { path, pack, offset };
  }

  get bytes(): number {
    return Number(Atomics.load(this.#offset, 0));
  }

  addFrames(frames: FrameList): void {
    if (frames.length > 0) this.#frames.push(frames);
  }

  /** Removes the file: nothing new was stored. */
  discard(): void {
    unlinkSync(this.setup.path);
  }

  /** Ends the archive. It is not durable before `sealPack` has done what this returns, on any thread. */
  end(): SealPackJob {
    const end = compressFrame(TAR_END);
    const at = this.bytes;
    const fd = openSync(this.setup.path, 'r+');
    try {
      writeAll(fd, end, at);
    } finally {
      closeSync(fd);
    }
    this.addFrames(Float64Array.of(at, end.length, crc32(end)));
    return { kind: 'seal-pack', path: this.setup.path, frames: this.#frames, size: at + end.length };
  }
}

/**
 * Syncs a pack and reads it back from the disk.
 * @throws CoraError validation_failed where the disk does not hold what was written; the system error of a failed sync
 */
export function sealPack({ path, frames: lists, size }: SealPackJob): SealPackResult {
  const fd = openSync(path, 'r+');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  const frames: [offset: number, length: number, crc: number][] = [];
  for (const list of lists) for (let i = 0; i < list.length; i += 3) frames.push([list[i] ?? 0, list[i + 1] ?? 0, list[i + 2] ?? 0]);
  frames.sort((a, b) => a[0] - b[0]);
  const whole = createHash('sha256');
  let frame = 0;
  let left = frames[0]?.[1] ?? 0;
  let crc = 0;
  const { bytes } = readCold(path, (part) => {
    whole.update(part);
    for (let at = 0; at < part.length; ) {
      const take = Math.min(left, part.length - at);
      crc = crc32(part.subarray(at, at + take), crc);
      at += take;
      left -= take;
      if (left > 0) continue;
      if (crc !== frames[frame]?.[2]) throw damaged(path);
      frame += 1;
      left = frames[frame]?.[1] ?? Number.POSITIVE_INFINITY;
      crc = 0;
    }
  });
  if (bytes !== size || frame !== frames.length) throw damaged(path);
  return { sha256: whole.digest('hex') };
}

function damaged(path: string): CoraError {
  return new CoraError('validation_failed', `The disk does not hold what was written to ${path}`, {
    hint: "check the vault's disk (smartctl, dmesg), then run the command again",
  });
}
