// What counts as a loss: pure comparison of what was watched at the last good save with what is there
// now. A file that grows, a VACUUM or a checkpoint is none; the size of a database says nothing, its rows do.

import type { LossReport } from '../format/report.ts';

/** What is remembered of one critical file or database, from the last snapshot in which it was well. */
export type Watched = {
  /** Bytes of the file; for the project itself (path `.`) its files. */
  readonly size: number;
  readonly database?: boolean;
  /** Rows by table; only of a database whose copy could be counted. */
  readonly tables?: Readonly<Record<string, number>>;
  /** The snapshot that holds it so. */
  readonly id: string;
};

/** What is there now. */
export type Current = Omit<Watched, 'id'>;

export type Loss = LossReport;
type LossKind = Loss['kind'];
type MakeLoss = (kind: LossKind, from: number, to: number, table?: string) => Loss;

/** A table with fewer rows may be emptied by its program every day. */
const TABLE_LEAST = 10;

// A table may be called `constructor`.
const rowsOf = (tables: Readonly<Record<string, number>>, name: string) => (Object.hasOwn(tables, name) ? (tables[name] ?? 0) : 0);
const total = (tables: Readonly<Record<string, number>>) => Object.values(tables).reduce((sum, rows) => sum + rows, 0);

/**
 * The loss of one path, or undefined.
 * @param now undefined where it is not there any more
 */
export function lossOf(path: string, before: Watched, now: Current | undefined): Loss | undefined {
  const loss: MakeLoss = (kind, from, to, table) => ({
    path,
    kind,
    before: from,
    after: to,
    ...(table === undefined ? {} : { table }),
    last_good: before.id,
  });
  if (now === undefined) return loss('gone', before.size, 0);
  if (now.database === true) {
    // What could not be counted (damaged, encrypted, new as a database) has nothing to compare.
    return before.tables === undefined || now.tables === undefined ? undefined : rowsLost(before.tables, now.tables, loss);
  }
  if (before.size > 0 && now.size === 0) return loss('emptied', before.size, 0);
  if (before.tables !== undefined && total(before.tables) > 0) return rowsLost(before.tables, {}, loss);
  // The project's files come and go; only all of them at once are a loss.
  if (path !== '.' && before.size > 0 && now.size * 2 <= before.size) return loss('shrunk', before.size, now.size);
  return undefined;
}

/** Whether the comparison said nothing because the database cannot be counted now: then what was remembered stays. */
export function isUncounted(before: Watched, now: Current): boolean {
  return before.tables !== undefined && now.database === true && now.tables === undefined;
}

function rowsLost(before: Readonly<Record<string, number>>, now: Readonly<Record<string, number>>, loss: MakeLoss): Loss | undefined {
  const from = total(before);
  const to = total(now);
  if (from > 0 && to * 2 <= from) return loss('rows', from, to);
  const table = Object.keys(before).find((name) => rowsOf(before, name) >= TABLE_LEAST && rowsOf(now, name) === 0);
  return table === undefined ? undefined : loss('table', rowsOf(before, table), 0, table);
}
