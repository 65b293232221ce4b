// One run from arguments to exit code: finds the command, parses its options, runs it with a
// session, and writes its outcome. Invariants: with --json exactly one document goes to stdout,
// whatever happens; an error is one line on stderr, never a stack (but with CORA_DEBUG=1).

import type { Bytes } from '../base/bytes.ts';
import type { Problem } from '../base/context.ts';
import { CoraError, ERROR_EXIT, EXIT } from '../base/errors.ts';
import { nearest } from '../base/nearest.ts';
import { VERSION } from '../base/version.ts';
import type { Command, Outcome } from './command.ts';
import { COMMANDS } from './commands.ts';
import { type FlagTable, GLOBAL_FLAGS, type GlobalOptions, parseFlags, takeWord, wantsJson } from './flags.ts';
import { commandLines } from './help.ts';
import { errorDocument, type Failure, failureOf, resultDocument } from './json.ts';
import { familyLines, overviewLines } from './overview.ts';
import { findPhrase } from './phrase-command.ts';
import { visible } from './render.ts';
import { isPromptCheck, type Run, startRun } from './run-record.ts';
import { type Host, openSession } from './session.ts';
import { fitted, openTerminal, type Terminal } from './terminal.ts';
import { asCoraError } from './thrown.ts';

/**
 * Runs one command line.
 * @param args without the program's name
 * @returns the exit code
 */
export async function dispatch(args: readonly Bytes[], given: Host): Promise<number> {
  let host = given;
  const json = wantsJson(args, host.env);
  let command = 'cora';
  let terminal: Terminal | undefined;
  let run: Run | undefined;
  let entry: Command | undefined;
  try {
    const found = (await findPhrase(args)) ?? findCommand(args);
    entry = found.entry;
    if (entry === undefined) {
      const { options } = parseFlags(found.rest, host.env, GLOBAL_FLAGS, found.group ?? '');
      if (options.version === true) return write(host, json, 'version', { result: { version: VERSION }, lines: [`cora ${VERSION}`] }, undefined);
      if (found.group !== undefined && options.help !== true) throw needsWord(found.group);
      const members = found.group === undefined ? COMMANDS : COMMANDS.filter((member) => member.name.startsWith(`${found.group} `));
      return write(
        host,
        json,
        'help',
        {
          result: { commands: members.map((member) => member.name) },
          lines: await fitted(found.group === undefined ? overviewLines(members) : familyLines(members), host.stdout, options, host.env),
        },
        undefined,
      );
    }
    command = entry.name;
    const parsed = parseFlags(found.rest, host.env, { ...GLOBAL_FLAGS, ...entry.flags }, entry.name);
    const globals: GlobalOptions = parsed.options;
    if (globals.help === true)
      return write(
        host,
        json,
        'help',
        { result: { text: commandLines(entry).join('\n') }, lines: await fitted(commandLines(entry), host.stdout, globals, host.env) },
        undefined,
      );
    if (globals.version === true) return write(host, json, 'version', { result: { version: VERSION }, lines: [`cora ${VERSION}`] }, undefined);
    checkArguments(entry, parsed.args.length + parsed.paths.length);
    terminal = await openTerminal(host.stderr, globals, host.env, host.now);
    run = entry.logged === true || isPromptCheck(command) ? startRun(command, parsed.options, host) : undefined;
    const outcome = await entry.run(
      parsed,
      openSession(host, globals, terminal, run, () => command, {
        takeStdout() {
          host = { ...host, stdout: host.stderr };
        },
        runAs(other, phrase, logged = other) {
          command = other;
          run?.said(logged, phrase);
        },
      }),
    );
    terminal.finish();
    if (outcome.unlogged !== true) run?.end(outcome);
    const told = globals.quiet === true && outcome.summary === true ? [] : outcome.lines;
    const lines = json || entry.verbatim === true ? told : await fitted(told, host.stdout, globals, host.env);
    return write(host, json, command, { ...outcome, lines }, terminal);
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

function write(host: Host, json: boolean, command: string, outcome: Outcome, terminal: Terminal | undefined): number {
  const problems = unique([...(terminal?.problems ?? []), ...(outcome.problems ?? [])]);
  if (json)
    host.stdout.write(
      outcome.failure === undefined
        ? resultDocument(command, outcome.result, problems, outcome.beside)
        : errorDocument(command, outcome.failure, problems),
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
