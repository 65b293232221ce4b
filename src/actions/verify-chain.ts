// The ledger against itself and against the snapshots: every line follows the one before it, every snapshot that a line names is
// there and is the one that was recorded, and no snapshot is there without a line. What does not fit is named. It never repairs.

import { createHash } from 'node:crypto';
import { lstatSync, readFileSync } from 'node:fs';
import { fromText, fsPath, joinBytes, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError, messageOf } from '../base/errors.ts';
import { parseSums } from '../format/checksums.ts';
import { exists } from '../os/files.ts';
import { type SnapshotRef, snapshotsOnDisk } from '../vault/catalog.ts';
import { type ChainLine, type ChainText, originOf, readLines, recoveredPlace } from '../vault/chain.ts';
import { brokenLinks } from '../vault/chain-links.ts';
import { NAMES, parseId, snapshotDirectory } from '../vault/layout.ts';
import { adoptUnrecorded } from '../vault/snapshot.ts';
import { lockForWriting, type Vault } from '../vault/vault.ts';
import { missingLines } from './ledger-witness.ts';
import { stopIfAborted } from './settle.ts';
import type { Damage } from './verify-files.ts';

export type ChainCheck = {
  readonly lines: number;
  /** Snapshots on the disk whose files were compared with their lines. */
  readonly snapshots: number;
  /** The last line's place and hash: what a copy elsewhere can be compared with. */
  readonly head: { readonly sequence: number; readonly hash: string } | undefined;
  /** Of a ledger that was rebuilt: the last line of the lost one, and where the copies are that it was rebuilt from. */
  readonly goesOnAfter?: { readonly sequence: number; readonly hash: string; readonly source: string };
  readonly damaged: readonly Damage[];
  readonly seconds: number;
};

const KINDS: ReadonlySet<string> = new Set(['save', 'backup', 'fallback']);

/**
 * Checks the chain. What a crash kept out of the ledger is put into it first, where that can be.
 * @param newest of how many snapshots, the newest ones, files are read too; undefined for all. That each is there is always looked at
 * @throws CoraError locked, interrupted. Damage is a result, not an error
 */
export function checkChain(vault: Vault, ctx: Context, newest?: number): ChainCheck {
  const begun = performance.now();
  const first = lookAtChain(vault, ctx, newest);
  const check = first.damaged.length === 0 ? first : (lookAgainAlone(vault, ctx, newest) ?? first);
  return { ...check, seconds: (performance.now() - begun) / 1000 };
}

type Look = Omit<ChainCheck, 'seconds'>;

/** Another run may just be between a rename and its line, and a crash may have been: nobody is accused before the lock is ours. */
function lookAgainAlone(vault: Vault, ctx: Context, newest: number | undefined): Look | undefined {
  let lock: ReturnType<typeof lockForWriting>;
  try {
    lock = lockForWriting(vault, ctx.lockWait);
  } catch (error) {
    if (error instanceof CoraError && error.code === 'locked') throw error;
    // A vault that cannot be written has no other run either.
    return undefined;
  }
  try {
    try {
      adoptUnrecorded(vault);
    } catch (error) {
      ctx.monitor.note(`What the last run left could not be put into the ledger: ${messageOf(error)}`);
    }
    return lookAtChain(vault, ctx, newest);
  } finally {
    lock.release();
  }
}

function lookAtChain(vault: Vault, ctx: Context, newest: number | undefined): Look {
  // Directories first: a snapshot that comes meanwhile is then in the ledger, or not looked at.
  const onDisk = new Map(snapshotsOnDisk(vault).map((ref) => [`${ref.kind} ${ref.id}`, ref]));
  const lines = readLines(vault.root);
  const damaged: Damage[] = [
    ...brokenLinks(lines).map(({ line, reason }) => ({ path: line, file: NAMES.chain, reason })),
    ...missingLines(vault, lines),
  ];
  const recorded = new Map<string, ChainLine>();
  const pruned = new Set<string>();
  for (const { line } of lines) {
    if (line === undefined) continue;
    if (KINDS.has(line.kind)) recorded.set(`${line.kind} ${line.id}`, line);
    if (line.kind === 'prune') pruned.add(`${line.extra} ${line.id}`);
  }
  const toRead = new Set([...recorded.keys()].slice(newest === undefined ? 0 : -newest));
  let snapshots = 0;
  for (const [key, line] of recorded) {
    stopIfAborted(ctx);
    const ref = onDisk.get(key);
    if (ref === undefined) {
      if (!pruned.has(key) && !exists(`${vault.root}/.trash/${line.kind}-${line.id}`)) damaged.push(removedSnapshot(line));
    } else if (toRead.has(key)) {
      snapshots += 1;
      damaged.push(...checkSnapshot(vault, ref, line));
    }
  }
  for (const [key, ref] of onDisk) {
    if (recorded.has(key)) continue;
    const reason = `the ledger has no line for this ${ref.kind}: it was put in by something else, or its line was taken out`;
    damaged.push({ path: ref.id, file: ref.directory, reason });
  }
  return { lines: lines.length, snapshots, head: headOf(lines), ...beginningOf(lines), damaged };
}

