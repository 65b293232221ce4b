// What the state routes and the metrics are made from, looked at together and remembered for a moment: a page, its other
// tabs and a Prometheus must not make the server look twice. A ledger with another end is looked at again.

import { statSync } from 'node:fs';
import { type HealthResult, health } from '../../actions/health.ts';
import { type KeptPromise, promisesOf } from '../../actions/promises.ts';
import type { StatusResult } from '../../actions/status.ts';
import { listSnapshots } from '../../vault/catalog.ts';
import { NAMES, timeOfId } from '../../vault/layout.ts';
import { openLocated, type VaultLocation } from '../../vault/locate.ts';
import type { Project } from '../../vault/project.ts';
import { protectionsOf } from '../../vault/seal.ts';
import type { Session } from '../command.ts';
import { lookAtStatus } from '../commands/status.ts';
import { timersOptions } from '../timers-session.ts';

export type State = {
  readonly health: HealthResult;
  readonly promises: readonly KeptPromise[];
  readonly status: StatusResult;
  /** The result of `cora status --json`. */
  readonly document: Readonly<Record<string, unknown>>;
};

/** What nobody writes down in the ledger (free space, a timer that was stopped) is at most so old. */
const LIFE_MS = 10_000;

/** The state now, or that of a moment ago. */
export type Watch = (session: Session) => Promise<State>;

export function openWatch(): Watch {
  let last: { readonly key: string; readonly until: number; readonly state: Promise<State> } | undefined;
  return async (session) => {
    const { project, location } = await session.open();
    const key = keyOf(location);
    const now = performance.now();
    if (last !== undefined && last.key === key && now < last.until) return last.state;
    const state = look(project, location, session);
    last = { key, until: now + LIFE_MS, state };
    // What failed is not remembered.
    state.catch(() => {
      if (last?.state === state) last = undefined;
    });
    return state;
  };
}

function keyOf({ path }: VaultLocation): string {
  const stat = statSync(`${path}/${NAMES.chain}`, { throwIfNoEntry: false });
  return `${path} ${stat?.size} ${stat?.mtimeMs} ${stat?.ino}`;
}

async function look(project: Project, location: VaultLocation, session: Session): Promise<State> {
  const { machine, ctx } = session;
  const found = await health({ project, location, machine, timers: timersOptions({}, session), maxAge: undefined, deep: false }, ctx);
  const { result, document, around } = await lookAtStatus(session);
  const vault = openLocated(location);
  const newest = listSnapshots(vault).findLast(({ kind }) => kind === 'backup');
  const promises = promisesOf({
    status: result,
    newestBackup:
      newest === undefined
        ? undefined
        : { id: newest.id, time: timeOfId(newest.id), isSealed: protectionsOf(vault, [newest]).get(newest) === 'kernel' },
    offsite: around.offsite?.status,
    maxAge: project.config.health.maxAge,
    now: ctx.now(),
  });
  return { health: found, promises, status: result, document };
}
