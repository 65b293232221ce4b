// The only place that starts other programs. Absolute path, no shell, an environment built from
// nothing (variables such as TAR_OPTIONS, GIT_DIR, LD_PRELOAD or RCLONE_* change what a tool does),
// a time limit, and names always after `--`.

import { type ChildProcess, type SpawnSyncOptions, spawn, spawnSync } from 'node:child_process';
import { accessSync, closeSync, constants, fstatSync, mkdtempSync, openSync, readFileSync, readSync, rmSync } from 'node:fs';
import { constants as system, tmpdir } from 'node:os';
import { join } from 'node:path';
import { CoraError, limitHint } from '../base/errors.ts';

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

function notStarted(program: string, why: string, cause: unknown): CoraError {
  return new CoraError('tool_missing', `Could not start ${program}: ${why}`, { cause, ...limitHint(why) });
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
    throw notStarted(program, child.error.message, child.error);
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
    // Without `cleanup` it is the signal alone that ends the child: execa's own listener would, on a SIGTERM, end this process with
    // it at once, before what was begun is taken back.
    ...(options.signal === undefined ? {} : { cancelSignal: options.signal, cleanup: false }),
  });
  if (child.exitCode === undefined && child.signal === undefined && !child.timedOut && !child.isCanceled) {
    throw notStarted(program, child.originalMessage ?? 'unknown reason', child);
  }
  return {
    exitCode: child.exitCode ?? null,
    signal: child.signal ?? null,
    stdout: Buffer.from(child.stdout ?? new Uint8Array()),
    stderr: Buffer.from(child.stderr ?? new Uint8Array()).toString(),
    timedOut: child.timedOut,
  };
}

export type ForeignOptions = {
  readonly cwd: string;
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** A descriptor to read from; nothing where it is not given. */
  readonly stdin?: number | 'inherit';
  /** A descriptor to write to, or our own stream; else it is kept with what the other one says, for `output`. */
  readonly stdout?: number | 'inherit';
  readonly stderr?: 'inherit';
  /** Milliseconds; undefined: none. */
  readonly timeout?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Around the start: gives the program the caller's umask, which is not ours. */
  readonly asCaller?: (<T>(start: () => T) => T) | undefined;
};

export type ForeignResult = {
  /** null where a signal or the time limit ended it. */
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly timedOut: boolean;
  /** True where it was ended because it printed without end. */
  readonly flooded: boolean;
  /** The last of what it said, where that was kept. */
  readonly output: string;
};

export type ForegroundOptions = {
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Around the start: gives the program the caller's umask, which is not ours. */
  readonly asCaller: <T>(start: () => T) => T;
  /** `stderr`: what it prints goes where its errors go. */
  readonly stdout: 'inherit' | 'stderr';
  /** Called once it runs, with what sends it a signal. */
  readonly started: (send: (signal: NodeJS.Signals) => void) => void;
};

/**
 * Runs a program in our own place: terminal, working directory and process group are the caller's, and nothing limits it.
 * @returns its exit code, or the signal that ended it
 * @throws node's own error (ENOENT, EACCES) where it cannot be started
 */
export function runForeground(program: string, args: readonly string[], options: ForegroundOptions) {
  return new Promise<{ readonly exitCode: number | null; readonly signal: NodeJS.Signals | null }>((resolve, reject) => {
    const child = options.asCaller(() =>
      spawn(program, args, { env: { ...options.env }, stdio: ['inherit', options.stdout === 'stderr' ? 2 : 'inherit', 'inherit'] }),
    );
    child.once('error', reject);
    child.once('exit', (exitCode, signal) => resolve({ exitCode, signal }));
    options.started((signal) => send(child, false, signal));
  });
}

/** A shell's 128 + n. */
export function signalNumber(signal: NodeJS.Signals | null): number {
  return signal === null ? 0 : system.signals[signal];
}

/** True where the terminal gives its signals (Ctrl-C) to our process group: then a program in it gets them by itself. */
export function isInForeground(): boolean {
  try {
    // proc(5): after the name in parentheses: state, ppid, pgrp, session, tty_nr, tpgid.
    const text = readFileSync('/proc/self/stat', 'latin1');
    const [, , group, , terminal, foreground] = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return terminal !== '0' && group === foreground;
  } catch {
    return false;
  }
}

const TAIL = 8192;
const FLOOD = 64 << 20;
const TERM_GRACE_MS = 5000;

/**
 * Runs a program of the user's, in a process group of its own unless it has our terminal. Ends when the program itself ends: a
 * server that it left running goes on, and can still write, because what it says goes to a file and not through a pipe of ours.
 * @throws CoraError tool_missing where it cannot start
 */
export async function runForeign(program: string, args: readonly string[], options: ForeignOptions): Promise<ForeignResult> {
  const kept = openUnnamed();
  const ownGroup = options.stdin !== 'inherit' && options.stdout !== 'inherit';
  try {
    const start = () =>
      spawn(program, args, {
        cwd: options.cwd,
        env: { ...options.env },
        stdio: [options.stdin ?? 'ignore', options.stdout ?? kept, options.stderr ?? kept],
        detached: ownGroup,
      });
    const child = options.asCaller?.(start) ?? start();
    const ended = await endOf(child, program, ownGroup, kept, options);
    return { ...ended, output: tailOf(kept) };
  } finally {
    closeSync(kept);
  }
}

function endOf(child: ChildProcess, program: string, ownGroup: boolean, kept: number, { timeout, signal }: ForeignOptions) {
  return new Promise<Omit<ForeignResult, 'output'>>((resolve, reject) => {
    let why: 'timedOut' | 'flooded' | undefined;
    let forced: NodeJS.Timeout | undefined;
    const end = () => {
      if (forced !== undefined) return;
      send(child, ownGroup, 'SIGTERM');
      forced = setTimeout(() => send(child, ownGroup, 'SIGKILL'), TERM_GRACE_MS);
    };
    const endFor = (reason: 'timedOut' | 'flooded') => {
      why ??= reason;
      end();
    };
    const limit = timeout === undefined ? undefined : setTimeout(() => endFor('timedOut'), timeout);
    const watch = setInterval(() => {
      if (fstatSync(kept).size > FLOOD) endFor('flooded');
    }, 200);
    const settled = () => {
      clearTimeout(limit);
      clearTimeout(forced);
      clearInterval(watch);
      signal?.removeEventListener('abort', end);
    };
    child.once('error', (error) => {
      settled();
      reject(notStarted(program, error.message, error));
    });
    child.once('exit', (exitCode, by) => {
      settled();
      // What ignored the polite signal must not outlive its time limit.
      if (forced !== undefined) send(child, ownGroup, 'SIGKILL');
      resolve({ exitCode: why === undefined ? exitCode : null, signal: by, timedOut: why === 'timedOut', flooded: why === 'flooded' });
    });
    if (signal?.aborted === true) end();
    else signal?.addEventListener('abort', end, { once: true });
  });
}

function send(child: ChildProcess, group: boolean, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(group ? -child.pid : child.pid, signal);
  } catch {
    // It has ended.
  }
}

/** A file without a name, for what a program says: nobody else can open it, and it goes with its last writer. */
function openUnnamed(): number {
  const directory = mkdtempSync(join(tmpdir(), 'cora-output-'));
  try {
    return openSync(join(directory, 'output'), 'ax+', 0o600);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function tailOf(fd: number): string {
  const { size } = fstatSync(fd);
  const tail = Buffer.alloc(Math.min(size, TAIL));
  const length = readSync(fd, tail, 0, tail.length, size - tail.length);
  return tail.toString('utf8', 0, length).trimEnd();
}
