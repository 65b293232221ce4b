// Disks for power cuts: an image file behind a loop device. `cut` shuts the file system down without a flush, as when the
// power goes; the next mount replays its journal. Invariant: whatever was taken (mounts, loop devices, the directory) is given
// back when the process ends, by a signal too, and what a killed one left is cleared by the next.

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findProgram } from '../../../src/os/run.ts';
import { execute, isRoot } from '../../support/sandbox.ts';

/** A file system and how it is mounted. */
export type Kind = {
  readonly name: string;
  readonly make: readonly string[];
  readonly megabytes: number;
  readonly options: string;
};

const EXT4 = ['mkfs.ext4', '-qF'];
const XFS = ['mkfs.xfs', '-qf'];
export const KINDS = {
  ext4: { name: 'ext4', make: EXT4, megabytes: 64, options: '' },
  noauto: { name: 'ext4 noauto_da_alloc', make: EXT4, megabytes: 64, options: ',noauto_da_alloc' },
  writeback: { name: 'ext4 data=writeback', make: EXT4, megabytes: 64, options: ',data=writeback' },
  /** Nothing is held back for root. */
  full: { name: 'ext4', make: [...EXT4, '-m', '0'], megabytes: 64, options: '' },
  /** With few inodes. */
  few: { name: 'ext4 with 600 inodes', make: [...EXT4, '-N', '600'], megabytes: 64, options: '' },
  /** Its twin of the trial before may still be held by another's mount namespace. */
  xfs: { name: 'xfs', make: XFS, megabytes: 320, options: ',nouuid' },
  btrfs: { name: 'btrfs', make: ['mkfs.btrfs', '-qf'], megabytes: 160, options: '' },
} as const satisfies Record<string, Kind>;

const PREFIX = 'cora-power-';
/** In memory where there is room: a cut is about order, not about the speed of this machine's disk. */
const BASE = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

/** What keeps disks of these kinds from being made here; undefined: nothing. */
export function whyNoDisks(...programs: readonly string[]): string | undefined {
  if (!isRoot) return 'needs root';
  if (!existsSync('/dev/loop-control')) return 'needs loop devices';
  const missing = ['mount', 'umount', 'losetup', 'xfs_io', 'strace', ...programs].filter((name) => findProgram(name) === undefined);
  return missing.length === 0 ? undefined : `needs ${missing.join(', ')}`;
}

