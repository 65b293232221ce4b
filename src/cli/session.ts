// The session of a command: what of the process, the machine and the project it may use, and how a command
// runs within another one. Invariant: within a long-running command nobody sits at a terminal, and nothing of
// what it was started with stands for a yes.

import { resolve } from 'node:path/posix';
import { type Bytes, bytes, fromText, isText, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import { VERSION } from '../base/version.ts';
import { exists } from '../os/files.ts';
import { type RunEntry, runLogPaths } from '../os/run-log.ts';
import { stateDirectory } from '../vault/state.ts';
import type { Outcome, Session, Stdio, Within } from './command.ts';
import { COMMANDS } from './commands.ts';
import type { Engine } from './engine.ts';
import type { GlobalOptions } from './flags.ts';
import { isPromptCheck, type Run, startRun } from './run-record.ts';
import { type Stream, sendBytes, type Terminal, widthOf } from './terminal.ts';
import { asCoraError } from './thrown.ts';

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
  /** The process's own streams, for a command that speaks a protocol on them. */
  readonly stdio?: () => Stdio;
};

/** What a command may do to the run that it is in. */
export type Doors = {
  /** Called when the command takes stdout for a protocol: nothing else may be written there any more. */
  takeStdout(): void;
  readonly runAs: Session['runAs'];
};

/**
 * The session of one command.
 * @param command its name in the table, or of what it runs instead
 */
export function openSession(
  host: Host,
  globals: GlobalOptions,
  terminal: Pick<Terminal, 'monitor' | 'show'>,
  run: Run | undefined,
  command: () => string,
  { takeStdout, runAs }: Doors,
): Session {
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
    await run?.opened(project.root, location);
    if (exists(`${toText(project.root)}/.cora-restore/RESTORE.json`)) {
      const { endRestore } = await import('./end-restore.ts');
      const mixed = await endRestore(project.root, command(), ctx);
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
    send: (content) => sendBytes(host.stdout, content),
    toTerminal: host.stdout.isTTY === true,
    width: widthOf(host.stdout, env),
    show: (lines) => terminal.show(lines),
    interactive: host.ask !== undefined,
    confirm: async (question) => globals.yes === true || confirmInPerson(question),
    confirmInPerson,
    handSignalsTo: host.handSignalsTo,
    absolute,
    runAs,
    takeStdio() {
      if (host.stdio === undefined) throw new CoraError('usage', 'There is no stdin and stdout to speak a protocol on');
      takeStdout();
      return host.stdio();
    },
    within: (place, work) => runWithin(host, { ...globals, ...vaultOf(globals, absolute) }, place, work),
  };
}

function vaultOf({ vault }: GlobalOptions, absolute: (path: Bytes) => Bytes): Pick<GlobalOptions, 'vault'> {
  return vault === undefined ? {} : { vault: absolute(vault) };
}

/** Nobody sits at this one: a `--yes` given to the long-running command says nothing about what is asked for within it. */
async function runWithin(host: Host, globals: GlobalOptions, place: Within, work: (session: Session) => Promise<Outcome>): Promise<Outcome> {
  const { yes: _yes, ...others } = globals;
  // A program reads the result, whole.
  const { command, trigger, cwd, monitor, lockWait } = place;
  const rest: GlobalOptions = { ...others, json: true, ...(lockWait === undefined ? {} : { lockWait }) };
  const signal = AbortSignal.any([host.signal, place.signal]);
  // The one it runs within may have taken stdout for a protocol.
  const inner: Host = { ...host, stdout: host.stderr, cwd: () => cwd, ask: undefined, signal };
  const logged = COMMANDS.some(({ name, logged: isLogged }) => name === command && isLogged === true);
  const run = logged || isPromptCheck(command) ? startRun(command, { trigger }, host) : undefined;
  const show = (lines: readonly string[]) => lines.forEach((line) => void monitor.note(line));
  try {
    const outcome = await work(
      openSession(inner, rest, { monitor, show }, run, () => command, {
        takeStdout: () => undefined,
        runAs: (other, phrase, logged = other) => run?.said(logged, phrase),
      }),
    );
    run?.end(outcome);
    return outcome;
  } catch (thrown) {
    const error = asCoraError(thrown, signal);
    run?.fail(error);
    throw error;
  }
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
