// Backups that other tools made and this vault knows of: where they lie (ledger/adopted.json) and what is
// there. Invariant: only looked at. Nothing here writes into such a directory, and prune never sees them.

import { lstatSync, readdirSync, realpathSync } from 'node:fs';
import { type Bytes, base64Of, basenameBytes, bytes, fromBuffer, fromText, fsPath, isText, joinBytes, toText } from '../base/bytes.ts';
import { CoraError } from '../base/errors.ts';
import { readTextIfThere, replaceFile } from '../os/files.ts';
import { resolveSnapshot } from './catalog.ts';
import { NAMES, parseId, timeOfId } from './layout.ts';
import type { Vault } from './vault.ts';

/** Who made it: CORA's sealed backups (Cora's own too), Atlas' archives, AtoCore's snapshots, Cortex' database copies. */
export type AdoptedLayout = 'cora' | 'atlas' | 'atocore' | 'cortex';

/** One directory that was adopted. */
export type AdoptedPlace = { readonly path: Bytes; readonly kinds: readonly AdoptedLayout[]; readonly adoptedAt: string };

/** One backup in such a directory. */
export type AdoptedSnapshot = {
  /** The name of its directory or file, without what every archive or database file ends in. */
  readonly id: string;
  readonly layout: AdoptedLayout;
  /** The directory it was made in says so: daily, weekly, ...; undefined where nothing does. */
  readonly tier: string | undefined;
  /** Absolute. */
  readonly path: Bytes;
  /** Milliseconds since 1970, from its name (clock times without a zone are this machine's), else from the file. */
  readonly time: number;
};

const TIERS = /^(?:hourly|daily|weekly|monthly|yearly|manual)$/;
const SHELVES = /^(?:snapshots|backups|db)$/;

/**
 * Directories that this vault adopted, in the order in which they were.
 * @throws CoraError damaged
 */
export function adoptedPlaces(vault: Vault): AdoptedPlace[] {
  const text = readTextIfThere(`${vault.root}/${NAMES.adopted}`);
  if (text === undefined) return [];
  try {
    const value = JSON.parse(text) as { adopted: Stored[] };
    if (!value.adopted.every(isPlace)) throw new TypeError('a directory in it is not what it must be');
    return value.adopted.map(({ path, path_base64: base64, kind, adopted_at: adoptedAt }) => ({
      path: base64 === undefined ? fromText(path) : fromBuffer(Buffer.from(base64, 'base64')),
      kinds: kind,
      adoptedAt,
    }));
  } catch (error) {
    throw new CoraError('damaged', `${NAMES.adopted} cannot be read`, { hint: 'delete it and adopt the directories again', cause: error });
  }
}

type Stored = { readonly path: string; readonly path_base64?: string; readonly kind: AdoptedLayout[]; readonly adopted_at: string };

function isPlace({ path, path_base64: base64, kind, adopted_at: at }: Stored): boolean {
  const isText = (value: unknown) => typeof value === 'string';
  return isText(path) && (base64 === undefined || isText(base64)) && Array.isArray(kind) && kind.every(isText) && isText(at);
}

/** The caller holds the write lock. */
export function writeAdoptedPlaces(vault: Vault, places: readonly AdoptedPlace[]): void {
  const adopted = places.map(({ path, kinds, adoptedAt }) => ({
    path: toText(path),
    ...(isText(path) ? {} : { path_base64: base64Of(path) }),
    kind: kinds,
    adopted_at: adoptedAt,
  }));
  replaceFile(`${vault.root}/${NAMES.adopted}`, `${JSON.stringify({ schema: 1, adopted }, null, 2)}\n`, true);
}

/**
 * Every backup in a directory, or the one that it is: in itself, in directories of tiers (`daily`) and in `snapshots`. Oldest first.
 * @param place absolute
 * @throws the system error where the directory itself cannot be read
 */
export function findBackups(place: Bytes): AdoptedSnapshot[] {
  const own = backupAt(place, undefined);
  if (own !== undefined) return [own];
  const found: AdoptedSnapshot[] = [];
  for (const name of namesOf(place)) {
    const path = joinBytes(place, name);
    const one = backupAt(path, tierOf(basenameBytes(place)));
    if (one !== undefined) found.push(one);
    else if (isDirectory(path) && (TIERS.test(name) || SHELVES.test(name))) found.push(...within(path));
  }
  return found.sort((a, b) => a.time - b.time || (a.id < b.id ? -1 : 1));
}

/** In a directory of a tier or of snapshots, and in tiers in it. What cannot be read holds nothing. */
function within(directory: Bytes): AdoptedSnapshot[] {
  try {
    const tier = tierOf(basenameBytes(directory));
    return namesOf(directory).flatMap((name) => {
      const path = joinBytes(directory, name);
      const one = backupAt(path, tier);
      if (one !== undefined) return [one];
      return tier === undefined && TIERS.test(name) && isDirectory(path) ? within(path) : [];
    });
  } catch {
    return [];
  }
}

function tierOf(name: string): string | undefined {
  return TIERS.test(name) ? name : undefined;
}

