// Which rows two copies of a database do not share, table by table, as SQLite compares them. Both are copies of ours in a
// private directory.

import { type CoraDatabase, loadOpener } from './sqlite.ts';
import { ordinaryTables, quoted } from './sqlite-check.ts';

/** A value of SQLite: blobs as bytes, integers as bigint. */
export type Cell = string | number | bigint | Uint8Array | null;

export type RowDifference = { readonly side: 'before' | 'after'; readonly cells: readonly Cell[] };

export type TableRows = {
  readonly table: string;
  /** Names of the columns, of the newer table where they differ. */
  readonly columns: readonly string[];
  readonly rows: readonly RowDifference[];
  /** There are more of them. */
  readonly more: boolean;
  /** Why the rows could not be compared; then there are none. */
  readonly reason?: string;
};

/**
 * Rows that only one of two copies has.
 * @param limit at most so many of each side and table
 * @throws SQLite's own errors where one does not open
 */
export async function differingRows(before: string, after: string, limit: number): Promise<TableRows[]> {
  const database = (await loadOpener())(after, { fileMustExist: true });
  try {
    database.prepare('ATTACH ? AS old').run(before);
    database.defaultSafeIntegers(true);
    const names = new Set([...ordinaryTables(database, 'main'), ...ordinaryTables(database, 'old')]);
    return [...names].sort().flatMap((table) => {
      const found = compareTable(database, table, limit);
      return found.rows.length === 0 && found.reason === undefined ? [] : found;
    });
  } finally {
    database.close();
  }
}

function compareTable(database: CoraDatabase, table: string, limit: number): TableRows {
  const columns = { main: columnsOf(database, 'main', table), old: columnsOf(database, 'old', table) };
  const shown = columns.main.length > 0 ? columns.main : columns.old;
  try {
    if (columns.main.length > 0 && columns.old.length > 0 && columns.main.join('\0') !== columns.old.join('\0'))
      return { table, columns: shown, rows: [], more: false, reason: `its columns were ${columns.old.join(', ')}` };
    const gone = onlyIn(database, 'old', 'main', table, columns, limit);
    const come = onlyIn(database, 'main', 'old', table, columns, limit);
    const rows: RowDifference[] = [
      ...gone.slice(0, limit).map((cells): RowDifference => ({ side: 'before', cells })),
      ...come.slice(0, limit).map((cells): RowDifference => ({ side: 'after', cells })),
    ];
    return { table, columns: shown, rows, more: gone.length > limit || come.length > limit };
  } catch (error) {
    // A collation or function that only its program has.
    return { table, columns: shown, rows: [], more: false, reason: error instanceof Error ? error.message : String(error) };
  }
}

type Schema = 'main' | 'old';

function columnsOf(database: CoraDatabase, schema: Schema, table: string): string[] {
  return database.prepare(`SELECT name FROM pragma_table_info(?, ?)`).pluck().all(table, schema).map(String);
}

function onlyIn(
  database: CoraDatabase,
  schema: Schema,
  other: Schema,
  table: string,
  columns: Readonly<Record<Schema, readonly string[]>>,
  limit: number,
): Cell[][] {
  if (columns[schema].length === 0) return [];
  const list = columns[schema].map(quoted).join(', ');
  const all = `SELECT ${list} FROM ${schema}.${quoted(table)}`;
  const without = columns[other].length === 0 ? '' : ` EXCEPT SELECT ${list} FROM ${other}.${quoted(table)}`;
  return database
    .prepare(`${all}${without} LIMIT ${limit + 1}`)
    .raw()
    .all() as Cell[][];
}
