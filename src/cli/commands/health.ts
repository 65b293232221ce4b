// `cora health`: the state, the exit code that says it, and whoever is to be told of a change.

import { exitOfHealth, gravest, health } from '../../actions/health.ts';
import { type Notified, notifyHealth } from '../../actions/health-notify.ts';
import type { Problem } from '../../base/context.ts';
import { CoraError, type ErrorCode, EXIT } from '../../base/errors.ts';
import type { Outcome, Session } from '../command.ts';
import { healthDocument, healthLines, notifiedLines } from '../render-health.ts';
import { timersOptions } from '../timers-session.ts';

type Options = { readonly maxAge?: number; readonly deep?: boolean; readonly notify?: boolean; readonly testNotify?: boolean };

const CODES: Readonly<Record<number, ErrorCode>> = { [EXIT.damaged]: 'damaged', [EXIT.noVault]: 'vault_missing', [EXIT.tooOld]: 'too_old' };

export async function run({ options }: { readonly options: Options }, session: Session): Promise<Outcome> {
  if (options.notify === true && options.testNotify === true)
    throw new CoraError('usage', 'health takes --notify or --test-notify, not both', { hint: 'cora health --test-notify' });
  const { project, location } = await session.open();
  const { machine, ctx } = session;
  const result = await health(
    { project, location, machine, timers: timersOptions({}, session), maxAge: options.maxAge, deep: options.deep === true },
    ctx,
  );
  const test = options.testNotify === true;
  const notified = test || options.notify === true ? await notifyHealth(result, { project, host: machine, test }, ctx) : undefined;
  const problems = problemsOf(notified);
  const document = healthDocument(result, notified);
  const lines = [...(notified === undefined ? [] : notifiedLines(notified, test)), ...(test ? [] : healthLines(result, ctx.now()))];
  // A test says whether the message arrived; the state is not its business.
  const exitCode = test ? EXIT.ok : exitOfHealth(result);
  const code = CODES[exitCode];
  const worst = gravest(result.checks);
  if (code !== undefined && worst !== undefined) {
    const { message, next } = worst;
    return { result: document, lines, problems, failure: { code, message, hint: next, details: document } };
  }
  return {
    result: document,
    lines,
    problems,
    summary: exitCode === EXIT.ok,
    exitCode: problems.length > 0 && exitCode === EXIT.ok ? EXIT.incomplete : exitCode,
  };
}

function problemsOf(notified: Notified | undefined): Problem[] {
  return (notified?.told ?? [])
    .filter(({ ok }) => !ok)
    .map(({ channel, message }) => ({ code: 'notify', message: `The notification by ${channel} was not delivered: ${message}`, severity: 'error' }));
}
