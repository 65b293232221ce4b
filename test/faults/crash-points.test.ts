// A sample of the crash matrix: file-system calls of each writing command, killed there or answered with an error. All of
// them: node test/faults/harness/run.mjs (docs/reliability.md). One judge for all, src/actions/judge.ts.

import { afterAll, expect, describe as group, test } from 'vitest';
import { findProgram } from '../../src/os/run.ts';
import type { Fault } from './harness/inject.ts';
import { describe, sampled } from './harness/matrix.ts';
import { endAllRuns, type Place } from './harness/place.ts';
import type { Scenario } from './harness/scenario.ts';
import { SCENARIOS } from './harness/scenarios.ts';
import { newPlace, prepare } from './harness/trial.ts';

/** Quiet, a test takes 3 to 8 seconds. */
const LIMIT_MS = process.env['CORA_TEST_SLOW'] === '1' ? 1_800_000 : 240_000;
const SEED = Number(process.env['CORA_FAULTS_SEED'] ?? 7);
/** Where the next run has to finish or take back what was cut off: it is killed too, twice. */
const CUT = ['restore-in-place', 'prune', 'rotate', 'recover'];
const SLOW = process.env['CORA_TEST_SLOW'] === '1';
const places: Place[] = [];
afterAll(() => {
  endAllRuns();
  for (const place of places) place?.remove();
});

/** The usual history is made once; scenarios without one need a place of their own. */
async function placeFor({ bare }: Scenario): Promise<Place> {
  const at = bare === true ? 1 : 0;
  places[at] ??= await newPlace(bare === true);
  return places[at];
}

/** What the full run found, each at its point for ever. */
const FOUND = [
  {
    what: 'a file beside a copied database that cannot be removed is not in the snapshot, which its sums would call damaged',
    scenario: 'save',
    call: 'unlink',
    path: /database-\d+-\d+-(?:wal|shm)/,
    fault: 'EIO',
    code: 0,
  },
  {
    what: 'a database copy that the disk did not take ends the save with 1, not with a snapshot without the database',
    scenario: 'save',
    call: 'fsync',
    path: /database-\d+-\d+-journal/,
    fault: 'EIO',
    code: 1,
  },
  {
    what: 'a disk that lies while a database is copied for a rotation ends it with 1',
    scenario: 'rotate',
    call: 'pwrite64',
    path: /database-\d+-\d+(?= |$)/,
    fault: 'LIE',
    code: 1,
  },
  {
    what: 'a cora.toml that init had made and not written yet is no work of a person: the next init writes it, and undo takes it back',
    scenario: 'init',
    call: 'write',
    path: /project\/cora\.toml(?= |$)/,
    fault: 'KILL',
    code: null,
  },
] as const;

/** What no sample may leave out: the steps of a commit and of a removal, in which a mistake of the order loses a snapshot or shows half of one. */
const STAGED = 'vault/\\.stage/run-\\*/';
type Step = readonly [fault: Fault, call: string, path: string, code: number | null];
const ORDER: readonly (readonly [scenario: string, points: readonly Step[]])[] = [
  [
    'save',
    [
      ['LIE', 'write', `^${STAGED}MANIFEST\\.txt$`, 1],
      ['LIE', 'write', `^${STAGED}SHA256SUMS\\.txt$`, 1],
      ['ENOSPC', 'openat', `^${STAGED}MANIFEST\\.txt$`, 1],
      ['ENOSPC', 'write', `^${STAGED}SHA256SUMS\\.txt$`, 1],
      ['ENOSPC', 'pwrite64', `^${STAGED}objects\\.tar\\.zst$`, 1],
      ['EIO', 'fsync', `^${STAGED}objects\\.tar\\.zst$`, 1],
      ['KILL', 'rename', `^${STAGED.slice(0, -1)} vault/progress/SAVE$`, null],
      ['EIO', 'rename', `^${STAGED.slice(0, -1)} vault/progress/SAVE$`, 1],
      ['KILL', 'write', '^vault/ledger/chain\\.log$', null],
      ['EIO', 'fsync', '^vault/ledger/chain\\.log$', 1],
    ],
  ],
  [
    'backup',
    [
      ['LIE', 'write', `^${STAGED}LARGE_FILES\\.txt$`, 1],
      ['ENOSPC', 'write', `^${STAGED}MANIFEST\\.txt$`, 1],
      ['KILL', 'rename', `^${STAGED.slice(0, -1)} vault/ID$`, null],
    ],
  ],
  [
    'prune-backup',
    [
      ['KILL', 'rename', '^vault/ID vault/\\.trash/backup-ID$', null],
      ['EIO', 'rename', '^vault/ID vault/\\.trash/backup-ID$', 1],
      ['KILL', 'write', '^vault/ledger/chain\\.log$', null],
    ],
  ],
];

group.skipIf(findProgram('strace') === undefined)('file-system calls (needs strace)', () => {
  for (const [name, points] of ORDER) {
    test(
      `${name}: the steps that count, each with its fault`,
      async () => {
        const scenario = SCENARIOS.find((one) => one.name === name)!;
        const prepared = await prepare(scenario, await placeFor(scenario));
        for (const [fault, call, path, code] of points) {
          const meant = `${fault} at ${call} of ${path}`;
          // The last of its kind: what comes after it stands on it.
          const point = prepared.points.findLast((one) => one.fault === fault && one.call.name === call && new RegExp(path).test(one.call.what));
          if (point === undefined) throw new Error(`no call for ${meant}`);
          const { violations, hit, code: ended } = await prepared.try(point);
          expect({ meant, violations, hit: hit !== null, code: ended }).toEqual({ meant, violations: [], hit: true, code });
        }
      },
      LIMIT_MS,
    );
  }

  for (const { what, scenario: name, call, path, fault, code } of FOUND) {
    test(
      what,
      async () => {
        const scenario = SCENARIOS.find((one) => one.name === name)!;
        const prepared = await prepare(scenario, await placeFor(scenario));
        const point = prepared.points.find((one) => one.fault === fault && one.call.name === call && path.test(one.call.what))!;
        const outcome = await prepared.try(point);
        expect(outcome).toMatchObject({ violations: [], hit: expect.stringMatching(path) as string, code });
      },
      LIMIT_MS,
    );
  }

  for (const scenario of SCENARIOS) {
    const why = scenario.skip?.();
    test.skipIf(why !== undefined)(
      `${scenario.name}: killed, or an error, at ${SLOW ? 'many' : 'some'} of its calls${why === undefined ? '' : ` (${why})`}`,
      async () => {
        const prepared = await prepare(scenario, await placeFor(scenario));
        const broken: string[] = [];
        for (const point of sampled(prepared.points, SLOW ? 60 : (scenario.sample ?? 2), SEED)) {
          const outcome = await prepared.try(point);
          if (outcome.violations.length > 0) broken.push(describe(outcome));
        }
        if (CUT.includes(scenario.name)) {
          const kill = prepared.points.filter(({ fault }) => fault === 'KILL');
          for (const point of sampled(kill, SLOW ? 10 : 1, SEED)) {
            for await (const outcome of prepared.tryCut(point, SLOW ? 10 : 1, SEED))
              if (outcome.violations.length > 0) broken.push(describe(outcome));
          }
        }
        expect(broken).toEqual([]);
      },
      LIMIT_MS,
    );
  }
});
