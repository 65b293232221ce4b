// A restore in two steps: a plan with a token, which changes nothing, and what carries out exactly that plan after a word that
// a person typed. Invariants: a plan is bound to what is live when it is shown; it is good for one restore; what is live is
// saved before it is replaced, and the way back is planned in the same two steps.

import { z } from 'zod';
import { applyRestore } from '../../actions/restore.ts';
import { asideFor, makeAside, requireWithin } from '../../actions/restore-aside.ts';
import { momentsApart } from '../../actions/restore-moments.ts';
import { planRestore, type RestoreOptions, type RestorePlan } from '../../actions/restore-plan.ts';
import { restoreWithService, type ServiceOptions, undoProject } from '../../actions/restore-service.ts';
import { guardOf, planAgain, ticketFor, ticketsInMemory } from '../../actions/restore-token.ts';
import { planUndo } from '../../actions/restore-undo.ts';
import { type UndoTicket, undoAgain, undoTicketFor } from '../../actions/undo-token.ts';
import { type Bytes, fromText, printable } from '../../base/bytes.ts';
import { CoraError, EXIT } from '../../base/errors.ts';
import type { VaultLocation } from '../../vault/locate.ts';
import type { Project } from '../../vault/project.ts';
import { exitCodeOf, type Outcome, type Session } from '../command.ts';
import { inPlaceDocument, planDocument, planLines, restoreDocument, undoDocument, undoPlanLines } from '../render-restore.ts';
import { type RestoreNamed, restoreNamed } from '../restore-named.ts';
import { namedSnapshot } from '../snapshot-name.ts';
import { DONE, doneFields, pathsOf, pathText, resultOf, snapshotName } from './fields.ts';
import { type Answer, type Call, type Route, route } from './route.ts';

/** What a person types to say yes. */
const WORD = { restore: 'restore', undo: 'undo', redo: 'redo' } as const;

const change = z.object({ action: z.string(), path: z.string(), path_base64: z.string().optional(), size: z.number() });
const SHOWN = 1000;
const somePath = z.object({ path: z.string(), path_base64: z.string().optional() });

const TOKEN = {
  token: z.string().describe('for one use, for ten minutes, while nothing concerned changes'),
  expires_at: z.string(),
  confirm: z.string().describe('the word that a person types; it goes with the token'),
  lines: z.array(z.string()).describe('the plan for people, as a terminal shows it'),
};

const APPLY = {
  token: z.string().min(1).max(100).describe('of the plan'),
  confirm: z.string().max(100).describe('what the person typed'),
  confirm_service_stopped: z.boolean().describe('every program that uses the live databases is stopped').default(false),
  live: z.boolean().describe('they work on: databases are replaced through SQLite').default(false),
};

const plan = route({
  method: 'POST',
  path: '/api/v1/restore/plan',
  summary: 'What a restore would do',
  about:
    'As cora restore --dry-run, with a token for /api/v1/restore/apply; changes nothing. Without a snapshot: the newest good one that has the first path. Without paths: everything. In place, unless into names a new directory below the project, or aside asks for one.',
  // Not a restore: none is in the run log before one was made.
  command: 'show',
  body: z.strictObject({
    snapshot: snapshotName().optional(),
    paths: z.array(pathText()).max(10_000).describe('left out: everything').optional(),
    paths_base64: z.array(z.string().min(1).max(6000)).max(10_000).describe('exact bytes, for names that are not UTF-8').default([]),
    into: pathText().nullable().default(null),
    aside: z.boolean().describe('into .cora-restore-side/ID in the project; no live file is touched').default(false),
  }),
  output: z.object({
    snapshot_id: z.string(),
    kind: z.string(),
    in_place: z.boolean(),
    directory: z.string(),
    directory_base64: z.string().optional(),
    create: z.number(),
    replace: z.number(),
    keep: z.number(),
    bytes: z.number(),
    other_deployment: z.string().nullable(),
    live_databases: z.array(z.string()),
    move_aside: z.array(somePath),
    in_the_way: z.array(somePath.extend({ reason: z.string() })).describe('what is not restored, for something of another type is there'),
    changes: z.array(change).describe('at most 1,000, those that stay as they are last'),
    changes_total: z.number(),
    stops_service: z.boolean().describe('the configured command stops it meanwhile: nobody has to say that it is stopped'),
    needs_service_stopped: z.boolean().describe('apply wants confirm_service_stopped or live'),
    notes: z.array(z.string()),
    ...TOKEN,
  }),
  failures: [404, 409, 422, 503],
  run: async ({ body }, session, call) => {
    const { project, location } = await session.open();
    const paths = pathsOf(body.paths ?? [], body.paths_base64);
    if (body.paths?.length === 0 && paths.length === 0) throw new CoraError('usage', 'paths names nothing', { hint: 'leave it out for everything' });
    if (body.snapshot === undefined && paths.length === 0)
      throw new CoraError('usage', 'A restore needs a snapshot or a path', { hint: 'GET /api/v1/snapshots lists what there is' });
    if (body.into !== null && body.aside) throw new CoraError('usage', 'into and aside exclude each other', { hint: 'leave one of them out' });
    const named = await targetOf(body.snapshot, paths, location, session);
    if (named.adopted !== undefined)
      throw new CoraError('refused', 'This backup was made by another tool', { hint: `cora restore ${named.adopted.snapshot.id} --to DIR` });
    const to = body.into === null ? undefined : requireWithin(session.absolute(fromText(body.into)), [project.root]);
    const made = async (options: RestoreOptions) => ({ options, plan: await planRestore(project, location, options, session.ctx) });
    const asked: RestoreOptions = { target: named.target, paths: named.paths, to, critical: false, overwrite: undefined };
    let found = await made(asked);
    if (body.aside) found = await made({ ...asked, to: asideFor(project.root, found.plan.id) });
    const ticket = ticketFor(found.plan, found.options, session.ctx.now());
    call.tickets.keep(ticket);
    const notes = found.plan.inPlace ? [...call.notes, ...momentsApart(found.plan, project.config)] : call.notes;
    return {
      data: {
        ...shownPart(planDocument(found.plan)),
        ...serviceFields(found.plan.liveDatabases, project),
        notes,
        token: ticket.token,
        expires_at: new Date(ticket.expires).toISOString(),
        confirm: WORD.restore,
        lines: planLines(found.plan),
      },
    };
  },
});

