// Keeping peak memory small. V8 lets a thread collect some 64 MB of freed buffers before it looks, and
// Node frees the native context of each zstd call (1 MB and more) only in a major collection. Code that
// makes many of these says so here, and a collection follows in time; a worker's heap is small, so it is short.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const EVERY_BYTES = 16 << 20;
let pending = 0;
let collect: ((options: { type: 'major' }) => void) | undefined;

/** Tells that `count` bytes of buffers are garbage now. Cheap; collects at most once for each 16 MiB. */
export function noteGarbage(count: number): void {
  pending += count;
  if (pending < EVERY_BYTES) return;
  pending = 0;
  collector()({ type: 'major' });
}

/** Between two phases of a large run: what the first one left is collected before the second one asks for more. */
export function endPhase(): void {
  collector()({ type: 'major' });
}

function collector(): NonNullable<typeof collect> {
  if (collect === undefined) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as NonNullable<typeof collect>;
  }
  return collect;
}
