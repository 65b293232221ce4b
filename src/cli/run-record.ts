// What the run log says of one run: put together while it runs, written once when it ends. A run that
// could not even find its project is logged too: that is when somebody looks.

import { type CoraError, EXIT } from '../base/errors.ts';
import type { RunEntry, RunLevel } from '../os/run-log.ts';
import type { Outcome } from './command.ts';

/** One run on its way into the log. */
export type Run = {
  opened(project: string, vault: string): void;
  end(outcome: Outcome): void;
  fail(error: CoraError): void;
};

type Clock = { now(): number; record(entry: RunEntry): void };

/** @param options the command's own; `trigger` says who asked */
export function startRun(command: string, options: Readonly<Record<string, unknown>>, host: Clock): Run {
  const started = host.now();
  const trigger = typeof options['trigger'] === 'string' ? options['trigger'] : 'manual';
  let place: { readonly project?: string; readonly vault?: string } = {};
  const write = (level: RunLevel, exit: number, rest: { readonly id?: string; readonly message?: string }): void => {
    const now = host.now();
    host.record({ time: now, level, command, trigger, ...place, exit, seconds: Math.max(0, now - started) / 1000, ...rest });
  };
  return {
    opened(project, vault) {
      place = { project, vault };
    },
    end(outcome) {
      const exit = outcome.exitCode ?? EXIT.ok;
      const message = outcome.failure?.message ?? outcome.problems?.find(({ severity }) => severity === 'error')?.message;
      const level = outcome.failure !== undefined ? 'error' : exit === EXIT.incomplete ? 'warn' : 'info';
      write(level, exit, { ...idOf(outcome), ...(message === undefined ? {} : { message }) });
    },
    fail(error) {
      write('error', error.exitCode, { message: error.message });
    },
  };
}

function idOf({ result }: Outcome): { readonly id?: string } {
  const id = typeof result === 'object' && result !== null && 'snapshot_id' in result ? result.snapshot_id : undefined;
  return typeof id === 'string' ? { id } : {};
}
