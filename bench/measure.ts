// Runs one command and measures it: wall time, CPU of the whole process tree, the resident memory of
// its largest process, and what it printed. GNU time reads the memory; without it memory is unknown
// (never guessed). The children this module starts end with the benchmark.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, lstatSync, openSync, readdirSync, readFileSync, readSync, rmSync } from 'node:fs';
import { join } from 'node:path';

export type Command = {
  readonly argv: readonly [string, ...string[]];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
};

export type Measurement = {
  /** null where a signal or the time limit ended it. */
  readonly exitCode: number | null;
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
  readonly peakBytes: number | null;
  readonly stdout: string;
  /** The last 2,000 characters of stderr. */
  readonly stderr: string;
};

const LIMIT_MS = 20 * 60 * 1000;
const GNU_TIME = '/usr/bin/time';
let running: ChildProcess | undefined;

/** Ends the command that is being measured, with its children; for a benchmark that is interrupted. */
export function stopRunning(): void {
  if (running?.pid !== undefined) process.kill(-running.pid, 'SIGKILL');
}

/** @param scratch a path for a small file, removed afterwards */
export async function measure(command: Command, scratch: string): Promise<Measurement> {
  const timed = isGnuTime();
  const [program, ...args] = timed ? [GNU_TIME, '-q', '-f', '%U %S %M', '-o', scratch, '--', ...command.argv] : command.argv;
  const cpuBefore = childrenCpuSeconds();
  const start = performance.now();
  // A group of its own, so that stopRunning reaches both ends of a pipe.
  const child = spawn(program as string, args, { cwd: command.cwd, env: command.env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  running = child;
  const output: Buffer[] = [];
  let stderr = '';
  child.stdout?.on('data', (chunk: Buffer) => output.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk.toString()).slice(-2000);
  });
  const limit = setTimeout(stopRunning, LIMIT_MS);
  const exit = await new Promise<{ code: number | null; wall: number }>((resolve, reject) => {
    let wall = 0;
    child.once('error', reject);
    child.once('exit', () => {
      wall = (performance.now() - start) / 1000;
    });
    child.once('close', (code) => resolve({ code, wall }));
  }).finally(() => {
    clearTimeout(limit);
    running = undefined;
  });
  const [user = 0, system = 0, peak = 0] = timed ? readFileSync(scratch, 'utf8').trim().split(/\s+/).map(Number) : [];
  if (timed) rmSync(scratch, { force: true });
  return {
    exitCode: exit.code,
    wallSeconds: exit.wall,
    cpuSeconds: timed ? user + system : childrenCpuSeconds() - cpuBefore,
    peakBytes: timed ? peak * 1024 : null,
    stdout: Buffer.concat(output).toString(),
    stderr,
  };
}

let gnuTime: boolean | undefined;
function isGnuTime(): boolean {
  gnuTime ??= spawnSync(GNU_TIME, ['-f', '%M', 'true'], { encoding: 'utf8' }).status === 0;
  return gnuTime;
}

/** User and system time of all children that were waited for (fields 16 and 17 of stat, in ticks of 10 ms). */
function childrenCpuSeconds(): number {
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ').at(-1)?.split(' ') ?? [];
  return (Number(fields[13]) + Number(fields[14])) / 100;
}

/** Reads every file below `directories` once, so that each tool starts with the same warm cache; then syncs. */
export function warmAndSync(directories: readonly string[]): void {
  const buffer = Buffer.allocUnsafe(1024 * 1024);
  for (const directory of directories) {
    for (const path of filesBelow(directory)) {
      const file = openSync(path, 'r');
      while (readSync(file, buffer) > 0);
      closeSync(file);
    }
  }
  spawnSync('sync');
}

/** Bytes of all files below a directory, without the top-level names in `except` (caches that peers keep elsewhere). */
export function bytesBelow(directory: string, except: readonly string[] = []): number {
  let total = 0;
  for (const path of filesBelow(directory)) {
    const top = path.slice(directory.length + 1).split('/', 1)[0] as string;
    if (!except.includes(top)) total += lstatSync(path).size;
  }
  return total;
}

function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true, encoding: 'utf8' })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}
