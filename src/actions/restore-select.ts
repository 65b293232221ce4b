// Which entries of a snapshot a restore wants: what was named, what it needs, and the directories that lead there.

import { type Bytes, bytes, fromText, toText } from '../base/bytes.ts';
import { CoraError } from '../base/errors.ts';
import { type Entry, escapeField } from '../format/file-list.ts';
import type { Report } from '../format/report.ts';
import type { SnapshotRef } from '../vault/catalog.ts';

/** Which rows of a listing can matter for some paths: what is at or below one, or leads to it. */
export function rowsFor(paths: readonly Bytes[]): ((key: string) => boolean) | undefined {
  if (paths.length === 0 || paths.includes(bytes('.'))) return undefined;
  const keys = paths.map(escapeField);
  return (key) => key === '.' || keys.some((wanted) => key === wanted || key.startsWith(`${wanted}/`) || wanted.startsWith(`${key}/`));
}

/** A hard link's content may lie anywhere in the snapshot. */
export function lacksLinkTarget(entries: readonly Entry[]): boolean {
  const links = entries.filter(({ type }) => type === 'h');
  if (links.length === 0) return false;
  const paths = new Set(entries.map(({ path }) => path));
  return links.some(({ link }) => link !== undefined && !paths.has(link));
}

/**
 * The entries that are asked for, and the directories that lead to them.
 * @param only text of the only paths that count, undefined for all
 * @param except what is left out, with all below it
 * @throws CoraError not_found where a path is not in the snapshot
 */
export function selectEntries(
  all: readonly Entry[],
  paths: readonly Bytes[],
  only: ReadonlySet<string> | undefined,
  except: readonly Bytes[],
  ref: SnapshotRef,
): Entry[] {
  const under = (path: Bytes): boolean => isUnder(path, paths);
  const chosen = new Set<string>();
  for (const wanted of paths) {
    if (!all.some((entry) => under(entry.path) && (wanted === '.' || entry.path === wanted || entry.path.startsWith(`${wanted}/`)))) {
      throw new CoraError('not_found', `${toText(wanted)} is not in ${ref.id}`, {
        hint: `cora show ${ref.id} tells what is; paths are relative to the project`,
      });
    }
  }
  for (const entry of all) {
    if (!under(entry.path) || only?.has(toText(entry.path)) === false || isIn(entry.path, except)) continue;
    // A hard link's content comes with it, and with both the directories that lead there.
    for (const path of entry.type === 'h' && entry.link !== undefined ? [entry.path, entry.link] : [entry.path]) {
      chosen.add(path);
      for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) chosen.add(path.slice(0, at));
    }
  }
  chosen.add('.');
  // Parents before what they hold, whatever the order of the listing.
  return all.filter((entry) => chosen.has(entry.path)).sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Directories that were asked for: named, or below one that was; those that merely lead there are not. */
export function askedDirectories(entries: readonly Entry[], paths: readonly Bytes[], except: readonly Bytes[]): ReadonlySet<Bytes> {
  return new Set(entries.filter(({ type, path }) => type === 'd' && isUnder(path, paths) && !isIn(path, except)).map(({ path }) => path));
}

function isUnder(path: Bytes, paths: readonly Bytes[]): boolean {
  return paths.length === 0 || paths.some((wanted) => wanted === '.' || path === wanted || path.startsWith(`${wanted}/`));
}

function isIn(path: Bytes, places: readonly Bytes[]): boolean {
  return places.some((place) => path === place || path.startsWith(`${place}/`));
}

/**
 * Paths of artefacts by their names; the vector store of a snapshot is `chroma` where no artefact has that name.
 * @throws CoraError not_found where the snapshot has none of that name
 */
export function artefactPaths(report: Report, names: readonly string[]): Bytes[] {
  const artefacts = report.artefacts ?? [];
  return names.flatMap((name) => {
    const named = artefacts.filter((artefact) => artefact.name === name).map(pathOf);
    const paths = named.length > 0 || name !== 'chroma' ? named : report.units.map(({ path }) => fromText(path));
    if (paths.length > 0) return paths;
    const known = artefacts.map((artefact) => artefact.name).join(', ');
    throw new CoraError('not_found', `${report.snapshot_id} has no artefact ${name}${known === '' ? '' : `; it has ${known}`}`, {
      hint: `cora show ${report.snapshot_id} tells what it has`,
    });
  });
}

function pathOf({ path, path_base64: raw }: { readonly path: string; readonly path_base64?: string }): Bytes {
  return raw === undefined ? fromText(path) : bytes(Buffer.from(raw, 'base64').toString('latin1'));
}
