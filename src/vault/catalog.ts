// Which snapshots a vault has, and which one a person means by a name. What is on the disk is the
// truth; the ledger gives the order.

import { readFileSync } from 'node:fs';
import { CoraError } from '../base/errors.ts';
import type { BackupType, Report, SnapshotKind } from '../format/report.ts';
import { exists, namesIn } from '../os/files.ts';
import { placeOf, readLines } from './chain.ts';
import { NAMES, parseId, type SnapshotId, saveDirectory, snapshotDirectory, timeOfId } from './layout.ts';
import type { Vault } from './vault.ts';

/** One snapshot directory. A save and the backup made from it are two of these with one id. */
export type SnapshotRef = {
  readonly id: SnapshotId;
  readonly kind: SnapshotKind;
  /** Relative to the vault. */
  readonly directory: string;
  /** Place in the history (of one that came back from a copy the place it had); undefined where the ledger has no line for it. */
  readonly sequence: number | undefined;
};

/** Every snapshot, oldest first: by the ledger's sequence; what has no line comes last, by time. */
export function listSnapshots(vault: Vault): SnapshotRef[] {
  const sequences = new Map<string, number>();
  // A damaged line must not keep people from what is there; `verify --chain` names it.
  for (const { line } of readLines(vault.root)) if (line !== undefined) sequences.set(`${line.kind} ${line.id}`, placeOf(line));
  const found = snapshotsOnDisk(vault).map((ref) => ({ ...ref, sequence: sequences.get(`${ref.kind} ${ref.id}`) }));
  const order = (ref: SnapshotRef): number => ref.sequence ?? Number.MAX_SAFE_INTEGER;
  return found.sort((a, b) => order(a) - order(b) || timeOfId(a.id) - timeOfId(b.id));
}

/** The directories alone, in no order, without a look at the ledger. */
export function snapshotsOnDisk(vault: Vault): SnapshotRef[] {
  const found: SnapshotRef[] = [];
  const add = (kind: SnapshotKind, id: SnapshotId): void => {
    const directory = snapshotDirectory(kind, id);
    if (!exists(`${vault.root}/${directory}/${NAMES.sums}`)) return;
    found.push({ id, kind, directory, sequence: undefined });
  };
  for (const id of saveIds(vault)) add(exists(`${vault.root}/${saveDirectory(id)}/${NAMES.checkpoint}`) ? 'fallback' : 'save', id);
  for (const name of namesIn(vault.root)) {
    const id = parseId(name);
    if (id !== undefined) add('backup', id);
  }
  return found;
}

/** Ids of all directories where a save may lie. */
function* saveIds(vault: Vault): Generator<SnapshotId> {
  const progress = `${vault.root}/${NAMES.progress}`;
  for (const year of namesIn(progress)) {
    if (!/^\d{4}$/.test(year)) continue;
    for (const month of namesIn(`${progress}/${year}`)) {
      for (const day of namesIn(`${progress}/${year}/${month}`)) {
        for (const name of namesIn(`${progress}/${year}/${month}/${day}`)) {
          const id = parseId(`${year}${month}${day}-${name}`);
          if (id !== undefined && saveDirectory(id) === `${NAMES.progress}/${year}/${month}/${day}/${name}`) yield id;
        }
      }
    }
  }
}

/** Packs on disk, relative to the vault, oldest first. */
export function listPacks(vault: Vault): string[] {
  const packs: string[] = [];
  for (const id of saveIds(vault)) {
    const pack = `${saveDirectory(id)}/${NAMES.pack}`;
    if (exists(`${vault.root}/${pack}`)) packs.push(pack);
  }
  packs.sort();
  for (const name of namesIn(`${vault.root}/${NAMES.packs}`).sort()) if (name.endsWith('.tar.zst')) packs.push(`${NAMES.packs}/${name}`);
  return packs;
}

/**
 * REPORT.json of a snapshot.
 * @throws CoraError metadata_missing, metadata_invalid_json
 */
