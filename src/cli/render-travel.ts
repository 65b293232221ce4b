// `cora log`, `find` and `cat` as lines for people and as JSON documents. Pure.

import type { FindResult } from '../actions/find.ts';
import type { LogResult } from '../actions/log.ts';
import type { ChangesBelow, FoundPath, Version } from '../actions/path-history.ts';
import { type Bytes, toText } from '../base/bytes.ts';
import { formatAge, formatBytes } from '../base/units.ts';
import type { Entry, EntryType } from '../format/file-list.ts';
import type { SnapshotRef } from '../vault/catalog.ts';
import type { ListingDamage } from '../vault/history.ts';
import { timeOfId } from '../vault/layout.ts';
import { table } from './columns.ts';
import type { Failure } from './json.ts';
import { counted, grouped, visible } from './render.ts';
import { type Document, pathFields } from './results.ts';

const name = (path: Bytes) => visible(toText(path));
const age = (ref: SnapshotRef, now: number) => formatAge(now - timeOfId(ref.id));

const TYPE_NAMES: Readonly<Record<EntryType, string>> = {
  d: 'directory',
  f: 'file',
  S: 'file',
  h: 'file',
  l: 'link',
  p: 'fifo',
  s: 'socket',
  c: 'device',
  b: 'device',
};

/** A snapshot in a document. */
export function refDocument(ref: SnapshotRef): Document {
  return { snapshot_id: ref.id, kind: ref.kind, time: new Date(timeOfId(ref.id)).toISOString() };
}

/** Facts of an entry; `sha256` is null where the vault has the hashes of its pieces alone. */
export function entryDocument({ type, size, sha256, mode, uid, gid, mtime, link }: Entry): Document {
  return {
    type: TYPE_NAMES[type],
    size,
    sha256: sha256 ?? null,
    mode: mode.toString(8).padStart(4, '0'),
    uid,
    gid,
    mtime: new Date(Number(mtime / 1_000_000n)).toISOString(),
    ...(link === undefined ? {} : pathFields('link', link)),
  };
}

/** What could not be answered for, as the error that ends a command with 21; undefined where all could. */
export function listingFailure(damaged: readonly ListingDamage[], details: Document): Failure | undefined {
  if (damaged.length === 0) return undefined;
  const ids = [...new Set(damaged.map(({ id }) => id))];
  const message = `${counted(ids.length, 'snapshot')} cannot be read and ${ids.length === 1 ? 'is' : 'are'} not in this answer: ${ids.slice(0, 5).join(', ')}${ids.length > 5 ? ', ...' : ''}`;
  return { code: 'damaged', message, hint: `cora verify ${ids[0] ?? ''} names what is damaged`, details };
}

export function damagedDocument(damaged: readonly ListingDamage[]): Document[] {
  return damaged.map(({ id, file, reason }) => ({ snapshot_id: id, file, reason }));
}

export function logLines({ path, versions, changes, newest }: LogResult, limit: number | undefined, now: number): string[] {
  const last = versions.at(-1);
  const lines = changes === undefined ? versionLines(newestOf(versions, limit), now) : changeLines(newestOf(changes, limit), now);
  const all = (changes ?? versions).length;
  if (limit !== undefined && all > limit) lines.push(`${grouped(all - limit)} older not shown`);
  if (last === undefined) return lines;
  if (last.last.id !== newest?.id) {
    const gone = last.goneIn === undefined ? '' : `, gone in ${last.goneIn.id} (${age(last.goneIn, now)})`;
    return [...lines, `${name(path)} is not in the newest snapshot${gone}; cora restore -- ${name(path)} brings it back`];
  }
  return lines;
}

const newestOf = <T>(all: readonly T[], limit: number | undefined): readonly T[] =>
  limit === undefined ? all : all.slice(Math.max(0, all.length - limit));

function versionLines(versions: readonly Version[], now: number): string[] {
  const rows = versions.map(({ first, last, snapshots, entry, goneIn }) => [
    first.id,
    last.id === first.id ? '=' : last.id,
    age(last, now),
    grouped(snapshots),
    entry.type === 'f' || entry.type === 'S' || entry.type === 'h' ? formatBytes(entry.size) : TYPE_NAMES[entry.type],
    entry.sha256?.slice(0, 12) ?? '-',
    goneIn === undefined ? '' : `gone in ${goneIn.id}`,
  ]);
  return table([['FIRST SEEN', 'LAST SEEN', 'AGE', 'SNAPSHOTS', 'SIZE', 'SHA256', ''], ...rows], new Set([3, 4]));
}

function changeLines(changes: readonly ChangesBelow[], now: number): string[] {
  const rows = changes.map(({ ref, created, changed, deleted }) => [ref.id, age(ref, now), grouped(created), grouped(changed), grouped(deleted)]);
  return table([['ID', 'AGE', 'NEW', 'CHANGED', 'GONE'], ...rows], new Set([2, 3, 4]));
}

export function logDocument({ path, versions, changes, newest, damaged }: LogResult, limit: number | undefined): Document {
  return {
    ...pathFields('path', path),
    present: versions.at(-1)?.last.id === newest?.id,
    versions: newestOf(versions, limit).map(({ first, last, snapshots, entry, goneIn }) => ({
      first: refDocument(first),
      last: refDocument(last),
      snapshots,
      gone_in: goneIn?.id ?? null,
      ...entryDocument(entry),
    })),
    total: versions.length,
    ...(changes === undefined
      ? {}
      : { changes: newestOf(changes, limit).map(({ ref, ...counts }) => ({ ...refDocument(ref), ...counts })), changes_total: changes.length }),
    damaged: damagedDocument(damaged),
  };
}

export function findLines({ found }: FindResult, limit: number, pattern: Bytes, now: number): string[] {
  if (found.length === 0) return [`No snapshot has a path like ${name(pattern)}; a pattern without * matches whole names`];
  const rows = found
    .slice(0, limit)
    .map(({ path, lastSeen, entry, isGone }) => [
      isGone ? 'gone' : 'there',
      lastSeen.id,
      age(lastSeen, now),
      entry.type === 'f' || entry.type === 'S' || entry.type === 'h' ? formatBytes(entry.size) : TYPE_NAMES[entry.type],
      name(path),
    ]);
  const lines = table([['', 'LAST SEEN', 'AGE', 'SIZE', 'PATH'], ...rows], new Set([3]));
  return found.length > limit ? [...lines, `${grouped(found.length - limit)} more (-n 0 shows all)`] : lines;
}

export function findDocument({ found, newest, damaged }: FindResult, limit: number): Document {
  return {
    newest: newest?.id ?? null,
    total: found.length,
    gone: found.filter(({ isGone }) => isGone).length,
    found: found.slice(0, limit).map(foundDocument),
    damaged: damagedDocument(damaged),
  };
}

function foundDocument({ path, lastSeen, entry, isGone }: FoundPath): Document {
  return { ...pathFields('path', path), gone: isGone, last_seen: refDocument(lastSeen), ...entryDocument(entry) };
}
