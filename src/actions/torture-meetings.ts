// Runs that meet: two and five at once, some of them killed; and clocks that jump between runs (faketime).

import { EXIT } from '../base/errors.ts';
import { findProgram } from '../os/run.ts';
import type { CoraEnd, Violation } from './judge.ts';
import type { Bench } from './torture-bench.ts';
import { type Part, type PartRequest, type Point, skip } from './torture-part.ts';
import { pick, shuffled } from './torture-random.ts';
import type { Trial } from './torture-trial.ts';

const MEETINGS = 60;
const JUMPS = ['-3d', '+2d', '-400d', '+30d', '-20h', '+0d'] as const;
const JUMPERS = 40;

export function meetingParts(request: PartRequest): Part[] {
  const trial = request.trials.find(({ name }) => name === 'save');
  return trial === undefined ? [] : [together(request, trial), clocks(request, trial)];
}

function together({ bench, random }: PartRequest, trial: Trial): Part {
  const killer = findProgram('timeout');
  const points = Array.from({ length: MEETINGS }, (_, index): Point => {
    const runs = index % 2 === 0 ? 2 : 5;
    // Every third meeting loses one of its members on the way.
    const killed = killer !== undefined && index % 3 === 0 ? (random() * 0.5 + 0.05).toFixed(3) : undefined;
    return {
      name: `${runs} runs at once${killed === undefined ? '' : `, one killed after ${killed} s`}`,
      run: async () => {
        bench.load();
        const ends = await Promise.all(
          Array.from({ length: runs }, (_unused, number) => {
            const args = number === 1 ? ['backup', 'now', '--json'] : ['save', '-m', `run ${number}`, '--json'];
            const through = number === 0 && killer !== undefined && killed !== undefined ? [killer, '-s', 'KILL', '--', killed] : [];
            return bench.cora(args, { through });
          }),
        );
        // On a slow disk one may wait for the others in vain, and says so (11).
        const failed = ends.filter(({ code }, number) => code !== 0 && code !== EXIT.locked && !(number === 0 && killed !== undefined));
        return [
          ...failed.map(({ code, stderr }): Violation => ({ rule: 'next', sentence: `a run beside others ended with ${code}: ${stderr.trim()}` })),
          ...(await claimsOf(bench, ends)),
          ...(await bench.judge({ ...trial.expectation, makes: null, end: undefined })),
        ];
      },
    };
  });
  return { kind: 'together', points: shuffled(random, points) };
}

/** Whatever one of them claimed is listed. */
async function claimsOf(bench: Bench, ends: readonly CoraEnd[]): Promise<Violation[]> {
  const { stdout } = await bench.cora(['list', '--json']);
  return ends.flatMap((end): Violation[] => {
    const id = end.code === 0 ? /"snapshot_id":\s*"([^"]+)"/.exec(end.stdout)?.[1] : undefined;
    return id === undefined || stdout.includes(`"${id}"`)
      ? []
      : [{ rule: 'claim', sentence: `a run beside others claimed ${id}, which is not listed` }];
  });
}

function clocks({ bench, random }: PartRequest, trial: Trial): Part {
  const faketime = findProgram('faketime');
  if (faketime === undefined) return skip('clock', 'faketime is not installed (apt-get install faketime)');
  const points = Array.from({ length: JUMPERS }, (): Point => {
    const jumps = shuffled(random, JUMPS).slice(0, 1 + pick(random, 3));
    return {
      name: `saves under clocks of ${jumps.join(', ')}`,
      run: async () => {
        bench.load();
        let end: CoraEnd | undefined;
        const violations: Violation[] = [];
        for (const jump of jumps) {
          end = await bench.cora(['save', '-m', `clock ${jump}`, '--json'], { through: [faketime, '-f', jump] });
          if (end.code !== 0)
            violations.push({ rule: 'next', sentence: `a save under a clock of ${jump} ended with ${end.code}: ${end.stderr.trim()}` });
        }
        return [...violations, ...(await bench.judge({ ...trial.expectation, end }))];
      },
    };
  });
  return { kind: 'clock', points };
}
