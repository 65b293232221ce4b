// From what a person calls a snapshot to the snapshot: a name, a moment ("@yesterday", "before v1.2"), or
// the latest of a type. Invariant: a moment never gives a snapshot that was made after it.

import type { Context } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import { formatAge } from '../base/units.ts';
import type { SnapshotKind } from '../format/report.ts';
import { readWhen, type When } from '../language/when.ts';
import { momentText } from '../language/zone.ts';
import { findRepository, gitIn, OBJECT_ID } from '../os/git.ts';
import { listAdopted } from '../vault/adopted.ts';
import { labelledSnapshots, listSnapshots, newestGood, resolveSnapshot, type SnapshotRef, type Sought } from '../vault/catalog.ts';
import { timeOfId } from '../vault/layout.ts';
import { openLocated, type VaultLocation } from '../vault/locate.ts';
import { rootOf, type Vault } from '../vault/vault.ts';

/** One of the three. A name that begins with `@` is a moment. */
export type Asked = {
  readonly name?: string | undefined;
  readonly at?: string | undefined;
  /** Limits moments to one kind of snapshot. */
  readonly kind?: SnapshotKind | undefined;
  readonly latest?: 'any' | 'daily' | 'weekly' | 'monthly' | 'manual' | 'auto' | undefined;
};

/** What a moment, or `latest TYPE`, came to. */
export type Moment = {
  readonly said: string;
  /** The last instant that was meant, in milliseconds since 1970; undefined for `latest TYPE`. */
  readonly time: number | undefined;
  readonly id: string;
  /** Milliseconds from the snapshot to that instant (to now for `latest TYPE`). */
  readonly before: number;
};

type Resolved = { readonly ref: SnapshotRef; readonly moment: Moment | undefined };

/**
 * The snapshot as an id, with a note that says what a moment came to before anything is done with it.
 * @throws CoraError vault_missing, and as `resolveName`
 */
export async function nameSnapshot(
  location: VaultLocation,
  asked: Asked,
  ctx: Context,
): Promise<{ readonly id: string; readonly moment: Moment | undefined }> {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const { ref, moment } = await resolveName(openLocated(location), asked, ctx.now(), zone);
  if (moment !== undefined) ctx.monitor.note(momentLine(moment, zone));
  return { id: ref.id, moment };
}

/** `2 hours ago = 2026-11-21 14:05 UTC: 20261121-140002-1a2b3c4, 5 min before it`. */
function momentLine({ said, time, id, before }: Moment, zone: string): string {
  if (time === undefined) return `${said} = ${id}, made ${formatAge(before)}`;
  return `${said} = ${momentText(time, zone)}: ${id}, ${formatAge(before).replace(/ ago$/, '')} before it`;
}

/**
 * @param now milliseconds since 1970
 * @param zone IANA name of the zone that clock times are meant in
 * @throws CoraError unknown_snapshot, ambiguous_snapshot, ambiguous_moment, usage
 */
export async function resolveName(vault: Vault, asked: Asked, now: number, zone: string): Promise<Resolved> {
  if (asked.latest !== undefined) return latestOf(vault, asked.latest, asked.kind, now);
  const at = asked.at ?? (asked.name?.startsWith('@') === true ? asked.name.slice(1) : undefined);
  if (at === undefined) return { ref: resolveSnapshot(vault, asked.name ?? 'latest', now), moment: undefined };
  const said = at.replace(/^@/, '').trim();
  const when = await readWhen(said, now, zone);
  if (when.kind === 'moment') return notAfter(vault, said, when.time, asked.kind, now, zone);
  return resolveBefore(vault, said, when, asked.kind, now, zone);
}

function latestOf(vault: Vault, type: NonNullable<Asked['latest']>, kind: SnapshotKind | undefined, now: number): Resolved {
  const ref = newestGood(vault, now, type === 'any' ? only(kind) : { kind: 'backup', type });
  if (ref === undefined) {
    throw new CoraError('unknown_snapshot', type === 'any' ? 'The vault has no good snapshot yet' : `The vault has no good ${type} backup`, {
      hint: type === 'any' ? 'cora save' : 'cora list --backups shows what there is',
    });
  }
  return { ref, moment: { said: `latest ${type}`, time: undefined, id: ref.id, before: now - timeOfId(ref.id) } };
}

const only = (kind: SnapshotKind | undefined): Sought => (kind === undefined ? {} : { kind });

