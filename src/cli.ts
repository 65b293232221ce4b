// From the process to a run and back: arguments as bytes, signals, streams, and the exit code as
// main's result. `cora --version` ends here, before anything else is loaded.

import { fstatSync, readFileSync, readlinkSync, realpathSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { type Bytes, fromBuffer, fromText, toText } from './base/bytes.ts';
import { CoraError, EXIT } from './base/errors.ts';
import { VERSION } from './base/version.ts';
import type { Host } from './cli/session.ts';
import type { RunEntry } from './os/run-log.ts';

/** Actions clean up and end within this after a signal; then the signal itself ends the process. */
const GRACE_MS = 4500;

/**
 * Runs one command line and returns its exit code. Never throws.
 * @param argv without node and the script
 * @param overrides parts of the process that a test replaces
 */
export async function main(argv: readonly string[], env: NodeJS.ProcessEnv, overrides: Partial<Host> = {}): Promise<number> {
  if (argv.length === 1 && (argv[0] === '--version' || argv[0] === 'version')) {
    (overrides.stdout ?? process.stdout).write(`cora ${VERSION}\n`);
    return EXIT.ok;
  }
  // Before anything else is loaded: from here on a signal ends a run, not the process.
  const interrupt = listenForSignals();
  try {
    const failpoint = env['CORA_FAILPOINT'];
    if (failpoint !== undefined) (await import('./os/failpoint.ts')).armFailpoint(failpoint, env['CORA_VAULT']);
    const { dispatch } = await import('./cli/dispatch.ts');
    const { engine } = await import('./cli/engine.ts');
    const { stableLauncher } = await import('./os/launcher.ts');
    return await dispatch(argumentBytes(argv), {
      env,
      engine,
      stdout: process.stdout,
      stderr: process.stderr,
      uid: process.geteuid?.() ?? 0,
      cores: availableParallelism(),
      // The same from src/ and from dist/: both lie beside bin/.
      launcher: stableLauncher(realpathSync(join(import.meta.dirname, '..', 'bin', 'cora'))),
      cwd: currentDirectory,
      now: Date.now,
      record: await recorder(env),
      ask: process.stdin.isTTY && process.stderr.isTTY ? ask : undefined,
      signal: interrupt.signal,
      handSignalsTo: interrupt.handTo,
      asCaller: (work) => work(),
      stdio: () => ({ input: process.stdin, output: process.stdout }),
      ...overrides,
    });
  } finally {
    interrupt.stop();
  }
}

/** The run log's file, and the journal where standard error is a connection to it (a service of systemd). */
async function recorder(env: NodeJS.ProcessEnv): Promise<(entry: RunEntry) => void> {
  const { appendRun, formatRun, runLogPaths } = await import('./os/run-log.ts');
  const { stateDirectory } = await import('./vault/state.ts');
  const uid = process.geteuid?.() ?? 0;
  const home = env['HOME']?.startsWith('/') === true ? env['HOME'] : undefined;
  const paths = runLogPaths(env['CORA_LOG'], uid, stateDirectory({ uid, home, xdgStateHome: env['XDG_STATE_HOME'] }));
  const priority = { error: 3, warn: 4, info: 6 };
  return (entry) => {
    appendRun(paths, entry);
    // systemd.exec(5): `device:inode` of the stream; sd-daemon(3): `<N>` in front of a line is its priority.
    if (isJournal(env['JOURNAL_STREAM'])) process.stderr.write(`<${priority[entry.level]}>${formatRun(entry)}\n`);
  };
}

function isJournal(stream: string | undefined): boolean {
  if (stream === undefined) return false;
  try {
    const { dev, ino } = fstatSync(2);
    return stream === `${dev}:${ino}`;
  } catch {
    return false;
  }
}

type Interrupt = { readonly signal: AbortSignal; readonly handTo: Host['handSignalsTo']; readonly stop: () => void };

/** The first signal asks the run to stop, a second one ends the process at once. */
function listenForSignals(): Interrupt {
  const controller = new AbortController();
  const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  const handedOn = [...names, 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const;
  let deadline: NodeJS.Timeout | undefined;
  const onSignal = (name: NodeJS.Signals) => {
    removeListeners();
    controller.abort(name);
    // Nobody listens any more, so this is the default: the end.
    deadline = setTimeout(() => process.kill(process.pid, name), GRACE_MS);
    deadline.unref();
  };
  const addListeners = () => {
    for (const name of names) process.on(name, onSignal);
  };
  const removeListeners = () => {
    for (const name of names) process.removeListener(name, onSignal);
  };
  addListeners();
  return {
    signal: controller.signal,
    handTo(receiver) {
      for (const name of handedOn) process.on(name, receiver);
      removeListeners();
      return () => {
        addListeners();
        for (const name of handedOn) process.removeListener(name, receiver);
      };
    },
    stop() {
      removeListeners();
      // A run that was interrupted and has ended may still hold a thread; the deadline then ends that too.
      if (!controller.signal.aborted) clearTimeout(deadline);
    },
  };
}

/** Arguments as they were typed. Node decodes argv as UTF-8 and loses other bytes; the kernel still has them. */
function argumentBytes(argv: readonly string[]): Bytes[] {
  const decoded = argv.map(fromText);
  if (!argv.some((argument) => argument.includes('\ufffd'))) return decoded;
  try {
    const whole = fromBuffer(readFileSync('/proc/self/cmdline'));
    const raw = whole.split('\0').slice(0, -1).slice(-argv.length) as Bytes[];
    return raw.length === argv.length && raw.every((argument, index) => toText(argument) === argv[index]) ? raw : decoded;
  } catch {
    return decoded;
  }
}

function currentDirectory(): Bytes {
  try {
    const text = process.cwd();
    return text.includes('\ufffd') ? fromBuffer(readlinkSync('/proc/self/cwd', { encoding: 'buffer' })) : fromText(text);
  } catch (error) {
    throw new CoraError('project_refused', 'The current directory does not exist any more', { hint: 'cd to the project', cause: error });
  }
}

async function ask(question: string, signal: AbortSignal): Promise<string> {
  const { createInterface } = await import('node:readline/promises');
  const reader = createInterface({ input: process.stdin, output: process.stderr });
  // The end of input (Ctrl-D) answers nothing; without this the question would wait for ever.
  const closed = new Promise<string>((resolve) => reader.once('close', () => resolve('')));
  // readline takes Ctrl-C from the terminal itself; hand it on as the signal it stands for.
  reader.on('SIGINT', () => process.kill(process.pid, 'SIGINT'));
  try {
    return await Promise.race([reader.question(question, { signal }), closed]);
  } finally {
    reader.close();
  }
}
