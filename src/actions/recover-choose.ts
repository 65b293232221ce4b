// Which copy at a remote a person means: by id, moment or `latest`, of one project and env. From the markers alone, so that nothing
// is downloaded for the question. Invariant: where several projects or envs fit it asks or refuses; it never takes one of them.

import type { Context } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import { formatAge } from '../base/units.ts';
import { readWhen, type When } from '../language/when.ts';
import { momentText } from '../language/zone.ts';
import { parseId, timeOfId } from '../vault/layout.ts';
import type { RemoteCopies, RemoteCopy } from './offsite-remote.ts';

/** All copies of one vault in one env. */
export type CopyGroup = {
  readonly env: string;
  readonly vaultId: string;
  readonly project: string;
  readonly host: string;
  /** Newest first. */
  readonly copies: readonly RemoteCopy[];
};

/** At most one of them; none: the newest good one. */
export type Wanted = {
  /** An id or the beginning of one, `latest`, or `@WHEN`. */
  readonly name?: string | undefined;
  readonly at?: string | undefined;
};

/** Milliseconds by which a clock may run ahead before its snapshots are of the future (as `latest` has it). */
const CLOCK_SLACK = 120_000;

export function timeOf({ complete }: RemoteCopy): number {
  const id = parseId(complete.snapshot_id);
  return id === undefined ? Date.parse(complete.backup_start) : timeOfId(id);
}

/** Newest first: by the id's second, and in the same second by the instant that the snapshot stands for. */
export function newestFirst(a: RemoteCopy, b: RemoteCopy): number {
  return timeOf(b) - timeOf(a) || (a.complete.backup_start < b.complete.backup_start ? 1 : -1);
}

