// Two listings, row against row, as changes of files: by contents, types, owners, modes and targets, never by times alone.

import { isArtefactPath } from '../base/artefact.ts';
import type { Bytes } from '../base/bytes.ts';
import { EMPTY_SHA256, type Entry, parseRow, pieceOwner, unescapeField } from '../format/file-list.ts';
import { compareRows, findRow, overlay, type RowText } from '../format/row-merge.ts';
import { compareDeltas } from '../vault/history-writer.ts';
import type { Layers } from '../vault/listing-text.ts';
import type { Change } from './snapshot-changes.ts';

export type Aspect = 'content' | 'type' | 'mode' | 'owner' | 'target';

export type FileChange = {
  readonly path: Bytes;
  readonly change: Change;
  /** What differs of one that was changed; empty of others. */
  readonly aspects: readonly Aspect[];
  /** Without pieces; undefined where there is none. */
  readonly before: Entry | undefined;
  readonly after: Entry | undefined;
  /** Of one that came: the only path that went and had this content. */
  readonly renamedFrom?: Bytes;
};

/**
 * What differs, in the order of paths; outputs of commands are left out, they are no part of the project.
 * @throws CoraError damaged
 */
export function compareLayers(before: Layers, now: Layers): FileChange[] {
  const rows = new Map<string, { before: string | undefined; after: string | undefined }>();
  const touched = new Set<string>();
  const differs = (key: string, was: string | undefined, is: string | undefined): void => {
    if ((is ?? was)?.startsWith('+\t') === true) touched.add(pieceOwner(key));
    else rows.set(key, { before: was, after: is });
  };
  let [old, current]: [RowText | undefined, RowText | undefined] = [undefined, undefined];
  if (before.base === now.base) compareDeltas(before, now, differs);
  else {
    old = overlay(before.keyframe(), before.delta);
    current = overlay(now.keyframe(), now.delta);
    compareRows(old, current, differs);
  }
  for (const owner of touched) {
    if (rows.has(owner)) continue;
    // Its pieces alone differ: the row is the same in both.
    old ??= overlay(before.keyframe(), before.delta);
    const row = findRow(old, owner);
    rows.set(owner, { before: row, after: row });
  }
  const changes: FileChange[] = [];
  for (const [key, { before: was, after: is }] of rows) {
    const path = unescapeField(key);
    if (isArtefactPath(path)) continue;
    const change = changeOf(path, was, is, touched.has(key));
    if (change !== undefined) changes.push(change);
  }
  return withRenames(changes.sort((a, b) => (a.path < b.path ? -1 : 1)));
}

/** One that came and one that went with the same content, which no other has, are one file under a new name. Of cut files the whole hash is not known. */
function withRenames(changes: readonly FileChange[]): FileChange[] {
  const contentsOf = (kind: Change): Map<string, Bytes | undefined> => {
    const found = new Map<string, Bytes | undefined>();
    for (const { path, before, after } of changes.filter(({ change }) => change === kind)) {
      const sha256 = (before ?? after)?.sha256;
      if (sha256 !== undefined && sha256 !== EMPTY_SHA256) found.set(sha256, found.has(sha256) ? undefined : path);
    }
    return found;
  };
  const [went, came] = [contentsOf('deleted'), contentsOf('created')];
  return changes.map((one) => {
    const sha256 = one.change === 'created' ? one.after?.sha256 : undefined;
    const from = sha256 === undefined || came.get(sha256) !== one.path ? undefined : went.get(sha256);
    return from === undefined
      ? one
      : { path: one.path, change: one.change, aspects: one.aspects, before: one.before, after: one.after, renamedFrom: from };
  });
}

/** A change as two rows of listings. Of tens of thousands mostly few are looked at: entries are parsed when they are. */
class RowChange implements FileChange {
  readonly path: Bytes;
  readonly change: Change;
  readonly aspects: readonly Aspect[];
  readonly #was: string | undefined;
  readonly #is: string | undefined;

  constructor(path: Bytes, was: string | undefined, is: string | undefined, aspects: readonly Aspect[]) {
    this.path = path;
    this.change = was === undefined ? 'created' : is === undefined ? 'deleted' : 'changed';
    this.aspects = aspects;
    this.#was = was;
    this.#is = is;
  }

  get before(): Entry | undefined {
    return this.#was === undefined ? undefined : parseRow(this.#was);
  }

  get after(): Entry | undefined {
    return this.#is === undefined ? undefined : parseRow(this.#is);
  }
}

type Fields = readonly string[];
const [TYPE, MODE, UID, GID, MTIME, SIZE, SHA256, LINK] = [0, 1, 2, 3, 4, 5, 6, 8];

function changeOf(path: Bytes, was: string | undefined, is: string | undefined, pieces: boolean): FileChange | undefined {
  if (was === undefined || is === undefined) return was === is ? undefined : new RowChange(path, was, is, []);
  const [before, after] = [was.split('\t'), is.split('\t')];
  const aspects: Aspect[] = [];
  if (kindOf(before) !== kindOf(after)) aspects.push('type');
  if (hasContent(before) && hasContent(after) && !sameContent(before, after, pieces)) aspects.push('content');
  if (before[MODE] !== after[MODE]) aspects.push('mode');
  if (before[UID] !== after[UID] || before[GID] !== after[GID]) aspects.push('owner');
  if (before[LINK] !== after[LINK] && before[TYPE] === after[TYPE]) aspects.push('target');
  return aspects.length === 0 ? undefined : new RowChange(path, was, is, aspects);
}

/** @param pieces true where the lists of pieces differ, or one of the two has none */
function sameContent(before: Fields, after: Fields, pieces: boolean): boolean {
  if (before[SIZE] !== after[SIZE]) return false;
  if (before[SHA256] !== '-' && after[SHA256] !== '-') return before[SHA256] === after[SHA256];
  // A backup hashes the whole, a save its pieces: between the two, sizes and times tell.
  if (before[SHA256] !== after[SHA256]) return before[MTIME] === after[MTIME];
  return !pieces;
}

const hasContent = ({ [TYPE]: type }: Fields) => type === 'f' || type === 'S' || type === 'h';
/** A file with holes is the same file; a hard link is a type of its own, for which path holds the content may change. */
const kindOf = ({ [TYPE]: type }: Fields) => (type === 'S' || type === 'h' ? 'f' : type);
