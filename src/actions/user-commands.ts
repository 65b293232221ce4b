// Runs the user's own commands and checks. They get the caller's PATH, HOME and language, what a database
// client needs to find its server, and facts as CORA_* variables; of our own secrets nothing. Invariant:
// only what `trusted` let through can be run.

import { closeSync, openSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { type Bytes, fsPath, isText, toText } from '../base/bytes.ts';
import { CoraError, messageOf } from '../base/errors.ts';
import type { Check, HttpRequest, JsonCondition, UserCommand } from '../base/user-command.ts';
import { type Answer, probe } from '../os/http-probe.ts';
import { findProgram, runForeign } from '../os/run.ts';
import { type CommandHost, requireTrusted, type Trusted, type TrustFacts } from './trust.ts';

/** The caller's variables that a command gets. Never LD_*, GIT_*, NODE_OPTIONS and the like, and no key of a vault or remote. */
const HANDED_ON = [
  ...['PATH', 'HOME', 'USER', 'LOGNAME', 'SHELL', 'TERM', 'TMPDIR', 'TZ', 'LANG', 'LANGUAGE', 'LC_ALL', 'LC_CTYPE', 'LC_MESSAGES'],
  ...['XDG_RUNTIME_DIR', 'XDG_CONFIG_HOME', 'XDG_STATE_HOME', 'XDG_DATA_HOME', 'XDG_CACHE_HOME', 'DBUS_SESSION_BUS_ADDRESS'],
  ...['PGHOST', 'PGPORT', 'PGUSER', 'PGDATABASE', 'PGPASSFILE', 'PGPASSWORD', 'PGSERVICE', 'PGSERVICEFILE', 'PGSSLMODE'],
  ...['MYSQL_HOST', 'MYSQL_TCP_PORT', 'MYSQL_UNIX_PORT', 'MYSQL_PWD', 'DATABASE_URL', 'DOCKER_HOST', 'DOCKER_CONTEXT', 'VIRTUAL_ENV'],
];
const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export type CommandOptions = {
  /** Where it runs: the project. */
  readonly cwd: Bytes;
  readonly host: CommandHost;
  /** Variables such as CORA_ID and CORA_PROJECT. */
  readonly facts?: Readonly<Record<string, string>>;
  /** `capture` (default): what it says is kept, and its end is in `output`; `inherit`: it has our terminal. */
  readonly output?: 'capture' | 'inherit';
  /** Descriptors of files: what it reads, and where its standard output goes. */
  readonly stdin?: number;
  readonly stdout?: number;
  /** Milliseconds; undefined: none. */
  readonly timeout?: number | undefined;
  readonly signal?: AbortSignal;
};

export type CommandResult = {
  readonly ok: boolean;
  /** null where a signal or the time limit ended it. */
  readonly exitCode: number | null;
  readonly seconds: number;
  /** The last 8 KiB of what it said; empty with `inherit`. */
  readonly output: string;
  /** What is wrong, as the end of a sentence: "ended with 2"; `ok` where nothing is. */
  readonly message: string;
};

/** The environment of a command: what of the caller's is handed on, and the facts. */
export function commandEnvironment(host: CommandHost, facts: Readonly<Record<string, string>> = {}): Record<string, string> {
  const env: Record<string, string> = {};
  for (const name of HANDED_ON) {
    const value = host.env(name);
    if (value !== undefined) env[name] = value;
  }
  return { PATH: SYSTEM_PATH, ...env, ...facts };
}

/**
 * Runs one command to its end. What fails in it is a result, not an exception.
 * @throws CoraError interrupted where `signal` ended it
 */
export async function runUserCommand(command: Trusted<UserCommand>, options: CommandOptions): Promise<CommandResult> {
  return runLine(command.run, options);
}

async function runLine(run: string | readonly string[], options: CommandOptions): Promise<CommandResult> {
  const started = performance.now();
  const env = commandEnvironment(options.host, options.facts);
  const [program, args] = typeof run === 'string' ? ['/bin/sh', ['-c', run]] : [locate(run[0] ?? '', env['PATH'] ?? SYSTEM_PATH), run.slice(1)];
  const inherit = options.output === 'inherit';
  const seconds = () => Math.round(performance.now() - started) / 1000;
  // A project whose path is not text cannot be named to a child; the open directory can.
  const directory = isText(options.cwd) ? undefined : openSync(fsPath(options.cwd), 'r');
  try {
    const ended = await runForeign(program, args, {
      cwd: directory === undefined ? toText(options.cwd) : `/proc/self/fd/${directory}`,
      env: { ...env, ...(isText(options.cwd) ? { PWD: toText(options.cwd) } : {}) },
      timeout: options.timeout,
      signal: options.signal,
      asCaller: options.host.asCaller,
      ...(options.stdin === undefined ? (inherit ? { stdin: 'inherit' as const } : {}) : { stdin: options.stdin }),
      ...(options.stdout === undefined ? (inherit ? { stdout: 'inherit' as const } : {}) : { stdout: options.stdout }),
      ...(inherit ? { stderr: 'inherit' as const } : {}),
    });
    if (options.signal?.aborted === true) throw new CoraError('interrupted', 'A command of the configuration was interrupted');
    const { exitCode, output } = ended;
    return { ok: exitCode === 0, exitCode, seconds: seconds(), output, message: endingOf(ended, options.timeout) };
  } catch (error) {
    if (!(error instanceof CoraError) || error.code !== 'tool_missing') throw error;
    return { ok: false, exitCode: null, seconds: seconds(), output: '', message: `could not be started (${messageOf(error)})` };
  } finally {
    if (directory !== undefined) closeSync(directory);
  }
}

type Ending = { readonly exitCode: number | null; readonly signal: string | null; readonly timedOut: boolean; readonly flooded: boolean };

function endingOf({ exitCode, signal, timedOut, flooded }: Ending, timeout: number | undefined): string {
  if (flooded) return 'printed without end and was ended';
  if (timedOut) return `did not end within ${(timeout ?? 0) / 1000} s`;
  if (exitCode === null) return `was ended by ${signal ?? 'a signal'}`;
  return exitCode === 0 ? 'ok' : `ended with ${exitCode}`;
}

/** As the shell would find it: by PATH where the name has no slash. */
function locate(program: string, path: string): string {
  if (program.includes('/')) return program;
  return path === SYSTEM_PATH ? (findProgram(program) ?? program) : program;
}

export type CheckOptions = Pick<CommandOptions, 'cwd' | 'host' | 'facts' | 'signal'> & {
  /** Called as each check begins. */
  readonly onStart?: (check: Check) => void;
};

export type CheckResult = {
  readonly name: string;
  readonly ok: boolean;
  /** What it said, or what is wrong. */
  readonly message: string;
  readonly seconds: number;
  readonly tries: number;
};

/**
 * Runs the configured checks one after the other; all of them, also after one that fails.
 * @throws CoraError refused before the first one runs where one may not run; interrupted
 */
export async function runChecks(project: TrustFacts, checks: readonly Check[], options: CheckOptions): Promise<readonly CheckResult[]> {
  requireTrusted(project, checks, options.host);
  const results: CheckResult[] = [];
  for (const check of checks) {
    options.onStart?.(check);
    results.push(await runCheck(check, options));
  }
  return results;
}

async function runCheck(check: Check, options: CheckOptions): Promise<CheckResult> {
  const started = performance.now();
  for (let tries = 1; ; tries++) {
    const { ok, message } = await tryOnce(check, options);
    if (ok || tries > check.retries) return { name: check.name, ok, message, seconds: Math.round(performance.now() - started) / 1000, tries };
    try {
      await pause(check.wait, undefined, { signal: options.signal });
    } catch (error) {
      throw new CoraError('interrupted', 'The checks were interrupted', { cause: error });
    }
  }
}

async function tryOnce(check: Check, options: CheckOptions): Promise<{ readonly ok: boolean; readonly message: string }> {
  if ('run' in check) {
    const { ok, message, output } = await runLine(check.run, { ...options, timeout: check.timeout });
    const last = output.split('\n').at(-1) ?? '';
    return { ok, message: last === '' ? message : ok ? last : `${message}: ${last}` };
  }
  const { request, timeout } = check;
  const signal = options.signal ?? new AbortController().signal;
  let answer: Answer;
  try {
    answer = await probe({ ...request, timeout, signal });
  } catch (error) {
    if (signal.aborted) throw new CoraError('interrupted', 'The checks were interrupted', { cause: error });
    return { ok: false, message: messageOf(error) };
  }
  const wrong = whatIsWrong(request, answer);
  return { ok: wrong === undefined, message: wrong ?? `status ${answer.status}` };
}

function whatIsWrong(request: HttpRequest, { status, body, location }: Answer): string | undefined {
  const right = request.status === undefined ? status >= 200 && status < 300 : request.status.includes(status);
  if (!right) return `status ${status}${location === undefined ? '' : `, which points to ${location} and is not followed`}`;
  if (request.json === undefined) return undefined;
  try {
    return whatIsMissing(request.json, JSON.parse(body));
  } catch {
    return `status ${status}, but its body is not JSON`;
  }
}

/** What a JSON value lacks of a condition, as a sentence; undefined where it holds. */
export function whatIsMissing({ path, equals, atLeast }: JsonCondition, value: unknown): string | undefined {
  let at = value;
  for (const step of path === '' ? [] : path.split('.')) {
    const inner = typeof at === 'object' && at !== null && Object.hasOwn(at, step) ? (at as Record<string, unknown>)[step] : undefined;
    if (inner === undefined) return `the answer has no ${path}`;
    at = inner;
  }
  if (equals !== undefined && at !== equals) return `${path} is ${JSON.stringify(at)?.slice(0, 200)}, not ${JSON.stringify(equals)}`;
  if (atLeast !== undefined && !(typeof at === 'number' && at >= atLeast))
    return `${path} is ${JSON.stringify(at)?.slice(0, 200)}, not at least ${atLeast}`;
  return undefined;
}
