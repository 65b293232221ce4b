// A program whose input and output are streams of ours: an upload that is fed, a cipher that is read. Started as run.ts starts
// programs (absolute path, no shell, a clean environment); it ends with us, or when it gets nowhere for too long.

import { spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { CoraError } from '../base/errors.ts';
import { cleanEnvironment } from './run.ts';

export type PipedOptions = {
  readonly cwd?: string;
  /** Added to the clean environment. Secrets go here or to stdin, never into args. */
  readonly env?: Readonly<Record<string, string>>;
  /** `pipe`: `stdin` is given; else it reads nothing. */
  readonly stdin?: 'pipe' | 'ignore';
  readonly signal?: AbortSignal | undefined;
  /** Each line that it writes to stderr, as it comes; all the same the last of it is kept. */
  readonly onErrorLine?: (line: string) => void;
};

export type PipedEnd = {
  /** null where a signal ended it. */
  readonly exitCode: number | null;
  readonly signal: string | null;
  /** The last 16 kB of what it said on stderr. */
  readonly stderr: string;
};

export type Piped = {
  /** undefined unless `pipe` was asked for. An error on it is the caller's to handle (EPIPE where the program ended early). */
  readonly stdin: Writable | undefined;
  /** Must be read to its end, or the program waits for ever. */
  readonly stdout: Readable;
  readonly pid: number;
  /** Resolves when it has ended and its streams are closed; rejects with CoraError tool_missing where it cannot start. */
  readonly ended: Promise<PipedEnd>;
  /** SIGTERM, and SIGKILL after five seconds. */
  stop(): void;
};

const KEPT = 16_384;
const GRACE_MS = 5000;

/** Starts a program with streams for what goes in and comes out. */
export function startPiped(program: string, args: readonly string[], options: PipedOptions = {}): Piped {
  const child = spawn(program, [...args], {
    cwd: options.cwd ?? '/',
    env: cleanEnvironment(options.env),
    stdio: [options.stdin === 'pipe' ? 'pipe' : 'ignore', 'pipe', 'pipe'],
  });
  let forced: NodeJS.Timeout | undefined;
  const stop = () => {
    if (forced !== undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    forced = setTimeout(() => child.kill('SIGKILL'), GRACE_MS);
  };
  let said = '';
  let line = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-KEPT);
    const lines = (line + text).split('\n');
    line = (lines.pop() ?? '').slice(-KEPT);
    for (const whole of lines) options.onErrorLine?.(whole);
  });
  const ended = new Promise<PipedEnd>((resolve, reject) => {
    child.once('error', (error) => reject(new CoraError('tool_missing', `Could not start ${program}: ${error.message}`, { cause: error })));
    child.once('close', (exitCode, signal) => {
      clearTimeout(forced);
      options.signal?.removeEventListener('abort', stop);
      if (line !== '') options.onErrorLine?.(line);
      resolve({ exitCode, signal, stderr: said });
    });
  });
  if (options.signal?.aborted === true) stop();
  else options.signal?.addEventListener('abort', stop, { once: true });
  return { stdin: child.stdin ?? undefined, stdout: child.stdout as Readable, pid: child.pid ?? 0, ended, stop };
}
