// The loss watch of a save: what to watch, what was lost against the last good snapshot, and the command
// that brings it back. What it knows lies in the stat cache's notes; without them, in the last REPORT.json.

import { lstatSync } from 'node:fs';
import { type Bytes, bytes, fromText, joinBytes, toText } from '../base/bytes.ts';
import type { Problem } from '../base/context.ts';
import { pathFields } from '../base/path-fields.ts';
import { formatBytes } from '../base/units.ts';
import type { DatabaseReport, Report } from '../format/report.ts';
import { onPath } from '../os/long-path.ts';
import { type Current, type Loss, lossOf, type Watched } from '../source/loss.ts';
import type { Matcher } from '../source/patterns.ts';
import { S_IFMT, S_IFREG } from '../source/walk.ts';
import { FLAG_DATABASE, FLAG_MISSING, type Tree } from '../store/stat-cache.ts';
import { listSnapshots, tryReport } from '../vault/catalog.ts';
import { readChain } from '../vault/chain.ts';
import type { Vault } from '../vault/vault.ts';
import { isListed } from './tree-rows.ts';

/** By the path's bytes. */
export type WatchList = Readonly<Record<string, Watched>>;

const LOST = 'lost';

/** What is to be compared with: the stat cache's memory, or what the last save's report says. */
export function baselineOf(vault: Vault, old: Tree | undefined): WatchList {
  const noted = old?.notes['watch'];
  if (typeof noted === 'object' && noted !== null) return noted as WatchList;
  const last = listSnapshots(vault).findLast(({ kind }) => kind === 'save');
  const report = last === undefined ? undefined : tryReport(vault, last);
  return report === undefined ? {} : fromReport(report);
}

function fromReport(report: Report): WatchList {
  const watch: Record<string, Watched> = {};
  const id = report.snapshot_id;
  for (const [path, size] of Object.entries(report.critical_sizes ?? {})) watch[fromText(path)] = { size, id };
  for (const database of report.databases) if (isCounted(database)) watch[keyOf(database)] = { size: database.size, tables: database.tables, id };
  watch['.'] = { size: report.total_files_processed, id };
  for (const loss of report.losses ?? []) {
    watch[keyOf(loss)] = { size: loss.before, id: loss.last_good, ...(loss.tables === undefined ? {} : { tables: loss.tables }) };
  }
  return watch;
}

/** Only a copy that was checked and counted can say that rows are missing. */
function isCounted(database: DatabaseReport): boolean {
  return database.stored === 'copy';
}

function keyOf({ path, path_base64: raw }: { readonly path: string; readonly path_base64?: string }): string {
  return raw === undefined ? fromText(path) : Buffer.from(raw, 'base64').toString('latin1');
}

export type LossesFound = { readonly losses: readonly Loss[]; readonly watch: WatchList };

/**
 * Compares a new state with the baseline.
 * @param id gives a name to what is well now; unknown before the commit, so `watch` is completed with `withId`
 */
export function findLosses(
  vault: Vault,
  root: Bytes,
  baseline: WatchList,
  tree: Tree,
  isCritical: Matcher,
  databases: readonly DatabaseReport[],
): LossesFound {
  const current = currentState(tree, isCritical, databases, baseline);
  const losses: Loss[] = [];
  const watch: Record<string, Watched> = {};
  for (const [path, now] of current) {
    // A database that cannot be counted now keeps the count it had.
    const uncounted = now.isDatabase === true && now.tables === undefined;
    watch[path] = uncounted
      ? (baseline[path] ?? { size: now.size, tables: {}, id: '' })
      : { size: now.size, ...(now.tables === undefined ? {} : { tables: now.tables }), id: '' };
  }
  let accepted: ((path: string, since: string) => boolean) | undefined;
  for (const [path, before] of Object.entries(baseline)) {
    const now = current.get(path);
    // Left out by a new rule, not lost.
    if (now === undefined && path !== '.' && isThere(root, bytes(path))) continue;
    const loss = lossOf(toText(bytes(path)), before, now);
    if (loss === undefined) continue;
    accepted ??= acceptedIn(vault);
    if (accepted(path, before.id)) continue;
    losses.push({ ...loss, ...pathFields(bytes(path)), ...(before.tables === undefined ? {} : { tables: before.tables }) });
    watch[path] = before;
  }
  return { losses: losses.toSorted((a, b) => (a.path < b.path ? -1 : 1)), watch };
}

/** The new state's own entries get the name of the snapshot that holds them. */
export function withId(watch: WatchList, id: string): WatchList {
  return Object.fromEntries(Object.entries(watch).map(([path, watched]) => [path, watched.id === '' ? { ...watched, id } : watched]));
}

/** Losses that the last save noted and nobody has accepted since. */
export function standingLosses(vault: Vault, old: Tree): readonly Loss[] {
  const noted = (old.notes['losses'] ?? []) as readonly Loss[];
  return noted.length === 0 ? [] : unacceptedLosses(vault, noted);
}

/** Those of a report's losses that nobody has accepted since. */
export function unacceptedLosses(vault: Vault, losses: readonly Loss[]): readonly Loss[] {
  const accepted = acceptedIn(vault);
  return losses.filter((loss) => !accepted(keyOf(loss), loss.last_good));
}

