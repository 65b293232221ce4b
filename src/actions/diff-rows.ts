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
    for (const { change, path, before, after } of changes) {
      const sha256 = (before ?? after)?.sha256;
      if (change === kind && sha256 !== undefined && sha256 !== EMPTY_SHA256) found.set(sha256, found.has(sha256) ? undefined : path);
    }
    return found;
  };
  const [went, came] = [contentsOf('deleted'), contentsOf('created')];
  return changes.map((one) => {
    const sha256 = one.change === 'created' ? one.after?.sha256 : undefined;
    const from = sha256 === undefined || came.get(sha256) !== one.path ? undefined : went.get(sha256);
    return from === undefined ? one : { ...one, renamedFrom: from };
  });
}

function changeOf(path: Bytes, was: string | undefined, is: string | undefined, pieces: boolean): FileChange | undefined {
  const before = was === undefined ? undefined : parseRow(was);
  const after = is === undefined ? undefined : parseRow(is);
  if (before === undefined || after === undefined) {
    return before === after ? undefined : { path, change: before === undefined ? 'created' : 'deleted', aspects: [], before, after };
  }
  const aspects: Aspect[] = [];
  if (kindOf(before) !== kindOf(after)) aspects.push('type');
  if (hasContent(before) && hasContent(after) && !sameContent(before, after, pieces)) aspects.push('content');
  if (before.mode !== after.mode) aspects.push('mode');
  if (before.uid !== after.uid || before.gid !== after.gid) aspects.push('owner');
  if (before.link !== after.link && before.type === after.type) aspects.push('target');
  return aspects.length === 0 ? undefined : { path, change: 'changed', aspects, before, after };
}

/** @param pieces true where the lists of pieces differ, or one of the two has none */
function sameContent(before: Entry, after: Entry, pieces: boolean): boolean {
  if (before.size !== after.size) return false;
  if (before.sha256 !== undefined && after.sha256 !== undefined) return before.sha256 === after.sha256;
  // A backup hashes the whole, a save its pieces: between the two, sizes and times tell.
  if (before.sha256 !== after.sha256) return before.mtime === after.mtime;
  return !pieces;
}

const hasContent = ({ type }: Entry) => type === 'f' || type === 'S' || type === 'h';
/** A file with holes is the same file; a hard link is a type of its own, for which path holds the content may change. */
const kindOf = ({ type }: Entry) => (type === 'S' || type === 'h' ? 'f' : type);
