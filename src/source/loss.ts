// What counts as a loss: pure comparison of what was watched at the last good save with what is there
// now. A file that grows, a VACUUM or a checkpoint is none; the size of a database says nothing, its rows do.

import type { LossReport } from '../format/report.ts';

/** What is remembered of one critical file or database, from the last snapshot in which it was well. */
export type Watched = {
  /** Bytes of the file; for the project itself (path `.`) its entries. */
  readonly size: number;
  /** Databases: rows by table. */
  readonly tables?: Readonly<Record<string, number>>;
  /** The snapshot that holds it so. */
  readonly id: string;
};

/** What is there now. `tables` are undefined for a database that could not be counted (damaged, encrypted). */
export type Current = Omit<Watched, 'id'> & { readonly isDatabase?: boolean };

export type Loss = LossReport;
type LossKind = Loss['kind'];

/** A table with fewer rows may be emptied by its program every day. */
const TABLE_LEAST = 10;

const total = (tables: Readonly<Record<string, number>>) => Object.values(tables).reduce((sum, rows) => sum + rows, 0);

/**
 * The loss of one path, or undefined.
 * @param now undefined where it is not there any more
 */
export function lossOf(path: string, before: Watched, now: Current | undefined): Loss | undefined {
  const loss = (kind: LossKind, from: number, to: number, table?: string): Loss => ({
    path,
    kind,
    before: from,
    after: to,
    ...(table === undefined ? {} : { table }),
    last_good: before.id,
  });
  if (now === undefined) return loss('gone', before.size, 0);
  if (before.tables !== undefined) {
    if (now.isDatabase === true && now.tables === undefined) return undefined;
    if (now.isDatabase !== true && now.size === 0 && total(before.tables) > 0) return loss('emptied', before.size, 0);
    return rowsLost(before.tables, now.tables ?? {}, loss);
  }
  // It was no database that could be counted then, so there is nothing to compare.
  if (now.isDatabase === true) return undefined;
  if (before.size > 0 && now.size === 0) return loss('emptied', before.size, 0);
  // The project's entries come and go; only all of them at once are a loss.
  if (path !== '.' && before.size > 0 && now.size * 2 <= before.size) return loss('shrunk', before.size, now.size);
  return undefined;
}

function rowsLost(
  before: Readonly<Record<string, number>>,
  now: Readonly<Record<string, number>>,
  loss: (kind: LossKind, from: number, to: number, table?: string) => Loss,
): Loss | undefined {
  const from = total(before);
  const to = total(now);
  if (from > 0 && to * 2 <= from) return loss('rows', from, to);
  const table = Object.keys(before).find((name) => (before[name] ?? 0) >= TABLE_LEAST && (now[name] ?? 0) === 0);
  return table === undefined ? undefined : loss('table', before[table] ?? 0, now[table] ?? 0, table);
}
