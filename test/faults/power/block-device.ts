// A block device whose every write and flush is logged, and the states that a disk may be in after a power cut at any moment of
// that log. What was written before the last finished flush is there; of what came after, each write, or each sector of it, may
// be there or not, in any order. That is what a disk with a cache promises, and no more.

import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type Bench, Disk, type Kind, must, start } from './disk.ts';

const SCRIPT = join(import.meta.dirname, 'block-log.py');
/** Debian's own Python, which has Debian's fusepy. */
export const PYTHON = '/usr/bin/python3';
const SECTOR = 512;
const HEADER = 13;

export type Operation =
  | { readonly kind: 'write'; readonly offset: number; readonly data: Buffer }
  | { readonly kind: 'flush' }
  | { readonly kind: 'mark'; readonly text: string };

export class LoggedDevice {
  readonly disk: Disk;
  readonly #fuse: string;
  readonly #log: string;
  readonly #loop: string;
  readonly #daemon: ReturnType<typeof start>;

  private constructor(disk: Disk, fuse: string, log: string, loop: string, daemon: ReturnType<typeof start>) {
    this.disk = disk;
    this.#fuse = fuse;
    this.#log = log;
    this.#loop = loop;
    this.#daemon = daemon;
  }

  /** The device, holding what `image` holds. */
  static async open(bench: Bench, kind: Kind, image: string, name: string): Promise<LoggedDevice> {
    const fuse = mkdtempSync(join(bench.root, 'fuse-'));
    const log = `${fuse}.log`;
    const daemon = start(PYTHON, [SCRIPT, fuse, image, log], { cwd: '/', env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } });
    let ended: string | undefined;
    void daemon.end.then(({ stderr }) => {
      ended = stderr;
    });
    for (let tries = 0; !readFileSync('/proc/mounts', 'utf8').includes(` ${fuse} `); tries++) {
      if (ended !== undefined || tries > 500) throw new Error(`block-log.py did not start: ${ended ?? 'it takes too long'}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const loop = (await must('losetup', '-f', '--show', join(fuse, 'disk'))).trim();
    return new LoggedDevice(Disk.at(bench, kind, loop, name), fuse, log, loop, daemon);
  }

  mark(text: string): void {
    writeFileSync(join(this.#fuse, 'mark'), text);
  }

  /** Ends the recording; the disk must not be mounted. */
  async close(): Promise<Operation[]> {
    await must('losetup', '-d', this.#loop);
    await must('umount', '--', this.#fuse);
    await this.#daemon.end;
    const operations = readLog(readFileSync(this.#log));
    rmSync(this.#log);
    return operations;
  }

  /** Whatever state it is in. */
  abandon(): void {
    this.#daemon.kill();
  }
}

export function readLog(log: Buffer): Operation[] {
  const operations: Operation[] = [];
  for (let at = 0; at + HEADER <= log.length; ) {
    const kind = String.fromCharCode(log.readUInt8(at));
    const [offset, length] = [Number(log.readBigUInt64LE(at + 1)), log.readUInt32LE(at + 9)];
    const data = log.subarray(at + HEADER, at + HEADER + length);
    at += HEADER + length;
    if (kind === 'W') operations.push({ kind: 'write', offset, data });
    else if (kind === 'F') operations.push({ kind: 'flush' });
    else operations.push({ kind: 'mark', text: data.toString() });
  }
  return operations;
}

/** What becomes of the writes that no flush came after. */
export const LOSSES = ['all', 'none', 'writes', 'sectors', 'torn', 'newest'] as const;
export type Loss = (typeof LOSSES)[number];

/**
 * The state of the disk where the power went before operation `cut`.
 * @param base the image before the first operation; `to` becomes the state
 * @param next numbers from 0 to 1, the same for the same seed
 */
export async function makeState(
  operations: readonly Operation[],
  cut: number,
  loss: Loss,
  next: () => number,
  files: { readonly base: string; readonly to: string },
): Promise<{ readonly unflushed: number; readonly kept: number }> {
  await must('cp', '--sparse=always', '--', files.base, files.to);
  const before = operations.slice(0, cut);
  const flushed = before.findLastIndex(({ kind }) => kind === 'flush');
  let [unflushed, kept] = [0, 0];
  const file = openSync(files.to, 'r+');
  try {
    for (const [index, operation] of before.entries()) {
      if (operation.kind !== 'write') continue;
      const { offset, data } = operation;
      if (index <= flushed) writeSync(file, data, 0, data.length, offset);
      else {
        unflushed += 1;
        for (const [from, to] of survivors(data.length, loss, next, index === before.length - 1)) {
          kept += 1;
          writeSync(file, data, from, to - from, offset + from);
        }
      }
    }
  } finally {
    closeSync(file);
  }
  return { unflushed, kept };
}

/** The parts of one write that reached the disk. */
function survivors(length: number, loss: Loss, next: () => number, isLast: boolean): [number, number][] {
  const whole: [number, number][] = [[0, length]];
  if (loss === 'all') return whole;
  if (loss === 'none') return [];
  // The cut came in the middle of the last write, and all before it is there.
  if (loss === 'newest') return isLast ? [[0, sectors(length, next)]] : whole;
  if (loss === 'writes') return next() < 0.5 ? whole : [];
  if (loss === 'torn') return next() < 0.4 ? whole : next() < 0.5 ? [] : [[0, sectors(length, next)]];
  const parts: [number, number][] = [];
  for (let from = 0; from < length; from += SECTOR) if (next() < 0.5) parts.push([from, Math.min(length, from + SECTOR)]);
  return parts;
}

function sectors(length: number, next: () => number): number {
  return SECTOR * Math.floor(next() * Math.ceil(length / SECTOR));
}
