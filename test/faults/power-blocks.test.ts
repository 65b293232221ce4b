// What a disk may hold after a power cut, sector by sector: every write and flush below a file system is logged while a command
// runs, and replayed up to any moment with the unflushed writes dropped, torn or out of order. On each such disk the file system
// mounts, and the judge finds whatever was claimed. The normal run is a sample; the full one (CORA_TEST_SLOW=1) is 14 states of
// each command on each file system, see docs/reliability.md.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seededRandom } from '../../src/actions/torture-random.ts';
import { runSync } from '../../src/os/run.ts';
import { LOSSES, LoggedDevice, makeState, type Operation, PYTHON } from './power/block-device.ts';
import { Bench, type Ending, KINDS, type Kind, whyNoDisks } from './power/disk.ts';
import { partOf, Results } from './power/record.ts';
import { Lab, type Prepared } from './power/trial.ts';
import { machineOn, WORKS } from './power/works.ts';

const SLOW = process.env['CORA_TEST_SLOW'] === '1';
const why =
  whyNoDisks('mkfs.ext4', 'mkfs.xfs', 'mkfs.btrfs') ??
  (existsSync('/dev/fuse') && existsSync(PYTHON) && runSync(PYTHON, ['-c', 'import fusepy']).exitCode === 0
    ? undefined
    : 'needs FUSE and python3-fusepy');
const { ext4, writeback, xfs, btrfs } = KINDS;

const SAMPLE: readonly (readonly [Kind, string])[] = [
  [ext4, 'backup'],
  [ext4, 'restore'],
  [xfs, 'save'],
  [xfs, 'prune'],
  [ext4, 'first save'],
  [btrfs, 'seal'],
  [btrfs, 'prune'],
];
const FULL = partOf([ext4, writeback, xfs, btrfs]).flatMap((kind) => WORKS.map(({ name }) => [kind, name] as const));
const STATES = SLOW ? 14 : 6;

let bench: Bench;
let lab: Lab;
const results = new Results('power-blocks');
beforeAll(() => {
  bench = new Bench();
  lab = new Lab(bench);
});
afterAll(() => bench.releaseSync());

type Recording = { readonly operations: readonly Operation[]; readonly end: Ending };

/** The command on a logged device. */
async function record({ kind, image, args }: Prepared): Promise<Recording> {
  // At the same path as at each trial: the project's root is part of a vault.
  const device = await LoggedDevice.open(bench, kind, image, 'disk');
  try {
    const machine = machineOn(device.disk.mountPoint);
    await device.disk.mount();
    device.mark('start');
    const end = await machine.cora(args);
    device.mark('end');
    await device.disk.unmount();
    if (end.code !== 0) throw new Error(`cora ${args.join(' ')} ended with ${end.code}: ${end.stderr}`);
    return { operations: await device.close(), end };
  } finally {
    await device.disk.forget();
    device.abandon();
  }
}

test.skipIf(why !== undefined).each((SLOW ? FULL : SAMPLE).map(([kind, name]) => [kind.name, name, kind] as const))(
  `disks that a power cut may leave on %s under %s${why === undefined ? '' : ` (${why})`}`,
  { timeout: 3_600_000 },
  async (kindName, name, kind) => {
    const work = WORKS.find((one) => one.name === name);
    if (work === undefined) throw new Error(`no work is named ${name}`);
    const points = Array.from({ length: STATES }, (_, number) => ({ number, point: `${kindName}, ${name}, state ${number}` }));
    const open = points.filter(({ point }) => !results.has(point));
    if (open.length === 0) return;
    const prepared = await lab.prepare(kind, work);
    const { operations, end } = await record(prepared);
    const markAt = (text: string): number => operations.findIndex((one) => one.kind === 'mark' && one.text === text);
    const [from, to] = [markAt('start'), markAt('end')];
    const broken: string[] = [];
    for (const { number, point } of open) {
      const next = seededRandom(number * 1000 + from + to);
      // Each third state is of the very moment of the claim.
      const cut = number % 3 === 0 ? to : from + Math.ceil(next() * (to - from));
      const loss = LOSSES[number % LOSSES.length] ?? 'none';
      const state = join(bench.root, 'state.img');
      const made = await makeState(operations, cut, loss, next, { base: prepared.image, to: state });
      const verdict = await lab.judgeImage(prepared, kind, state, cut >= to ? end : undefined);
      results.add({ point, ...verdict, cut, of: operations.length, loss, ...made });
      broken.push(...verdict.violations.map((violation) => `${point} (operation ${cut} of ${operations.length}, ${loss}): ${violation}`));
    }
    expect(broken).toEqual([]);
  },
);
