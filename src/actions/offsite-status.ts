// What is known of the copies off-site without asking any remote: the record in the ledger, the configuration, and which disk a
// directory lies on. Nothing here needs the network, and nothing waits for a server. What was not recorded is not claimed.

import { statSync } from 'node:fs';
import { type Bytes, fsPath } from '../base/bytes.ts';
import type { Config } from '../base/config.ts';
import { messageOf } from '../base/errors.ts';
import { formatAge } from '../base/units.ts';
import type { CredentialPlaces } from '../os/credentials.ts';
import { diskOf, isAutomount, isNetworkMount, mountedOn } from '../os/mounts.ts';
import type { SnapshotRef } from '../vault/catalog.ts';
import { compareIds, NAMES, parseId, timeOfId } from '../vault/layout.ts';
import { copyKey, inspectOffsite } from '../vault/offsite-record.ts';
import type { CopyRecord, RemoteRecord } from '../vault/offsite-shape.ts';
import type { Vault } from '../vault/vault.ts';
import { directoryOf, isSamePlace, type OffsiteSetup, remotesOf } from './offsite-remote.ts';

/** `remote`: elsewhere; `network`: a directory that another machine holds; `missing`: a directory that is not there now. */
export type RemotePlace = 'remote' | 'network' | 'disk' | 'same_disk' | 'missing';

export type RemoteState = {
  /** As it was configured. */
  readonly remote: string;
  readonly env: string;
  /** False for one that was named by hand, or is not configured any more. */
  readonly configured: boolean;
  readonly place: RemotePlace;
  /** What shares one medium shares this word. */
  readonly medium: string;
  readonly copies: number;
  readonly bytes: number;
  readonly newest: CopyRecord | undefined;
  /** Milliseconds since 1970: the moment that the newest copy stands for. */
  readonly newestTime: number | undefined;
  /** Milliseconds since 1970: when the oldest copy that is there was shipped. */
  readonly firstShipped: number | undefined;
  /** There is a newest copy, and it is the newest backup, or younger than health.max_age. */
  readonly current: boolean;
  /** Finished snapshots that ought to be there and are not. */
  readonly unshipped: number;
  /** The moment that the oldest of them stands for. */
  readonly unshippedSince: number | undefined;
  readonly lastTry: number | undefined;
  /** Why the last try failed; undefined where it did not. */
  readonly error: string | undefined;
  /** What to do about it. */
  readonly hint: string | undefined;
  /** When an encrypted copy was last really opened. */
  readonly openedAt: number | undefined;
};

export type OffsiteStatus = {
  readonly remotes: readonly RemoteState[];
  /** Why the configured remotes cannot be told. */
  readonly unknown: string | undefined;
  /** What is wrong with the record; the copies that it still tells of are believed. */
  readonly damaged: string | undefined;
};

export type OffsiteWarning = { readonly message: string; readonly next: string };

export type OffsiteFacts = {
  readonly vault: Vault;
  readonly root: Bytes;
  readonly config: Config;
  readonly places: CredentialPlaces;
  /** Of `listSnapshots`. */
  readonly refs: readonly SnapshotRef[];
  readonly now: number;
};

const SHIP = 'cora ship';
/** A clock that runs ahead by less than this is a clock like any other. */
const CLOCK_SLACK = 120_000;

/** Never throws for what is wrong with the configuration: that is part of the state. */
export function offsiteStatus(facts: OffsiteFacts): OffsiteStatus {
  const { record, damaged } = inspectOffsite(facts.vault);
  const { config, places } = facts;
  const setup = { config: config.offsite, places };
  let configured: readonly string[] = [];
  let unknown: string | undefined;
  try {
    configured = remotesOf(setup);
  } catch (error) {
    unknown = messageOf(error);
    configured = config.offsite.remotes;
  }
  const byHand = Object.entries(record.remotes).flatMap(([name, { copies }]) =>
    configured.some((one) => isSamePlace(one, name, places.home)) || Object.keys(copies).length === 0 ? [] : name,
  );
  const state = (name: string, isConfigured: boolean) => remoteState(facts, name, record.remotes[name], isConfigured);
  return { remotes: [...configured.map((name) => state(name, true)), ...byHand.map((name) => state(name, false))], unknown, damaged };
}

function remoteState(facts: OffsiteFacts, name: string, record: RemoteRecord | undefined, configured: boolean): RemoteState {
  const { vault, config, now, refs } = facts;
  const env = configured ? (config.offsite.env ?? vault.info.name) : (record?.env ?? vault.info.name);
  const known = record?.env === env ? record : undefined;
  const copies = Object.values(known?.copies ?? {});
  // One that a wrong clock dated in the future would be young for ever.
  const past = copies.filter(({ id }) => momentOf(id) <= now + CLOCK_SLACK);
  const newest = past.toSorted((a, b) => byId(a.id, b.id)).at(-1);
  const pending = configured ? pendingCopies(refs, known, config.offsite.saves) : [];
  const newestTime = newest === undefined ? undefined : momentOf(newest.id);
  const isNewest = newest !== undefined && refs.findLast(({ kind }) => kind === 'backup')?.id === newest.id;
  return {
    remote: name,
    env,
    configured,
    ...placeOf(facts, name, record, copies.length > 0 ? env : ''),
    copies: copies.length,
    bytes: copies.reduce((sum, { bytes }) => sum + bytes, 0),
    newest,
    newestTime,
    firstShipped: copies.length === 0 ? undefined : Math.min(...copies.map(({ shipped_at }) => Date.parse(shipped_at))),
    current: newestTime !== undefined && (isNewest || now - newestTime <= config.health.maxAge),
    unshipped: pending.length,
    unshippedSince: pending[0] === undefined ? undefined : Math.min(...pending.map(({ id }) => timeOfId(id))),
    lastTry: timeOf(known?.last_try),
    error: known?.error ?? undefined,
    hint: known?.hint ?? undefined,
    openedAt: timeOf(known?.opened_at),
  };
}

