// Long lists: the server has them, and only the pages around what is looked at are here. Invariant: a page is asked for once at a
// time, and one that nobody looks at any more is not waited for.

import { useEffect, useRef, useState } from 'preact/hooks';
import type { ApiError } from './api.ts';
import { useChanges } from './live.ts';
import { asApiError } from './load.ts';

export type Page<T> = { readonly total: number; readonly items: readonly T[] };

export type Pages<T> = {
  /** Another list has another name. */
  readonly name: string | undefined;
  readonly total: number;
  /** Undefined while its page is on the way. */
  readonly at: (index: number) => T | undefined;
  /** Says which rows can be seen. */
  readonly look: (from: number, to: number) => void;
  /** The first page is there. */
  readonly loaded: boolean;
  readonly error: ApiError | undefined;
  /** The vault has something new, and somebody is in the middle of the list. */
  readonly stale: boolean;
  readonly again: () => void;
};

/** Who scrolls on does not wait for every page on the way. Milliseconds. */
const REST_MS = 60;

type State<T> = {
  readonly key: string | undefined;
  readonly total: number;
  readonly pages: ReadonlyMap<number, readonly T[]>;
  readonly error: ApiError | undefined;
};

/**
 * @param key names the list: another one begins anew; undefined asks nothing
 * @param size rows of a page
 */
export function usePages<T>(key: string | undefined, size: number, ask: (offset: number, signal: AbortSignal) => Promise<Page<T>>): Pages<T> {
  const changes = useChanges();
  const [state, setState] = useState<State<T>>({ key, total: 0, pages: new Map(), error: undefined });
  const [round, setRound] = useState(0);
  const [stale, setStale] = useState(false);
  const latest = useRef(ask);
  latest.current = ask;
  const work = useRef<{ readonly pending: Map<number, AbortController>; readonly pages: Map<number, readonly T[]> }>({
    pending: new Map(),
    pages: new Map(),
  });
  const range = useRef({ from: 0, to: size });
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);

  const fetchPage = (page: number): void => {
    const { pending, pages } = work.current;
    if (key === undefined || pending.has(page) || pages.has(page)) return;
    const own = work.current;
    const stop = new AbortController();
    pending.set(page, stop);
    latest
      .current(page * size, stop.signal)
      .then(({ total, items }) => {
        if (own !== work.current) return;
        pages.set(page, items);
        setState({ key, total, pages: new Map(pages), error: undefined });
      })
      .catch((error: unknown) => {
        if (own === work.current && !stop.signal.aborted) setState((was) => ({ ...was, key, error: asApiError(error) }));
      })
      .finally(() => {
        if (pending.get(page) === stop) pending.delete(page);
      });
  };

  const fetchRange = (): void => {
    const { pending } = work.current;
    const first = Math.floor(range.current.from / size);
    const last = Math.floor(Math.max(range.current.from, range.current.to - 1) / size);
    for (const [page, stop] of pending) {
      if (page >= first && page <= last) continue;
      pending.delete(page);
      stop.abort();
    }
    for (let page = first; page <= last; page += 1) fetchPage(page);
  };

  const shown = useRef(key);
  useEffect(() => {
    work.current = { pending: new Map(), pages: new Map() };
    const own = work.current;
    if (shown.current !== key) range.current = { from: 0, to: size };
    shown.current = key;
    setStale(false);
    fetchRange();
    return () => {
      clearTimeout(timer.current);
      for (const stop of own.pending.values()) stop.abort();
    };
  }, [key, size, round]);

  const seen = useRef(changes);
  useEffect(() => {
    if (seen.current === changes) return;
    seen.current = changes;
    if (range.current.from === 0) setRound((count) => count + 1);
    else setStale(true);
  }, [changes]);

  const look = (from: number, to: number): void => {
    range.current = { from, to };
    clearTimeout(timer.current);
    timer.current = setTimeout(fetchRange, REST_MS);
  };

  const current = state.key === key ? state : { total: 0, pages: new Map<number, readonly T[]>(), error: undefined };
  return {
    name: key,
    total: current.total,
    at: (index) => current.pages.get(Math.floor(index / size))?.[index % size],
    look,
    loaded: current.pages.size > 0,
    error: current.error,
    stale,
    again: () => setRound((count) => count + 1),
  };
}
