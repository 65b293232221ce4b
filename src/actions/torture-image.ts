// A file system of the same kind in a file (root only): for power cuts (the kernel is told to forget all that it has not written,
// without flushing its journal) and for disks that are really full. It is mounted on the bench, and released by the place.

import { rmSync, truncateSync, writeFileSync } from 'node:fs';
import { CoraError } from '../base/errors.ts';
import { freeBytes } from '../os/files.ts';
import { findProgram, type RunResult, runSync } from '../os/run.ts';
import type { Violation } from './judge.ts';
import type { Bench } from './torture-bench.ts';
import type { PlaceFacts } from './torture-facts.ts';
import { unmountBelow } from './torture-place.ts';
import type { TortureOptions } from './torture-result.ts';

/** Sizes of the images; they are sparse. xfs does not take less. */
const SIZES: Readonly<Record<string, number>> = { ext4: 96 << 20, xfs: 320 << 20 };
/** What two images and their contents really take. */
const NEEDED: Readonly<Record<string, number>> = { ext4: 120 << 20, xfs: 300 << 20 };
const MAKE: Readonly<Record<string, readonly string[]>> = { ext4: ['-q', '-F', '-m', '0'], xfs: ['-q', '-f'] };
/** Options of the user's own mount that decide what a power cut leaves; the others are about other things. */
const PASSED_ON = /^(data=\w+|noauto_da_alloc|nobarrier|barrier=\d|commit=\d+|journal_checksum|journal_async_commit|nodelalloc|wsync)$/;
const BUSY_TRIES = 40;
const BUSY_WAIT_MS = 50;

export type Image = {
  /** A fresh copy of the image is mounted on the bench, with project and vault as they were. */
  readonly load: () => void;
  /** The power goes and comes back. Empty where the file system could be mounted again. */
  readonly cut: () => Promise<Violation[]>;
  /** Takes all but `free` bytes; gives them back. */
  readonly fill: (free: number) => void;
  readonly empty: () => void;
  readonly unload: () => Promise<void>;
};

/** Makes it; a sentence that says why not, where it cannot be made here. */
export async function makeImage(bench: Bench, facts: PlaceFacts, { uid, space }: TortureOptions): Promise<Image | string> {
  const { file_system: type } = facts;
  const [size, needed] = [SIZES[type], NEEDED[type]];
  if (uid !== 0) return 'only root may mount a disk image';
  if (size === undefined || needed === undefined) return `a disk image of ${type} cannot be made or cut (ext4 and xfs can)`;
  const [mkfs, mount, shutdown] = [findProgram(`mkfs.${type}`), findProgram('mount'), findProgram('xfs_io')];
  if (mkfs === undefined) return `mkfs.${type} is not installed`;
  if (mount === undefined || shutdown === undefined) return 'xfs_io is not installed (apt-get install xfsprogs)';
  if (space < needed) return `--space is less than the ${needed >> 20} MiB that it takes`;
  const [master, disk, filler] = [`${bench.root}/master.img`, `${bench.root}/disk.img`, `${bench.directory}/filler`];
  const options = ['loop', ...facts.mount_options.split(',').filter((option) => PASSED_ON.test(option))].join(',');
  const attach = (file: string): RunResult => runSync(mount, ['-t', type, '-o', options, '--', file, bench.directory]);
  const unload = async (): Promise<void> => unmount(bench.root);

  writeFileSync(master, '', { mode: 0o600 });
  truncateSync(master, size);
  const made = runSync(mkfs, [...(MAKE[type] ?? []), master], { timeout: 120_000 });
  if (made.exitCode !== 0) return `mkfs.${type} failed: ${lastOf(made)}`;
  bench.clear();
  const first = attach(master);
  if (first.exitCode !== 0) return `a disk image cannot be mounted here: ${lastOf(first)}`;
  bench.fill();
  await unload();

  return {
    load() {
      bench.clear();
      rmSync(disk, { force: true });
      must(runSync(findProgram('cp') ?? '/bin/cp', ['--sparse=always', '--', master, disk]), 'copied');
      must(attach(disk), 'mounted');
    },
    async cut() {
      must(runSync(shutdown, ['-x', '-c', 'shutdown', bench.directory]), 'shut down');
      await unload();
      const again = attach(disk);
      return again.exitCode === 0 ? [] : [{ rule: 'lost', sentence: `${type} cannot be mounted after the power cut: ${lastOf(again)}` }];
    },
    fill(free) {
      const left = freeBytes(bench.directory);
      if (left > free) runSync(findProgram('fallocate') ?? '/usr/bin/fallocate', ['-l', String(left - free), '--', filler]);
    },
    empty: () => rmSync(filler, { force: true }),
    unload,
  };
}

/** What a killed run has started may hold it for a moment longer. */
async function unmount(root: string): Promise<void> {
  for (let tries = 0; unmountBelow(root) > 0 && tries < BUSY_TRIES; tries++) await new Promise((resolve) => setTimeout(resolve, BUSY_WAIT_MS));
}

function must(run: RunResult, what: string): void {
  if (run.exitCode === 0) return;
  throw new CoraError('io', `The disk image could not be ${what}: ${lastOf(run)}`, { hint: 'see losetup -a and df -h, then run it again' });
}

function lastOf({ stderr }: RunResult): string {
  return stderr.trim().split('\n').at(-1) ?? '';
}
