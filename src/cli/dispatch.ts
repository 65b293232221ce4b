// One run from arguments to exit code: finds the command, parses its options, runs it with a
// session, and writes its outcome. Invariants: with --json exactly one document goes to stdout,
// whatever happens; an error is one line on stderr, never a stack (but with CORA_DEBUG=1).

import { resolve } from 'node:path/posix';
import { type Bytes, bytes, fromText, isText, toText } from '../base/bytes.ts';
import type { Context, Problem } from '../base/context.ts';
import { CoraError, ERROR_EXIT, EXIT, errnoOf, messageOf, writeFailure } from '../base/errors.ts';
import { nearest } from '../base/nearest.ts';
import { VERSION } from '../base/version.ts';
import { exists } from '../os/files.ts';
import { type RunEntry, runLogPaths } from '../os/run-log.ts';
import { stateDirectory } from '../vault/state.ts';
import type { Command, Outcome, Session } from './command.ts';
import { COMMANDS } from './commands.ts';
import type { Engine } from './engine.ts';
import { type FlagTable, GLOBAL_FLAGS, type GlobalOptions, parseFlags, takeWord, wantsJson } from './flags.ts';
import { commandLines, overviewLines } from './help.ts';
import { errorDocument, type Failure, failureOf, resultDocument } from './json.ts';
import { visible } from './render.ts';
import { type Run, startRun } from './run-record.ts';
import { openTerminal, type Stream, type Terminal } from './terminal.ts';

/** Longer than any save; a backup that runs longer is worth an error that says so. */
const LOCK_WAIT_MS = 30_000;

/** The process around a run; tests give their own. */
export type Host = {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdout: Stream;
  readonly stderr: Stream;
  readonly engine: Engine;
  readonly uid: number;
  readonly cores: number;
  /** Real absolute path of `bin/cora`. */
  readonly launcher: string;
  cwd(): Bytes;
  now(): number;
  /** Writes a line of the run log (docs/json.md); never throws. */
  record(entry: RunEntry): void;
  /** Undefined where nobody sits at a terminal. */
  readonly ask: ((question: string, signal: AbortSignal) => Promise<string>) | undefined;
  readonly signal: AbortSignal;
  handSignalsTo(receiver: (signal: NodeJS.Signals) => void): () => void;
  asCaller<T>(work: () => T): T;
  /** Becomes scripts/save.sh, a save without the engine; returns only where that cannot be. */
  readonly fallBack?: (reason: string) => void;
};

/**
 * Runs one command line.
 * @param args without the program's name
 * @returns the exit code
 */
export async function dispatch(args: readonly Bytes[], host: Host): Promise<number> {
  const json = wantsJson(args, host.env);
  let command = 'cora';
  let terminal: Terminal | undefined;
  let run: Run | undefined;
  let entry: Command | undefined;
  try {
    const found = findCommand(args);
    entry = found.entry;
    if (entry === undefined) {
      const { options } = parseFlags(found.rest, host.env, GLOBAL_FLAGS, found.group ?? '');
      if (options.version === true) return write(host, json, 'version', { result: { version: VERSION }, lines: [`cora ${VERSION}`] }, undefined);
      if (found.group !== undefined && options.help !== true) throw needsWord(found.group);
      const members = found.group === undefined ? COMMANDS : COMMANDS.filter((member) => member.name.startsWith(`${found.group} `));
      return write(host, json, 'help', { result: { commands: members.map((member) => member.name) }, lines: overviewLines(members) }, undefined);
    }
    command = entry.name;
    const parsed = parseFlags(found.rest, host.env, { ...GLOBAL_FLAGS, ...entry.flags }, entry.name);
    const globals: GlobalOptions = parsed.options;
    if (globals.help === true)
      return write(host, json, 'help', { result: { text: commandLines(entry).join('\n') }, lines: commandLines(entry) }, undefined);
    if (globals.version === true) return write(host, json, 'version', { result: { version: VERSION }, lines: [`cora ${VERSION}`] }, undefined);
    checkArguments(entry, parsed.args.length + parsed.paths.length);
    terminal = await openTerminal(host.stderr, globals, host.env, host.now);
    run = entry.logged === true ? startRun(command, parsed.options, host) : undefined;
    const outcome = await entry.run(parsed, openSession(host, globals, terminal, run, command));
    terminal.finish();
    run?.end(outcome);
    return write(host, json, command, globals.quiet === true && outcome.summary === true ? { ...outcome, lines: [] } : outcome, terminal);
  } catch (thrown) {
    terminal?.finish();
    const error = withExit(asCoraError(thrown, host.signal), entry?.failureExit);
    run?.fail(error);
    // A checkpoint is always made (CORA-11), also where the engine breaks on its way.
    if (command === 'save' && error.exitCode === EXIT.internal) host.fallBack?.(error.message);
    return writeError(host, json, command, error, terminal);
  }
}

