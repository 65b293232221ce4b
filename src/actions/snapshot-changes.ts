// What differs between two saves of one project: which files, and the rows of which tables. By contents and
// types, owners and modes, never by times. Pure but for the listings it reads.

import { isArtefactPath } from '../base/artefact.ts';
import { type Bytes, fromText } from '../base/bytes.ts';
import type { Entry } from '../format/file-list.ts';
import type { DatabaseReport } from '../format/report.ts';
import { readReport, type SnapshotRef } from '../vault/catalog.ts';
import { loadEntries } from '../vault/listing.ts';
import type { Vault } from '../vault/vault.ts';

export type Change = 'created' | 'changed' | 'deleted';

/** Rows of a table before and after; undefined where there was no such table. */
export type TableChange = { readonly table: string; readonly before: number | undefined; readonly after: number | undefined };

export type DatabaseChange = {
  readonly path: Bytes;
  readonly change: Change;
  /** Only tables whose number of rows differs. */
  readonly tables: readonly TableChange[];
  /** Over all tables. */
  readonly rows: { readonly before: number | undefined; readonly after: number | undefined };
};

export type SnapshotChanges = {
  /** Files, links and special files, databases left out; each list in the order of paths. */
  readonly files: Readonly<Record<Change, readonly Bytes[]>>;
  readonly databases: readonly DatabaseChange[];
};

/** @throws CoraError damaged, metadata_missing where one of them cannot be read */
export function changesBetween(vault: Vault, before: SnapshotRef, after: SnapshotRef): SnapshotChanges {
  const reports = { before: readReport(vault, before), after: readReport(vault, after) };
  const databases = new Set([...databasesOf(reports.before.databases).keys(), ...databasesOf(reports.after.databases).keys()]);
  const old = new Map(loadEntries(vault, before).map((entry) => [entry.path, entry]));
  const files: Record<Change, Bytes[]> = { created: [], changed: [], deleted: [] };
  const changedDatabases = new Map<Bytes, Change>();
  const add = (path: Bytes, change: Change): void => {
    // Outputs of commands are no part of the project.
    if (isArtefactPath(path)) return;
    if (databases.has(path)) changedDatabases.set(path, change);
    else files[change].push(path);
  };
  for (const entry of loadEntries(vault, after)) {
    const then = old.get(entry.path);
    old.delete(entry.path);
    // A directory that came or went shows by what is in it, unless it is empty.
    if (then === undefined) add(entry.path, 'created');
    else if (!isSame(then, entry)) add(entry.path, 'changed');
  }
  for (const path of old.keys()) add(path, 'deleted');
  for (const list of Object.values(files)) list.sort();
  return { files, databases: databaseChanges(reports.before.databases, reports.after.databases, changedDatabases) };
}

function isSame(a: Entry, b: Entry): boolean {
  if (kindOf(a) !== kindOf(b) || a.mode !== b.mode || a.uid !== b.uid || a.gid !== b.gid || a.link !== b.link) return false;
  if (a.type === 'd') return true;
  if (a.size !== b.size) return false;
  if (a.sha256 !== undefined && b.sha256 !== undefined) return a.sha256 === b.sha256;
  if (a.pieces !== undefined && b.pieces !== undefined) return Buffer.compare(a.pieces, b.pieces) === 0;
  // One of them is cut in pieces and the other one is not: that is told by sizes and times alone.
  return a.sha256 === b.sha256 && a.pieces === b.pieces ? true : a.mtime === b.mtime;
}

/** A file with holes is the same file. */
const kindOf = ({ type }: Entry) => (type === 'S' ? 'f' : type);

/** Databases of a report by their paths. */
export function databasesOf(databases: readonly DatabaseReport[]): Map<Bytes, DatabaseReport> {
  return new Map(databases.map((database) => [pathOf(database), database]));
}

function pathOf({ path, path_base64 }: DatabaseReport): Bytes {
  return path_base64 === undefined ? fromText(path) : (Buffer.from(path_base64, 'base64').toString('latin1') as Bytes);
}

/** The rows of databases that are known to have changed, in the order of paths. */
export function databaseChanges(
  before: readonly DatabaseReport[],
  after: readonly DatabaseReport[],
  changed: ReadonlyMap<Bytes, Change>,
): DatabaseChange[] {
  const [old, now] = [databasesOf(before), databasesOf(after)];
  return [...changed]
    .map(([path, change]) => {
      const [was, is] = [old.get(path), now.get(path)];
      const names = [...new Set([...Object.keys(was?.tables ?? {}), ...Object.keys(is?.tables ?? {})])].sort();
      const tables = names
        .map((table) => ({ table, before: was?.tables[table], after: is?.tables[table] }))
        .filter((table) => table.before !== table.after);
      return { path, change, tables, rows: { before: rowsOf(was), after: rowsOf(is) } };
    })
    .toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

/** A damaged database has no rows that anybody could count. */
function rowsOf(database: DatabaseReport | undefined): number | undefined {
  return database === undefined || database.stored === 'raw' ? undefined : database.rows;
}
