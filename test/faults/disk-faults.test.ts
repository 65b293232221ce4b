// Disks that are full, out of inodes, limited, read-only, gone or lying, in the middle of each command: the exit code is honest,
// whatever was claimed is there, nothing is written where the disk was, and with the fault gone the next run works. The normal run
// is a sample; the full one is CORA_TEST_SLOW=1, see docs/reliability.md.

import { mkdirSync, rmSync, statfsSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { execute, Sandbox } from '../support/sandbox.ts';
import { commandLine } from './harness/inject.ts';
import { Bench, Disk, type Ending, KINDS, type Kind, must, start, whyNoDisks } from './power/disk.ts';
import { partOf, Results } from './power/record.ts';
import { Lab, type Prepared, type Verdict } from './power/trial.ts';
import { CORA, type Machine, WORKS } from './power/works.ts';

const SLOW = process.env['CORA_TEST_SLOW'] === '1';
const why = whyNoDisks('mkfs.ext4', 'mkfs.xfs');
const { ext4, few, full, xfs } = KINDS;

let bench: Bench;
let lab: Lab;
const results = new Results('disk-faults');
beforeAll(() => {
  bench = new Bench();
  lab = new Lab(bench);
});
afterAll(() => bench.releaseSync());

const place = (machine: Machine) => ({ cwd: machine.project, env: machine.env });

function workNamed(name: string) {
  const work = WORKS.find((one) => one.name === name);
  if (work === undefined) throw new Error(`no work is named ${name}`);
  return work;
}

/** Tries each value of a fault under each of the commands, and expects no violation of any. */
function sweep(
  title: string,
  kind: Kind,
  names: { readonly sample: readonly string[] },
  values: readonly number[],
  run: (prepared: Prepared, value: number) => Promise<Verdict>,
): void {
  const works = SLOW ? WORKS.map(({ name }) => name) : names.sample;
  test.skipIf(why !== undefined || partOf([kind]).length === 0).each(works)(
    `${title}, under %s${why === undefined ? '' : ` (${why})`}`,
    { timeout: 3_600_000 },
    async (name) => {
      const broken: string[] = [];
      for (const value of values) {
        const point = `${kind.name}, ${title}, ${name}, ${value}`;
        if (results.has(point)) continue;
        const prepared = await lab.prepare(kind, workNamed(name));
        const verdict = await run(prepared, value);
        results.add({ point, ...verdict });
        broken.push(...verdict.violations.map((violation) => `${point}, ended with ${verdict.code} (${verdict.said ?? ''}): ${violation}`));
      }
      expect(broken).toEqual([]);
    },
  );
}

const steps = (from: number, to: number, by: number): number[] => Array.from({ length: Math.ceil((to - from) / by) }, (_, n) => from + n * by);

/** Leaves so many bytes: all that can be had is taken, and so much given back. */
async function fill({ mountPoint }: Machine, free: number): Promise<void> {
  const { bfree, bsize } = statfsSync(mountPoint);
  const file = join(mountPoint, 'filler');
  let [size, refused] = [0, bfree * bsize];
  while (refused - size > 4096) {
    const middle = Math.floor((size + refused) / 2);
    if ((await execute('fallocate', ['-l', String(middle), file])).code === 0) size = middle;
    else refused = middle;
  }
  truncateSync(file, Math.max(0, size - free));
}

const unfill = async ({ mountPoint }: Machine): Promise<void> => rmSync(join(mountPoint, 'filler'), { recursive: true, force: true });

async function toTheEnd(machine: Machine, args: readonly string[]): Promise<Ending> {
  return start(CORA, args, place(machine)).end;
}

sweep('a disk that others fill in the middle, KiB left', full, { sample: ['backup'] }, SLOW ? steps(0, 3000, 50) : [0, 150, 900], (prepared, kib) =>
  lab.trial(
    prepared,
    full,
    // Not before: Cora looks for room first, and refuses to begin.
    (_, machine) => inTheMiddle(machine, prepared, 20 + (kib % 9) * 9, () => fill(machine, kib * 1024)),
    unfill,
  ),
);

sweep('no inodes, so many left', few, { sample: ['restore'] }, SLOW ? steps(0, 40, 1) : [0, 4, 9], (prepared, left) =>
  lab.trial(
    prepared,
    few,
    async (_, machine) => {
      const directory = join(machine.mountPoint, 'filler');
      mkdirSync(directory);
      const { ffree } = statfsSync(directory);
      for (let n = 0; n < ffree - left; n++) writeFileSync(join(directory, String(n)), '');
      return toTheEnd(machine, prepared.args);
    },
    unfill,
  ),
);

sweep('a file size limit, blocks', xfs, { sample: ['save'] }, SLOW ? [...steps(0, 40, 2), ...steps(40, 3000, 120)] : [2, 60], (prepared, blocks) =>
  lab.trial(prepared, xfs, async (_, machine) => {
    const script = `ulimit -f ${blocks}; exec "$0" "$@"`;
    return start('/bin/sh', ['-c', script, CORA, ...prepared.args], place(machine)).end;
  }),
);

/** Runs the command, and does something to the disk at a hundredth of its time. */
async function inTheMiddle(machine: Machine, prepared: Prepared, hundredth: number, act: (ended: () => boolean) => Promise<void>): Promise<Ending> {
  const run = start(CORA, prepared.args, place(machine));
  let ended = false;
  void run.end.then(() => {
    ended = true;
  });
  await new Promise((resolve) => setTimeout(resolve, (prepared.takes * hundredth) / 100));
  await act(() => ended);
  const limit = setTimeout(run.kill, 60_000);
  const end = await run.end;
  clearTimeout(limit);
  return end;
}

sweep('a write that lies, number', ext4, { sample: ['backup'] }, SLOW ? steps(0, 60, 1) : [2, 9], async (prepared, number) => {
  const writes = await lab.writes(prepared);
  const write = writes[number];
  if (write === undefined) return { code: undefined, said: `it makes ${writes.length} writes`, violations: [] };
  const { call, when, bytes, path } = write;
  const inject = ['-f', '-qq', '-o', '/dev/null', '-e', `trace=${call}`, '-e', `inject=${call}:retval=${bytes}:when=${when}`];
  const verdict = await lab.trial(prepared, ext4, (_, machine) => {
    return start('strace', [...inject, ...commandLine(), ...prepared.args], { ...place(machine), env: { ...machine.env, CORA_WORKERS: '0' } }).end;
  });
  return { ...verdict, said: `${path}: ${verdict.said ?? ''}` };
});

sweep('the disk is unmounted lazily in the middle, at a hundredth', ext4, { sample: ['save'] }, SLOW ? steps(20, 120, 5) : [50, 80], (prepared, at) =>
  lab.trial(prepared, ext4, async (disk, machine) => {
    const end = await inTheMiddle(machine, prepared, at, async () => {
      await must('umount', '-l', '--', disk.mountPoint);
    });
    await disk.freed();
    // What `trial` unmounts.
    await must('mount', '--bind', disk.mountPoint, disk.mountPoint);
    return end;
  }),
);

sweep('the disk turns read-only in the middle, at a hundredth', ext4, { sample: ['prune'] }, SLOW ? steps(20, 120, 5) : [50, 80], (prepared, at) =>
  lab.trial(prepared, ext4, (disk, machine) =>
    inTheMiddle(machine, prepared, at, async (ended) => {
      // The kernel refuses while a file is open for writing.
      while (!ended() && (await execute('mount', ['-o', 'remount,ro', disk.mountPoint])).code !== 0);
    }),
  ),
);

test.skipIf(why !== undefined).each([ext4, xfs])(
  `a vault on a disk that died: each command ends with its sentence, and with the disk back the next save works, on $name${why === undefined ? '' : ` (${why})`}`,
  { timeout: 300_000 },
  async (kind) => {
    const disk = await Disk.make(bench, kind, 'vaults');
    const sandbox = new Sandbox({ fast: true });
    const env = { CORA_VAULT: join(disk.mountPoint, 'vault') };
    const file = join(sandbox.project, 'a.txt');
    try {
      await disk.mount();
      writeFileSync(file, 'one');
      expect((await sandbox.cora(['backup', 'now'], { env })).code).toBe(0);
      writeFileSync(file, 'two');
      await disk.off();
      for (const args of [['save'], ['backup', 'now'], ['list'], ['status'], ['verify'], ['prune'], ['protect'], ['restore', 'latest', '--yes']]) {
        const run = await sandbox.cora(args, { env });
        const last = run.stderr.trim().split('\n').at(-1);
        expect([args, run.code, last]).toEqual([args, 1, expect.stringMatching(/^cora: .*(?:EIO|Input\/output error)/)]);
        expect(run.stderr).not.toMatch(/\n\s+at /);
      }
      await disk.unmount();
      await disk.mount();
      expect((await sandbox.cora(['save'], { env })).code).toBe(0);
      expect((await sandbox.cora(['verify', '--all', '--deep'], { env })).code).toBe(0);
      await disk.unmount();
    } finally {
      await disk.release();
      await sandbox.remove();
    }
  },
);