type Found = { readonly entry: Command | undefined; readonly group: string | undefined; readonly rest: readonly Bytes[] };

function findCommand(args: readonly Bytes[]): Found {
  const first = takeWord(args, GLOBAL_FLAGS);
  if (first.word === undefined) return { entry: undefined, group: undefined, rest: first.rest };
  const direct = named(first.word);
  if (direct !== undefined) return { entry: direct, group: undefined, rest: first.rest };
  const group = COMMANDS.filter((entry) => entry.name.startsWith(`${first.word} `));
  if (group.length === 0) throw unknownCommand(first.word, commandWords());
  const flags: FlagTable = Object.assign({}, GLOBAL_FLAGS, ...group.map((entry) => entry.flags));
  const second = takeWord(first.rest, flags);
  if (second.word === undefined) return { entry: undefined, group: first.word, rest: second.rest };
  const entry = named(`${first.word} ${second.word}`);
  if (entry === undefined)
    throw unknownCommand(
      `${first.word} ${second.word}`,
      group.map((member) => member.name),
    );
  return { entry, group: undefined, rest: second.rest };
}

function named(word: string): Command | undefined {
  return COMMANDS.find((entry) => entry.name === word || entry.aliases?.includes(word) === true);
}

function commandWords(): string[] {
  return COMMANDS.flatMap((entry) => [entry.name.split(' ')[0] ?? '', ...(entry.aliases ?? [])]);
}

function unknownCommand(word: string, candidates: readonly string[]): CoraError {
  const meant = nearest(word, candidates);
  return new CoraError('usage', `Unknown command: ${visible(word)}`, {
    hint: meant === undefined ? 'cora --help lists all commands' : `did you mean cora ${meant}?`,
    details: { command: word, nearest: meant ?? null },
  });
}

function needsWord(group: string): CoraError {
  const members = COMMANDS.filter((entry) => entry.name.startsWith(`${group} `)).map((entry) => entry.name.slice(group.length + 1));
  return new CoraError('usage', `cora ${group} needs one of ${members.join(', ')}`, { hint: `most often: cora ${group} ${members[0] ?? ''}` });
}

function checkArguments(entry: Command, count: number): void {
  const usage = `usage: cora ${[entry.name, entry.usage].filter((part) => part !== '').join(' ')}`;
  if (entry.maxArgs !== undefined && count > entry.maxArgs) {
    throw new CoraError('usage', `cora ${entry.name} takes ${entry.maxArgs === 0 ? 'no argument' : 'one argument'}, not ${count}`, { hint: usage });
  }
  if (entry.minArgs !== undefined && count < entry.minArgs) throw new CoraError('usage', `cora ${entry.name} needs an argument`, { hint: usage });
}

function openSession(host: Host, globals: GlobalOptions, terminal: Terminal, run: Run | undefined, command: string): Session {
  const { env, engine } = host;
  const ctx: { -readonly [K in keyof Context]: Context[K] } = {
    monitor: terminal.monitor,
    now: host.now,
    signal: host.signal,
    workers: workersOf(env, host.cores),
    lockWait: globals.lockWait ?? LOCK_WAIT_MS,
    version: VERSION,
  };
  const homeText = env['HOME'];
  const home = homeText?.startsWith('/') === true ? homeText : undefined;
  const state = stateDirectory({ uid: host.uid, home, xdgStateHome: env['XDG_STATE_HOME'] });
  const absolute = (path: Bytes) => bytes(resolve(host.cwd(), path));

  const vaultEnvironment = () => ({ explicit: explicitVault(globals, absolute), uid: host.uid, home, xdgStateHome: env['XDG_STATE_HOME'] });
  const open = async () => {
    const project = await engine.findProject(host.cwd(), home === undefined ? undefined : fromText(home));
    for (const message of project.warnings) terminal.monitor.problem({ code: 'config', message, severity: 'warning' });
    const location = await engine.locateVault(project, expandHome(project.config.vault, home), vaultEnvironment());
    run?.opened(toText(project.root), location.path);
    if (exists(`${toText(project.root)}/.cora-restore/RESTORE.json`)) {
      const { endRestore } = await import('./end-restore.ts');
      const mixed = await endRestore(project.root, command, ctx);
      if (mixed !== undefined) ctx.halfRestored = mixed;
    }
    return { project, location };
  };
  const confirmInPerson = async (question: string) => {
    if (host.ask === undefined) return false;
    terminal.show([]);
    return /^y(es)?$/i.test((await host.ask(`${question} [y/N] `, host.signal)).trim());
  };
  return {
    engine,
    ctx,
    globals,
    machine: {
      uid: host.uid,
      home,
      state,
      launcher: host.launcher,
      logs: runLogPaths(env['CORA_LOG'], host.uid, state),
      env: (name) => env[name],
      environment: env,
      asCaller: host.asCaller,
    },
    commands: COMMANDS,
    open,
    async locate() {
      if (globals.vault === undefined) return open();
      // A vault that is named stands alone: its project may be gone, which is when it is needed most.
      const nobody = { root: bytes('/'), name: 'none' };
      return { project: undefined, location: await engine.locateVault(nobody, undefined, vaultEnvironment()) };
    },
    show: (lines) => terminal.show(lines),
    interactive: host.ask !== undefined,
    confirm: async (question) => globals.yes === true || confirmInPerson(question),
    confirmInPerson,
    handSignalsTo: host.handSignalsTo,
    absolute,
  };
}

