// What a person picked to bring back: files and directories of one snapshot. Picking from another snapshot begins anew. It goes with the
// tab, as the token does, and outlives a reload.

import { useEffect, useState } from 'preact/hooks';
import type { PathRef } from './types.ts';

export type Chosen = {
  readonly snapshot: string;
  readonly paths: readonly PathRef[] /** Everything, and no path in particular. */;
  readonly whole: boolean;
};

const NOTHING: Chosen = { snapshot: '', paths: [], whole: false };
const KEY = 'cora-chosen';
let chosen: Chosen = kept();
const listeners = new Set<(state: Chosen) => void>();

/** What the page before a reload had; nothing where that cannot be read. */
function kept(): Chosen {
  try {
    const found = JSON.parse(sessionStorage.getItem(KEY) ?? 'null') as Partial<Chosen> | null;
    if (typeof found?.snapshot !== 'string' || !Array.isArray(found.paths)) return NOTHING;
    const paths = found.paths.filter((one) => typeof one?.path === 'string');
    return { snapshot: found.snapshot, paths, whole: found.whole === true };
  } catch {
    return NOTHING;
  }
}

function set(next: Chosen): void {
  chosen = next;
  try {
    if (next.snapshot === '') sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, JSON.stringify(next));
  } catch {
    // Ten thousand files may be more than a browser keeps: then a reload begins anew.
  }
  for (const listener of listeners) listener(chosen);
}

export const keyOfPath = ({ path, path_base64 }: PathRef): string => path_base64 ?? `=${path}`;

export function useChosen(): Chosen {
  const [state, setState] = useState(chosen);
  useEffect(() => {
    listeners.add(setState);
    setState(chosen);
    return () => void listeners.delete(setState);
  }, []);
  return state;
}

export const isChosen = (state: Chosen, snapshot: string, file: PathRef): boolean =>
  state.snapshot === snapshot && state.paths.some((one) => keyOfPath(one) === keyOfPath(file));

export function toggle(snapshot: string, file: PathRef): void {
  const paths = chosen.snapshot === snapshot ? chosen.paths : [];
  const rest = paths.filter((one) => keyOfPath(one) !== keyOfPath(file));
  const only = file.path_base64 === undefined ? { path: file.path } : { path: file.path, path_base64: file.path_base64 };
  set({ snapshot, paths: rest.length === paths.length ? [...paths, only] : rest, whole: false });
}

export function choose(snapshot: string, paths: readonly PathRef[]): void {
  set({ snapshot, paths, whole: false });
}

export function chooseAll(snapshot: string): void {
  set({ snapshot, paths: [], whole: true });
}
