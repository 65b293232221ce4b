// The server's events, held open while the page is: what runs now, and that something changed. The browser's EventSource
// cannot send a token, so the stream is read by fetch. A stream that breaks is taken up where it was.

import { useEffect, useState } from 'preact/hooks';
import { announce } from './announce.ts';
import { ApiError, openEvents, token } from './api.ts';

export type Run = {
  readonly run: string;
  readonly command: string;
  readonly phase: string;
  readonly text: string;
  /** 0 to 1; undefined where nobody knows how much there is. */
  readonly part: number | undefined;
  readonly problems: readonly { readonly message: string; readonly path?: string }[];
  /** Undefined while it runs. */
  readonly ended: { readonly ok: boolean; readonly seconds: number; readonly message: string | undefined } | undefined;
};

export type Live = {
  /** The stream was open and is not: what is shown may be old. */
  readonly broken: boolean;
  readonly runs: readonly Run[];
  /** Grows when the vault has something new: views look again. */
  readonly changes: number;
};

let live: Live = { broken: false, runs: [], changes: 0 };
const listeners = new Set<(state: Live) => void>();
const KEPT_MS = 8000;
const PROBLEMS = 20;

function set(next: Partial<Live>): void {
  live = { ...live, ...next };
  for (const listener of listeners) listener(live);
}

export function useLive(): Live {
  const [state, setState] = useState(live);
  useEffect(() => {
    listeners.add(setState);
    setState(live);
    return () => void listeners.delete(setState);
  }, []);
  return state;
}

/** Only that something changed: progress draws no view again. */
export function useChanges(): number {
  const [count, setCount] = useState(live.changes);
  useEffect(() => {
    const listener = (state: Live): void => setCount(state.changes);
    listeners.add(listener);
    listener(live);
    return () => void listeners.delete(listener);
  }, []);
  return count;
}

/** For what this page itself brought about: views look again, whether or not the stream tells of it. */
export function touch(): void {
  set({ changes: live.changes + 1 });
}

/**
 * Listens until the signal; waits longer after each failure, up to half a minute. A page that nobody sees holds no stream: a
 * browser has six connections to a server, for all its tabs, and a stream in each would leave none for what is asked.
 */
export async function listen(signal: AbortSignal): Promise<void> {
  let last: string | undefined;
  let wait = 500;
  while (!signal.aborted && token() !== null) {
    let answered = false;
    await untilSeen(signal);
    const hidden = new AbortController();
    const hide = (): void => {
      if (document.visibilityState === 'hidden') hidden.abort();
    };
    document.addEventListener('visibilitychange', hide);
    try {
      for await (const event of eventsOf(await openEvents(last, AbortSignal.any([signal, hidden.signal])))) {
        // What a server that was started anew did meanwhile, it cannot tell.
        if (live.broken) set({ broken: false, changes: live.changes + 1 });
        wait = 500;
        last = event.id ?? last;
        take(event.name, event.data);
      }
    } catch (error) {
      if (signal.aborted || (error instanceof ApiError && error.status === 401)) return;
      // A server that answers is there, also where it has too many listeners.
      answered = error instanceof ApiError && error.status > 0;
    } finally {
      document.removeEventListener('visibilitychange', hide);
    }
    if (hidden.signal.aborted) {
      await untilSeen(signal);
      // While nobody listens the server does not watch for what others do.
      touch();
      continue;
    }
    if (!signal.aborted && !answered) set({ broken: true });
    await new Promise((resolve) => setTimeout(resolve, wait));
    wait = Math.min(30_000, wait * 2);
  }
}

function untilSeen(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (document.visibilityState === 'hidden' && !signal.aborted) return;
      document.removeEventListener('visibilitychange', look);
      signal.removeEventListener('abort', look);
      resolve();
    };
    document.addEventListener('visibilitychange', look);
    signal.addEventListener('abort', look);
    look();
  });
}

type Told = {
  readonly run?: string;
  readonly command?: string;
  readonly phase?: string;
  readonly text?: string;
  readonly files?: number;
  readonly total_files?: number;
  readonly bytes?: number;
  readonly total_bytes?: number;
  readonly message?: string;
  readonly path?: string;
  readonly ok?: boolean;
  readonly seconds?: number;
  readonly error?: { readonly detail?: string };
  readonly runs?: readonly { readonly run: string; readonly command: string }[];
};

const fresh = (run: string, command: string): Run => ({ run, command, phase: '', text: '', part: undefined, problems: [], ended: undefined });

function take(name: string, told: Told): void {
  if (name === 'hello') set({ runs: (told.runs ?? []).map(({ run, command }) => fresh(run, command)) });
  else if (name === 'changed' || name === 'reset') touch();
  else if (told.run !== undefined) takeRun(name, told.run, told);
}

function takeRun(name: string, run: string, told: Told): void {
  const { command = '' } = told;
  const now = live.runs.find((one) => one.run === run) ?? fresh(run, command);
  if (name === 'started') announce(`${command} has started`);
  if (name === 'ended') {
    const ended = { ok: told.ok === true, seconds: told.seconds ?? 0, message: told.error?.detail };
    announce(ended.ok ? `${command} is done` : `${command} failed${ended.message === undefined ? '' : `: ${ended.message}`}`);
    put({ ...now, ended });
    setTimeout(() => set({ runs: live.runs.filter((one) => one.run !== run) }), KEPT_MS);
    touch();
  } else if (name === 'phase') put({ ...now, phase: told.phase ?? '', part: undefined, text: '' });
  else if (name === 'progress') put({ ...now, phase: told.phase ?? now.phase, text: told.text ?? '', part: partOf(told) });
  else if (name === 'problem' && now.problems.length < PROBLEMS)
    put({ ...now, problems: [...now.problems, { message: told.message ?? '', ...(told.path === undefined ? {} : { path: told.path }) }] });
  else if (name === 'started') put(now);
}

function put(run: Run): void {
  set({ runs: [...live.runs.filter((one) => one.run !== run.run), run] });
}

function partOf({ files = 0, total_files = 0, bytes = 0, total_bytes = 0 }: Told): number | undefined {
  if (total_bytes > 0) return Math.min(1, bytes / total_bytes);
  return total_files > 0 ? Math.min(1, files / total_files) : undefined;
}

type ServerEvent = { readonly id: string | undefined; readonly name: string; readonly data: Told };

/** Lines of text/event-stream; comments and what is no JSON are passed over. */
async function* eventsOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<ServerEvent> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = `${rest}${decoder.decode(value, { stream: true })}`.split(/\r?\n\r?\n/);
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const event = eventOf(block);
      if (event !== undefined) yield event;
    }
  }
}

function eventOf(block: string): ServerEvent | undefined {
  const field = (name: string): string | undefined =>
    block
      .split(/\r?\n/)
      .find((line) => line.startsWith(`${name}:`))
      ?.slice(name.length + 1)
      .trim();
  const data = field('data');
  if (data === undefined) return undefined;
  try {
    return { id: field('id'), name: field('event') ?? 'message', data: JSON.parse(data) as Told };
  } catch {
    return undefined;
  }
}
