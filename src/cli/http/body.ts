// Bodies: a request's as one JSON object of bounded size, an answer's as a stream that waits for its reader.
// Invariant: bytes are counted while they come; what a sender says of their number is not believed.

import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { CoraError } from '../../base/errors.ts';
import { PROBLEM_TYPE, type Refusal, refusal } from './problem.ts';

/** Of a request. */
const BODY_MOST = 1_000_000;
/** How long a sender may go on after the answer. */
const LINGER_MS = 2000;

export type Body = { readonly value: Readonly<Record<string, unknown>>; readonly refused?: undefined } | { readonly refused: Refusal };

/** True where the sender says so itself. */
export function isTooLarge(request: IncomingMessage): boolean {
  return Number(request.headers['content-length'] ?? 0) > BODY_MOST;
}

/** @param anyType false: what is not said to be JSON is refused */
export async function readBody(request: IncomingMessage, anyType: boolean): Promise<Body> {
  if (isTooLarge(request)) return { refused: tooLarge() };
  const chunks: Buffer[] = [];
  let size = 0;
  // Not for await: leaving that early would cut the connection before the answer is out.
  const over = await new Promise<boolean>((resolve, reject) => {
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= BODY_MOST) chunks.push(chunk);
      else resolve(true);
    });
    request.on('end', () => resolve(false));
    request.on('error', reject);
    request.on('close', () => reject(new CoraError('interrupted', 'The client went before its request was whole')));
  });
  if (over) {
    request.removeAllListeners('data').pause();
    return { refused: tooLarge() };
  }
  if (size === 0) return { value: {} };
  const type = request.headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase();
  if (!anyType && type !== 'application/json')
    return { refused: refusal('http_media_type', 'The body is not said to be JSON', 'send the header Content-Type: application/json') };
  return parsed(Buffer.concat(chunks));
}

function parsed(content: Buffer): Body {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(content));
  } catch {
    return { refused: refusal('http_bad_request', 'The body is not JSON in UTF-8', null) };
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return { refused: refusal('http_bad_request', 'The body is no JSON object', 'send {"name": value}, or no body') };
  return { value: value as Readonly<Record<string, unknown>> };
}

function tooLarge(): Refusal {
  return refusal('http_too_large', `The body is larger than ${BODY_MOST / 1_000_000} MB`, null);
}

/**
 * Without a look at the body: the connection ends with the answer. Not at once, or a sender that is still writing would
 * meet a broken connection instead of the answer.
 */
export function sendRefusal(request: IncomingMessage, response: ServerResponse, { document, headers }: Refusal): void {
  const hasBody = request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0;
  const body = `${JSON.stringify(document)}\n`;
  const closing = hasBody ? { Connection: 'close' } : {};
  response.writeHead(document.status, { 'Content-Type': PROBLEM_TYPE, 'Content-Length': Buffer.byteLength(body), ...headers, ...closing });
  if (request.method === 'HEAD') response.end();
  else if (!hasBody || request.complete) response.end(body);
  else {
    response.write(body);
    const end = () => {
      clearTimeout(late);
      response.end();
    };
    const late = setTimeout(end, LINGER_MS);
    request.once('end', end).once('close', end).once('error', end).resume();
  }
}

/** Writes chunk after chunk, each when the one before is on its way; ends early where the reader goes. */
export async function writeBody(response: ServerResponse, content: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
  try {
    for await (const chunk of content) {
      if (signal.aborted) break;
      if (!response.write(chunk)) await once(response, 'drain', { signal });
    }
    response.end();
  } catch {
    // The headers are out, so that only a broken connection can still say that it is not whole.
    response.destroy();
  }
}
