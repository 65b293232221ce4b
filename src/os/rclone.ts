// rclone as a child process: the one place that starts it. Explicit limits (its own defaults try a dead server for five minutes), no
// bucket made by a typing slip, no environment but ours, and never a secret in a message.

import type { Readable, Writable } from 'node:stream';
import { CoraError } from '../base/errors.ts';
import { type Credentials, redact } from './credentials.ts';
import { type Piped, type PipedEnd, startPiped } from './piped.ts';
import { requireProgram } from './run.ts';

/** What every call of one remote has in common. */
export type Rclone = {
  readonly credentials: Pick<Credentials, 'env' | 'secrets'>;
  /** Milliseconds without progress after which a call is ended. */
  readonly timeout: number;
  readonly bwlimit: string | undefined;
  readonly signal: AbortSignal;
};

export type Transferred = { readonly bytes: number; readonly totalBytes: number; readonly files: number; readonly totalFiles: number };

export type RcloneCall = {
  readonly onProgress?: (transferred: Transferred) => void;
  /** Tries of the whole operation; default 1. */
  readonly retries?: number;
  /** Bytes of output at most; default 256 MiB. */
  readonly maxOutput?: number;
};

export type RcloneResult = {
  /** null where a signal or our time limit ended it. */
  readonly exitCode: number | null;
  readonly stdout: Buffer;
  /** What it said was wrong, without secrets, each once, the last ten. */
  readonly errors: readonly string[];
  /** It got nowhere for `timeout`. */
  readonly timedOut: boolean;
};

/** rclone's exit codes (https://rclone.org/docs/#exit-code). */
export const RCLONE_EXIT = { directoryNotFound: 3, fileNotFound: 4 } as const;

const STATS_MS = 500;

function flagsOf(rclone: Rclone, retries: number): string[] {
  const seconds = Math.max(1, Math.round(rclone.timeout / 1000));
  return [
    '--use-json-log',
    `--stats=${STATS_MS}ms`,
    '--stats-log-level=NOTICE',
    `--contimeout=${Math.min(seconds, 30)}s`,
    `--timeout=${seconds}s`,
    `--retries=${retries}`,
    '--retries-sleep=1s',
    '--low-level-retries=3',
    '--s3-no-check-bucket',
    '--ask-password=false',
    ...(rclone.bwlimit === undefined ? [] : [`--bwlimit=${rclone.bwlimit}`]),
  ];
}

/**
 * Runs rclone to its end. Never throws for its exit code.
 * @param args operation and names; local names absolute
 * @throws CoraError tool_missing, interrupted
 */
export async function rclone(access: Rclone, args: readonly string[], call: RcloneCall = {}): Promise<RcloneResult> {
  const watch = new Watch(access, call);
  const child = start(access, args, call, watch, 'ignore');
  const stdout = await collect(child, call.maxOutput ?? 256 << 20);
  return watch.result(await child.ended, stdout);
}

/**
 * Reads an object from a byte on: `rclone cat`. Its exit code alone says nothing: on S3 an object that is not there is empty, with 0.
 * @param take gets the bytes as they come; what it throws ends the call and is thrown
 * @throws CoraError tool_missing, interrupted
 */
export async function readObject(
  access: Rclone,
  path: string,
  offset: number,
  take: (part: Buffer) => void,
  call: Omit<RcloneCall, 'retries'> = {},
): Promise<RcloneResult> {
  const watch = new Watch(access, call);
  // One try: a second one inside of rclone would give the bytes from the beginning again.
  const child = start(access, ['cat', `--offset=${offset}`, '--', path], { ...call, retries: 1 }, watch, 'ignore');
  try {
    for await (const part of child.stdout as Readable & AsyncIterable<Buffer>) {
      watch.alive();
      take(part);
    }
  } catch (error) {
    child.stop();
    await child.ended;
    watch.end();
    throw error;
  }
  return watch.result(await child.ended, Buffer.alloc(0));
}

/** An upload that is fed: `rclone rcat`. The object is whole only after `finish`. */
export type Upload = {
  /** Gives bytes on; waits while rclone is slow. @throws CoraError interrupted; any error where rclone has ended */
  write(bytes: Uint8Array): Promise<void>;
  /** The end of the content. */
  finish(): Promise<RcloneResult>;
  /** Ends rclone before it can take what it has for the whole: then nothing is at the remote, or a part of it (a plain directory). */
  abandon(): Promise<void>;
  /** True where rclone has ended by itself: `finish` tells why. */
  hasEnded(): boolean;
};

