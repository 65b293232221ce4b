// What the run log and the prompt's status say of one run: put together while it runs, written once when
// it ends. A run that could not even find its project is logged too: that is when somebody looks.

import { type Bytes, toText } from '../base/bytes.ts';
import { type CoraError, ERROR_EXIT, EXIT } from '../base/errors.ts';
import type { RunEntry, RunLevel } from '../os/run-log.ts';
import type { VaultLocation } from '../vault/locate.ts';
import type { Outcome } from './command.ts';
import { promptChange } from './prompt-change.ts';

/** One run on its way into the log. */
export type Run = {
  opened(root: Bytes, location: VaultLocation): Promise<void>;
  /** It runs another command, because a phrase asked for it. */
  said(command: string, phrase: string): void;
  end(outcome: Outcome): void;
  fail(error: CoraError): void;
};

type Clock = { now(): number; record(entry: RunEntry): void };

/** A command that no log has a line for, and that knows how the project is. */
export const isPromptCheck = (command: string) => command === 'health';

/** @param options the command's own; `trigger` says who asked */
export function startRun(command: string, options: Readonly<Record<string, unknown>>, host: Clock): Run {
  const started = host.now();
  let name = command;
  let phrase: string | undefined;
  let trigger = typeof options['trigger'] === 'string' ? options['trigger'] : 'manual';
  let place: { readonly root: Bytes; readonly location: VaultLocation; readonly status: typeof import('../vault/prompt-status.ts') } | undefined;
  const write = (level: RunLevel, exit: number, result: unknown, rest: { readonly id?: string; readonly message?: string }): void => {
    const now = host.now();
    const where = place === undefined ? {} : { project: toText(place.root), vault: place.location.path };
    const words = phrase === undefined ? {} : { phrase };
    if (!isPromptCheck(name) || phrase !== undefined)
      host.record({ time: now, level, command: name, trigger, ...where, exit, seconds: Math.max(0, now - started) / 1000, ...rest, ...words });
    // A dry run made no save that a prompt could tell of.
    if (place === undefined || options['dryRun'] === true) return;
    const path = place.status.promptStatusPath(place.root, place.location);
    if (path === undefined) return;
    const change = promptChange({ command: name, options, exit, result }, Math.floor(now / 1000));
    place.status.updatePromptStatus(path, toText(place.root), place.location.path, change, now);
  };
  return {
    async opened(root, location) {
      // Not before: help and completions load nothing of the vault.
      place = { root, location, status: await import('../vault/prompt-status.ts') };
    },
    said(ran, words) {
      name = ran;
      trigger = 'say';
      phrase = words;
    },
    end(outcome) {
      const exit = outcome.failure === undefined ? (outcome.exitCode ?? EXIT.ok) : ERROR_EXIT[outcome.failure.code];
      const message = outcome.failure?.message ?? outcome.problems?.find(({ severity }) => severity === 'error')?.message;
      const level = outcome.failure !== undefined ? 'error' : exit === EXIT.incomplete ? 'warn' : 'info';
      write(level, exit, outcome.result, { ...idOf(outcome), ...(message === undefined ? {} : { message }) });
    },
    fail(error) {
      write('error', error.exitCode, undefined, { message: error.message });
    },
  };
}

function idOf({ result }: Outcome): { readonly id?: string } {
  const id = typeof result === 'object' && result !== null && 'snapshot_id' in result ? result.snapshot_id : undefined;
  return typeof id === 'string' ? { id } : {};
}
