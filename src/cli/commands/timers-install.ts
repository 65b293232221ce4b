// `cora timers install`.

import { installTimers } from '../../actions/timers.ts';
import type { Problem } from '../../base/context.ts';
import { EXIT } from '../../base/errors.ts';
import type { Outcome, Session } from '../command.ts';
import { installedDocument, installedLines } from '../render-timers.ts';
import { type TimersFlags, timersOptions, timersTarget } from '../timers-session.ts';

type Options = TimersFlags & { readonly print?: boolean; readonly cron?: boolean };

export async function run({ options }: { readonly options: Options }, session: Session): Promise<Outcome> {
  const print = options.print === true;
  const cron = options.cron === true;
  const result = installTimers(session.machine, await timersTarget(options, session), { ...timersOptions(options, session), print, cron });
  const problems = result.warnings.map((message): Problem => ({ code: 'timers', message, severity: 'warning' }));
  for (const problem of problems) session.ctx.monitor.problem(problem);
  const wanted = result.started || print || cron || options.unitDir !== undefined;
  return { result: installedDocument(result, print), lines: installedLines(result, print), problems, exitCode: wanted ? EXIT.ok : EXIT.incomplete };
}