/** A private directory for disks; all that is mounted below it is unmounted when it is released. */
export class Bench {
  readonly root: string;
  readonly #release = (): void => this.releaseSync();
  readonly #signal = (): void => {
    this.releaseSync();
    process.exit(130);
  };

  constructor() {
    clearLeft();
    this.root = mkdtempSync(join(BASE, `${PREFIX}${process.pid}-`));
    process.on('exit', this.#release);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, this.#signal);
  }

  /** Safe to call twice. */
  releaseSync(): void {
    process.off('exit', this.#release);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, this.#signal);
    clear(this.root);
  }
}

/** Directories of processes that are gone. */
function clearLeft(): void {
  for (const name of readdirSync(BASE)) {
    const pid = name.startsWith(PREFIX) ? Number(name.slice(PREFIX.length).split('-')[0]) : 0;
    if (pid > 0 && !existsSync(`/proc/${pid}`)) clear(join(BASE, name));
  }
}

function clear(root: string): void {
  const inside = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .flatMap((line) => line.split(' ')[1] ?? [])
    .filter((path) => path.startsWith(`${root}/`));
  for (const path of inside.reverse()) spawnSync('umount', ['-l', '--', path]);
  // A loop device on a file in a FUSE directory holds that file open, and so the directory.
  const loops = spawnSync('losetup', ['-n', '-O', 'NAME,BACK-FILE', '-l']).stdout?.toString() ?? '';
  for (const line of loops.split('\n')) {
    const [name = '', file = ''] = line.trim().split(/\s+/);
    if (file.startsWith(`${root}/`)) spawnSync('losetup', ['-d', name]);
  }
  rmSync(root, { recursive: true, force: true });
}

/** Runs a program that must end with 0. */
export async function must(program: string, ...args: readonly string[]): Promise<string> {
  const run = await execute(program, args);
  if (run.code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${run.code}: ${run.stderr}${run.stdout}`);
  return run.stdout;
}

/** Asks so many times, 20 ms apart. */
async function until(isSo: () => Promise<boolean>, most: number, complaint: string): Promise<void> {
  for (let tries = 0; !(await isSo()); tries++) {
    if (tries === most) throw new Error(complaint);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export class Disk {
  readonly kind: Kind;
  /** Another one after a cut that somebody's mount namespace held on to. */
  image: string;
  readonly mountPoint: string;

  private constructor(kind: Kind, image: string, mountPoint: string) {
    this.kind = kind;
    this.image = image;
    this.mountPoint = mountPoint;
    mkdirSync(mountPoint, { recursive: true });
  }

  /** A new empty file system, not mounted. */
  static async make(bench: Bench, kind: Kind, name: string): Promise<Disk> {
    const disk = new Disk(kind, join(bench.root, `${name}.img`), join(bench.root, name));
    await must('truncate', '-s', `${kind.megabytes}M`, disk.image);
    const [program, ...args] = kind.make;
    await must(program ?? '', ...args, disk.image);
    return disk;
  }

  /** One on an image, or a block device, that is there. */
  static at(bench: Bench, kind: Kind, image: string, name: string): Disk {
    return new Disk(kind, image, join(bench.root, name));
  }

  /** Every byte of `from`, which is not mounted. */
  async become(from: string): Promise<void> {
    await must('cp', '--sparse=always', '--', from, this.image);
  }

  /**
   * A mount of the image that somebody's mount namespace kept over the cut would be given again, shut down as it is: that
   * says nothing of the disk, and a copy of the image is mounted instead.
   * @throws Error where the file system cannot be mounted
   */
  async mount(more = ''): Promise<void> {
    await this.#mount(more);
    if (this.image.startsWith('/dev/loop') || !this.#isShutDown()) return;
    await must('umount', '--', this.mountPoint);
    await this.#takeCopy();
    await this.#mount(more);
  }

  /** Reads of any file fail there, on ext4 and on xfs. */
  #isShutDown(): boolean {
    const found = spawnSync('find', [this.mountPoint, '-xdev', '-type', 'f', '-size', '+0', '-print', '-quit'], { encoding: 'utf8' });
    if (/Input\/output error/.test(found.stderr)) return true;
    const file = found.stdout.trim();
    return file !== '' && /Input\/output error/.test(spawnSync('head', ['-c', '1', '--', file], { encoding: 'utf8' }).stderr);
  }

  async #mount(more: string): Promise<void> {
    const loop = this.image.startsWith('/dev/loop') ? '' : ',loop';
    await must('mount', '-t', this.kind.make[0]?.slice(5) ?? '', '-o', `rw${loop}${this.kind.options}${more}`, this.image, this.mountPoint);
  }

  /** The power is off: nothing is written from here on, not even what the journal holds in memory. */
  async off(): Promise<void> {
    await must('xfs_io', '-x', '-c', 'shutdown', this.mountPoint);
  }

  /** Waits for processes that are about to die, and for the loop device, so that the next mount reads the image. */
  async unmount(): Promise<void> {
    await until(async () => (await execute('umount', ['--', this.mountPoint])).code === 0, 200, `${this.mountPoint} is busy`);
    await this.freed();
  }

  /** Waits until nothing holds the image. A copy of the mount in somebody's mount namespace would: then a copy of the image takes its place. */
  async freed(): Promise<void> {
    if (this.image.startsWith('/dev/loop')) return;
    const isFree = async (): Promise<boolean> => (await must('losetup', '-n', '-j', this.image)).trim() === '';
    try {
      await until(isFree, 100, 'held');
    } catch {
      await this.#takeCopy();
    }
  }

  /** Of another name: mount(8) would take the loop device of a file that was named so. */
  async #takeCopy(): Promise<void> {
    const held = this.image;
    this.image = `${held}-`;
    await must('cp', '--sparse=always', '--', held, this.image);
    rmSync(held);
  }

  /** Not mounted any more, whatever holds files in it. */
  async forget(): Promise<void> {
    if (readFileSync('/proc/mounts', 'utf8').includes(` ${this.mountPoint} `)) await execute('umount', ['-l', '--', this.mountPoint]);
  }

  /** Nor is its image there any more. */
  async release(): Promise<void> {
    await this.forget();
    rmSync(this.image, { force: true });
  }
}

export type Ending = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

/** A program with all that it starts in a process group of its own, which `kill` ends at once. */
export function start(
  program: string,
  args: readonly string[],
  options: { readonly cwd: string; readonly env: NodeJS.ProcessEnv },
): { readonly end: Promise<Ending>; readonly kill: () => void } {
  const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []];
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  const end = new Promise<Ending>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() }));
  });
  const kill = (): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    } catch {
      // Gone already.
    }
  };
  return { end, kill };
}