/** @throws CoraError tool_missing */
export function startUpload(access: Rclone, path: string, size: number, call: RcloneCall = {}): Upload {
  const watch = new Watch(access, call);
  // S3 takes 10,000 parts; rclone's default of 5 MiB for a stream ends at 48 GiB.
  const chunk = Math.max(5, Math.ceil((size * 1.01) / (9000 << 20)));
  const child = start(access, ['rcat', `--s3-chunk-size=${chunk}M`, path], call, watch, 'pipe');
  const input = child.stdin;
  const output = collect(child, 1 << 20);
  let broken: Error | undefined;
  let over = false;
  input?.on('error', (error) => {
    broken = error;
  });
  const ended = child.ended;
  ended.then(
    () => {
      over = true;
    },
    () => undefined,
  );
  return {
    hasEnded: () => over || broken !== undefined,
    async write(bytes) {
      watch.alive();
      if (broken !== undefined || input === undefined || input.destroyed) throw broken ?? new Error('rclone has ended');
      if (!input.write(bytes)) await drained(input);
      if (broken !== undefined) throw broken;
    },
    async finish() {
      input?.end();
      const stdout = await output;
      return watch.result(await ended, stdout);
    },
    async abandon() {
      child.stop();
      await output;
      await ended;
      watch.end();
    },
  };
}

/** Until what was written has gone on, or it has ended. Leaves no listener behind: a large object is written in thousands of steps. */
function drained(input: Writable): Promise<void> {
  return new Promise((resolve) => {
    const settle = () => {
      for (const event of ['drain', 'close']) input.off(event, settle);
      resolve();
    };
    for (const event of ['drain', 'close']) input.on(event, settle);
  });
}

function start(access: Rclone, args: readonly string[], call: RcloneCall, watch: Watch, stdin: 'pipe' | 'ignore'): Piped {
  const program = requireProgram('rclone', 'rclone');
  const [operation = '', ...rest] = args;
  const child = startPiped(program, [operation, ...flagsOf(access, call.retries ?? 1), ...rest], {
    env: access.credentials.env,
    stdin,
    signal: access.signal,
    onErrorLine: (line) => watch.line(line),
  });
  watch.guard(child);
  return child;
}

/** Reads what rclone says while it runs: progress, errors, and whether anything moves. */
class Watch {
  #access: Rclone;
  #call: RcloneCall;
  #errors: string[] = [];
  #bytes = -1;
  #aliveAt = performance.now();
  #timedOut = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(access: Rclone, call: RcloneCall) {
    this.#access = access;
    this.#call = call;
  }

  /** Twice the limit, so that rclone's own time limit, which says what hung, comes first. */
  guard(child: Piped): void {
    this.#timer = setInterval(() => {
      if (performance.now() - this.#aliveAt < this.#access.timeout * 2 + 2000) return;
      this.#timedOut = true;
      child.stop();
    }, STATS_MS);
  }

  alive(): void {
    this.#aliveAt = performance.now();
  }

  line(line: string): void {
    const entry = parseLogLine(line);
    if (entry.stats !== undefined) {
      const { bytes, totalBytes, transfers, totalTransfers, checks } = entry.stats;
      const moved = bytes + transfers + checks;
      if (moved !== this.#bytes) this.alive();
      this.#bytes = moved;
      this.#call.onProgress?.({ bytes, totalBytes, files: transfers, totalFiles: totalTransfers });
      return;
    }
    const message = redact(entry.message, this.#access.credentials.secrets).trim();
    if (entry.isError && message !== '' && !this.#errors.includes(message)) this.#errors.push(message);
    if (this.#errors.length > 10) this.#errors.shift();
  }

  end(): void {
    clearInterval(this.#timer);
  }

  result({ exitCode }: PipedEnd, stdout: Buffer): RcloneResult {
    this.end();
    if (this.#access.signal.aborted) throw new CoraError('interrupted', 'Interrupted');
    return { exitCode: this.#timedOut ? null : exitCode, stdout, errors: this.#errors, timedOut: this.#timedOut };
  }
}

type Stats = {
  readonly bytes: number;
  readonly totalBytes: number;
  readonly transfers: number;
  readonly totalTransfers: number;
  readonly checks: number;
};

/** A line of --use-json-log; what is no JSON (a fatal error of rclone's start) is a message as well. */
function parseLogLine(line: string): { readonly message: string; readonly isError: boolean; readonly stats?: Stats } {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === 'object' && value !== null && 'msg' in value) {
      const isError = 'level' in value && ['error', 'critical', 'fatal', 'panic'].includes(String(value.level));
      const object = 'object' in value && typeof value.object === 'string' && value.object !== '' ? `${value.object}: ` : '';
      const message = `${object}${String(value.msg)}`;
      return 'stats' in value && typeof value.stats === 'object' && value.stats !== null
        ? { message, isError, stats: value.stats as Stats }
        : { message, isError };
    }
  } catch {
    // not JSON
  }
  // rclone's plain form begins with the date.
  return { message: line.replace(/^\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d (?:[A-Z]+\s*: )?/, ''), isError: !/ NOTICE: | INFO {2}: /.test(line) };
}

async function collect(child: Piped, max: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of child.stdout as Readable & AsyncIterable<Buffer>) {
    size += part.length;
    if (size <= max) parts.push(part);
    else child.stop();
  }
  return Buffer.concat(parts);
}
