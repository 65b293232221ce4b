// The routes behind the guard, by hono: checks what was asked, opens a session for it, and sends the answer or the
// problem. Invariant: whatever is thrown becomes a problem document, and none of it a stack.

import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { HttpBindings } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { type Context, Hono } from 'hono';
import type { z } from 'zod';
import { CoraError, messageOf } from '../../base/errors.ts';
import { openVault, type Vault } from '../../vault/vault.ts';
import type { Outcome } from '../command.ts';
import { asCoraError } from '../thrown.ts';
import { readBody, sendRefusal, writeBody } from './body.ts';
import { addressOf } from './guard.ts';
import { PROBLEM_TYPE, problemOf, type Refusal, refusal } from './problem.ts';
import { type Answer, type Call, type Route, TRIGGER } from './route.ts';
import { monitorOf } from './run-events.ts';
import type { Serving } from './serving.ts';

type Asked = Context<{ Bindings: HttpBindings }>;
type Values = Readonly<Record<string, unknown>>;

export function buildApp(serving: Serving): Hono<{ Bindings: HttpBindings }> {
  const app = new Hono<{ Bindings: HttpBindings }>();
  for (const route of serving.routes) {
    app.on(route.method, route.path.replace(/\{(\w+)\}/g, ':$1'), (asked) => {
      const work = handle(route, asked, serving);
      serving.running.add(work);
      return work.finally(() => serving.running.delete(work));
    });
  }
  app.notFound((asked) => send(nobody(asked, serving.routes)));
  app.onError((error, asked) => refuse(asked, error, serving));
  return app;
}

async function handle(route: Route, asked: Asked, serving: Serving): Promise<Response> {
  const outgoing = asked.env.outgoing as ServerResponse;
  const gone = new AbortController();
  outgoing.once('close', () => gone.abort());
  try {
    const params = checked(route.params, asked.req.param(), 'The path');
    const query = checked(route.query, queryOf(asked.req.url), 'The query');
    const read = route.method === 'POST' ? await readBody(asked.env.incoming as IncomingMessage, route.anyType === true) : { value: {} };
    if (read.refused !== undefined) {
      sendRefusal(asked.env.incoming as IncomingMessage, outgoing, read.refused);
      return RESPONSE_ALREADY_SENT;
    }
    const input = { params, query, body: route.method === 'POST' ? checked(route.body, read.value, 'The body') : {} };
    const run = randomBytes(6).toString('hex');
    const answer = await answerTo(route, input, asked, { serving, gone: gone.signal, run });
    if ('document' in answer) return send(answer);
    const { status = 200 } = answer;
    const headers = { 'Cora-Run': run, ...answer.headers };
    if ('data' in answer)
      return new Response(json(answer.data), { status, headers: { 'Content-Type': 'application/json; charset=utf-8', ...headers } });
    const typed = { 'Content-Type': answer.type, ...headers };
    if (answer.bytes instanceof Uint8Array)
      return new Response(status === 204 ? null : (answer.bytes as Uint8Array<ArrayBuffer>), { status, headers: typed });
    outgoing.writeHead(status, typed);
    if (asked.req.method === 'HEAD') outgoing.end();
    else {
      outgoing.flushHeaders();
      await writeBody(outgoing, answer.bytes, gone.signal);
    }
    return RESPONSE_ALREADY_SENT;
  } catch (thrown) {
    return refuse(asked, thrown, serving);
  }
}

type Input = { readonly params: Values; readonly query: Values; readonly body: Values };
type Around = { readonly serving: Serving; readonly gone: AbortSignal; readonly run: string };

async function answerTo(route: Route, input: Input, asked: Asked, { serving, gone, run }: Around): Promise<Answer> {
  const { session, events, turns, tickets } = serving;
  const { command } = route;
  const told = route.inTurn === true || route.events === true;
  const name = route.told ?? command ?? '';
  const { monitor, notes, problems } = monitorOf(run, name, told ? events : undefined, session.ctx.now);
  // Who changes something may go: it is done to its end all the same, and the events tell it.
  const leaves = told ? new AbortController().signal : gone;
  const signal = AbortSignal.any([session.ctx.signal, leaves]);
  const call: Call = {
    header: (name) => asked.req.header(name),
    events,
    turns,
    tickets,
    notes,
    problems,
    run,
    signal,
    address: addressOf(asked.env.incoming as IncomingMessage),
  };
  if (command === undefined) return route.run(input, session, call);
  requireSameVault(serving.vault);
  let answer: Answer | undefined;
  const work = async () => {
    if (signal.aborted) throw new CoraError('interrupted', 'Cancelled before it began');
    await session.within({ command, trigger: TRIGGER, cwd: serving.root, monitor, signal, lockWait: 0 }, async (inner): Promise<Outcome> => {
      answer = await route.run(input, inner, call);
      return ('outcome' in answer ? answer.outcome : undefined) ?? { result: {}, lines: [] };
    });
    if (answer === undefined) throw new CoraError('internal', `${route.path} gave no answer`);
    return answer;
  };
  const begun = told ? () => announced(work, run, name, serving) : work;
  return route.free === true ? begun() : route.inTurn === true ? turns.turn(begun) : turns.look(begun);
}

