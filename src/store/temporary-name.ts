// Names for what is being written beside its final place. No listing holds them (source/walk.ts), and they are short enough for
// any file system. They tell the process that made them, so that what a kill left can be told from what is being written.

import { threadId } from 'node:worker_threads';

let temporary = 0;

/** Told apart by process, thread, start and count: two threads must never make the same name in the same millisecond. */
const PREFIX = `.cora-restore-${process.pid.toString(36)}-${threadId}-${Math.floor(performance.timeOrigin).toString(36)}`;
const SHAPE = /^\.cora-restore-([0-9a-z]+)-\d+-([0-9a-z]+)-[0-9a-z]+$/;

export function temporaryName(): string {
  temporary += 1;
  return `${PREFIX}-${temporary.toString(36)}`;
}

export type Maker = {
  readonly pid: number;
  /** When its thread started, ms since 1970. */
  readonly origin: number;
};

/** Who made such a name; undefined for any other name. */
export function makerOf(name: string): Maker | undefined {
  const [, pid, origin] = SHAPE.exec(name) ?? [];
  if (pid === undefined || origin === undefined) return undefined;
  return { pid: Number.parseInt(pid, 36), origin: Number.parseInt(origin, 36) };
}
