// Every project that has copies at a remote, from the markers of the copies alone: no key of an encrypted copy, no vault and no
// project is needed. What has no marker, or one that cannot be read, is no copy and is named apart.

import type { Context } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import type { Complete } from '../format/complete.ts';
import { listCopies, type OffsiteSetup, openRemote, type RemoteCopies, type RemoteCopy, requireThere } from './offsite-remote.ts';
import { stopIfAborted } from './settle.ts';

/** One vault in one env. Two vaults in one env are two of these, and a mistake that ship refuses to make worse. */
export type FleetProject = {
  readonly env: string;
  readonly project: string;
  /** Where the newest copy was made. */
  readonly host: string;
  readonly vaultId: string;
  readonly copies: number;
  readonly bytes: number;
  readonly newest: Complete;
  /** Milliseconds since 1970: the moment that the newest copy stands for. */
  readonly newestTime: number;
  /** Of all its copies. */
  readonly encryption: 'age' | 'none' | 'mixed';
};

export type FleetRemote = {
  readonly remote: string;
  /** By env, then by name. */
  readonly projects: readonly FleetProject[];
  readonly damaged: RemoteCopies['damaged'];
  /** Why it could not be looked at. */
  readonly error: CoraError | undefined;
};

/** @throws CoraError interrupted, usage; what a remote does is in its result */
export async function fleet(setup: OffsiteSetup, remotes: readonly string[], from: 'configured' | 'typed', ctx: Context): Promise<FleetRemote[]> {
  const found: FleetRemote[] = [];
  for (const name of remotes) {
    stopIfAborted(ctx);
    try {
      const remote = await openRemote(setup, name, from, ctx);
      await requireThere(remote);
      const { copies, damaged } = await listCopies(remote, undefined);
      found.push({ remote: name, projects: projectsOf(copies), damaged, error: undefined });
    } catch (error) {
      if (!(error instanceof CoraError) || error.code === 'interrupted' || error.code === 'usage') throw error;
      found.push({ remote: name, projects: [], damaged: [], error });
    }
  }
  return found;
}

export function projectsOf(copies: readonly RemoteCopy[]): FleetProject[] {
  const groups = new Map<string, Complete[]>();
  for (const { complete } of copies) {
    const key = `${complete.env} ${complete.vault_id}`;
    groups.set(key, [...(groups.get(key) ?? []), complete]);
  }
  return [...groups.values()].flatMap((group) => projectOf(group) ?? []).sort(byName);
}

function projectOf(group: readonly Complete[]): FleetProject | undefined {
  const newest = group.reduce<Complete | undefined>((best, one) => (best === undefined || timeOf(one) >= timeOf(best) ? one : best), undefined);
  if (newest === undefined) return undefined;
  const kinds = new Set(group.map(({ encryption }) => encryption));
  return {
    env: newest.env,
    project: newest.project,
    host: newest.host,
    vaultId: newest.vault_id,
    copies: group.length,
    bytes: group.reduce((sum, { bytes }) => sum + bytes, 0),
    newest,
    newestTime: timeOf(newest),
    encryption: kinds.size > 1 ? 'mixed' : newest.encryption,
  };
}

function timeOf({ backup_start: start }: Complete): number {
  const time = Date.parse(start);
  return Number.isNaN(time) ? 0 : time;
}

function byName(a: FleetProject, b: FleetProject): number {
  const [left, right] = [a, b].map(({ env, project, vaultId }) => `${env} ${project} ${vaultId}`);
  return (left ?? '') < (right ?? '') ? -1 : 1;
}
