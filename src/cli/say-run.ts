// Runs what a phrase asked for: other commands of the table, with the words a person would have typed.

import { fromText } from '../base/bytes.ts';
import { CoraError, ERROR_EXIT, EXIT } from '../base/errors.ts';
import type { Outcome, Session } from './command.ts';
import { GLOBAL_FLAGS, parseFlags } from './flags.ts';
import type { Step } from './say-steps.ts';

export type Ran = { readonly step: Step; readonly outcome: Outcome; readonly exitCode: number };

const GOES_ON: ReadonlySet<number> = new Set([EXIT.ok, EXIT.incomplete, EXIT.skipped]);

/** One command; its trigger is `say` where it has one. @throws what the command throws */
export async function runStep(step: Step, phrase: string, session: Session): Promise<Ran> {
  const entry = session.commands.find(({ name }) => name === step.command);
  if (entry === undefined) throw new CoraError('internal', `There is no command ${step.command}`);
  session.runAs(entry.name, phrase);
  const args = [...('trigger' in entry.flags ? ['--trigger', 'say'] : []), ...step.args];
  const parsed = parseFlags(args.map(fromText), {}, { ...GLOBAL_FLAGS, ...entry.flags }, entry.name);
  const outcome = await entry.run(parsed, session);
  const exitCode = outcome.failure === undefined ? (outcome.exitCode ?? EXIT.ok) : ERROR_EXIT[outcome.failure.code];
  return { step, outcome, exitCode };
}

/** Each after the other, up to the first that failed. */
export async function runSteps(steps: readonly Step[], phrase: string, session: Session): Promise<readonly Ran[]> {
  const done: Ran[] = [];
  for (const step of steps) {
    const ran = await runStep(step, phrase, session);
    done.push(ran);
    if (!GOES_ON.has(ran.exitCode)) break;
  }
  return done;
}