function beginningOf(lines: readonly ChainText[]): Pick<Look, 'goesOnAfter'> {
  const first = lines[0]?.line;
  const origin = originOf(first);
  if (first === undefined || origin.sequence === 0) return {};
  return { goesOnAfter: { ...origin, source: decoded(first.extra) } };
}

function decoded(extra: string): string {
  try {
    return decodeURIComponent(extra);
  } catch {
    return extra;
  }
}

function headOf(lines: readonly ChainText[]): Look['head'] {
  const last = lines.at(-1);
  return last?.line === undefined ? undefined : { sequence: last.line.sequence, hash: last.hash };
}

function removedSnapshot(line: ChainLine): Damage {
  const id = parseId(line.id);
  const kind = line.kind as 'save' | 'backup' | 'fallback';
  const file = id === undefined ? line.id : snapshotDirectory(kind, id);
  return { path: line.id, file, reason: `this ${kind} was removed: the ledger has it in line ${line.sequence}, and no clean-up took it` };
}

/** A snapshot's directory against its line. Contents are `verify`'s business; here the report and what must be there. */
function checkSnapshot(vault: Vault, ref: SnapshotRef, line: ChainLine): Damage[] {
  const directory = `${vault.root}/${ref.directory}`;
  const damage = (name: string, reason: string): Damage => ({ path: ref.id, file: `${ref.directory}/${name}`, reason });
  let text: Buffer;
  let sums: ReturnType<typeof parseSums>;
  try {
    text = readFileSync(`${directory}/${NAMES.sums}`);
    sums = parseSums(text);
  } catch (error) {
    return [damage(NAMES.sums, `it was altered: ${messageOf(error)}`)];
  }
  const found: Damage[] = [];
  if (sha256(text) !== line.sums) found.push(damage(NAMES.sums, 'it was altered: it is not the one that the ledger recorded'));
  for (const { path } of sums) {
    if (lstatSync(fsPath(joinBytes(fromText(directory), path)), { throwIfNoEntry: false }) === undefined) {
      found.push(damage(toText(path), 'it was removed'));
    }
  }
  return [...found, ...checkReport(`${directory}/${NAMES.report}`, sums, line).map((reason) => damage(NAMES.report, reason))];
}

function checkReport(path: string, sums: ReturnType<typeof parseSums>, line: ChainLine): string[] {
  let text: Buffer;
  let report: unknown;
  try {
    text = readFileSync(path);
    report = JSON.parse(text.toString());
  } catch (error) {
    return [`it cannot be read: ${messageOf(error)}`];
  }
  const reasons: string[] = [];
  const sum = sums.find((one) => one.path === NAMES.report);
  if (sum === undefined || sum.sha256 !== sha256(text)) reasons.push('it was altered: SHA256SUMS.txt has another hash for it');
  const has = (key: string, value: unknown) => typeof report === 'object' && report !== null && Reflect.get(report, key) === value;
  if (!has('snapshot_id', line.id) || !has('kind', line.kind)) reasons.push('it is the report of another snapshot');
  else if (!isAtItsPlace(has, line))
    reasons.push(`it names another place in the ledger than line ${line.sequence}: the ledger before it was altered, or the snapshot was put in`);
  return reasons;
}

/** One that came back from a copy has the place that it had in the ledger that was lost, as its line says. */
function isAtItsPlace(has: (key: string, value: unknown) => boolean, line: ChainLine): boolean {
  const place = recoveredPlace(line.extra);
  return place === undefined ? has('sequence', line.sequence) && has('previous', line.previous) : has('sequence', place);
}

function sha256(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}
