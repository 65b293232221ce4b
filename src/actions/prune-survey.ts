// What lies in a vault, as clean-up has to see it: for each snapshot what is known of it, and who still needs it. Nothing is
// changed here. What is not known for sure is never called good.

import { createHash } from 'node:crypto';
import { lstatSync, readFileSync } from 'node:fs';
import { bytes, fromText, joinBytes, toText } from '../base/bytes.ts';
import { CoraError } from '../base/errors.ts';
import { type Pin, pinText } from '../base/retention-rules.ts';
import { parseSums } from '../format/checksums.ts';
import type { Report } from '../format/report.ts';
import { exists, namesIn } from '../os/files.ts';
import { onPath } from '../os/long-path.ts';
import type { Watched } from '../source/loss.ts';
import { treeHead } from '../store/stat-cache.ts';
import { listSnapshots, type SnapshotRef, tryReport } from '../vault/catalog.ts';
import { type ChainLine, originOf, readChain } from '../vault/chain.ts';
import { NAMES, parseId, saveDirectory, timeOfId } from '../vault/layout.ts';
import { pinsIn } from '../vault/pins.ts';
import type { Candidate } from '../vault/retention.ts';
import { formKey, prunedInLedger } from '../vault/trash.ts';
import type { Vault } from '../vault/vault.ts';
import { bytesBelow } from './list.ts';
import { isFrozen } from './lost.ts';
import { isGood } from './report-state.ts';

export type Surveyed = Candidate & { readonly ref: SnapshotRef /** Of its own files. */; readonly bytes: number };

export type Survey = {
  /** In the order of `listSnapshots`. */
  readonly candidates: readonly Surveyed[];
  /** Removed by the ledger, and still there: only who may take their flag can remove them. */
  readonly waiting: readonly SnapshotRef[];
  /** What lies where snapshots do and is none, relative to the vault. */
  readonly unparseable: readonly string[];
  /** A loss stands, or was put back and not seen by a save yet. */
  readonly frozen: boolean;
  /** Bytes of the whole vault. */
  readonly bytes: number;
};

/** @throws CoraError damaged where the ledger cannot be read, refused where its lines do not hold together */
export function surveyVault(vault: Vault, now: number): Survey {
  const chain = readChain(vault.root);
  requireWhole(chain);
  const lines = chain.map(({ line }) => line);
  const pruned = prunedInLedger(lines);
  const facts = factsOf(lines);
  const pins = pinsIn(lines, now);
  const refs = listSnapshots(vault);
  const listed = refs.filter((ref) => !pruned.has(formKey(ref)));
  const reports = new Map(listed.map((ref) => [ref, tryReport(vault, ref)]));
  const needed = neededBy(vault, listed, reports);
  return {
    candidates: listed.map((ref) => surveyed(vault, ref, reports.get(ref), facts, pins.get(ref.id), needed.get(formKey(ref)))),
    waiting: refs.filter((ref) => pruned.has(formKey(ref))),
    unparseable: unparseableIn(vault),
    frozen: isFrozen(vault),
    bytes: bytesBelow(vault.root),
  };
}

/** Where lines were changed or taken out, nobody knows what the order of snapshots is. */
function requireWhole(chain: readonly { readonly line: ChainLine; readonly hash: string }[]): void {
  let previous = originOf(chain[0]?.line).hash;
  for (const { line, hash } of chain) {
    if (line.previous !== previous) {
      throw new CoraError('refused', `The ledger does not hold together at line ${line.sequence}: nothing is removed`, { hint: 'cora verify --all' });
    }
    previous = hash;
  }
}

type LedgerFacts = {
  /** Hash of SHA256SUMS.txt by `<kind> <id>`. */
  readonly sums: ReadonlyMap<string, string>;
  /** Result of the last verification by `<kind> <id>`. */
  readonly verified: ReadonlyMap<string, boolean>;
};

function factsOf(lines: readonly ChainLine[]): LedgerFacts {
  const sums = new Map<string, string>();
  const verified = new Map<string, boolean>();
  for (const { kind, id, sums: hash, extra } of lines) {
    if (kind === 'save' || kind === 'backup' || kind === 'fallback') sums.set(`${kind} ${id}`, hash);
    if (kind === 'verify') verified.set(`${extra.slice(0, extra.indexOf(','))} ${id}`, extra.endsWith(',ok'));
  }
  return { sums, verified };
}