function notAfter(vault: Vault, said: string, time: number, kind: SnapshotKind | undefined, now: number, zone: string): Resolved {
  const ref = newestGood(vault, now, { ...only(kind), notAfter: time });
  if (ref !== undefined) return { ref, moment: { said, time, id: ref.id, before: time - timeOfId(ref.id) } };
  const adopted = listAdopted(vault).snapshots.findLast((snapshot) => snapshot.time <= time);
  if (adopted !== undefined) {
    throw new CoraError('unknown_snapshot', `Cora made no good snapshot until ${momentText(time, zone)} (${said})`, {
      hint: `another tool did, and it was adopted: cora restore ${adopted.id} --to DIR`,
      details: { adopted: adopted.id },
    });
  }
  const [oldest] = listSnapshots(vault).sort((a, b) => timeOfId(a.id) - timeOfId(b.id));
  throw new CoraError('unknown_snapshot', `No good snapshot was made until ${momentText(time, zone)} (${said})`, {
    hint: oldest === undefined ? 'cora save makes the first one' : `the oldest is ${oldest.id}, made ${momentText(timeOfId(oldest.id), zone)}`,
  });
}

/** Before a commit: not after its committer's time. Before a snapshot: what was made before it. */
async function resolveBefore(
  vault: Vault,
  said: string,
  { name, time: moment }: Extract<When, { kind: 'before' }>,
  kind: SnapshotKind | undefined,
  now: number,
  zone: string,
): Promise<Resolved> {
  const commit = await commitTime(vault, name);
  const labelled = labelledSnapshots(vault, name);
  if (commit !== undefined && labelled.length > 0) {
    throw new CoraError('ambiguous_moment', `${name} is a commit and the label of ${labelled.map(({ id }) => id).join(', ')}`, {
      hint: `write "before ${labelled[0]?.id}", or the commit's sha`,
      details: { readings: [{ text: `before ${labelled[0]?.id}` }, { time: new Date(commit).toISOString() }] },
    });
  }
  if (commit !== undefined) return notAfter(vault, said, Math.min(commit, now), kind, now, zone);
  const target = snapshotNamed(vault, name, now);
  if (target === undefined) {
    if (moment !== undefined) return notAfter(vault, said, moment - 1, kind, now, zone);
    throw new CoraError('unknown_snapshot', `There is no commit, label or snapshot ${name}`, {
      hint: 'cora list shows labels; git log shows commits',
    });
  }
  const forms = listSnapshots(vault).filter(({ id }) => id === target.id);
  const first = Math.min(...forms.map(({ sequence }) => sequence ?? Number.MAX_SAFE_INTEGER));
  const ref = newestGood(vault, now, { ...only(kind), before: first });
  if (ref === undefined)
    throw new CoraError('unknown_snapshot', `No good snapshot was made before ${target.id}`, { hint: 'cora list shows what there is' });
  const time = timeOfId(target.id);
  return { ref, moment: { said, time, id: ref.id, before: time - timeOfId(ref.id) } };
}

function snapshotNamed(vault: Vault, name: string, now: number): SnapshotRef | undefined {
  try {
    return resolveSnapshot(vault, name, now);
  } catch (error) {
    if (error instanceof CoraError && error.code === 'unknown_snapshot') return undefined;
    throw error;
  }
}

/** Committer's time of what git calls so in the vault's project, in milliseconds; undefined where git knows no such commit. */
async function commitTime(vault: Vault, name: string): Promise<number | undefined> {
  // What git's own syntax would make a range, a search or an option is no name of a commit.
  if (!/^[\w][\w./+@{}~^-]*$/.test(name) || name.includes('..')) return undefined;
  try {
    const place = findRepository(rootOf(vault.info));
    if (place === undefined) return undefined;
    const sha = (await gitIn(place, place.workTree, ['rev-parse', '--verify', '--quiet', `${name}^{commit}`])).stdout.toString().trim();
    if (!OBJECT_ID.test(sha)) return undefined;
    const line = (await gitIn(place, place.workTree, ['rev-list', '--max-count=1', '--timestamp', sha])).stdout.toString();
    const seconds = /^(\d+) /.exec(line)?.[1];
    return seconds === undefined ? undefined : Number(seconds) * 1000;
  } catch {
    // Without git, or where the project is gone, names of commits are not known.
    return undefined;
  }
}
