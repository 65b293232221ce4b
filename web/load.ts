// An answer that a view needs: asked once, again when the vault changed, and the old one stays while the new one comes.

import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError } from './api.ts';
import { useLive } from './live.ts';

export type Loaded<T> = { readonly data: T | undefined; readonly error: ApiError | undefined; readonly loading: boolean };

export const asApiError = (error: unknown): ApiError =>
  error instanceof ApiError ? error : new ApiError({ status: 0, code: 'page', detail: error instanceof Error ? error.message : String(error) });

/**
 * @param key names the question: another key drops the answer; undefined asks nothing
 * @param ask called with a signal that ends when the answer is not wanted any more
 */
export function useLoad<T>(
  key: string | undefined,
  ask: (signal: AbortSignal) => Promise<T>,
  options: { readonly follow?: boolean } = {},
): Loaded<T> & { readonly again: () => void } {
  const { changes } = useLive();
  const [asked, setAsked] = useState(0);
  const [state, setState] = useState<Loaded<T> & { readonly key: string | undefined }>({
    key,
    data: undefined,
    error: undefined,
    loading: key !== undefined,
  });
  const latest = useRef(ask);
  latest.current = ask;
  const pulse = options.follow === false ? 0 : changes;
  useEffect(() => {
    if (key === undefined) return undefined;
    const stop = new AbortController();
    setState((was) => ({ key, data: was.key === key ? was.data : undefined, error: undefined, loading: true }));
    latest
      .current(stop.signal)
      .then((data) => setState({ key, data, error: undefined, loading: false }))
      .catch((error: unknown) => {
        if (!stop.signal.aborted)
          setState((was) => ({ key, data: was.key === key ? was.data : undefined, error: asApiError(error), loading: false }));
      });
    return () => stop.abort();
  }, [key, asked, pulse]);
  const current = state.key === key ? state : { data: undefined, error: undefined, loading: key !== undefined };
  return { data: current.data, error: current.error, loading: current.loading, again: () => setAsked((count) => count + 1) };
}

/** How often an answer that is still being worked out is asked for again. Milliseconds. */
const AGAIN_MS = 600;

/** Asks until the answer is ready; where the server reads a long history for the first time that takes a while. */
export async function whenReady<T extends { readonly ready?: boolean }>(ask: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (answer.ready !== false) return answer;
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    signal.throwIfAborted();
  }
}

/** Does something again and again while the view is there and can be seen. */
export function useEvery(milliseconds: number, work: () => void): void {
  const latest = useRef(work);
  latest.current = work;
  useEffect(() => {
    const timer = setInterval(() => {
      if (document.visibilityState === 'visible') latest.current();
    }, milliseconds);
    return () => clearInterval(timer);
  }, [milliseconds]);
}

export type Pages<T> = { readonly items: readonly T[]; readonly total: number; readonly next: string | null };

/**
 * A list that comes in pages, more of it when somebody gets there. When the vault changes, a list of which only the beginning is shown is
 * asked for again; one that somebody went down in stays as it is, and `stale` says that there is something new.
 */
export function usePages<T>(key: string | undefined, ask: (after: string | undefined, signal: AbortSignal) => Promise<Pages<T>>) {
  const { changes } = useLive();
  const first = useLoad(key, (signal) => ask(undefined, signal), { follow: false });
  const [more, setMore] = useState<{ readonly of: Pages<T>; readonly items: readonly T[]; readonly next: string | null }>();
  const [failed, setFailed] = useState<ApiError>();
  const [stale, setStale] = useState(false);
  const busy = useRef(false);
  const head = first.data;
  const extra = more !== undefined && more.of === head ? more : undefined;
  const next = extra === undefined ? (head?.next ?? null) : extra.next;
  const wanted = useRef(head);
  wanted.current = head;
  const again = (): void => {
    setStale(false);
    first.again();
  };
  const seen = useRef(changes);
  useEffect(() => {
    if (seen.current === changes) return;
    seen.current = changes;
    if (extra === undefined) first.again();
    else setStale(true);
  }, [changes, extra, first.again]);
  const load = (): void => {
    if (busy.current || head === undefined || next === null) return;
    busy.current = true;
    ask(next, new AbortController().signal)
      .then((page) => {
        setFailed(undefined);
        if (wanted.current === head) setMore({ of: head, items: [...(extra?.items ?? []), ...page.items], next: page.next });
      })
      .catch((error: unknown) => setFailed(asApiError(error)))
      .finally(() => {
        busy.current = false;
      });
  };
  return {
    items: head === undefined ? [] : extra === undefined ? head.items : [...head.items, ...extra.items],
    total: head?.total ?? 0,
    loading: first.loading,
    loaded: head !== undefined,
    error: first.error ?? failed,
    more: next === null ? undefined : load,
    stale,
    again,
  };
}
