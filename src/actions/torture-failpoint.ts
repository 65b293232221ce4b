// Our side of os/failpoint.ts: the file that a run under torture finds its fault in.

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { FailAction, Failpoint } from '../os/failpoint.ts';
import type { Bench } from './torture-bench.ts';

/** @returns what the run needs in its environment */
export function writeFailpoint(bench: Bench, action: FailAction, at: number): Readonly<Record<string, string>> {
  const file = `${bench.root}/failpoint.json`;
  const point: Failpoint = { action, at, root: bench.directory };
  writeFileSync(file, JSON.stringify(point), { mode: 0o600 });
  return { CORA_FAILPOINT: file };
}

/** How many calls a run with `count` made; 0 where it did not say. */
export function countCalls(bench: Bench): number {
  const file = `${bench.root}/failpoint.json.count`;
  try {
    const count = Number(readFileSync(file, 'utf8'));
    rmSync(file, { force: true });
    return Number.isInteger(count) ? count : 0;
  } catch {
    return 0;
  }
}
