// What a snapshot holds in one directory, for completions: the names that begin as typed, directories with a slash.

import { type Bytes, isText, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { steers } from '../base/steering.ts';
import { escapeField, rowKey, unescapeField } from '../format/file-list.ts';
import { resolveSnapshot } from '../vault/catalog.ts';
import { eachRow } from '../vault/listing.ts';
import { openLocated, type VaultLocation } from '../vault/locate.ts';

/** More than anybody reads in a terminal. */
const MOST = 500;

/**
 * @param typed the beginning of a path, relative to the project
 * @returns paths relative to the project, in the order of their bytes; none that a line cannot carry
 * @throws CoraError vault_missing, unknown_snapshot, damaged
 */
export async function snapshotPaths(location: VaultLocation, name: string, typed: Bytes, ctx: Context): Promise<string[]> {
  const vault = openLocated(location);
  const ref = resolveSnapshot(vault, name, ctx.now());
  const wanted = escapeField(typed);
  const at = wanted.lastIndexOf('/') + 1;
  const found = new Set<string>();
  for (const row of eachRow(vault, ref)) {
    // Pieces of a file have its name too.
    if (row.startsWith('+\t')) continue;
    const key = rowKey(row);
    if (!key.startsWith(wanted) || key === '.' || key.length === at) continue;
    const end = key.indexOf('/', at);
    const path = unescapeField(end < 0 ? key : key.slice(0, end));
    const text = toText(path);
    // Nor what would steer the terminal that shows the choice.
    if (!isText(path) || steers(text)) continue;
    found.add(end < 0 && !row.startsWith('d\t') ? text : `${text}/`);
    if (found.size >= MOST) break;
  }
  return [...found].sort();
}
