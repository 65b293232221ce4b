// The only place that starts other programs. Absolute path, no shell, an environment built from
// nothing (variables such as TAR_OPTIONS, GIT_DIR, LD_PRELOAD or RCLONE_* change what a tool does),
// a time limit, and names always after `--`.

import { type SpawnSyncOptions, spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { CoraError } from '../base/errors.ts';

export type RunOptions = {
  readonly cwd?: string;
  /** Added to the clean environment. Secrets go here or to stdin, never into args. */
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string | Uint8Array;
  /** Milliseconds; the child is killed then. Default 60 s. */
  readonly timeout?: number;
  /** Run as this user (root only). */
  readonly uid?: number;
  readonly gid?: number;
  /** Bytes of output at most; default 64 MiB. */
  readonly maxBuffer?: number;
  /** Descriptors of ours that the child gets as 3, 4, ... (locks). */
  readonly inherit?: readonly number[];
  readonly signal?: AbortSignal;
};

export type RunResult = {
  /** null where a signal or the time limit ended it. */
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly stdout: Buffer;
  readonly stderr: string;
  readonly timedOut: boolean;
};

const SEARCH = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];
const found = new Map<string, string | undefined>();

/** Absolute path of a program in the system's directories (never PATH), or undefined. */
export function findProgram(name: string): string | undefined {
  if (!found.has(name)) found.set(name, SEARCH.map((directory) => `${directory}/${name}`).find(isExecutable));
  return found.get(name);
}

/** @throws CoraError tool_missing with the package to install */
export function requireProgram(name: string, debianPackage: string): string {
  const path = findProgram(name);
  if (path === undefined) {
    throw new CoraError('tool_missing', `The program ${name} is not installed`, { hint: `apt-get install ${debianPackage}` });
  }
  return path;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The whole environment of a child: nothing of ours but a fixed PATH and the C.UTF-8 locale. */
export function cleanEnvironment(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  return { PATH: SEARCH.join(':'), LC_ALL: 'C.UTF-8', TZ: 'UTC', HOME: '/nonexistent', ...extra };
}

/** Runs a short program and waits. Never throws for an exit code; throws CoraError tool_missing where it cannot start. */
export function runSync(program: string, args: readonly string[], options: RunOptions = {}): RunResult {
  const spawnOptions: SpawnSyncOptions = {
    cwd: options.cwd ?? '/',
    env: cleanEnvironment(options.env),
    timeout: options.timeout ?? 60_000,
    killSignal: 'SIGKILL',
    maxBuffer: options.maxBuffer ?? 64 << 20,
    stdio: ['pipe', 'pipe', 'pipe', ...(options.inherit ?? [])],
    ...(options.input === undefined ? { input: '' } : { input: options.input }),
    ...(options.uid === undefined ? {} : { uid: options.uid }),
    ...(options.gid === undefined ? {} : { gid: options.gid }),
  };
  const child = spawnSync(program, args, spawnOptions);
  const timedOut = child.error !== undefined && 'code' in child.error && child.error.code === 'ETIMEDOUT';
  if (child.error !== undefined && !timedOut && child.status === null && child.signal === null) {
    throw new CoraError('tool_missing', `Could not start ${program}: ${child.error.message}`, { cause: child.error });
  }
  return {
    exitCode: child.status,
    signal: child.signal,
    stdout: child.stdout as Buffer,
    stderr: child.stderr.toString(),
    timedOut,
  };
}

/** Runs a longer program without blocking; the same contract as `runSync`, and `signal` ends it. */
export async function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const { execa } = await import('execa');
  const child = await execa(program, [...args], {
    cwd: options.cwd ?? '/',
    env: cleanEnvironment(options.env),
    extendEnv: false,
    reject: false,
    encoding: 'buffer',
    stripFinalNewline: false,
    timeout: options.timeout ?? 60_000,
    killSignal: 'SIGKILL',
    maxBuffer: options.maxBuffer ?? 64 << 20,
    input: options.input === undefined ? Buffer.alloc(0) : Buffer.from(options.input),
    ...(options.uid === undefined ? {} : { uid: options.uid }),
    ...(options.gid === undefined ? {} : { gid: options.gid }),
    ...(options.signal === undefined ? {} : { cancelSignal: options.signal }),
  });
  if (child.exitCode === undefined && child.signal === undefined && !child.timedOut && !child.isCanceled) {
    throw new CoraError('tool_missing', `Could not start ${program}: ${child.originalMessage ?? 'unknown reason'}`, { cause: child });
  }
  return {
    exitCode: child.exitCode ?? null,
    signal: child.signal ?? null,
    stdout: Buffer.from(child.stdout ?? new Uint8Array()),
    stderr: Buffer.from(child.stderr ?? new Uint8Array()).toString(),
    timedOut: child.timedOut,
  };
}
