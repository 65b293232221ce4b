// The loss watch of a save: critical files, databases and the project as a whole, against what was well
// in the last good snapshot. What cannot be looked at now is no loss, and stays remembered as it was.

import { lstatSync } from 'node:fs';
import { isArtefactPath } from '../base/artefact.ts';
import { type Bytes, bytes, dirnameBytes, fromText, joinBytes, toText } from '../base/bytes.ts';
import { pathFields } from '../base/path-fields.ts';
import type { DatabaseReport } from '../format/report.ts';
import { onPath } from '../os/long-path.ts';
import { type Current, isUncounted, type Loss, lossOf, type Watched } from '../source/loss.ts';
import type { Matcher } from '../source/patterns.ts';
import { S_IFMT, S_IFREG } from '../source/walk.ts';
import { FLAG_DATABASE, FLAG_MISSING, FLAG_SIDECAR, type Tree } from '../store/stat-cache.ts';
import type { Vault } from '../vault/vault.ts';
import type { Scanned } from './capture.ts';
import { baselineOf, keyOf, measureById, type WatchList } from './loss-baseline.ts';
import { readLossLedger } from './loss-ledger.ts';
import { isSetAside } from './loss-text.ts';

const PROJECT = bytes('.');

export type LossesFound = {
  readonly losses: readonly Loss[];
  /** For the next save; what is well now has no id yet (`withId`). */
  readonly watch: WatchList;
};

/** Compares a new state of the project with the last good one. Opens no file of the project. */
export function findLosses(
  vault: Vault,
  root: Bytes,
  old: Tree | undefined,
  tree: Tree,
  scanned: Scanned,
  databases: readonly DatabaseReport[],
): LossesFound {
  const { isCritical } = scanned;
  const { id: since, watch: baseline } = baselineOf(vault, old);
  const { current, missing } = currentState(tree, isCritical, databases, baseline);
  const unread = new Set(scanned.scan.problems.map((problem) => keyOf(problem)));
  // What a run leaves out on purpose keeps the project from looking empty.
  const isThere = scanned.scan.notCovered.some(({ path }) => scanned.view.omitted.has(fromText(path)));
  const closed = new Set([...unread, ...[...scanned.view.omitted.keys()].map(bytes)]);
  const isWatched = (path: Bytes, { database }: Current): boolean => path === PROJECT || database === true || isCritical(path, false);
  const watch = new Map<Bytes, Watched>();
  for (const [path, now] of current) if (isWatched(path, now)) watch.set(path, { ...now, id: '' });
  const losses: Loss[] = [];
  let ledger: ReturnType<typeof readLossLedger> | undefined;
  for (const [path, before] of baseline) {
    // A pattern that was taken out of the configuration.
    if (!isWatched(path, before)) continue;
    const now = current.get(path);
    const presence =
      now === undefined || path === PROJECT ? presenceOf(root, path, missing, path === PROJECT && !isThere ? unread : closed) : 'there';
    if (presence === 'unknown' || (now !== undefined && isUncounted(before, now))) {
      watch.set(path, before);
      continue;
    }
    // On the disk and not in the tree: a new rule leaves it out.
    if (now === undefined && presence === 'there') continue;
    const found = lossOf(toText(path), before, now);
    if (found === undefined) continue;
    ledger ??= readLossLedger(vault, since);
    let good = before;
    const loss = ledger.settle(path, found, (id) => {
      const restored = measureById(vault, id, path);
      // A restore leaves something; what is gone or empty was not its doing.
      if (restored === undefined) return found.kind === 'gone' || found.kind === 'emptied' ? found : undefined;
      good = restored;
      return lossOf(toText(path), restored, now);
    });
    if (loss === undefined) continue;
    losses.push({ ...loss, ...pathFields(path), ...(good.tables === undefined ? {} : { tables: good.tables }) });
    watch.set(path, good);
  }
  return { losses: losses.toSorted((a, b) => (a.path < b.path ? -1 : 1)), watch };
}

/** The watch list as the stat cache keeps it: what is well now is so in the snapshot `id`. */
export function withId(watch: WatchList, id: string): Readonly<Record<string, Watched>> {
  return Object.fromEntries([...watch].map(([path, watched]) => [path, watched.id === '' ? { ...watched, id } : watched]));
}

/** Losses that the last save noted and nobody has accepted or undone since. */
export function standingLosses(vault: Vault, old: Tree): readonly Loss[] {
  return unsettledLosses(vault, (old.notes['losses'] ?? []) as readonly Loss[], old.snapshot);
}

/** Those of a save's losses that the ledger has not settled since. */
export function unsettledLosses(vault: Vault, losses: readonly Loss[], save: string): readonly Loss[] {
  if (losses.length === 0) return losses;
  const ledger = readLossLedger(vault, save);
  return losses.filter((loss) => ledger.settle(keyOf(loss), loss) !== undefined);
}

export function notedLosses(old: Tree): number {
  return ((old.notes['losses'] ?? []) as readonly Loss[]).length;
}

type State = {
  readonly current: ReadonlyMap<Bytes, Current>;
  /** There, and could not be read: a problem of its own, and no loss. */
  readonly missing: ReadonlySet<Bytes>;
};

function currentState(tree: Tree, isCritical: Matcher, databases: readonly DatabaseReport[], baseline: WatchList): State {
  // Only a copy that was checked and counted can say that rows are missing.
  const tables = new Map(databases.filter(({ stored }) => stored === 'copy').map((database) => [keyOf(database), database.tables]));
  const current = new Map<Bytes, Current>();
  const missing = new Set<Bytes>();
  let files = 0;
  for (let row = 0; row < tree.count; row++) {
    const flags = tree.flags[row] ?? 0;
    if ((flags & FLAG_SIDECAR) !== 0 || ((tree.mode[row] ?? 0) & S_IFMT) !== S_IFREG) continue;
    files += 1;
    const path = bytes(tree.paths[row] ?? '');
    const database = (flags & FLAG_DATABASE) !== 0 && !isSetAside(path);
    if (!database && !baseline.has(path) && !isCritical(path, false)) continue;
    if ((flags & FLAG_MISSING) !== 0) {
      missing.add(path);
      continue;
    }
    const rows = tables.get(path);
    const counted = rows === undefined ? {} : { tables: rows };
    current.set(path, { size: (database ? tree.stored : tree.size)[row] ?? 0, ...(database ? { database, ...counted } : {}) });
  }
  current.set(PROJECT, { size: files });
  return { current, missing };
}

/** Whether a path that the tree does not have is on the disk all the same. */
function presenceOf(root: Bytes, path: Bytes, missing: ReadonlySet<Bytes>, closed: ReadonlySet<Bytes>): 'there' | 'gone' | 'unknown' {
  // What a command did not give says nothing of what it would have given.
  if (missing.has(path) || isArtefactPath(path)) return 'unknown';
  if (closed.size > 0) {
    if (path === PROJECT) return 'unknown';
    for (let at = path; ; at = dirnameBytes(at)) {
      if (closed.has(at)) return 'unknown';
      if (at === PROJECT) break;
    }
  }
  try {
    const stat = onPath(joinBytes(root, path), (reachable) => lstatSync(reachable, { throwIfNoEntry: false }));
    return stat?.isFile() === true ? 'there' : 'gone';
  } catch {
    return 'unknown';
  }
}
