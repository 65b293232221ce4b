// What a command is: an entry of the table in commands.ts, and a function in commands/ that gets
// typed options and a session and returns an outcome as data. Commands never print.

import type { Readable, Writable } from 'node:stream';
import type { Bytes } from '../base/bytes.ts';
import type { Context, Monitor, Problem } from '../base/context.ts';
import { EXIT } from '../base/errors.ts';
import type { Report } from '../format/report.ts';
import type { VaultLocation } from '../vault/locate.ts';
import type { Project } from '../vault/project.ts';
import type { Engine } from './engine.ts';
import type { FlagTable, GlobalOptions, OptionsOf, Parsed } from './flags.ts';
import type { Failure } from './json.ts';

/** Whose machine this is and where things lie on it; what a hook, a timer or a log needs to know. */
export type Machine = {
  /** Effective user id; 0 is root. */
  readonly uid: number;
  /** Absolute; undefined where HOME is not set (a system service). */
  readonly home: string | undefined;
  /** The directory of Cora's own state (DESIGN: `/var/lib/cora` as root); undefined without a home. */
  readonly state: string | undefined;
  /** Real absolute path of `bin/cora`: hooks and timers call it, so that neither PATH nor a link can stop them. */
  readonly launcher: string;
  /** Files that may hold the run log. */
  readonly logs: readonly string[];
  /** A variable of the environment; nothing below the command line reads it. */
  env(name: string): string | undefined;
  /** The whole of it, for a command that a person runs through us. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Does something under the caller's umask; our own is 077. Not for what goes on in the background. */
  asCaller<T>(work: () => T): T;
};

/** What a command may use while it runs. */
export type Session = {
  readonly engine: Engine;
  readonly ctx: Context;
  readonly globals: GlobalOptions;
  readonly machine: Machine;
  /** The table itself, for help. */
  readonly commands: readonly Command[];
  /** The project around the current directory and its vault. Warnings of its configuration are shown. */
  open(): Promise<{ readonly project: Project; readonly location: VaultLocation }>;
  /** The vault alone: with `--vault` no project is needed around the current directory. */
  locate(): Promise<{ readonly project: Project | undefined; readonly location: VaultLocation }>;
  /** Bytes for stdout as they are, for a command whose result they are (not with --json); settles when more may come, false where nobody reads any more. */
  send(content: Uint8Array): Promise<boolean>;
  /** True where stdout is a terminal, which bytes as they are may steer. */
  readonly toTerminal: boolean;
  /** Columns of the terminal that the result goes to; undefined where it goes to a file or a pipe. */
  readonly width: number | undefined;
  /** Shows lines on stderr (a plan), also when stdout is JSON. */
  show(lines: readonly string[]): void;
  /** True where a person sits at a terminal and can be asked. */
  readonly interactive: boolean;
  /** True where a person or `--yes` agreed; false where nobody can be asked. */
  confirm(question: string): Promise<boolean>;
  /** The same for what only a person at a terminal may allow: `--yes` does not answer it. */
  confirmInPerson(question: string): Promise<boolean>;
  /** While another program runs in our place: signals go to `receiver` and do not end this run, until the returned function is called. */
  handSignalsTo(receiver: (signal: NodeJS.Signals) => void): () => void;
  /** From here on this run is another command's, because a phrase asked for it: in the document, and (as `logged`) in the run log. */
  runAs(command: string, phrase: string, logged?: string): void;
  /** Absolute form of a path that was typed. */
  absolute(path: Bytes): Bytes;
  /** stdin and stdout for a protocol: from then on this run itself writes nothing on stdout. */
  takeStdio(): Stdio;
  /**
   * Runs a command's work within a long-running one: with a session of its own, in which nobody can be asked, and, for a command
   * that is logged, a line of its own in the run log.
   * @throws CoraError only
   */
  within(place: Within, work: (session: Session) => Promise<Outcome>): Promise<Outcome>;
};

export type Stdio = { readonly input: Readable; readonly output: Writable };

/** Where a command runs within another one. */
export type Within = {
  /** As in the table of commands. */
  readonly command: string;
  /** Who asked, for the run log. */
  readonly trigger: string;
  /** The directory whose project it is about. */
  readonly cwd: Bytes;
  readonly monitor: Monitor;
  /** Ends this command alone. */
  readonly signal: AbortSignal;
  /** Instead of what was asked for on the command line, in milliseconds: waiting for the vault stops the whole process. */
  readonly lockWait?: number;
};

/** How a run ended, for people and programs alike. */
export type Outcome = {
  /** The JSON document's `result`. */
  readonly result: unknown;
  /** For people, on stdout. */
  readonly lines: readonly string[];
  /** True where the lines only say that it worked, which `--quiet` drops. */
  readonly summary?: boolean;
  /** Default 0; 3 for what is done but incomplete. */
  readonly exitCode?: number;
  /** Found damage and the like: the document is an error with the result as its details, and lines are still shown. */
  readonly failure?: Failure;
  readonly problems?: readonly Problem[];
  /** True where it did nothing that the run log should tell. */
  readonly unlogged?: true;
  /** Fields of the JSON document beside its `result`. */
  readonly beside?: Readonly<Record<string, unknown>>;
};

export type Input<F extends FlagTable> = Omit<Parsed<F>, 'options'> & { readonly options: OptionsOf<F> & GlobalOptions };

export type CommandSpec<F extends FlagTable> = {
  /** As typed: `save`, `backup now`. */
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly summary: string;
  /** After `cora <name>`. */
  readonly usage: string;
  /** More than the summary says, one line each. */
  readonly about?: readonly string[];
  readonly flags: F;
  /** Most positional arguments that it takes; undefined for any number. */
  readonly maxArgs?: number;
  readonly minArgs?: number;
  readonly examples: readonly (readonly [command: string, does: string])[];
  readonly exitCodes: readonly number[];
  /** True for what changes or proves something: each run is a line in the run log. */
  readonly logged?: true;
  /** True for what is copied or read by programs (code, keys, a file): its lines are printed as they are, in a terminal too. */
  readonly verbatim?: true;
  /** The exit code of its own failures, for a command that gives back the exit code of another one. */
  readonly failureExit?: number;
  readonly load: () => Promise<{ readonly run: (input: Input<F>, session: Session) => Promise<Outcome> }>;
};

/** 3 where a run left something out: an error among its problems, or a snapshot that says so. */
export function exitCodeOf(problems: readonly Problem[], ...reports: readonly (Report | undefined)[]): number {
  const incomplete =
    problems.some((problem) => problem.severity === 'error') || reports.some((report) => report !== undefined && report.status !== 'complete');
  return incomplete ? EXIT.incomplete : EXIT.ok;
}

/** A command whose options' types are no longer of interest. */
export type Command = Omit<CommandSpec<FlagTable>, 'load'> & {
  readonly run: (input: Input<FlagTable>, session: Session) => Promise<Outcome>;
};

/** Ties a flag table to the function that gets its options: a wrong type does not compile. */
export function command<const F extends FlagTable>(spec: CommandSpec<F>): Command {
  const { load, ...entry } = spec;
  return { ...entry, run: async (input, session) => (await load()).run(input as unknown as Input<F>, session) };
}
