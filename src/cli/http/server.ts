// `cora serve`: the server around the routes, from the token to the clean end. Invariants: no request reaches a route
// before the guard let it pass; a client that is slow, silent or endless is cut off; the end waits for what runs, and
// what runs is told to end.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { openOnce } from '../../actions/open-project.ts';
import { ticketsInMemory } from '../../actions/restore-token.ts';
import { SILENT } from '../../base/context.ts';
import { CoraError, errnoOf, messageOf } from '../../base/errors.ts';
import { exists } from '../../os/files.ts';
import { openToken, tokenPath } from '../../vault/http-token.ts';
import { openLocated, requireOwn } from '../../vault/locate.ts';
import type { Session } from '../command.ts';
import { openTurns } from '../mcp/turns.ts';
import { buildApp } from './app.ts';
import { isTooLarge, sendRefusal } from './body.ts';
import { boundConnections } from './connections.ts';
import { openEvents } from './events.ts';
import { type Guard, openGuard } from './guard.ts';
import { keepView } from './keep-view.ts';
import { forgive, type Lag, watchLag } from './lag.ts';
import { type Listening, listenAt, type Place } from './listen.ts';
import { openCodes } from './login.ts';
import { HEADERS, PROBLEM_TYPE, type ProblemDocument, problemOf, type Refusal, refusal } from './problem.ts';
import { routesOf } from './routes.ts';
import { watchLedger } from './routes-events.ts';
import { openWatch } from './state.ts';

const MOST_CONNECTIONS = 64;
const HEADERS_MS = 5000;
/** A whole request with its body. */
const REQUEST_MS = 15_000;
const KEEP_ALIVE_MS = 10_000;
/** Nothing moved on a connection; Node lets twice as much pass where the last write got through in part. */
const SILENT_MS = 15_000;
const CHECK_MS = 1000;
/** Less than the time after which a second signal would end the process (cli.ts). */
const END_MS = 4000;
const HEADER_BYTES = 16_384;

export type ServeOptions = {
  readonly places: readonly Place[];
  /** Ends when nobody asked for so long; undefined: never. */
  readonly idleMs: number | undefined;
  /** Called once, when requests are served. */
  readonly ready: (listening: readonly Listening[], tokenFile: string, code: () => string) => void;
};

/** Serves the project until a signal comes, or nobody asks any more. */
export async function serve(session: Session, { places, idleMs, ready }: ServeOptions): Promise<void> {
  const { ctx } = session;
  const { project, location } = await session.open();
  const vault = exists(location.path) || location.expectedId !== undefined ? openLocated(location) : openOnce(project, location, ctx);
  requireOwn(vault, project);
  const token = openToken(vault.root);
  const tokenFile = tokenPath(vault.root);
  const events = openEvents(ctx.now);
  const codes = openCodes(ctx.now);
  const guard = openGuard(token, tokenFile, ctx.now);
  const running = new Set<Promise<unknown>>();
  const watch = openWatch();
  const routes = routesOf({ token, codes, guard, watch });
  watchLedger(vault.root, events, ctx.signal);
  const app = buildApp({ session, root: project.root, vault, routes, events, turns: openTurns(), tickets: ticketsInMemory(), running });
  const listener = getRequestListener(app.fetch, {
    overrideGlobalObjects: false,
    hostname: 'localhost',
    errorHandler: (error) => {
      const { document } = refusal('http_bad_request', `The request is not understood: ${messageOf(error)}`, null);
      return new Response(`${JSON.stringify(document)}\n`, { status: document.status, headers: { 'Content-Type': PROBLEM_TYPE } });
    },
  });
  let lastAt = performance.now();
  const onRequest = (request: IncomingMessage, response: ServerResponse) => {
    lastAt = performance.now();
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    const refused = ctx.signal.aborted ? stopping() : guard.refuse(request);
    if (refused !== undefined) return sendRefusal(request, response, refused);
    // A body that is refused is not asked for first.
    if (request.headers.expect !== undefined && !isTooLarge(request)) response.writeContinue();
    void listener(request, response);
  };
  const lag = watchLag();
  const servers = places.map(() => openServer(onRequest, guard, lag));
  const ended = new AbortController();
  try {
    const listening: Listening[] = [];
    for (const [index, place] of places.entries()) {
      const server = servers[index];
      if (server !== undefined) listening.push(await listenAt(server, place));
    }
    ready(listening, tokenFile, codes.make);
    // So that the first page finds it.
    watch(session).catch(() => undefined);
    void keepView(location, { ...ctx, monitor: SILENT, signal: AbortSignal.any([ctx.signal, ended.signal]) });
    await untilEnd(ctx.signal, idleMs, () => (running.size > 0 ? 0 : performance.now() - lastAt));
  } finally {
    ended.abort();
    await end(servers, running);
    lag.stop();
  }
}

