// An answer that a view needs: asked once, again when the vault changed, and the old one stays while the new one comes.

import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError } from './api.ts';
import { useChanges } from './live.ts';

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
  const changes = useChanges();
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
      .then((data) => {
        if (!stop.signal.aborted) setState({ key, data, error: undefined, loading: false });
      })
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