export function readReport(vault: Vault, ref: SnapshotRef): Report {
  const path = `${ref.directory}/${NAMES.report}`;
  let text: string;
  try {
    text = readFileSync(`${vault.root}/${path}`, 'utf8');
  } catch (error) {
    throw new CoraError('metadata_missing', `${path} cannot be read`, { hint: `cora verify ${ref.id}`, cause: error });
  }
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && 'snapshot_id' in value && 'kind' in value) return value as Report;
  } catch {
    // the same to a reader as a document of another shape
  }
  throw new CoraError('metadata_invalid_json', `${path} is no valid report`, { hint: `cora verify ${ref.id}` });
}

export function tryReport(vault: Vault, ref: SnapshotRef): Report | undefined {
  try {
    return readReport(vault, ref);
  } catch {
    return undefined;
  }
}

/** Label of the save that a restore in place makes of what it replaces. */
export const PRE_RESTORE = 'pre-restore-safety';

/** What a name stands for may be limited. */
export type Wanted = { readonly kind?: SnapshotKind };

/** Which of the good snapshots is looked for. */
export type Sought = Wanted & {
  readonly type?: BackupType;
  /** Made at this instant or earlier, in milliseconds since 1970; the newest by its time is looked for then. */
  readonly notAfter?: number;
  /** Made before the snapshot of this place in the ledger. */
  readonly before?: number;
};

/** What a name is looked up by. */
export type Told = Pick<Report, 'status' | 'label' | 'note' | 'scope'>;

/** The snapshots among which a name is looked up, oldest first, and what is known of each; undefined where its report cannot be read. */
export type Known = { readonly refs: readonly SnapshotRef[]; readonly tell: (ref: SnapshotRef) => Told | undefined };

const knownOf = (vault: Vault): Known => ({ refs: listSnapshots(vault), tell: (ref) => tryReport(vault, ref) });

/**
 * The snapshot that a person names: an id, a unique prefix of one, `latest`, `latest~N`, a git sha, or a label or note's exact text.
 * Of a save and a backup with one id the backup is taken. `latest` skips what has no readable report, what is dated in the future, fallback checkpoints of critical files alone, and, while there is another, what is suspect or was saved because a restore was about to replace it.
 * @param now milliseconds since 1970
 * @throws CoraError unknown_snapshot, ambiguous_snapshot (with the candidates)
 */
export function resolveSnapshot(vault: Vault, name: string, now: number, wanted: Wanted = {}): SnapshotRef {
  return resolveAmong(knownOf(vault), name, now, wanted);
}

/** The same among snapshots that are known already. */
export function resolveAmong({ refs, tell }: Known, name: string, now: number, wanted: Wanted = {}): SnapshotRef {
  const all = refs.filter((ref) => wanted.kind === undefined || ref.kind === wanted.kind);
  if (all.length === 0) throw new CoraError('unknown_snapshot', 'The vault has no snapshot yet', { hint: 'cora save' });
  const latest = /^latest(?:~(\d+))?$/.exec(name);
  if (latest !== null) return nthLatest(tell, all, Number(latest[1] ?? 0), now);
  const exact = preferBackup(all.filter((ref) => ref.id === name));
  if (exact !== undefined) return exact;
  const byPrefix = all.filter((ref) => name.length >= 4 && ref.id.startsWith(name));
  const bySha = /^[0-9a-f]{6,40}$/.test(name)
    ? all.filter((ref) => shaOf(ref).startsWith(name) || (shaOf(ref) !== '' && name.startsWith(shaOf(ref))))
    : [];
  const byLabel = byPrefix.length + bySha.length > 0 ? [] : all.filter((ref) => isLabelled(tell(ref), name));
  const ids = new Set([...byPrefix, ...(byPrefix.length > 0 ? [] : bySha), ...byLabel].map((ref) => ref.id));
  if (ids.size === 1) {
    const only = preferBackup(all.filter((ref) => ids.has(ref.id)));
    if (only !== undefined) return only;
  }
  if (ids.size > 1) {
    const candidates = [...ids].slice(-8);
    throw new CoraError('ambiguous_snapshot', `${name} can mean ${ids.size} snapshots: ${candidates.join(', ')}`, {
      hint: 'write more of the id',
      details: { candidates: [...ids] },
    });
  }
  throw new CoraError('unknown_snapshot', `There is no snapshot ${name}`, { hint: 'cora list shows what there is' });
}

