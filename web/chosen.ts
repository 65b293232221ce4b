// What a person picked to bring back: files and directories of one snapshot. Picking from another snapshot begins anew.

import { useEffect, useState } from 'preact/hooks';
import type { PathRef } from './types.ts';

export type Chosen = {
  readonly snapshot: string;
  readonly paths: readonly PathRef[] /** Everything, and no path in particular. */;
  readonly whole: boolean;
};

let chosen: Chosen = { snapshot: '', paths: [], whole: false };
const listeners = new Set<(state: Chosen) => void>();

function set(next: Chosen): void {
  chosen = next;
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
