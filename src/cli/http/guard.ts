// Who may ask: what is checked of every request before it reaches a route. Invariants: Host and Origin come before
// the token (DESIGN 8.36); the token is compared in constant time and only ever taken from the Authorization header.

import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { failureLimit, rateLimit } from './limits.ts';
import { type Refusal, refusal } from './problem.ts';

/** Names that reach this machine alone. A page of another name that resolves to it (DNS rebinding) is none of them. */
const HOST = /^(?:127\.0\.0\.1|\[::1\]|localhost)(?::(\d{1,5}))?$/i;
const PORTS = 65_535;
const BEARER = /^Bearer +([A-Za-z0-9_-]{1,200})$/i;
const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST']);

/** What is for everybody: the page, which holds no data, and the one-time code for a token. */
export const OPEN: ReadonlySet<string> = new Set(['GET /', 'HEAD /', 'GET /favicon.ico', 'POST /api/v1/login']);

export type Guard = {
  /** Undefined where the request may go on. */
  refuse(request: IncomingMessage): Refusal | undefined;
  /** Whether a request with the token has come over it. */
  isKnown(socket: Socket): boolean;
  /** The answer to a code that was wrong. */
  wrongCode(address: string): Refusal;
};

/** @param now milliseconds */
export function openGuard(token: string, tokenFile: string, now: () => number): Guard {
  const expected = digest(token);
  const requests = rateLimit(now);
  const failures = failureLimit(now);
  // A page elsewhere that sends requests takes none from who asks here.
  const foreigners = rateLimit(now);
  const known = new WeakSet<Socket>();
  const failed = (address: string) => {
    const wait = failures.failed(address);
    return wait === undefined ? undefined : tooMany('Too many wrong tokens', wait);
  };
  return {
    wrongCode: (address) => failed(address) ?? unauthorized('This is not the code, or it was used', 'start cora serve again, or paste the token'),
    isKnown: (socket) => known.has(socket),
    refuse(request) {
      const refused = refuseForeign(request);
      if (refused !== undefined) {
        const wait = foreigners.taken(addressOf(request));
        return wait === undefined ? refused : tooMany('Too many requests', wait);
      }
      const { method = '', url = '' } = request;
      const address = addressOf(request);
      const given = BEARER.exec(request.headers.authorization ?? '')?.[1];
      const isRight = given !== undefined && timingSafeEqual(digest(given), expected);
      if (isRight) known.add(request.socket);
      // Who has the token and who has not do not wait for each other.
      const wait = requests.taken(isRight ? 'token' : address);
      if (wait !== undefined) return tooMany('Too many requests', wait);
      const asked = `${method} ${url.split('?', 1)[0]}`;
      if (isRight || OPEN.has(asked)) return undefined;
      const many = given === undefined ? undefined : failed(address);
      if (many !== undefined) return many;
      const said = given === undefined ? 'This needs the token' : 'This is not the token';
      return unauthorized(said, `send the header Authorization: Bearer TOKEN; the token is the line of ${tokenFile}`);
    },
  };
}

/** Where a request comes from; a unix socket has no address, and stands for who may open it. */
export function addressOf(request: IncomingMessage): string {
  return request.socket.remoteAddress ?? 'unix';
}

function refuseForeign(request: IncomingMessage): Refusal | undefined {
  const { headers, rawHeaders, method = '', url = '' } = request;
  const hosts = rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host').length;
  const host = headers.host ?? '';
  const named = HOST.exec(host);
  if (hosts !== 1 || named === null || Number(named[1] ?? 0) > PORTS)
    return forbidden('This name is not served here', 'use 127.0.0.1, [::1] or localhost');
  // Else a request says where it goes twice, and differently.
  if (!url.startsWith('/')) return forbidden('The target of the request is no path', null);
  if (headers.origin !== undefined && headers.origin.toLowerCase() !== `http://${host.toLowerCase()}`)
    return forbidden('A page of another origin may not ask this', 'open the address that cora serve printed');
  const site = headers['sec-fetch-site'];
  const isPage = (method === 'GET' || method === 'HEAD') && url === '/';
  if (site !== undefined && site !== 'same-origin' && site !== 'none' && !isPage)
    return forbidden('A page of another site may not ask this', 'open the address that cora serve printed');
  if (METHODS.has(method)) return undefined;
  return refusal('http_method', `The method ${method} is not served`, null, { Allow: 'GET, HEAD, POST' });
}

function unauthorized(detail: string, next: string): Refusal {
  return refusal('http_unauthorized', detail, next, { 'WWW-Authenticate': 'Bearer realm="cora"' });
}

function forbidden(detail: string, next: string | null): Refusal {
  return refusal('http_forbidden', detail, next);
}

function tooMany(detail: string, waitMs: number): Refusal {
  const seconds = Math.max(1, Math.ceil(waitMs / 1000));
  return refusal('http_too_many', `${detail}: again in ${seconds} s`, null, { 'Retry-After': String(seconds) });
}

/** Of one length, whatever was sent. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
