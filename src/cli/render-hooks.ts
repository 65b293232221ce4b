// `cora hooks ...` as lines for people. Pure.

import type { HooksResult } from '../actions/hooks.ts';
import type { HooksStatus } from '../actions/hooks-status.ts';
import { visible } from './render.ts';

export function hooksLines({ manager, changes }: HooksResult): string[] {
  if (changes.length === 0) return ['No hook of Cora is installed here'];
  return changes.map(({ hook, path, action, reason }) => {
    const what = action === 'unchanged' ? 'is installed already' : action === 'kept' ? `kept as it is: ${reason ?? ''}` : action;
    return `${hook}: ${what} (${manager}: ${visible(path)})`;
  });
}

export function hooksStatusLines({ manager, hooks }: HooksStatus): string[] {
  return hooks.map(({ hook, path, installed, edited, reason }) => {
    const state = !installed
      ? `NOT INSTALLED: ${reason ?? ''}`
      : reason === undefined
        ? 'installed, and git runs it here'
        : `installed, but it would NOT RUN: ${reason}`;
    return `${hook}: ${visible(state)}${edited ? ' (its block was edited by hand)' : ''} (${manager}: ${visible(path)})`;
  });
}
