// Calls that fail: the disk's I/O error and the full disk, at each call of the kernel that touches the bench (strace) and at
// each call of Node's fs functions (our own failpoint); limits on the size of files.

import { findProgram } from '../os/run.ts';
import { writeFailpoint } from './torture-failpoint.ts';
import { type Part, type PartRequest, type Point, skip, tryOnce } from './torture-part.ts';
import { pick, shuffled } from './torture-random.ts';
import { errorsOf, injectArguments, wasMet } from './torture-strace.ts';

/** Limits tried of each command, and the largest, in blocks of 512 bytes: more than the largest file that a run writes. */
const LIMITS = 40;
const LARGEST_LIMIT = 6000;

export function errorParts(request: PartRequest): Part[] {
  return [byTrace(request), byFailpoint(request), bySizeLimit(request)];
}

function byTrace({ bench, trials, random }: PartRequest): Part {
  const strace = findProgram('strace');
  if (strace === undefined) return skip('error', 'strace is not installed (apt-get install strace)');
  const points = trials.flatMap((trial) =>
    trial.traced.flatMap((call) =>
      errorsOf(call).map(
        (error): Point => ({
          name: `${trial.name}, ${error} from ${call.name} number ${call.at}`,
          run: () => {
            const log = `${bench.root}/injected`;
            const through = [strace, ...injectArguments(call, `error=${error}`, log)];
            return tryOnce(bench, trial, () => bench.cora(trial.args, { through }), { mayMiss: call.ofProject, met: () => wasMet(log) });
          },
        }),
      ),
    ),
  );
  return points.length === 0
    ? skip('error', 'strace may trace nothing here (ptrace is not allowed)')
    : { kind: 'error', points: shuffled(random, points) };
}

function byFailpoint({ bench, trials, random }: PartRequest): Part {
  const points = trials.flatMap((trial) =>
    Array.from({ length: trial.calls }, (_, index) => index + 1).flatMap((at) =>
      (['EIO', 'ENOSPC'] as const).map(
        (error): Point => ({
          name: `${trial.name}, ${error} from its call ${at}`,
          run: () => tryOnce(bench, trial, () => bench.cora(trial.args, { env: writeFailpoint(bench, error, at) })),
        }),
      ),
    ),
  );
  return { kind: 'error-call', points: shuffled(random, points) };
}

function bySizeLimit({ bench, trials, random }: PartRequest): Part {
  const points = trials.flatMap((trial) =>
    Array.from({ length: LIMITS }, (): Point => {
      // Small ones meet the listings and the ledger, large ones the packs and the archive.
      const blocks = pick(random, pick(random, LARGEST_LIMIT) + 1);
      return {
        name: `${trial.name}, no file larger than ${blocks} blocks`,
        run: () => tryOnce(bench, trial, () => bench.cora(trial.args, { through: ['/bin/sh', '-c', `ulimit -f ${blocks} && exec "$@"`, 'sh'] })),
      };
    }),
  );
  return { kind: 'size-limit', points: shuffled(random, points) };
}
