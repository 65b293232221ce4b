// The rule 3-2-1-1-0 for one project: three copies, two media, one off-site, one that nobody can change, no error since a restore
// was proven. Each part says what it counts, how old that is, and what to do where something is missing. Nothing asks a remote.

import { statSync } from 'node:fs';
import { fsPath } from '../base/bytes.ts';
import type { CredentialPlaces } from '../os/credentials.ts';
import { diskOf } from '../os/mounts.ts';
import { listSnapshots, type SnapshotRef, tryReport } from '../vault/catalog.ts';
import { type ChainLine, readLines } from '../vault/chain.ts';
import { timeOfId } from '../vault/layout.ts';
import { openLocated, type VaultLocation } from '../vault/locate.ts';
import { protectionsOf } from '../vault/seal.ts';
import { type OffsiteFacts, type OffsiteStatus, offsiteStatus, type RemoteState } from './offsite-status.ts';
import type { ProjectFacts } from './open-project.ts';
import { isGood } from './report-state.ts';

export type RulePart = {
  readonly name: 'copies' | 'media' | 'offsite' | 'immutable' | 'errors';
  /** Undefined where nobody can say: no restore was ever proven. */
  readonly have: number | undefined;
  readonly want: number;
  readonly met: boolean;
  /** What was counted. Times in milliseconds since 1970: of the data, and how long nobody can change it. */
  readonly of: readonly { readonly what: string; readonly time?: number | undefined; readonly until?: number | undefined }[];
  /** What to do where it is not met. */
  readonly next: string | undefined;
};

export type Rule = { readonly met: boolean; readonly parts: readonly RulePart[] };

const ELSEWHERE = 'name a remote away from this machine in offsite.remote (docs/offsite.md), then cora ship';
const CONFIGURE = 'write offsite.remote into the configuration (docs/offsite.md), then cora ship';

/** The state of the copies and the rule; undefined where the vault cannot be read, which the rest of a status tells. */
export function findOffsite(
  project: ProjectFacts,
  location: VaultLocation,
  places: CredentialPlaces,
  now: number,
): { readonly status: OffsiteStatus; readonly rule: Rule } | undefined {
  try {
    const vault = openLocated(location);
    const facts = { vault, root: project.root, config: project.config, places, refs: listSnapshots(vault), now };
    const status = offsiteStatus(facts);
    return { status, rule: threeTwoOne(facts, status) };
  } catch {
    return undefined;
  }
}

function threeTwoOne(facts: OffsiteFacts, { remotes }: OffsiteStatus): Rule {
  const current = remotes.filter((state) => state.current && state.place !== 'missing');
  const newest = newestGood(facts);
  const ship = remotes.length === 0 ? CONFIGURE : 'cora ship';
  const vault = newest === undefined ? [] : [{ what: 'the vault', time: timeOfId(newest.id) }];
  const copies = [{ what: 'the project' }, ...vault, ...current.map(copyOf)];
  const media = mediaOf(facts, newest !== undefined, current);
  const away = current.filter(({ place }) => place === 'remote' || place === 'network').map(copyOf);
  const fixed = [...sealedHere(facts), ...current.flatMap((state) => lockedAt(state, facts.now))];
  const parts: RulePart[] = [
    part('copies', copies, 3, newest === undefined ? 'cora backup now' : ship),
    part('media', media, 2, remotes.some(({ place }) => place === 'same_disk') ? 'name another disk or a remote in offsite.remote' : ship),
    part(
      'offsite',
      away,
      1,
      remotes.some(({ place }) => place === 'remote' || place === 'network') ? 'cora ship' : remotes.length > 0 ? ELSEWHERE : CONFIGURE,
    ),
    part('immutable', fixed, 1, 'cora protect as root, or a bucket with Object Lock (docs/offsite.md)'),
    errorsOf(facts, remotes),
  ];
  return { met: parts.every(({ met }) => met), parts };
}

function part(name: RulePart['name'], of: RulePart['of'], want: number, next: string): RulePart {
  const met = of.length >= want;
  return { name, have: of.length, want, met, of, next: met ? undefined : next };
}

const copyOf = ({ remote, newestTime }: RemoteState) => ({ what: remote, time: newestTime });

function newestGood({ vault, refs }: OffsiteFacts): SnapshotRef | undefined {
  return refs.findLast((ref) => {
    const report = tryReport(vault, ref);
    return report !== undefined && isGood(report);
  });
}

/** Each medium once, under the name of what lies on it. */
function mediaOf({ vault, root }: OffsiteFacts, hasSnapshot: boolean, current: readonly RemoteState[]): RulePart['of'] {
  const media = new Map<string, string[]>();
  const add = (medium: string, what: string): void => {
    media.set(medium, [...(media.get(medium) ?? []), what]);
  };
  add(diskOf(statSync(fsPath(root)).dev), 'the project');
  if (hasSnapshot) add(diskOf(statSync(vault.root).dev), 'the vault');
  for (const { medium, remote } of current) add(medium, remote);
  return [...media.values()].map((names) => ({ what: names.join(' and ') }));
}

/** The newest backup that the kernel holds. */
function sealedHere({ vault, refs }: OffsiteFacts): RulePart['of'] {
  const held = protectionsOf(
    vault,
    refs.filter(({ kind }) => kind === 'backup'),
  );
  const newest = [...held].findLast(([, protection]) => protection === 'kernel')?.[0];
  return newest === undefined ? [] : [{ what: 'sealed in the vault', time: timeOfId(newest.id) }];
}

function lockedAt({ remote, newest, newestTime }: RemoteState, now: number): RulePart['of'] {
  const until = newest?.lock?.state === 'locked' ? Date.parse(newest.lock.until) : Number.NaN;
  return until > now ? [{ what: `locked at ${remote}`, time: newestTime, until }] : [];
}

/** What is known to be wrong now; nobody knows before something was really brought back. */
function errorsOf({ vault, refs }: OffsiteFacts, remotes: readonly RemoteState[]): RulePart {
  const lines = readLines(vault.root).flatMap(({ line }) => line ?? []);
  const drills = lines.filter(({ kind, extra }) => kind === 'drill' && outcomeOf(extra) !== 'stopped');
  const proven = drills.findLast(({ extra }) => outcomeOf(extra) === 'ok');
  const opened = remotes.flatMap(({ remote, openedAt }) => (openedAt === undefined ? [] : [{ what: `a copy at ${remote} opened`, time: openedAt }]));
  const of = [...(proven === undefined ? [] : [{ what: 'a restore proven', time: Date.parse(proven.time) }]), ...opened];
  const damaged = damagedIn(lines, refs);
  const failed = drills.at(-1) === proven ? 0 : 1;
  const have = of.length === 0 && damaged.length === 0 && failed === 0 ? undefined : damaged.length + failed;
  const met = have === 0;
  const next = damaged[0] === undefined ? 'cora drill' : `cora verify ${damaged[0]} --deep`;
  return { name: 'errors', have, want: 0, met, of, next: met ? undefined : next };
}

const outcomeOf = (extra: string) => extra.split(',')[1];

/** Snapshots that are still there, and whose last verification found damage. */
function damagedIn(lines: readonly ChainLine[], refs: readonly SnapshotRef[]): string[] {
  const last = new Map<string, ChainLine>();
  for (const line of lines) if (line.kind === 'verify') last.set(`${line.extra.split(',')[0] ?? ''} ${line.id}`, line);
  return refs.flatMap(({ kind, id }) => (last.get(`${kind} ${id}`)?.extra.endsWith(',damaged') === true ? [id] : []));
}
