// `cora timers status`.

import { timersStatus } from '../../actions/timers-status.ts';
import { EXIT } from '../../base/errors.ts';
import type { Outcome, Session } from '../command.ts';
import { timersStatusDocument, timersStatusLines } from '../render-timers.ts';
import { type TimersFlags, timersOptions, timersTarget } from '../timers-session.ts';

export async function run({ options }: { readonly options: TimersFlags }, session: Session): Promise<Outcome> {
  const now = session.ctx.now();
  const status = timersStatus(session.machine, await timersTarget(options, session), timersOptions(options, session), now);
  const exitCode = status.problems.length === 0 ? EXIT.ok : EXIT.incomplete;
  return { result: timersStatusDocument(status), lines: timersStatusLines(status, now), exitCode };
}
