// One HTTP request with a time limit, for a user's check. node:http and not fetch: fetch refuses some
// ports, and both take no proxy from the environment. Redirects are not followed: they are an answer.

import type { Agent, IncomingHttpHeaders, IncomingMessage } from 'node:http';

export type Probe = {
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Milliseconds for all of it. */
  readonly timeout: number;
  readonly signal: AbortSignal;
  /** Keeps connections for the next request (of the URL's protocol); undefined: a connection of its own. */
  readonly agent?: Agent;
};

export type Answer = {
  readonly status: number;
  readonly body: string;
  readonly location: string | undefined;
  readonly headers: Readonly<IncomingHttpHeaders>;
};

/** An answer of JSON or XML is small; more is cut off. */
const MAX_BODY = 1 << 20;

/**
 * Sends the request and reads the answer.
 * @throws Error with a sentence where there is no answer: refused, too slow, not HTTP
 */
export async function probe({ url, method, headers, body, timeout, signal, agent }: Probe): Promise<Answer> {
  const target = new URL(url);
  const { request } = target.protocol === 'https:' ? await import('node:https') : await import('node:http');
  const limit = AbortSignal.timeout(timeout);
  const content = body === undefined ? undefined : Buffer.from(body);
  try {
    return await new Promise<Answer>((resolve, reject) => {
      const sent = request(
        target,
        {
          method,
          headers: { ...(content === undefined ? {} : { 'content-length': content.length }), ...headers },
          agent: agent ?? false,
          signal: AbortSignal.any([limit, signal]),
        },
        (response) => readAnswer(response).then(resolve, reject),
      );
      sent.on('error', reject);
      sent.end(content);
    });
  } catch (error) {
    if (signal.aborted) throw error;
    if (limit.aborted) throw new Error(`no answer within ${timeout / 1000} s`, { cause: error });
    throw new Error(reasonOf(error), { cause: error });
  }
}

async function readAnswer(response: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > MAX_BODY) break;
  }
  const { headers, statusCode } = response;
  return { status: statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8', 0, MAX_BODY), location: headers.location, headers };
}

/** A name with several addresses fails with an error of errors that has no message. */
function reasonOf(error: unknown): string {
  const errors = error instanceof AggregateError ? error.errors : [error];
  const first: unknown = errors[0];
  if (first instanceof Error && 'code' in first && first.code === 'ECONNREFUSED') return 'nobody answers there (connection refused)';
  return first instanceof Error ? first.message : String(first);
}