function shaOf(ref: SnapshotRef): string {
  const sha = ref.id.split('-')[2] ?? '';
  return sha === 'nogit' ? '' : sha;
}

function isLabelled(told: Told | undefined, name: string): boolean {
  return told !== undefined && (told.label === name || told.note === name);
}

/** Snapshots whose label or note is exactly this text, oldest first. */
export function labelledSnapshots(vault: Vault, text: string): SnapshotRef[] {
  return listSnapshots(vault).filter((ref) => isLabelled(tryReport(vault, ref), text));
}

function preferBackup(refs: readonly SnapshotRef[]): SnapshotRef | undefined {
  return refs.find((ref) => ref.kind === 'backup') ?? refs[0];
}

function nthLatest(tell: Known['tell'], all: readonly SnapshotRef[], back: number, now: number): SnapshotRef {
  let passed = 0;
  for (const ref of goodSnapshots(tell, [...all].reverse(), now)) {
    if (passed === back) return preferBackup(all.filter((other) => other.id === ref.id)) ?? ref;
    passed += 1;
  }
  throw new CoraError('unknown_snapshot', `There are only ${passed} snapshots to go back to`, { hint: 'cora list shows what there is' });
}

/**
 * The newest good snapshot (as `latest` has it) of those that are looked for; undefined where there is none.
 * @param now milliseconds since 1970
 */
export function newestGood(vault: Vault, now: number, sought: Sought): SnapshotRef | undefined {
  const { kind, type, notAfter, before } = sought;
  const all = listSnapshots(vault).filter(
    (ref) =>
      (kind === undefined || ref.kind === kind) &&
      (notAfter === undefined || timeOfId(ref.id) <= notAfter) &&
      (before === undefined || (ref.sequence ?? Number.MAX_SAFE_INTEGER) < before) &&
      (type === undefined || tryReport(vault, ref)?.type === type),
  );
  // A moment asks for the clock; all else for the order in which they were made.
  const newestFirst = notAfter === undefined ? all.toReversed() : all.toReversed().sort((a, b) => timeOfId(b.id) - timeOfId(a.id));
  for (const ref of goodSnapshots((one) => tryReport(vault, one), newestFirst, now))
    return preferBackup(all.filter((other) => other.id === ref.id)) ?? ref;
  return undefined;
}

/** What was lost is not in a suspect snapshot, and what a restore replaced was not wanted: to be taken only where there is no other. */
export function isLastResort(report: Told): boolean {
  return report.status === 'suspect' || report.label === PRE_RESTORE;
}

/** Those of a list, each id once, that may stand for the project: see `resolveSnapshot` for `latest`. */
function* goodSnapshots(tell: Known['tell'], newestFirst: readonly SnapshotRef[], now: number): Generator<SnapshotRef> {
  const usable = (ref: SnapshotRef): Told | undefined => {
    // A clock that ran ahead must not make one snapshot "latest" for ever.
    const report = timeOfId(ref.id) > now + 120_000 ? undefined : tell(ref);
    // Critical files alone must not stand for the project.
    return ref.kind === 'fallback' && report?.scope !== 'tree' ? undefined : report;
  };
  const onlySuspects = newestFirst.every((ref) => {
    const report = usable(ref);
    return report === undefined || isLastResort(report);
  });
  const seen = new Set<string>();
  for (const ref of newestFirst) {
    const report = seen.has(ref.id) ? undefined : usable(ref);
    if (report === undefined || (isLastResort(report) && !onlySuspects)) continue;
    seen.add(ref.id);
    yield ref;
  }
}
