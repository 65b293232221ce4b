// The part of `cora status` that tells whether Cora runs by itself: the push hook and the timers. What
// cannot be asked is left out; it never keeps the rest of the status from being shown.

import { type HooksStatus, hooksStatus } from '../actions/hooks-status.ts';
import { type TimersStatus, timersStatus } from '../actions/timers-status.ts';
import type { VaultLocation } from '../vault/locate.ts';
import type { Project } from '../vault/project.ts';
import type { Session } from './command.ts';
import { timersOptions } from './timers-session.ts';

export type AutomaticStatus = {
  readonly hooks: HooksStatus | undefined;
  readonly timers: TimersStatus | undefined;
  readonly warnings: readonly { readonly message: string; readonly next: string }[];
};

export function automaticStatus(project: Project, location: VaultLocation, session: Session): AutomaticStatus {
  const warnings: { message: string; next: string }[] = [];
  const hooks = attempt(() => hooksStatus(project.root, session.machine));
  for (const { hook, runs, installed, reason } of hooks?.hooks ?? []) {
    if (!runs)
      warnings.push({
        message: installed ? `The ${hook} hook would not run: ${reason ?? ''}` : `The ${hook} hook is not installed`,
        next: 'cora hooks install',
      });
  }
  const timers = attempt(() => timersStatus(session.machine, { project, location }, timersOptions({}, session), session.ctx.now()));
  warnings.push(...(timers?.problems ?? []));
  return { hooks, timers, warnings };

  function attempt<T>(ask: () => T): T | undefined {
    try {
      return ask();
    } catch {
      // Outside a git work tree there is no hook to tell of, and the timers save it all the same.
      return undefined;
    }
  }
}
