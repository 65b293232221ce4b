// Runs that are killed: before each call of the kernel (strace), before and after each call of Node's fs functions (our own
// failpoint), and at moments that chance chooses. Some are killed again while they clear up what the first kill left.

import { findProgram } from '../os/run.ts';
import type { CoraEnd } from './judge.ts';
import { writeFailpoint } from './torture-failpoint.ts';
import { type Part, type PartRequest, type Point, skip, tryOnce, wasKilled } from './torture-part.ts';
import { pick, shuffled } from './torture-random.ts';
import { injectArguments, wasMet } from './torture-strace.ts';
import type { Trial } from './torture-trial.ts';

/** Of points that kill a call of Node's, how many then kill the next run too: one in this many. */
const TWICE = 4;
/** Moments that are tried of each command at most. */
const MOMENTS = 200;

export function killParts(request: PartRequest): Part[] {
  return [byTrace(request), byFailpoint(request), byMoment(request)];
}

function byTrace({ bench, trials, random }: PartRequest): Part {
  const strace = findProgram('strace');
  if (strace === undefined) return skip('kill', 'strace is not installed (apt-get install strace)');
  const points = trials.flatMap((trial) => {
    const { name: command, args, traced } = trial;
    return traced
      .filter(({ writes }) => writes)
      .map(
        (call): Point => ({
          name: `${command}, killed before ${call.name} number ${call.at}`,
          run: () => {
            const log = `${bench.root}/injected`;
            const through = [strace, ...injectArguments(call, 'signal=KILL', log)];
            return tryOnce(bench, trial, () => bench.cora(args, { through }), { met: () => wasMet(log) });
          },
        }),
      );
  });
  return points.length === 0
    ? skip('kill', 'strace may trace nothing here (ptrace is not allowed)')
    : { kind: 'kill', points: shuffled(random, points) };
}

function byFailpoint({ bench, trials, random }: PartRequest): Part {
  const points = trials.flatMap((trial) =>
    Array.from({ length: trial.calls }, (_, index) => index + 1).flatMap((at) =>
      (['before', 'after'] as const).map((when): Point => {
        const again = pick(random, TWICE) === 0 ? pick(random, 30) + 1 : undefined;
        return {
          name: `${trial.name}, killed ${when} its call ${at}${again === undefined ? '' : `, then a save killed before its call ${again}`}`,
          run: () =>
            tryOnce(
              bench,
              trial,
              async () => {
                const end = await bench.cora(trial.args, { env: writeFailpoint(bench, `kill-${when}`, at) });
                if (again !== undefined) await bench.cora(['save', '--json'], { env: writeFailpoint(bench, 'kill-before', again) });
                return end;
              },
              { met: wasKilled },
            ),
        };
      }),
    ),
  );
  return { kind: 'kill-call', points: shuffled(random, points) };
}

function byMoment({ bench, trials, random }: PartRequest): Part {
  if (findProgram('timeout') === undefined) return skip('kill-moment', 'timeout is not installed (apt-get install coreutils)');
  const points = trials.flatMap((trial) =>
    Array.from({ length: MOMENTS }, (): Point => {
      const seconds = ((random() * 1.1 * trial.milliseconds) / 1000 + 0.02).toFixed(3);
      return {
        name: `${trial.name}, killed after ${seconds} s`,
        run: () => tryOnce(bench, trial, () => killAfter(bench, trial, seconds), { met: wasKilled }),
      };
    }),
  );
  return { kind: 'kill-moment', points: shuffled(random, points) };
}

function killAfter(bench: PartRequest['bench'], { args }: Trial, seconds: string): Promise<CoraEnd> {
  return bench.cora(args, { through: [findProgram('timeout') ?? 'timeout', '-s', 'KILL', '--', seconds] });
}