function openServer(onRequest: (request: IncomingMessage, response: ServerResponse) => void, guard: Guard, lag: Lag): Server {
  const server = createServer({
    headersTimeout: HEADERS_MS,
    requestTimeout: REQUEST_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: CHECK_MS,
    maxHeaderSize: HEADER_BYTES,
    keepAlive: true,
    // The guard refuses a request without one, and says why.
    requireHostHeader: false,
  });
  forgive(server, HEADERS_MS, REQUEST_MS, lag);
  /** By connection, what is being answered. */
  const answering = new WeakMap<Socket, IncomingMessage>();
  // Half of a body waits for its sender, and not for us.
  boundConnections(server, MOST_CONNECTIONS, (socket) => guard.isKnown(socket) || answering.get(socket)?.complete === true);
  const take = (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request;
    answering.set(socket, request);
    response.once('close', () => answering.delete(socket));
    onRequest(request, response);
  };
  server.on('request', take);
  server.on('checkContinue', take);
  server.setTimeout(SILENT_MS, (socket) => {
    // Silence is what a backup sounds like; who does not read what is there for him is another matter.
    if (!answering.has(socket) || socket.writableLength > 0) socket.destroy();
  });
  server.on('clientError', (error, socket) => {
    const { document } = clientError(error);
    if (socket.writable) socket.end(rawAnswer(document));
    else socket.destroy();
  });
  return server;
}

function clientError(error: Error): Refusal {
  const errno = errnoOf(error);
  if (errno === 'ERR_HTTP_REQUEST_TIMEOUT') return refusal('http_timeout', 'The request did not come in time', 'send it again');
  if (errno === 'HPE_HEADER_OVERFLOW') return refusal('http_headers', 'The headers of the request are too long', null);
  return refusal('http_bad_request', 'This is no HTTP request', null);
}

function rawAnswer(document: ProblemDocument): string {
  const body = `${JSON.stringify(document)}\n`;
  const headers = { ...HEADERS, 'Content-Type': PROBLEM_TYPE, 'Content-Length': String(Buffer.byteLength(body)), Connection: 'close' };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${document.status} ${document.title}\r\n${lines.join('')}\r\n${body}`;
}

function stopping(): Refusal {
  return { document: problemOf(new CoraError('interrupted', 'The server is ending', { hint: 'start it again: cora serve' })) };
}

/** @param quietMs for how long nobody has asked */
function untilEnd(signal: AbortSignal, idleMs: number | undefined, quietMs: () => number): Promise<void> {
  return new Promise((resolve) => {
    const look =
      idleMs === undefined
        ? undefined
        : setInterval(
            () => {
              if (quietMs() >= idleMs) finish();
            },
            Math.min(1000, Math.max(50, idleMs / 4)),
          );
    const finish = () => {
      clearInterval(look);
      signal.removeEventListener('abort', finish);
      resolve();
    };
    signal.addEventListener('abort', finish, { once: true });
    if (signal.aborted) finish();
  });
}

/** Nobody new comes in; who is in has a moment. */
async function end(servers: readonly Server[], running: ReadonlySet<Promise<unknown>>): Promise<void> {
  const open = servers.filter(({ listening }) => listening);
  const closed = open.map((server) => new Promise<void>((resolve) => void server.close(() => resolve())));
  let late: NodeJS.Timeout | undefined;
  const deadline = new Promise<void>((resolve) => {
    late = setTimeout(resolve, END_MS);
  });
  const done = (async () => {
    while (running.size > 0) await Promise.allSettled(running);
    for (const server of open) server.closeIdleConnections();
    await Promise.all(closed);
  })();
  await Promise.race([done, deadline]);
  clearTimeout(late);
  for (const server of open) server.closeAllConnections();
  await Promise.all(closed);
}
