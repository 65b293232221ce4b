// Which files a run of `bin/cora` opens, as the kernel sees it: strace around the whole process tree.
// Only regular files count: listing a directory is not reading, and a name that is not there is not opened.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram, runSync } from '../../src/os/run.ts';
import { CORA } from './run-cora.ts';
import { execute, type Run, type Sandbox } from './sandbox.ts';

const strace = findProgram('strace');

/** strace is there and may trace (a container may forbid it). */
export const canTrace = strace !== undefined && runSync(strace, ['-qq', '-o', '/dev/null', '/bin/true']).exitCode === 0;

export type TracedRun = Run & {
  /** Files of the project that were opened, relative to it, in order, repeats included. */
  readonly opened: readonly string[];
};

/** Runs `bin/cora ARGS` in the sandbox's project under strace. Paths must be printable ASCII. */
export async function traceCora(sandbox: Sandbox, args: readonly string[]): Promise<TracedRun> {
  if (strace === undefined) throw new Error('strace is missing');
  const directory = mkdtempSync(join(sandbox.root, 'trace-'));
  try {
    const file = join(directory, 'calls');
    const run = await execute(strace, ['-f', '-qq', '-s', '4096', '-e', 'trace=open,openat,openat2', '-o', file, CORA, ...args], {
      cwd: sandbox.project,
      env: { PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin', HOME: sandbox.home, CORA_VAULT: sandbox.vault },
    });
    return { ...run, opened: openedBelow(sandbox.project, readFileSync(file, 'utf8')) };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function openedBelow(project: string, calls: string): string[] {
  const opened: string[] = [];
  const pending = new Map<string, string>();
  for (const line of calls.split('\n')) {
    const task = line.slice(0, line.indexOf(' '));
    // A call that another thread interrupts is written in two lines.
    if (line.endsWith('<unfinished ...>')) {
      pending.set(task, line);
      continue;
    }
    const call = line.includes('resumed>') ? `${pending.get(task) ?? ''}${line}` : line;
    const path = /"((?:[^"\\]|\\.)*)"/.exec(call)?.[1];
    if (path === undefined || call.includes('O_DIRECTORY') || /= -1 /.test(call)) continue;
    if (path.startsWith(`${project}/`)) opened.push(path.slice(project.length + 1));
    // A path relative to the working directory or to an open directory is not told apart: it counts.
    else if (!path.startsWith('/')) opened.push(path);
  }
  return opened;
}
