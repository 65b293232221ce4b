// A restore that was asked for in words: the plan is shown, and nothing happens without a yes of a person at
// a terminal, or the plan's token given back with --apply. `--yes` does not answer for it.

import type { RestoreOptions } from '../actions/restore-plan.ts';
import { guardOf, planAgain, requireUnchanged, ticketFor, ticketsInVault } from '../actions/restore-token.ts';
import { fromText } from '../base/bytes.ts';
import { CoraError } from '../base/errors.ts';
import type { Outcome, Session } from './command.ts';
import { carryOut, type Planned, planFor } from './commands/restore.ts';
import { GLOBAL_FLAGS, parseFlags } from './flags.ts';
import { planDocument, planLines } from './render-restore.ts';
import { RESTORE_FLAGS } from './restore-flags.ts';
import { type Ran, runStep } from './say-run.ts';
import { commandText, type Step } from './say-steps.ts';

/** What stands beside the phrase: how databases may be replaced. */
export type RestoreFlags = { readonly live?: boolean; readonly confirmServiceStopped?: boolean };

/** @throws CoraError refused without a yes, and where the plan does not hold any more */
export async function sayRestore(step: Step, phrase: string, flags: RestoreFlags, session: Session): Promise<Ran> {
  session.runAs('restore', phrase);
  if (step.args.includes('--undo')) return undo(step, phrase, flags, session);
  const planned = await planOf(step, session);
  if ('outcome' in planned)
    throw new CoraError('refused', 'Nothing was restored: a backup of another tool is not restored by a phrase', { hint: commandText([step]) });
  const { plan, asked, location, project } = planned;
  const { now } = session.ctx;
  const ticket = ticketFor(plan, asked, now());
  const document = { dry_run: true, ...planDocument(plan), ...planned.fields };
  if (!session.interactive) {
    ticketsInVault(location.path, now()).keep(ticket);
    return unanswered(step, planned, { ...document, plan: ticket.token, expires: new Date(ticket.expires).toISOString() }, ticket.token);
  }
  session.show(planLines(plan));
  if (!(await session.confirmInPerson('Restore this?')))
    throw new CoraError('refused', 'Nothing was restored', { hint: 'say it another way, or see cora restore --help', details: document });
  // Whoever thinks about a question for an hour is asked again.
  const again = await planAgain(ticket, project, location, session.ctx);
  return ranOf(step, await carryOut({ ...planned, plan: again }, flags, agreed(session), guardOf(again)));
}

/**
 * Carries out a plan that was printed; with a phrase only where that still means the same plan.
 * @throws CoraError refused where it does not hold any more, is too old, or was carried out already
 */
export async function applyPlan(token: string, step: Step | undefined, phrase: string, flags: RestoreFlags, session: Session): Promise<Ran> {
  session.runAs('restore', phrase);
  const { project, location } = await session.open();
  const ticket = ticketsInVault(location.path, session.ctx.now()).take(token);
  const plan = await planAgain(ticket, project, location, session.ctx);
  if (step !== undefined) {
    const planned = await planOf(step, session);
    if (!('plan' in planned))
      throw new CoraError('refused', 'This plan is of another phrase: nothing was restored', { hint: 'say the phrase again' });
    requireUnchanged(ticket, planned.plan);
  }
  const asked: RestoreOptions = ticket.options;
  return ranOf(
    step ?? { command: 'restore', args: [] },
    await carryOut({ plan, asked, location, project, fields: {} }, flags, agreed(session), guardOf(plan)),
  );
}

async function planOf(step: Step, session: Session): Promise<Planned | { readonly outcome: Outcome }> {
  const { options, args, paths } = parseFlags(step.args.map(fromText), {}, { ...GLOBAL_FLAGS, ...RESTORE_FLAGS }, 'restore');
  // Where there is no plan to show (a backup of another tool), nothing may happen either.
  return planFor({ options: { ...options, dryRun: true }, args, paths }, session);
}

const ranOf = (step: Step, outcome: Outcome): Ran => ({ step, outcome, exitCode: outcome.exitCode ?? 0 });

/** Nobody to ask: the plan is the answer. */
function unanswered(step: Step, { plan }: Planned, document: Readonly<Record<string, unknown>>, token: string): Ran {
  const message = 'Nothing was restored yet: a restore needs a yes';
  const databases = plan.inPlace && plan.liveDatabases.length > 0;
  const apply = commandText([{ command: 'say', args: ['--apply', token] }]);
  const hint = `look at the plan, then: ${apply}${databases ? ' --live (or --confirm-service-stopped)' : ''}`;
  const outcome: Outcome = { result: document, lines: planLines(plan), failure: { code: 'refused', message, hint, details: document } };
  return { step, outcome, exitCode: 20 };
}

/** A person agreed to this plan; other questions are still theirs. */
const agreed = (session: Session): Session => ({ ...session, globals: { ...session.globals, yes: true }, confirm: async () => true });

async function undo(step: Step, phrase: string, flags: RestoreFlags, session: Session): Promise<Ran> {
  if (!session.interactive)
    throw new CoraError('refused', 'Nothing was changed: to take a restore back needs a person at a terminal', { hint: 'cora restore --undo' });
  const more = [...(flags.live === true ? ['--live'] : []), ...(flags.confirmServiceStopped === true ? ['--confirm-service-stopped'] : [])];
  const asking: Session = { ...session, globals: { ...session.globals, yes: false }, confirm: session.confirmInPerson };
  return runStep({ ...step, args: [...more, ...step.args] }, phrase, asking);
}