/** Finished snapshots that are not at a remote and ought to be, oldest first. What `cora ship --prune` took away is not sent again. */
export function pendingCopies(refs: readonly SnapshotRef[], record: RemoteRecord | undefined, saves: boolean): SnapshotRef[] {
  const retired = new Set(record?.retired);
  return refs.filter((ref) => {
    const key = copyKey(ref);
    return ref.sequence !== undefined && (saves || ref.kind === 'backup') && record?.copies[key] === undefined && !retired.has(key);
  });
}

/** @param env what must be there in a directory that is named as it is: the place of a disk that is not mounted is one as well */
function placeOf(
  { vault, root, config, places }: OffsiteFacts,
  name: string,
  record: RemoteRecord | undefined,
  env: string,
): Pick<RemoteState, 'place' | 'medium'> {
  const directory = attemptDirectory({ config: config.offsite, places }, name) ?? record?.directory;
  if (directory === undefined) return { place: 'remote', medium: `remote ${name.split(':')[0] ?? name}` };
  const mount = mountedOn(directory);
  if (mount !== undefined && isNetworkMount(mount)) return { place: 'network', medium: `network ${mount.source.split(':')[0] ?? mount.source}` };
  // Not looked at either: it may lie on a server.
  if (mount !== undefined && isAutomount(mount)) return { place: 'disk', medium: `automount ${mount.mountPoint}` };
  const device = deviceOf(/^[/~]/.test(name) ? `${directory}/${env}` : directory);
  if (device === undefined) return { place: 'missing', medium: `missing ${directory}` };
  const disk = diskOf(device);
  const isOurs = disk === diskOf(statSync(vault.root).dev) || disk === diskOf(statSync(fsPath(root)).dev);
  return { place: isOurs ? 'same_disk' : 'disk', medium: disk };
}

/** What a person has to do about the remotes, gravest first. */
export function offsiteWarnings({ remotes, unknown, damaged }: OffsiteStatus, maxAge: number, now: number): OffsiteWarning[] {
  const warnings: OffsiteWarning[] = [];
  const warn = (message: string, next: string): void => {
    warnings.push({ message, next });
  };
  if (unknown !== undefined) warn(`The remotes cannot be told: ${unknown}`, 'correct [offsite] (docs/offsite.md)');
  if (damaged !== undefined)
    warn(
      `${NAMES.offsite} in the vault is damaged (${damaged}): copies that it named there count no more`,
      remotes.some(({ configured }) => configured) ? SHIP : `delete ${NAMES.offsite}`,
    );
  for (const state of remotes) {
    const { remote, place, newestTime, unshipped, lastTry, error, hint } = state;
    // What a person tried once is not what status has to nag about.
    if (!state.configured) continue;
    if (place === 'missing') warn(`${remote} is not there: its disk may not be mounted`, 'mount it, or correct offsite.remote');
    if (place === 'same_disk') warn(`${remote} lies on the same disk as the project or the vault`, 'name another disk or a remote in offsite.remote');
    if (error !== undefined)
      warn(`The last try to ship to ${remote}${lastTry === undefined ? '' : ` (${formatAge(now - lastTry)})`} failed: ${error}`, hint ?? SHIP);
    if (newestTime === undefined && unshipped > 0) warn(`Nothing was ever shipped to ${remote}`, SHIP);
    else if (newestTime !== undefined && unshipped > 0 && now - newestTime > maxAge)
      warn(`The newest copy at ${remote} is from ${formatAge(now - newestTime)}`, SHIP);
    if (state.newest?.encryption === 'age' && state.openedAt === undefined)
      warn(`No encrypted copy at ${remote} was ever opened: nobody knows whether the key fits`, 'cora key test');
  }
  return warnings;
}

/** Undefined also for what we may not see. */
function deviceOf(path: string): number | undefined {
  try {
    return statSync(path).dev;
  } catch {
    return undefined;
  }
}

function byId(a: string, b: string): number {
  const [first, second] = [parseId(a), parseId(b)];
  return first === undefined || second === undefined ? momentOf(a) - momentOf(b) : compareIds(first, second);
}

function momentOf(id: string): number {
  const parsed = parseId(id);
  return parsed === undefined ? 0 : timeOfId(parsed);
}

function timeOf(text: string | undefined): number | undefined {
  const time = Date.parse(text ?? '');
  return Number.isNaN(time) ? undefined : time;
}

function attemptDirectory(setup: OffsiteSetup, name: string): string | undefined {
  try {
    return directoryOf(setup, name);
  } catch {
    // Keys that only root may read tell a person nothing about the place.
    return undefined;
  }
}