const apply = route({
  method: 'POST',
  path: '/api/v1/restore/apply',
  summary: 'Carry out a planned restore',
  about:
    'As cora restore: what is there is saved first. 409 refused where the word is not the one of the plan (which stays), where the token is old or used, or where what it concerns has changed since (then plan again).',
  command: 'restore',
  inTurn: true,
  body: z.strictObject(APPLY),
  output: z.looseObject({
    snapshot_id: z.string(),
    in_place: z.boolean(),
    directory: z.string(),
    files: z.number(),
    bytes: z.number(),
    databases: z.number(),
    kept: z.number(),
    pre_restore_snapshot: z.string().nullable(),
    ...DONE,
  }),
  failures: [409, 422, 503, 507],
  run: async ({ body }, session, call) => {
    requireWord(body.confirm, WORD.restore);
    const ticket = call.tickets.take(body.token);
    const { project, location } = await session.open();
    const again = await planAgain(ticket, project, location, session.ctx);
    try {
      requireFree(again.inPlace ? again.liveDatabases : [], body, project);
    } catch (error) {
      // Nothing was tried yet, and the plan is the one that was shown.
      call.tickets.keep(ticket);
      throw error;
    }
    return again.inPlace ? inPlace(again, body, session, call) : beside(again, session, call);
  },
});

/** A word is only ever a snapshot's name here, also where a file is called so. */
async function targetOf(snapshot: string | undefined, paths: readonly Bytes[], location: VaultLocation, session: Session): Promise<RestoreNamed> {
  if (snapshot === undefined) return restoreNamed({ args: [], paths }, {}, location, session);
  const named = await namedSnapshot(fromText(snapshot), {}, location, session);
  return { ...named, target: named.target === undefined ? undefined : fromText(named.target), paths };
}

type Consent = { readonly confirm_service_stopped: boolean; readonly live: boolean };

async function beside(made: RestorePlan, session: Session, call: Call): Promise<Answer> {
  const { root } = (await session.open()).project;
  // A link may have taken the place of a directory on the way since it was planned.
  if (requireWithin(made.directory, [root]) !== made.directory)
    throw new CoraError('refused', 'The way to that directory leads elsewhere now: nothing was restored', { hint: 'plan the restore again' });
  makeAside(root, made.directory);
  const result = await applyRestore(made, session.ctx);
  const exitCode = result.damaged > 0 ? EXIT.damaged : exitCodeOf(result.problems);
  const document = { ...restoreDocument(result), in_place: false, pre_restore_snapshot: null };
  const outcome: Outcome = { result: document, lines: [], exitCode, problems: result.problems };
  return { data: { ...document, ...doneFields(outcome, call) }, outcome };
}

async function inPlace(made: RestorePlan, consent: Consent, session: Session, call: Call): Promise<Answer> {
  const { project, location } = await session.open();
  const how: ServiceOptions = {
    databases: consent.live ? 'live' : 'stopped',
    alreadyStopped: consent.confirm_service_stopped,
    preSnapshot: true,
    partial: false,
    rollBack: async () => false,
    guard: guardOf(made),
  };
  const result = await call.turns.alone(() => restoreWithService(project, location, made, how, session.machine, session.ctx));
  const wrong = result.damaged > 0 || result.databaseChecks.some(({ ok }) => !ok);
  const document = { ...inPlaceDocument(result), in_place: true };
  const outcome: Outcome = { result: document, lines: [], exitCode: wrong ? EXIT.damaged : exitCodeOf(result.problems), problems: result.problems };
  return { data: { ...document, ...doneFields(outcome, call) }, outcome };
}