export function notedLosses(old: Tree): number {
  return ((old.notes['losses'] ?? []) as readonly Loss[]).length;
}

function currentState(tree: Tree, isCritical: Matcher, databases: readonly DatabaseReport[], baseline: WatchList): Map<string, Current> {
  const tables = new Map(databases.filter(isCounted).map((database) => [keyOf(database), database.tables]));
  const current = new Map<string, Current>();
  let files = 0;
  for (let row = 0; row < tree.count; row++) {
    if (!isListed(tree, row) || ((tree.mode[row] ?? 0) & S_IFMT) !== S_IFREG) continue;
    files += 1;
    const path = bytes(tree.paths[row] ?? '');
    const flags = tree.flags[row] ?? 0;
    const isDatabase = (flags & FLAG_DATABASE) !== 0;
    if (!isDatabase && !isCritical(path, false) && baseline[path] === undefined) continue;
    // It is there and could not be read: a problem of its own, and no loss.
    if ((flags & FLAG_MISSING) !== 0) continue;
    const rows = tables.get(path);
    current.set(path, { size: tree.size[row] ?? 0, isDatabase, ...(rows === undefined ? {} : { tables: rows }) });
  }
  current.set('.', { size: files });
  return current;
}

function isThere(root: Bytes, path: Bytes): boolean {
  return onPath(joinBytes(root, path), (reachable) => lstatSync(reachable, { throwIfNoEntry: false }))?.isFile() === true;
}

/** A cut by rotate, a restore in place, and what a person accepted are no losses: the ledger has them, after the last good snapshot. */
function acceptedIn(vault: Vault): (path: string, since: string) => boolean {
  const chain = readChain(vault.root);
  const sequenceOf = new Map<string, number>();
  const accepted = new Map<string, number>();
  for (const { line } of chain) {
    if (line.kind === 'save') sequenceOf.set(line.id, line.sequence);
    if (line.kind === 'accept' || line.kind === 'rotate' || line.kind === 'restore') {
      for (const path of line.extra.split(',')) accepted.set(path === '*' ? '*' : decodePath(path), line.sequence);
    }
  }
  return (path, since) => Math.max(accepted.get(path) ?? 0, accepted.get('*') ?? 0) > (sequenceOf.get(since) ?? Number.MAX_SAFE_INTEGER);
}

/** A path in a ledger line: its bytes in percent-encoding, commas too. */
export function encodePath(path: Bytes): string {
  return path.replace(/[^A-Za-z0-9._/-]/g, (byte) => `%${byte.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

function decodePath(text: string): string {
  return text.replace(/%([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** One problem for each loss; its message ends with what to type. */
export function lossProblems(losses: readonly Loss[], root: Bytes): Problem[] {
  return losses.map((loss) => ({
    code: LOST,
    path: loss.path,
    ...(loss.path_base64 === undefined ? {} : { path_base64: loss.path_base64 }),
    message: `${describeLoss(loss)}. To bring it back: ${restoreCommand(loss, root)} -- or, if it was meant: ${acceptCommand(loss)}`,
    severity: 'error',
  }));
}

export function describeLoss(loss: Loss): string {
  switch (loss.kind) {
    case 'gone':
      return `LOST: it was there in ${loss.last_good} (${formatBytes(loss.before)}) and is gone`;
    case 'emptied':
      if (loss.path === '.') return `LOST: the whole project is empty; in ${loss.last_good} it had ${loss.before} files. Is its disk mounted?`;
      return `LOST: it had ${formatBytes(loss.before)} in ${loss.last_good} and is empty`;
    case 'shrunk':
      return `LOST: it had ${formatBytes(loss.before)} in ${loss.last_good} and has ${formatBytes(loss.after)}`;
    case 'rows':
      return `LOST: it had ${loss.before} rows in ${loss.last_good} and has ${loss.after}`;
    case 'table':
      return `LOST: its table ${loss.table ?? ''} had ${loss.before} rows in ${loss.last_good} and has ${loss.after}`;
  }
}

/** A line for a shell, whatever the current directory. A database that is there is set aside, never overwritten. */
export function restoreCommand(loss: Loss, root: Bytes): string {
  const here = `cd ${quoted(toText(root))} && `;
  const path = quoted(loss.path);
  if (loss.path === '.') return `${here}cora restore ${loss.last_good} --yes`;
  const restore = `cora restore ${loss.last_good} --yes -- ${path}`;
  if (loss.tables === undefined || loss.kind === 'gone') return here + restore;
  const aside = ['', '-wal', '-shm', '-journal'].map((suffix) => quoted(loss.path + suffix)).join(' ');
  return `${here}for f in ${aside}; do [ ! -e "$f" ] || mv -- "$f" "$f.lost"; done; ${restore}`;
}

export function acceptCommand(loss: Loss): string {
  return `cora lost --accept ${quoted(loss.path)}`;
}

function quoted(text: string): string {
  return /^[A-Za-z0-9_./@%+=:,-]+$/.test(text) && !text.startsWith('-') ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