function explicitVault(globals: GlobalOptions, absolute: (path: Bytes) => Bytes): string | undefined {
  if (globals.vault === undefined) return undefined;
  if (!isText(globals.vault))
    throw new CoraError('usage', 'The name of the vault is not UTF-8', { hint: 'rename it, or give another one with --vault' });
  return toText(absolute(globals.vault));
}

function expandHome(path: string | undefined, home: string | undefined): string | undefined {
  if (path === undefined || !path.startsWith('~/')) return path;
  if (home === undefined)
    throw new CoraError('config_invalid', `vault begins with ~/ and HOME is not set: ${path}`, { hint: 'write the whole path' });
  return `${home}${path.slice(1)}`;
}

function workersOf(env: Host['env'], cores: number): number {
  const text = env['CORA_WORKERS'];
  // Two threads are what the disk and the memory budget bear.
  if (text === undefined || text === '') return Math.max(1, Math.min(2, cores));
  if (!/^\d{1,2}$/.test(text))
    throw new CoraError('usage', `The variable CORA_WORKERS is not a number of threads: ${text}`, { hint: 'correct it or unset it' });
  return Number(text);
}

function write(host: Host, json: boolean, command: string, outcome: Outcome, terminal: Terminal | undefined): number {
  const problems = unique([...(terminal?.problems ?? []), ...(outcome.problems ?? [])]);
  if (json)
    host.stdout.write(
      outcome.failure === undefined ? resultDocument(command, outcome.result, problems) : errorDocument(command, outcome.failure, problems),
    );
  else if (outcome.lines.length > 0) host.stdout.write(`${outcome.lines.join('\n')}\n`);
  if (outcome.failure === undefined) return outcome.exitCode ?? EXIT.ok;
  host.stderr.write(errorLine(outcome.failure));
  return ERROR_EXIT[outcome.failure.code];
}

/** An action may both report a problem while it runs and return it. */
function unique(problems: readonly Problem[]): readonly Problem[] {
  return [...new Map(problems.map((problem) => [JSON.stringify(problem), problem])).values()];
}

function writeError(host: Host, json: boolean, command: string, error: CoraError, terminal: Terminal | undefined): number {
  if (json) host.stdout.write(errorDocument(command, failureOf(error), terminal?.problems ?? []));
  host.stderr.write(errorLine(failureOf(error)));
  if (host.env['CORA_DEBUG'] === '1') {
    for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) host.stderr.write(`${cause.stack ?? cause.message}\n`);
  }
  return error.exitCode;
}

function errorLine(failure: Failure): string {
  return `cora: ${visible(failure.message)}${failure.hint === undefined ? '' : `; ${visible(failure.hint)}`}\n`;
}

/** Nobody may take our failure for one of the program that we run for the caller. */
function withExit(error: CoraError, exitCode: number | undefined): CoraError {
  if (exitCode === undefined || error.code === 'interrupted') return error;
  const { code, message, hint, details } = error;
  return new CoraError(code, message, {
    exitCode,
    cause: error,
    ...(hint === undefined ? {} : { hint }),
    ...(details === undefined ? {} : { details }),
  });
}

/** Anything thrown as an error with a code: what the system refused is `io`, all else that is not ours is a bug. */
function asCoraError(error: unknown, signal: AbortSignal): CoraError {
  if (signal.aborted) {
    if (error instanceof CoraError && error.code === 'interrupted' && error.hint !== undefined) return error;
    const by = typeof signal.reason === 'string' ? ` by ${signal.reason}` : '';
    return new CoraError('interrupted', `Interrupted${by}`, { hint: 'nothing half made is listed; run the command again', cause: error });
  }
  if (error instanceof CoraError) return error;
  const errno = errnoOf(error);
  if (errno === 'ENOSPC' || errno === 'EDQUOT' || errno === 'EFBIG' || errno === 'EROFS') return writeFailure(error, pathOf(error) ?? 'a file');
  if (errno !== undefined && /^E[A-Z0-9]+$/.test(errno)) return new CoraError('io', messageOf(error), { cause: error });
  return new CoraError('internal', `Internal error: ${messageOf(error)}`, {
    hint: 'run it again with CORA_DEBUG=1 and report what it prints',
    cause: error,
  });
}

function pathOf(error: unknown): string | undefined {
  return error instanceof Error && 'path' in error && typeof error.path === 'string' ? error.path : undefined;
}
