// `cora timers remove`.

import { removeTimers } from '../../actions/timers.ts';
import type { Outcome, Session } from '../command.ts';
import { removedDocument, removedLines } from '../render-timers.ts';
import { type TimersFlags, timersOptions, timersTarget } from '../timers-session.ts';

export async function run({ options }: { readonly options: TimersFlags }, session: Session): Promise<Outcome> {
  const result = removeTimers(session.machine, await timersTarget(options, session), timersOptions(options, session));
  return { result: removedDocument(result), lines: removedLines(result) };
}