/** Taking the last restore in place back, or carrying it out once more. */
function undoRoutes(): readonly Route[] {
  const tickets = ticketsInMemory<UndoTicket>();
  const undoPlan = route({
    method: 'POST',
    path: '/api/v1/restore/undo/plan',
    summary: 'What taking the last restore back would do',
    about: 'As cora restore --undo --dry-run, with a token for /api/v1/restore/undo; changes nothing. 404 where no restore in place is on record.',
    command: 'show',
    body: z.strictObject({}),
    output: z.object({
      snapshot_id: z.string(),
      direction: z.enum(['undo', 'redo']),
      pre_restore_snapshot: z.string().nullable(),
      entries: z.number(),
      databases: z.array(z.string()),
      stops_service: z.boolean(),
      needs_service_stopped: z.boolean(),
      ...TOKEN,
    }),
    failures: [404, 409],
    run: async (_input, session) => {
      const { project } = await session.open();
      const made = planUndo(project.root);
      const ticket = undoTicketFor(made, session.ctx.now());
      tickets.keep(ticket);
      return {
        data: {
          ...undoDocument(made),
          ...serviceFields(made.databases, project),
          token: ticket.token,
          expires_at: new Date(ticket.expires).toISOString(),
          confirm: WORD[made.direction],
          lines: undoPlanLines(made),
        },
      };
    },
  });
  const undo = route({
    method: 'POST',
    path: '/api/v1/restore/undo',
    summary: 'Take the last restore back',
    told: 'restore --undo',
    about: 'As cora restore --undo: what is there is saved first. Done twice it restores once more. 409 as for /api/v1/restore/apply.',
    command: 'restore',
    inTurn: true,
    body: z.strictObject(APPLY),
    output: z.looseObject({
      snapshot_id: z.string(),
      direction: z.enum(['undo', 'redo']),
      pre_restore_snapshot: z.string().nullable(),
      entries: z.number(),
      databases: z.array(z.string()),
      ...DONE,
    }),
    failures: [404, 409, 503, 507],
    run: async ({ body }, session, call) => {
      const { project, location } = await session.open();
      requireWord(body.confirm, WORD[planUndo(project.root).direction]);
      const ticket = tickets.take(body.token);
      const made = undoAgain(ticket, project.root, session.ctx.now());
      try {
        requireFree(made.databases, body, project);
      } catch (error) {
        tickets.keep(ticket);
        throw error;
      }
      const stops = made.databases.length > 0 && !body.confirm_service_stopped && !body.live && project.config.restore.stop !== undefined;
      const how = { location, preSnapshot: true };
      const problems = await call.turns.alone(() => undoProject(project, made, stops, how, session.machine, session.ctx));
      const outcome: Outcome = { result: undoDocument(made), lines: [], exitCode: exitCodeOf(problems), problems };
      return { data: { ...resultOf(outcome), ...doneFields(outcome, call) }, outcome };
    },
  });
  return [undoPlan, undo];
}

export function restoreRoutes(): readonly Route[] {
  return [plan, apply, ...undoRoutes()];
}

/** A plan of a hundred thousand files is carried out as it is, and shown by its beginning and its counts. */
function shownPart({ changes, ...plan }: ReturnType<typeof planDocument>) {
  const all = (changes as readonly { readonly action: string }[]).toSorted((a, b) => Number(a.action === 'keep') - Number(b.action === 'keep'));
  return { ...plan, changes: all.slice(0, SHOWN), changes_total: all.length };
}

function serviceFields(databases: readonly Bytes[], project: Project): Readonly<Record<string, boolean>> {
  const stops = databases.length > 0 && project.config.restore.stop !== undefined;
  return { stops_service: stops, needs_service_stopped: databases.length > 0 && !stops };
}

/** @throws CoraError refused */
function requireWord(given: string, word: string): void {
  if (given.trim().toLowerCase() === word) return;
  throw new CoraError('refused', `Nothing was changed: this needs the word ${word}, typed by a person`, { hint: `send confirm: "${word}"` });
}

/** @throws CoraError usage, or refused where databases may be in use */
function requireFree(databases: readonly Bytes[], { confirm_service_stopped: stopped, live }: Consent, project: Project): void {
  if (stopped && live)
    throw new CoraError('usage', 'live is for programs that work, confirm_service_stopped for programs that do not', {
      hint: 'leave one of them out',
    });
  if (databases.length === 0 || stopped || live || project.config.restore.stop !== undefined) return;
  throw new CoraError('refused', `Nothing was changed: ${databases.map(printable).join(', ')} may be in use`, {
    hint: 'stop its program and send confirm_service_stopped, or replace it while it works with live, or restore aside',
  });
}
