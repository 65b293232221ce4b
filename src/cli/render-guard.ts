// `cora guard` as lines for people (on stderr) and as a JSON document. Pure.

import type { GuardResult } from '../actions/guard.ts';
import type { Change, DatabaseChange, SnapshotChanges, TableChange } from '../actions/snapshot-changes.ts';
import { type Bytes, toText } from '../base/bytes.ts';
import { counted, grouped, visible } from './render.ts';
import { type Document, pathFields } from './results.ts';

/** Names of a list that a person is shown, and that the document has. */
const NAMED_MOST = 5;
const LISTED_MOST = 1000;
const CHANGES: readonly Change[] = ['created', 'changed', 'deleted'];

const name = (path: Bytes) => visible(toText(path));

export function changeLines(changes: SnapshotChanges | undefined): string[] {
  if (changes === undefined) return ['  what it changed is not known'];
  const { files, databases } = changes;
  if (databases.length === 0 && CHANGES.every((change) => files[change].length === 0)) return ['  nothing changed'];
  return [
    ...CHANGES.filter((change) => files[change].length > 0).map(
      (change) => `  ${counted(files[change].length, 'file')} ${change}: ${firstOf(files[change])}`,
    ),
    ...databases.flatMap(databaseLines),
  ];
}

function firstOf(paths: readonly Bytes[]): string {
  const more = paths.length - NAMED_MOST;
  return `${paths.slice(0, NAMED_MOST).map(name).join(', ')}${more > 0 ? ` and ${grouped(more)} more` : ''}`;
}

function databaseLines({ path, change, tables, rows }: DatabaseChange): string[] {
  const damaged = change !== 'deleted' && rows.after === undefined;
  const what = damaged ? 'DAMAGED, or no database any more' : tables.length === 0 ? `${change}, with as many rows as before` : change;
  const shown = tables.slice(0, NAMED_MOST).map(tableText);
  const more = tables.length - shown.length;
  return [
    `  database ${name(path)} ${what}${shown.length === 0 || damaged ? '' : `: ${shown.join(', ')}${more > 0 ? ` and ${grouped(more)} more` : ''}`}`,
  ];
}

function tableText({ table, before, after }: TableChange): string {
  const side = (rows: number | undefined) => (rows === undefined ? 'none' : grouped(rows));
  return `${visible(table)} ${side(before)} -> ${side(after)} rows`;
}

/** What a person types to roll back. */
export function rollBackCommand(id: string, deleteAdded: boolean): string {
  return `cora restore ${id} --modes snapshot${deleteAdded ? ' --delete' : ''} --yes --confirm-service-stopped`;
}

export function rollBackLines({ id, rollBack, changes }: GuardResult, deleteAdded: boolean): string[] {
  switch (rollBack.outcome) {
    case 'not_needed':
      return [];
    case 'not_wanted':
      return [`guard: not rolled back. To roll back: ${rollBackCommand(id, deleteAdded)}`];
    case 'failed':
      return [
        `guard: THE ROLL BACK FAILED: ${visible(rollBack.error ?? '')}${rollBack.hint === undefined ? '' : `; ${visible(rollBack.hint)}`}`,
        `guard: to roll back: ${rollBackCommand(id, deleteAdded)}`,
      ];
    case 'done': {
      const added = addedBy(changes);
      const aside = rollBack.movedAside ?? 0;
      const left =
        added.length === 0
          ? []
          : aside > 0
            ? [`  moved aside: ${counted(aside, 'entry', 'entries')} that it had added`]
            : [`  left, because the command added it: ${firstOf(added)}`];
      const before =
        rollBack.preRestoreSnapshot === undefined
          ? []
          : [`  what it had done is in ${rollBack.preRestoreSnapshot}; cora restore --undo brings it back`];
      return [`guard: rolled back to ${id}: ${counted(rollBack.files ?? 0, 'file')}`, ...left, ...before];
    }
  }
}

function addedBy(changes: SnapshotChanges | undefined): Bytes[] {
  if (changes === undefined) return [];
  return [...changes.files.created, ...changes.databases.filter(({ change }) => change === 'created').map(({ path }) => path)].sort();
}

export function guardDocument(
  { id, path, label, ending, changes, rollBack, seconds }: GuardResult,
  argv: readonly string[],
  deleteAdded: boolean,
): Document {
  const { exitCode, signal, error } = ending;
  return {
    snapshot_id: id,
    path,
    label,
    command: { argv, exit_code: exitCode, signal, seconds: ending.seconds, ...(error === undefined ? {} : { error }) },
    changes: changes === undefined ? null : changesDocument(changes),
    rollback: {
      outcome: rollBack.outcome,
      command: rollBackCommand(id, deleteAdded),
      files: rollBack.files ?? null,
      moved_aside: rollBack.movedAside ?? null,
      pre_restore_snapshot: rollBack.preRestoreSnapshot ?? null,
      left:
        rollBack.outcome === 'done' && (rollBack.movedAside ?? 0) === 0
          ? addedBy(changes)
              .slice(0, LISTED_MOST)
              .map((one) => pathFields('path', one))
          : [],
      error: rollBack.error ?? null,
    },
    seconds,
  };
}

function changesDocument({ files, databases }: SnapshotChanges): Document {
  const list = (change: Change) => ({
    count: files[change].length,
    first: files[change].slice(0, LISTED_MOST).map((path) => pathFields('path', path)),
  });
  return {
    files: { created: list('created'), changed: list('changed'), deleted: list('deleted') },
    databases: databases.map(({ path, change, tables, rows }) => ({
      ...pathFields('path', path),
      change,
      rows: { before: rows.before ?? null, after: rows.after ?? null },
      tables: tables.map(({ table, before, after }) => ({ table, before: before ?? null, after: after ?? null })),
    })),
  };
}