/**
 * A vault that went while the server runs is a disk that is not mounted, and no reason to make a new one in its place.
 * @throws CoraError vault_missing, vault_foreign
 */
function requireSameVault({ root, info }: Vault): void {
  const hint = 'mount its disk; then this server goes on with it';
  let now: Vault;
  try {
    now = openVault(root);
  } catch (error) {
    if (!(error instanceof CoraError) || error.code !== 'vault_missing') throw error;
    throw new CoraError('vault_missing', `The vault ${root} was there when this server started, and is not there now`, { hint, cause: error });
  }
  if (now.info.vault_id !== info.vault_id)
    throw new CoraError('vault_foreign', `At ${root} is another vault than when this server started`, { hint });
}

/** Tells who listens that it begins, and how it ended. */
async function announced(work: () => Promise<Answer>, run: string, command: string, { events, session }: Serving): Promise<Answer> {
  const started = session.ctx.now();
  events.runs.set(run, { run, command, since: new Date(started).toISOString() });
  events.publish('started', { run, command });
  const ended = (rest: Values) => {
    events.runs.delete(run);
    events.publish('ended', { run, command, ...rest, seconds: Math.max(0, session.ctx.now() - started) / 1000 });
  };
  try {
    const answer = await work();
    const failure = 'outcome' in answer ? answer.outcome?.failure : undefined;
    ended({ ok: failure === undefined, ...(failure === undefined ? {} : { error: problemOf({ exitCode: 1, ...failure }) }) });
    return answer;
  } catch (thrown) {
    ended({ ok: false, error: problemOf(asCoraError(thrown, session.ctx.signal)) });
    throw thrown;
  }
}

function checked(schema: z.ZodObject | undefined, value: Values, what: string): Values {
  if (schema === undefined) {
    const [name] = Object.keys(value);
    if (name !== undefined) throw new CoraError('usage', `${what} has an unknown field: ${name}`);
    return {};
  }
  const { success, data, error } = schema.safeParse(value);
  if (success) return data;
  const issues = error.issues.map(({ path, message }) => ({ field: path.join('.'), message }));
  const first = issues[0];
  throw new CoraError(
    'usage',
    `${what}: ${first === undefined || first.field === '' ? '' : `${first.field}: `}${first?.message ?? 'is not as it must be'}`,
    {
      hint: 'see /openapi.json',
      details: { issues },
    },
  );
}

function queryOf(url: string): Values {
  const values: Record<string, string> = {};
  for (const [name, value] of new URL(url).searchParams) {
    if (Object.hasOwn(values, name)) throw new CoraError('usage', `The query has ${name} twice`, { hint: 'see /openapi.json' });
    values[name] = value;
  }
  return values;
}

/** No route, or none with this method. */
function nobody(asked: Asked, routes: readonly Route[]): Refusal {
  const { path, method } = asked.req;
  const methods = routes
    .filter((route) => new RegExp(`^${route.path.replaceAll('.', '\\.').replace(/\{\w+\}/g, '[^/]+')}$`).test(path))
    .map((route) => route.method);
  if (methods.length === 0) return refusal('http_not_found', 'Nothing is served at this path', 'see /openapi.json');
  return refusal('http_method', `${method} is not served at this path`, 'see /openapi.json', { Allow: methods.join(', ') });
}

function refuse(asked: Asked, thrown: unknown, { session }: Serving): Response {
  const error = asCoraError(thrown, session.ctx.signal);
  if (error.code === 'internal')
    session.ctx.monitor.note(`serve: ${asked.req.method} ${asked.req.path}: ${error.message}: ${messageOf(error.cause)}`);
  return send({ document: problemOf(error) });
}

/** A refusal as an answer of hono. */
function send({ document, headers }: Refusal): Response {
  return new Response(json(document), { status: document.status, headers: { 'Content-Type': PROBLEM_TYPE, ...headers } });
}

function json(value: unknown): string {
  return `${JSON.stringify(value, (_key, part: unknown) => (typeof part === 'bigint' ? part.toString() : part))}\n`;
}
