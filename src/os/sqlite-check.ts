// What SQLite's own checks say about a stored copy, and how many rows its tables have. Only reads;
// a table that needs its program's collations or functions is told apart from a damaged one.

import { createHash } from 'node:crypto';
import { errnoOf, messageOf } from '../base/errors.ts';

/** What is needed of an open database. */
type Checked = {
  pragma(source: string): unknown;
  prepare(sql: string): { pluck(): { get(): unknown; all(): unknown[] } };
};

/** Lines of a failed check that are kept. */
const CHECK_LINES = 10;

/**
 * Runs a check over all that can be checked. `unchecked` names the tables that cannot, and why; absent where all were.
 * @throws SQLite's own errors where the file is too damaged to be checked
 */
export function runCheck(database: Checked, check: 'quick_check' | 'integrity_check'): { result: string; unchecked?: string } {
  let reason: string;
  try {
    return { result: checkResult(database, `${check}(${CHECK_LINES})`) };
  } catch (error) {
    if (!needsProgram(error)) throw error;
    reason = messageOf(error);
  }
  // One table with a collation or a function that only its program knows stops the whole check: then table by table.
  const failed: string[] = [];
  const unchecked: string[] = [];
  for (const name of ['sqlite_schema', ...ordinaryTables(database)]) {
    try {
      const result = checkResult(database, `${check}(${quoted(name)})`);
      if (result !== 'ok') failed.push(result);
    } catch (error) {
      if (!needsProgram(error)) throw error;
      unchecked.push(`${name} (${messageOf(error)})`);
    }
  }
  const result = failed.length === 0 ? 'ok' : failed.slice(0, CHECK_LINES).join('; ');
  const more = unchecked.length > CHECK_LINES ? [`${unchecked.length - CHECK_LINES} more`] : [];
  return { result, unchecked: [...unchecked.slice(0, CHECK_LINES), ...more].join('; ') || reason };
}

function checkResult(database: Checked, pragma: string): string {
  const lines = (database.pragma(pragma) as Record<string, unknown>[]).map((row) => String(Object.values(row)[0]));
  return lines.length === 1 && lines[0] === 'ok' ? 'ok' : lines.join('; ');
}

/** SQLITE_ERROR is about the statement (what it names is not known here), never about the file. */
function needsProgram(error: unknown): boolean {
  return /^SQLITE_ERROR(?:_MISSING_COLLSEQ)?$/.test(errnoOf(error) ?? '');
}

/** A name as SQL has it. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Names of ordinary tables. Sorted: SQLite lists them in no order that stays. */
export function ordinaryTables(database: Checked, of = 'main'): string[] {
  const list = database.pragma('table_list') as { schema: string; name: string; type: string }[];
  return list
    .filter(({ schema, name, type }) => schema === of && type === 'table' && !name.startsWith('sqlite_'))
    .map(({ name }) => name)
    .toSorted();
}

/** One hash over every table, index, view and trigger as it was declared: what a migration changes, and a VACUUM does not. */
export function schemaHash(database: Checked): string {
  const declarations = database.prepare('SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type, name').pluck().all();
  return createHash('sha256').update(declarations.join('\0')).digest('hex');
}

/** Rows by ordinary table; virtual tables and their shadows are left out. */
export function countRows(database: Checked): { rows: number; tables: Record<string, number> } {
  const tables: Record<string, number> = {};
  let rows = 0;
  for (const name of ordinaryTables(database)) {
    const count = Number(
      database
        .prepare(`SELECT count(*) FROM ${quoted(name)}`)
        .pluck()
        .get(),
    );
    // Not an assignment: a table may be called __proto__.
    Object.defineProperty(tables, name, { value: count, enumerable: true, writable: true, configurable: true });
    rows += count;
  }
  return { rows, tables };
}
