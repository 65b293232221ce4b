// The two steps of a restore: a plan with a token, and what carries out exactly that plan. Invariants: without
// a yes that a person gave through the client, nothing that is live is touched and the restore goes into a
// directory of its own; a token is good for one try, also where that is refused.

import { z } from 'zod';
import { applyRestore } from '../../actions/restore.ts';
import { asideFor, makeAside, requireWithin } from '../../actions/restore-aside.ts';
import { momentsApart } from '../../actions/restore-moments.ts';
import { planRestore, type RestoreOptions, type RestorePlan } from '../../actions/restore-plan.ts';
import { restoreWithService, type ServiceOptions } from '../../actions/restore-service.ts';
import { guardOf, PLAN_LIFE_MS, type PlanTicket, planAgain, ticketFor } from '../../actions/restore-token.ts';
import { type Bytes, fromText } from '../../base/bytes.ts';
import { CoraError, EXIT } from '../../base/errors.ts';
import { exitCodeOf, type Outcome, type Session } from '../command.ts';
import { inPlaceDocument, inPlaceLines, planDocument, planLines, restoreDocument, restoreLines } from '../render-restore.ts';
import { restoreNamed } from '../restore-named.ts';
import { count, DONE, doneFields, fieldsOf, flag, HEAD, headOf, listOf, name, path, ROWS, text, textOf } from './fields.ts';
import { type Answer, type Call, type Consent, type Hints, READ, type Tool, tool } from './tool.ts';

/** Lines of a plan that a person is shown before the yes. */
const SHOWN = 20;

const planTool = tool({
  name: 'plan_restore',
  title: 'Plan a restore',
  description:
    'What a restore would do, and a token for apply_restore; changes nothing. Show the plan to the user first. Without target: the newest good snapshot that has the paths. Never undo with git reset, checkout or clean: plan a restore.',
  hints: READ,
  // Not a restore: none is in the run log before one was made.
  command: 'show',
  input: z.strictObject({
    target: name().optional(),
    paths: z.array(path()).max(1000).describe('relative to the project; none for everything').default([]),
    into: path().describe('a new directory, relative to the project, to restore into instead of in place').optional(),
  }),
  output: z.object({
    ...HEAD,
    kind: text(),
    in_place: flag().describe('true: live files are replaced, after a person said yes; false: into directory, beside them'),
    directory: text(),
    create: count(),
    replace: count(),
    keep: count(),
    bytes: count(),
    changes: z.array(z.object({ action: text(), path: text(), size: count() })),
    live_databases: z.array(text()),
    other_deployment: text().nullable(),
    notes: z.array(text()),
    confirm_token: text().describe('for apply_restore; good once, for ten minutes, while nothing concerned changes'),
    expires_at: text(),
  }),
  async run({ target, paths, into }, session, call) {
    if (target === undefined && paths.length === 0)
      throw new CoraError('usage', 'A restore needs a snapshot or a path', { hint: 'list_saves shows what there is' });
    const { project, location } = await session.open();
    const words = { args: target === undefined ? [] : [fromText(target)], paths: paths.map(fromText) };
    const named = await restoreNamed(words, {}, location, session);
    if (named.adopted !== undefined)
      throw new CoraError('refused', 'This backup was made by another tool', { hint: `cora restore ${named.adopted.snapshot.id} --to DIR` });
    const options = (to: Bytes | undefined): RestoreOptions => ({
      target: named.target,
      paths: named.paths,
      to,
      critical: false,
      overwrite: undefined,
    });
    const given = into === undefined ? undefined : requireWithin(session.absolute(fromText(into)), [project.root, ...call.roots]);
    let chosen = options(given);
    let plan = await planRestore(project, location, chosen, session.ctx);
    if (given === undefined && call.ask === undefined) {
      chosen = options(asideFor(project.root, plan.id));
      plan = await planRestore(project, location, chosen, session.ctx);
    }
    const ticket = ticketFor(plan, chosen, session.ctx.now());
    call.tickets.keep(ticket);
    const document = planDocument(plan);
    const changes = listOf(document['changes'])
      .map(fieldsOf)
      .filter(({ action }) => action !== 'keep');
    const notes = plan.inPlace ? [...call.notes, ...momentsApart(plan, project.config)] : call.notes;
    return {
      sentence: `${planLines(plan)[0]}; nothing is restored yet: apply_restore with confirm_token ${ticket.token} within ten minutes${plan.inPlace ? ', which asks the user' : ''}`,
      lines: planLines(plan).slice(1),
      data: {
        ...document,
        ...(await headOf(plan.id, session)),
        changes: changes.slice(0, ROWS),
        notes,
        confirm_token: ticket.token,
        expires_at: new Date(ticket.expires).toISOString(),
      },
    };
  },
});

