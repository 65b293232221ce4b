// Questions to the server that this page came from. The token lives in sessionStorage alone: it goes with the tab, never
// into an address, a cookie or the document. An answer is taken as docs/http.md describes it.

import type { PathRef, ProblemDocument } from './types.ts';

const KEY = 'cora-token';

/** Answers of a server that has too much to do just now. */
const BUSY: readonly number[] = [408, 429, 503];
const TRIES = 4;
const BUSY_MS = 400;

/** What the server refused, with its code and the next command; code `network` where it did not answer. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly next: string | undefined;

  constructor(problem: ProblemDocument) {
    super(problem.detail ?? problem.title ?? `The server answered ${problem.status}`);
    this.status = problem.status;
    this.code = problem.code ?? 'http';
    this.next = problem.next ?? undefined;
  }
}

let refused = (): void => {};

/** @param told called when the server does not know our token any more */
export function onRefused(told: () => void): void {
  refused = told;
}

export const token = (): string | null => sessionStorage.getItem(KEY);

export function keepToken(value: string): void {
  sessionStorage.setItem(KEY, value);
}

export function forgetToken(): void {
  sessionStorage.removeItem(KEY);
}

export type Query = Readonly<Record<string, string | number | undefined>>;

/** The query fields of a path: its bytes where text alone would not name it. */
export const pathQuery = ({ path, path_base64 }: PathRef): Query => (path_base64 === undefined ? { path } : { path_base64 });

/** @throws ApiError */
export async function get<T>(path: string, query: Query = {}, signal?: AbortSignal): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      const answer = await ask(`/api/v1/${path}${queryText(query)}`, { ...(signal === undefined ? {} : { signal }) });
      return (await answer.json()) as T;
    } catch (error) {
      // A question changes nothing: where the server was busy it is asked again.
      if (!(error instanceof ApiError) || !BUSY.includes(error.status) || tries === TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, tries * BUSY_MS));
      signal?.throwIfAborted();
    }
  }
}

/** @throws ApiError */
export async function post<T>(path: string, body: Readonly<Record<string, unknown>> = {}): Promise<T> {
  const answer = await ask(`/api/v1/${path}`, { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });
  return (await answer.json()) as T;
}

/** A file's content as the browser's own download. @throws ApiError */
export async function download(id: string, file: PathRef): Promise<void> {
  const answer = await ask(`/api/v1/snapshots/${encodeURIComponent(id)}/content${queryText(pathQuery(file))}`, {});
  const address = URL.createObjectURL(await answer.blob());
  const link = document.createElement('a');
  link.href = address;
  link.download = file.path.slice(file.path.lastIndexOf('/') + 1);
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** The stream of events. @throws ApiError */
export async function openEvents(after: string | undefined, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
  const answer = await ask('/api/v1/events', { signal, headers: after === undefined ? {} : { 'last-event-id': after } });
  if (answer.body === null) throw new ApiError({ status: 0, code: 'network', detail: 'The server sends no events' });
  return answer.body;
}

/** The one-time code of the link that `cora serve` printed, for the token. @throws ApiError */
export async function login(code: string): Promise<void> {
  const answer = await post<{ token: string }>('login', { code });
  keepToken(answer.token);
}

async function ask(address: string, init: RequestInit): Promise<Response> {
  const headers = new Headers(init.headers);
  const known = token();
  if (known !== null) headers.set('authorization', `Bearer ${known}`);
  let answer: Response;
  try {
    answer = await fetch(address, { ...init, headers, cache: 'no-store', credentials: 'omit', redirect: 'error', referrerPolicy: 'no-referrer' });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new ApiError({ status: 0, code: 'network', detail: 'Cora does not answer: is cora serve still running?', next: 'cora serve' });
  }
  if (answer.ok) return answer;
  const problem = await problemOf(answer);
  if (answer.status === 401 && known !== null && known === token()) {
    forgetToken();
    refused();
  }
  throw new ApiError(problem);
}

async function problemOf(answer: Response): Promise<ProblemDocument> {
  try {
    const problem = (await answer.json()) as Partial<ProblemDocument>;
    return { ...problem, status: answer.status };
  } catch {
    return { status: answer.status };
  }
}

function queryText(query: Query): string {
  const fields = Object.entries(query).flatMap(([name, value]) => (value === undefined || value === '' ? [] : [[name, String(value)]]));
  return fields.length === 0 ? '' : `?${new URLSearchParams(fields)}`;
}
