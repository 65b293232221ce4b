// `cora timers install`.

import { installTimers, repointTimers } from '../../actions/timers.ts';
import type { Problem } from '../../base/context.ts';
import { EXIT } from '../../base/errors.ts';
import type { Outcome, Session } from '../command.ts';
import { installedDocument, installedLines } from '../render-timers.ts';
import { type TimersFlags, timersOptions, timersTarget } from '../timers-session.ts';

type Options = TimersFlags & { readonly print?: boolean; readonly cron?: boolean; readonly all?: boolean };

export async function run({ options }: { readonly options: Options }, session: Session): Promise<Outcome> {
  const print = options.print === true;
  const cron = options.cron === true;
  const how = { ...timersOptions(options, session), print, cron };
  const result =
    options.all === true
      ? repointTimers(session.machine, how)
      : installTimers(session.machine, await timersTarget(options, session), how, session.ctx);
  const problems = result.warnings.map((message): Problem => ({ code: 'timers', message, severity: 'warning' }));
  for (const problem of problems) session.ctx.monitor.problem(problem);
  const wanted = result.started || (options.all === true && result.timers.length === 0) || print || cron || options.unitDir !== undefined;
  return { result: installedDocument(result, print), lines: installedLines(result, print), problems, exitCode: wanted ? EXIT.ok : EXIT.incomplete };
}