const applyTool = tool({
  name: 'apply_restore',
  title: 'Carry out a planned restore',
  description:
    'Carries out exactly the plan of plan_restore. In place: saves what is there first and asks the user in the client; cora restore --undo takes it back. Refused where the token is old or used, or what it concerns changed since.',
  hints: { readOnly: false, destructive: true, idempotent: false, openWorld: false } satisfies Hints,
  command: 'restore',
  input: z.strictObject({ confirm_token: z.string().min(1).max(100).describe('of plan_restore') }),
  output: z.object({
    ...HEAD,
    in_place: flag(),
    directory: text(),
    files: count(),
    bytes: count(),
    databases: count(),
    kept: count(),
    pre_restore_snapshot: text().nullable().describe('in place: the save of what was there before'),
    undo: text().nullable(),
    ...DONE,
  }),
  async run({ confirm_token: token }, session, call) {
    const ticket = call.tickets.take(token);
    const { project, location } = await session.open();
    const plan = await call.turn(() => planAgain(ticket, project, location, session.ctx));
    const consent = plan.inPlace ? await agree(plan, ticket, session, call) : undefined;
    return call.turn(async () => {
      // While somebody thought about it the tree may have changed, and the plan have grown too old.
      const again = await planAgain(ticket, project, location, session.ctx);
      return consent === undefined ? aside(again, session, call) : inPlace(again, consent, session, call);
    });
  },
});

/** @throws CoraError refused where nobody can be asked, or the answer is not a yes */
async function agree(plan: RestorePlan, ticket: PlanTicket, session: Session, call: Call): Promise<Consent> {
  if (call.ask === undefined)
    throw new CoraError('refused', 'This client cannot ask a person: nothing was restored', {
      hint: 'plan_restore with into, or cora restore in a terminal',
    });
  const lines = planLines(plan);
  const more = lines.length > SHOWN ? [`  and ${lines.length - SHOWN} more lines`] : [];
  const message = [...lines.slice(0, SHOWN), ...more, 'What is there now is saved first; cora restore --undo takes it back.'].join('\n');
  const left = Math.min(PLAN_LIFE_MS, Math.max(1, ticket.expires - session.ctx.now()));
  const consent = await call.ask(message, plan.liveDatabases.length > 0, left);
  if (consent.restore) return consent;
  throw new CoraError('refused', 'The person did not agree: nothing was restored', {
    hint: 'do not ask again; plan_restore with into restores beside the project',
  });
}

async function aside(plan: RestorePlan, session: Session, call: Call): Promise<Answer> {
  const { root } = (await session.open()).project;
  // A link may have taken the place of a directory on the way since it was planned.
  if (requireWithin(plan.directory, [root, ...call.roots]) !== plan.directory)
    throw new CoraError('refused', 'The way to that directory leads elsewhere now: nothing was restored', { hint: 'plan the restore again' });
  makeAside(root, plan.directory);
  const result = await applyRestore(plan, session.ctx);
  const exitCode = result.damaged > 0 ? EXIT.damaged : exitCodeOf(result.problems);
  const outcome: Outcome = { result: restoreDocument(result), lines: [], exitCode, problems: result.problems };
  return {
    sentence: `${restoreLines(result)[0]}, beside the project; no live file was touched`,
    data: {
      ...fieldsOf(outcome.result),
      ...(await headOf(plan.id, session)),
      in_place: false,
      pre_restore_snapshot: null,
      undo: null,
      ...doneFields(outcome, call),
    },
    outcome,
  };
}

async function inPlace(plan: RestorePlan, consent: Consent, session: Session, call: Call): Promise<Answer> {
  const { project, location } = await session.open();
  const how: ServiceOptions = {
    databases: consent.databases,
    // With a command that stops the service the person did not have to do it.
    alreadyStopped: consent.databases === 'stopped' && project.config.restore.stop === undefined,
    preSnapshot: true,
    partial: false,
    rollBack: async () => false,
    guard: guardOf(plan),
  };
  const result = await call.alone(() => restoreWithService(project, location, plan, how, session.machine, session.ctx));
  const wrong = result.damaged > 0 || result.databaseChecks.some(({ ok }) => !ok);
  const document = inPlaceDocument(result);
  const outcome: Outcome = { result: document, lines: [], exitCode: wrong ? EXIT.damaged : exitCodeOf(result.problems), problems: result.problems };
  return {
    sentence: `${inPlaceLines(result)[0]}; ${textOf(document['pre_restore_snapshot'])} holds what was there before`,
    lines: inPlaceLines(result).slice(1),
    data: { ...document, ...(await headOf(plan.id, session)), in_place: true, undo: 'cora restore --undo', ...doneFields(outcome, call) },
    outcome,
  };
}

export const RESTORE_TOOLS: readonly Tool[] = [planTool, applyTool];
