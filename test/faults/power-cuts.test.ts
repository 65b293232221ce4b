// The power goes: right after a command's exit, at any moment of it, at a chosen file-system call, or the disk alone dies under it.
// Whatever was claimed is there after the next mount, nothing half is, and the next run works. The normal run is a sample; the
// full one (CORA_TEST_SLOW=1) is 14 cuts of each command on each file system, see docs/reliability.md.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seededRandom } from '../../src/actions/torture-random.ts';
import { commandLine } from './harness/inject.ts';
import { Bench, Disk, KINDS, type Kind, must, start, whyNoDisks } from './power/disk.ts';
import { partOf, Results } from './power/record.ts';
import { Lab, type Moment, type Prepared } from './power/trial.ts';
import { WORKS } from './power/works.ts';

const SLOW = process.env['CORA_TEST_SLOW'] === '1';
const why = whyNoDisks('mkfs.ext4', 'mkfs.xfs');
const { ext4, noauto, writeback, xfs } = KINDS;

/** In the sample each command once on each of the two file systems, the options in turn. */
const SAMPLE: readonly (readonly [Kind, string])[] = [
  [ext4, 'first save'],
  [noauto, 'save'],
  [writeback, 'backup'],
  [noauto, 'seal'],
  [writeback, 'prune'],
  [xfs, 'first backup'],
  [xfs, 'save'],
  [xfs, 'compaction'],
  [xfs, 'restore'],
  [xfs, 'ship'],
];
const FULL = partOf([ext4, noauto, writeback, xfs]).flatMap((kind) => WORKS.map(({ name }) => [kind, name] as const));
const HOW = SLOW
  ? (['exit', 'exit', 'random', 'random', 'random', 'random', 'dies', 'dies', 'call', 'call', 'call', 'call', 'call', 'call'] as const)
  : (['exit', 'random', 'dies', 'call'] as const);

let bench: Bench;
let lab: Lab;
const results = new Results('power-cuts');
beforeAll(() => {
  bench = new Bench();
  lab = new Lab(bench);
});
afterAll(() => bench.releaseSync());

async function momentOf(prepared: Prepared, how: Moment['how'], next: () => number): Promise<Moment> {
  if (how === 'exit') return { how };
  if (how === 'call') {
    const calls = await lab.calls(prepared);
    const call = calls[Math.floor(next() * calls.length)];
    if (call === undefined) throw new Error(`${prepared.work.name} makes no calls`);
    return call;
  }
  return { how, after: Math.round(prepared.takes * (0.2 + next())) };
}

test.skipIf(why !== undefined).each((SLOW ? FULL : SAMPLE).map(([kind, name]) => [kind.name, name, kind] as const))(
  `power cuts on %s under %s${why === undefined ? '' : ` (${why})`}`,
  { timeout: 3_600_000 },
  async (kindName, name, kind) => {
    const work = WORKS.find((one) => one.name === name);
    if (work === undefined) throw new Error(`no work is named ${name}`);
    const broken: string[] = [];
    for (const [number, how] of HOW.entries()) {
      const point = `${kindName}, ${name}, ${how} ${number}`;
      if (results.has(point)) continue;
      const prepared = await lab.prepare(kind, work);
      const moment = await momentOf(prepared, how, seededRandom(seedOf(point)));
      const verdict = await lab.cut(prepared, kind, moment);
      results.add({ point, ...verdict, moment });
      broken.push(...verdict.violations.map((violation) => `${point} ${JSON.stringify(moment)}, ended with ${verdict.code}: ${violation}`));
    }
    expect(broken).toEqual([]);
  },
);

test.skipIf(why !== undefined).each([ext4, xfs])(
  `the cuts see it where no fsync does anything, on $name${why === undefined ? '' : ` (${why})`}`,
  { timeout: 600_000 },
  async (kind) => {
    const work = WORKS.find(({ name }) => name === 'save');
    if (work === undefined) throw new Error('no work is named save');
    const prepared = await lab.prepare(kind, work);
    const inject = ['-f', '-qq', '-o', '/dev/null', '-e', 'trace=fsync,fdatasync', '-e', 'inject=fsync,fdatasync:retval=0'];
    const { code, violations } = await lab.trial(prepared, kind, async (disk, { project, env }) => {
      const end = await start('strace', [...inject, ...commandLine(), ...prepared.args], { cwd: project, env }).end;
      await disk.off();
      return end;
    });
    expect([code, violations]).toEqual([0, expect.arrayContaining([expect.stringMatching(/^claim: it claimed the save \S+, which is not there/)])]);
  },
);

test.skipIf(why !== undefined).each([ext4, xfs])(
  `a disk that another mount namespace held over the cut is looked at as it is after it, on $name${why === undefined ? '' : ` (${why})`}`,
  async (kind) => {
    const bench = new Bench();
    const disk = await Disk.make(bench, kind, 'held');
    await disk.mount();
    const file = join(disk.mountPoint, 'kept.txt');
    writeFileSync(file, 'kept');
    await must('sync', '-f', '--', file);
    const holder = start('unshare', ['-m', 'sleep', '60'], { cwd: '/', env: { PATH: process.env['PATH'] } });
    try {
      await must('sleep', '0.3');
      await disk.off();
      await disk.unmount();
      await disk.mount();
      expect(readFileSync(file, 'utf8')).toBe('kept');
    } finally {
      holder.kill();
      await disk.forget();
      bench.releaseSync();
    }
  },
);

function seedOf(text: string): number {
  return [...text].reduce((seed, character) => (Math.imul(seed, 31) + character.charCodeAt(0)) | 0, Number(process.env['CORA_TEST_SEED'] ?? 7));
}