/** Every backup of every adopted directory, oldest first; `unreachable` are directories that cannot be read now. */
export function listAdopted(vault: Vault): { readonly snapshots: readonly AdoptedSnapshot[]; readonly unreachable: readonly Bytes[] } {
  const unreachable: Bytes[] = [];
  const found = new Map<Bytes, AdoptedSnapshot>();
  for (const { path } of adoptedPlaces(vault)) {
    try {
      for (const snapshot of findBackups(path)) found.set(snapshot.path, snapshot);
    } catch {
      unreachable.push(path);
    }
  }
  return { snapshots: [...found.values()].sort((a, b) => a.time - b.time || (a.id < b.id ? -1 : 1)), unreachable };
}

/**
 * The adopted backup of a name: its id, a unique beginning of one, or its path.
 * @returns undefined where there is none
 * @throws CoraError ambiguous_snapshot
 */
function findAdopted(vault: Vault, name: string): AdoptedSnapshot | undefined {
  const all = listAdopted(vault).snapshots;
  const exact = all.filter(({ id, path }) => id === name || toText(path) === name || toText(basenameBytes(path)) === name);
  const found = exact.length > 0 ? exact : all.filter(({ id }) => name.length >= 4 && id.startsWith(name));
  if (found.length > 1) {
    throw new CoraError(
      'ambiguous_snapshot',
      `${name} can mean ${found.length} adopted backups: ${found.map(({ path }) => toText(path)).join(', ')}`,
      {
        hint: 'write more of the id, or the path',
        details: { candidates: found.map(({ path }) => toText(path)) },
      },
    );
  }
  return found[0];
}

/**
 * The adopted backup that a name stands for: the vault's own snapshots come first.
 * @param now milliseconds since 1970
 * @throws CoraError ambiguous_snapshot
 */
export function adoptedNamed(vault: Vault, name: string, now: number): AdoptedSnapshot | undefined {
  if (adoptedPlaces(vault).length === 0) return undefined;
  if (name.includes('/')) return findAdopted(vault, name);
  try {
    resolveSnapshot(vault, name, now);
    return undefined;
  } catch (error) {
    if (error instanceof CoraError && error.code === 'unknown_snapshot') return findAdopted(vault, name);
    throw error;
  }
}

/** @param tier of the directory that it lies in */
function backupAt(path: Bytes, tier: string | undefined): AdoptedSnapshot | undefined {
  const name = toText(basenameBytes(path));
  const stat = lstatSync(fsPath(path), { throwIfNoEntry: false });
  if (stat === undefined) return undefined;
  const made = (layout: AdoptedLayout, id: string, time: number | undefined): AdoptedSnapshot => ({
    id,
    layout,
    tier,
    path,
    time: time ?? stat.mtimeMs,
  });
  if (stat.isDirectory()) {
    const id = parseId(name);
    if (id !== undefined) return isCoraBackup(path) ? made('cora', id, timeOfId(id)) : undefined;
    return /^\d{8}T\d{6}Z$/.test(name) ? made('atocore', name, timeIn(name, true)) : undefined;
  }
  if (!stat.isFile()) return undefined;
  const archive = /^(cortex-.+)\.(?:tar\.gz|tgz)$/.exec(name)?.[1];
  if (archive !== undefined) return made('atlas', archive, timeIn(archive, false));
  const copy = /^(cortex-backup-.+|.+-backup-\d{8}[-_]?\d{6})\.(?:db|sqlite3?)$/.exec(name)?.[1];
  return copy === undefined ? undefined : made('cortex', copy, timeIn(copy, false));
}

/** One that may not be looked into is listed: restoring it then says why it cannot be. */
function isCoraBackup(path: Bytes): boolean {
  try {
    return namesOf(path).some((name) => name === NAMES.sums || name === NAMES.manifest || name.endsWith('-full.tar.gz'));
  } catch {
    return true;
  }
}

/** The first date and time in a name; undefined where there is none. */
function timeIn(name: string, utc: boolean): number | undefined {
  const match = /(\d{4})-?(\d\d)-?(\d\d)(?:[-_T ]?(\d\d)[-:]?(\d\d)(?:[-:]?(\d\d))?)?/.exec(name);
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1).map((part) => Number(part ?? 0)) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 59) return undefined;
  return utc ? Date.UTC(year, month - 1, day, hour, minute, second) : new Date(year, month - 1, day, hour, minute, second).getTime();
}

function namesOf(directory: Bytes): Bytes[] {
  return readdirSync(fsPath(directory), { encoding: 'latin1' }).map(bytes);
}

function isDirectory(path: Bytes): boolean {
  return lstatSync(fsPath(path), { throwIfNoEntry: false })?.isDirectory() === true;
}

/**
 * The real path of a directory that a person named.
 * @throws CoraError not_found
 */
export function realPlace(path: Bytes): Bytes {
  try {
    return fromBuffer(realpathSync(fsPath(path), { encoding: 'buffer' }));
  } catch (error) {
    throw new CoraError('not_found', `${toText(path)} cannot be opened`, { hint: 'name the directory that holds the backups', cause: error });
  }
}
