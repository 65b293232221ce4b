// Where the page is: `#/view/part?field=value`. The fragment never leaves the browser, so no name of a file is in the
// server's address; Back and a reload find the same view.

import { useEffect, useState } from 'preact/hooks';
import type { PathRef } from './types.ts';

export type Route = { readonly view: string; readonly part: string; readonly fields: URLSearchParams };

export function parseRoute(hash: string): Route {
  const [way = '', query = ''] = hash.replace(/^#\/?/, '').split('?', 2);
  const [view = '', part = ''] = way.split('/', 2);
  return { view: view === '' ? 'overview' : view, part: decode(part), fields: new URLSearchParams(query) };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The address of a view; fields that are undefined or empty are left out. */
export function href(view: string, part = '', fields: Readonly<Record<string, string | undefined>> = {}): string {
  const given = Object.entries(fields).flatMap(([name, value]) => (value === undefined || value === '' ? [] : [[name, value]]));
  return `#/${view}${part === '' ? '' : `/${encodeURIComponent(part)}`}${given.length === 0 ? '' : `?${new URLSearchParams(given)}`}`;
}

export const pathFields = ({ path, path_base64 }: PathRef): Readonly<Record<string, string | undefined>> => ({ path, b64: path_base64 });

export const pathOf = (fields: URLSearchParams): PathRef => ({ path: fields.get('path') ?? '', path_base64: fields.get('b64') ?? undefined });

export function go(address: string): void {
  location.hash = address;
}

/** Another state of the same view: Back does not stop at each letter of a search. */
export function replace(address: string): void {
  history.replaceState(null, '', address);
  dispatchEvent(new HashChangeEvent('hashchange'));
}

export function useRoute(): Route {
  const [route, setRoute] = useState(() => parseRoute(location.hash));
  useEffect(() => {
    const look = (): void => setRoute(parseRoute(location.hash));
    addEventListener('hashchange', look);
    return () => removeEventListener('hashchange', look);
  }, []);
  return route;
}
