// A sample of the crash matrix: file-system calls of each writing command, killed there or answered with an error. All of
// them: node test/faults/harness/run.mjs (docs/reliability.md). One judge for all, src/actions/judge.ts.

import { afterAll, expect, describe as group, test } from 'vitest';
import { findProgram } from '../../src/os/run.ts';
import { describe, sampled } from './harness/matrix.ts';
import { endAllRuns } from './harness/place.ts';
import { SCENARIOS } from './harness/scenario.ts';
import { type Prepared, prepare } from './harness/trial.ts';

const SEED = Number(process.env['CORA_FAULTS_SEED'] ?? 7);
const SLOW = process.env['CORA_TEST_SLOW'] === '1';
const places = new Set<Prepared>();
afterAll(() => {
  endAllRuns();
  for (const prepared of places) prepared.remove();
});

group.skipIf(findProgram('strace') === undefined)('file-system calls (needs strace)', () => {
  for (const scenario of SCENARIOS) {
    const why = scenario.skip?.();
    test.skipIf(why !== undefined)(
      `${scenario.name}: killed, or an error, at ${SLOW ? 'many' : 'some'} of its calls${why === undefined ? '' : ` (${why})`}`,
      async () => {
        const prepared = await prepare(scenario);
        places.add(prepared);
        const broken: string[] = [];
        for (const point of sampled(prepared.points, SLOW ? 60 : (scenario.sample ?? 3), SEED)) {
          const outcome = await prepared.try(point);
          if (outcome.violations.length > 0) broken.push(describe(outcome));
        }
        expect(broken).toEqual([]);
        prepared.remove();
      },
    );
  }
});
