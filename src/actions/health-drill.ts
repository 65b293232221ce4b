// Whether a restore was proven lately, and since the databases last changed their form. The ledger has a `drill` line a drill.

import { formatAge } from '../base/units.ts';
import type { Report } from '../format/report.ts';
import { type SnapshotRef, tryReport } from '../vault/catalog.ts';
import type { ChainLine } from '../vault/chain.ts';
import { timeOfId } from '../vault/layout.ts';
import type { Vault } from '../vault/vault.ts';
import { critical, type HealthCheck, note, ok, warning } from './health-check.ts';

const DRILL = 'cora drill';

export type Drills = { readonly count: number; readonly succeeded: number; readonly last: ChainLine | undefined };

/** `ok`, `damaged`, `failed`, or `stopped` by its time limit, which says nothing about the restore. */
const outcomeOf = ({ extra }: ChainLine) => extra.split(',')[1] ?? '';
const succeeded = (line: ChainLine) => outcomeOf(line) === 'ok';

export function drillsIn(lines: readonly ChainLine[]): Drills {
  const drills = lines.filter((line) => line.kind === 'drill' && outcomeOf(line) !== 'stopped');
  return { count: drills.length, succeeded: drills.filter(succeeded).length, last: drills.at(-1) };
}

/** @param newest the newest good backup's report */
export function drillDue(
  vault: Vault,
  refs: readonly SnapshotRef[],
  lines: readonly ChainLine[],
  newest: Report | undefined,
  every: number,
  now: number,
): HealthCheck {
  const last = lines.findLast((line) => line.kind === 'drill' && outcomeOf(line) !== 'stopped');
  const good = lines.findLast((line) => line.kind === 'drill' && succeeded(line));
  // Of a snapshot that is gone by now the damage is gone too.
  if (last !== undefined && outcomeOf(last) === 'damaged' && refs.some(({ id }) => id === last.id))
    return critical(
      'drill',
      `The last drill (${formatAge(now - Date.parse(last.time))}) found ${last.id} damaged`,
      `cora verify ${last.id} --deep`,
      'damaged',
    );
  if (last !== undefined && last !== good) return warning('drill', `The last drill (${formatAge(now - Date.parse(last.time))}) failed`, DRILL);
  if (good === undefined) {
    const first = refs.find(({ kind }) => kind === 'backup');
    const since = first === undefined ? 0 : now - timeOfId(first.id);
    if (since > every) return warning('drill', `No restore was ever proven, and the first backup is from ${formatAge(since)}`, DRILL);
    return note('drill', 'No restore was proven yet', DRILL);
  }
  const age = now - Date.parse(good.time);
  if (age > every) return warning('drill', `The last drill is from ${formatAge(age)}`, DRILL);
  const proven = refs.filter(({ id }) => id === good.id).map((ref) => tryReport(vault, ref))[0];
  const changed = proven === undefined || newest === undefined ? undefined : changedSchema(proven, newest);
  if (changed !== undefined) return warning('drill', `The schema of ${changed} changed since the last drill`, DRILL);
  return ok('drill', `A restore was proven ${formatAge(age)}`);
}

/** The first database whose declarations differ; undefined where none does. */
export function changedSchema(then: Report, now: Report): string | undefined {
  const before = new Map(then.databases.map((database) => [database.path, database]));
  for (const database of now.databases) {
    if (database.stored !== 'copy') continue;
    const known = before.get(database.path);
    if (known === undefined) return database.path;
    if (known.user_version !== database.user_version) return database.path;
    const [old, fresh] = [known.schema_sha256, database.schema_sha256];
    // Reports of before the hash was recorded tell by the names of their tables.
    const same = old === undefined || fresh === undefined ? tablesOf(known) === tablesOf(database) : old === fresh;
    if (!same) return database.path;
  }
  return undefined;
}

function tablesOf({ tables }: Report['databases'][number]): string {
  return JSON.stringify(Object.keys(tables).toSorted());
}