/** Projects at a remote, that with the newest copy first. */
export function groupCopies({ copies }: RemoteCopies): CopyGroup[] {
  const groups = new Map<string, RemoteCopy[]>();
  for (const copy of copies) {
    const key = `${copy.complete.env} ${copy.complete.vault_id}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [copy]);
    else group.push(copy);
  }
  return [...groups.values()]
    .map((group) => group.sort(newestFirst))
    .sort(([a], [b]) => (a === undefined || b === undefined ? 0 : newestFirst(a, b)))
    .flatMap((group) => {
      const { env, vault_id: vaultId, project, host } = group[0]?.complete ?? {};
      return env === undefined || vaultId === undefined || project === undefined || host === undefined
        ? []
        : [{ env, vaultId, project, host, copies: group }];
    });
}

/** The groups that can be meant: those that have the id, where one was named. */
export function fittingGroups(groups: readonly CopyGroup[], { name }: Wanted): readonly CopyGroup[] {
  if (name === undefined || !isIdPart(name)) return groups;
  const fitting = groups.filter(({ copies }) => copies.some(({ complete }) => complete.snapshot_id.startsWith(name)));
  return fitting.length === 0 ? groups : fitting;
}

const isIdPart = (name: string) => /^\d{4,8}(?:-[\da-z-]*)?$/.test(name);

/**
 * The one group that is meant.
 * @throws CoraError unknown_snapshot where there is none, refused where several fit
 */
export function onlyGroup(groups: readonly CopyGroup[], remote: string, env: string | undefined): CopyGroup {
  const [only, ...others] = groups;
  if (only === undefined) {
    throw new CoraError('unknown_snapshot', `There is no complete copy ${env === undefined ? '' : `of env ${env} `}at ${remote}`, {
      hint:
        env === undefined
          ? 'name the directory above the env (name:bucket/path); cora recover REMOTE lists what is there'
          : `cora recover ${remote} lists the envs that are there`,
    });
  }
  if (others.length === 0) return only;
  const envs = new Set(groups.map(({ env }) => env));
  const choices = groups.map(({ env, project, host }) => `--env ${env} (${project} of ${host})`);
  throw new CoraError('refused', `${groups.length} projects at ${remote} fit, and nobody can be asked: ${choices.join(', ')}`, {
    hint: envs.size === groups.length ? 'name one with --env' : 'name the whole id of the copy (cora recover REMOTE lists them)',
    details: { choices: groups.map(({ env, project, host, vaultId }) => ({ env, project, host, vault_id: vaultId })) },
  });
}

/**
 * The copy of a group that is meant. A moment is told by a note.
 * @throws CoraError unknown_snapshot, ambiguous_snapshot, ambiguous_moment, usage
 */
export async function chooseCopy(group: CopyGroup, { name, at }: Wanted, ctx: Context): Promise<RemoteCopy> {
  const said = at ?? (name?.startsWith('@') === true ? name : undefined);
  if (said !== undefined) return atMoment(group, said.replace(/^@/, '').trim(), ctx);
  if (name !== undefined && name !== 'latest') return named(group, name);
  const copy = newestGood(group.copies, Number.MAX_SAFE_INTEGER, ctx.now());
  if (copy === undefined) throw none(group, 'There is no copy of the whole project to take');
  return copy;
}

function named({ copies, env, project }: CopyGroup, name: string): RemoteCopy {
  const fitting = copies.filter(({ complete }) => complete.snapshot_id === name || (name.length >= 4 && complete.snapshot_id.startsWith(name)));
  const ids = new Set(fitting.map(({ complete }) => complete.snapshot_id));
  if (ids.size > 1 && !ids.has(name)) {
    throw new CoraError('ambiguous_snapshot', `${name} can mean ${ids.size} copies: ${[...ids].slice(0, 8).join(', ')}`, {
      hint: 'write more of the id',
      details: { candidates: [...ids] },
    });
  }
  const copy = preferBackup(ids.has(name) ? fitting.filter(({ complete }) => complete.snapshot_id === name) : fitting);
  if (copy !== undefined) return copy;
  throw new CoraError('unknown_snapshot', `There is no complete copy ${name} of ${project} in ${env}`, {
    hint: 'cora recover REMOTE lists what is there; a directory without COMPLETE.json does not count',
  });
}

async function atMoment(group: CopyGroup, said: string, ctx: Context): Promise<RemoteCopy> {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const when = await readWhen(said, ctx.now(), zone);
  const target = when.kind === 'before' ? beforeNamed(group, when) : undefined;
  const candidates = target === undefined ? group.copies : group.copies.slice(group.copies.indexOf(target) + 1);
  const until = target !== undefined ? timeOf(target) : when.kind === 'moment' ? when.time : (when.time ?? 0) - 1;
  const copy = newestGood(candidates, until, ctx.now());
  if (copy === undefined) throw none(group, `No good copy was made until ${momentText(until, zone)} (${said})`);
  const age = formatAge(until - timeOf(copy)).replace(/ ago$/, '');
  ctx.monitor.note(`${said} = ${momentText(until, zone)}: ${copy.complete.snapshot_id}, ${age} before it`);
  return copy;
}

/** The copy that is named; undefined where the words are a moment. Of commits and labels the markers say nothing. */
function beforeNamed({ copies }: CopyGroup, { name, time }: Extract<When, { kind: 'before' }>): RemoteCopy | undefined {
  const copy = isIdPart(name) ? copies.findLast(({ complete }) => complete.snapshot_id.startsWith(name)) : undefined;
  if (copy !== undefined || time !== undefined) return copy;
  throw new CoraError('unknown_snapshot', `The markers at the remote know no commit or label ${name}`, {
    hint: 'name an id or a moment; after cora recover --vault-only --all, cora restore knows labels',
  });
}

/** As `latest` in a vault: what is suspect or no whole project only where there is nothing else, nothing of the future. */
function newestGood(copies: readonly RemoteCopy[], until: number, now: number): RemoteCopy | undefined {
  const past = copies.filter((copy) => timeOf(copy) <= Math.min(until, now + CLOCK_SLACK));
  const good = past.filter(({ complete }) => complete.status !== 'suspect' && complete.kind !== 'fallback');
  const newest = good[0] ?? past.find(({ complete }) => complete.kind !== 'fallback') ?? past[0];
  return newest === undefined ? undefined : preferBackup(past.filter(({ complete }) => complete.snapshot_id === newest.complete.snapshot_id));
}

function preferBackup(copies: readonly RemoteCopy[]): RemoteCopy | undefined {
  return copies.find(({ complete }) => complete.kind === 'backup') ?? copies[0];
}

function none({ copies, project, env }: CopyGroup, message: string): CoraError {
  const oldest = copies.at(-1)?.complete.snapshot_id;
  return new CoraError('unknown_snapshot', `${message}: ${project} in ${env}`, {
    hint: oldest === undefined ? 'cora recover REMOTE lists what is there' : `the oldest is ${oldest}`,
  });
}