function surveyed(
  vault: Vault,
  ref: SnapshotRef,
  report: Report | undefined,
  facts: LedgerFacts,
  pin: Pin | undefined,
  need: string | undefined,
): Surveyed {
  const verified = facts.verified.get(formKey(ref));
  const label = report?.label ?? undefined;
  const hold = pin !== undefined ? pinText(pin) : label !== undefined ? `has the label ${label}` : undefined;
  return {
    ref,
    id: ref.id,
    kind: ref.kind,
    sequence: ref.sequence,
    time: timeOfId(ref.id),
    timezone: typeof report?.timezone === 'string' ? report.timezone : 'UTC',
    state: verified === false ? 'damaged' : stateOf(vault, ref, report, facts),
    type: report?.type ?? 'save',
    byHand: ref.kind === 'backup' ? report?.type === 'manual' : typeof report?.note === 'string',
    verified: verified === true,
    hold,
    need,
    bytes: bytesBelow(`${vault.root}/${ref.directory}`),
  };
}

function stateOf(vault: Vault, ref: SnapshotRef, report: Report | undefined, facts: LedgerFacts): Candidate['state'] {
  const recorded = facts.sums.get(formKey(ref));
  if (recorded === undefined) return 'unknown';
  if (report === undefined || report.snapshot_id !== ref.id || report.kind !== ref.kind) return 'damaged';
  if (!hasItsFiles(vault, ref, recorded)) return 'damaged';
  if (report.status === 'suspect') return 'suspect';
  try {
    return isGood(report) && report.scope !== 'critical' ? 'good' : 'incomplete';
  } catch {
    return 'damaged';
  }
}

/** Whether SHA256SUMS.txt is the recorded one and every file that it names is there; their content is verify's business. */
function hasItsFiles(vault: Vault, ref: SnapshotRef, recorded: string): boolean {
  try {
    const directory = `${vault.root}/${ref.directory}`;
    const text = readFileSync(`${directory}/${NAMES.sums}`);
    if (createHash('sha256').update(text).digest('hex') !== recorded) return false;
    return parseSums(text).every(({ path }) => isThere(directory, path));
  } catch {
    return false;
  }
}

function isThere(directory: string, path: string): boolean {
  const full = joinBytes(fromText(directory), bytes(path));
  return onPath(full, (reachable) => lstatSync(reachable, { throwIfNoEntry: false })) !== undefined;
}

/** Why others need a snapshot, by `<kind> <id>`. */
function neededBy(vault: Vault, refs: readonly SnapshotRef[], reports: ReadonlyMap<SnapshotRef, Report | undefined>): Map<string, string> {
  const needed = new Map<string, string>();
  // `backup auto` compares with the save that the newest backup was exported from; without it each push would make a backup.
  const exported = refs.findLast(({ kind, sequence }) => kind === 'backup' && sequence !== undefined);
  const source = exported === undefined ? undefined : reports.get(exported)?.exported_from;
  if (typeof source === 'string') needed.set(`save ${source}`, 'the newest backup was exported from it');
  // A critical file that cannot be looked at now is remembered as it was; its last good copy must not go.
  const newest = refs.findLast(({ kind, sequence }) => kind === 'save' && sequence !== undefined)?.id;
  for (const [path, { id }] of Object.entries((watchList(vault) ?? {}) as Record<string, Watched>)) {
    if (id === newest || id === '' || id === undefined) continue;
    const reason = `the last that is known to hold ${toText(bytes(path))}`;
    for (const kind of ['save', 'backup']) if (!needed.has(`${kind} ${id}`)) needed.set(`${kind} ${id}`, reason);
  }
  return needed;
}

function watchList(vault: Vault): unknown {
  return treeHead(vault.root)?.notes['watch'];
}

const OWN: ReadonlySet<string> = new Set([
  NAMES.vaultJson,
  NAMES.readme,
  NAMES.restoreScript,
  NAMES.progress,
  NAMES.ledger,
  NAMES.stage,
  NAMES.trash,
  NAMES.cache,
  NAMES.writeLock,
  NAMES.gcLock,
  NAMES.shipLock,
  'lost+found',
]);

/** Everything at the places of snapshots that is none: by its name, or because it has no SHA256SUMS.txt. */
function unparseableIn(vault: Vault): string[] {
  const strange: string[] = [];
  for (const name of namesIn(vault.root)) {
    if (OWN.has(name)) continue;
    if (parseId(name) === undefined || !exists(`${vault.root}/${name}/${NAMES.sums}`)) strange.push(name);
  }
  const below = (directory: string, level: number): void => {
    for (const name of namesIn(`${vault.root}/${directory}`)) {
      const path = `${directory}/${name}`;
      if (path === NAMES.packs) continue;
      if (level === 3) {
        const id = parseId(`${directory.slice(NAMES.progress.length + 1).replaceAll('/', '')}-${name}`);
        if (id === undefined || saveDirectory(id) !== path || !exists(`${vault.root}/${path}/${NAMES.sums}`)) strange.push(path);
      } else if (/^\d+$/.test(name) && name.length === (level === 0 ? 4 : 2)) below(path, level + 1);
      else strange.push(path);
    }
  };
  below(NAMES.progress, 0);
  return strange.sort();
}
