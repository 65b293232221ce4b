// The state of a project's protection in one look, and what to do about what is missing. It works
// before there is a vault.

import { statSync } from 'node:fs';
import { type Bytes, fsPath, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { formatAge, formatBytes } from '../base/units.ts';
import type { LossReport, Report, SnapshotKind } from '../format/report.ts';
import { exists, freeBytes } from '../os/files.ts';
import { readRuns } from '../os/run-log.ts';
import { listSnapshots, type SnapshotRef, tryReport } from '../vault/catalog.ts';
import { type ChainLine, findLast } from '../vault/chain.ts';
import { NAMES, parseId, snapshotDirectory, timeOfId } from '../vault/layout.ts';
import { openLocated, requireOwn, type VaultLocation } from '../vault/locate.ts';
import { lostSeals, protectionsOf } from '../vault/seal.ts';
import type { Vault } from '../vault/vault.ts';
import { lastDrill, type RecordedDrill } from './drill-ledger.ts';
import { bytesBelow } from './list.ts';
import { isFrozen, lossesOf } from './lost.ts';
import { isGood } from './report-state.ts';
import { type Failures, failuresOf, type Growth, growthOf, WEEK } from './status-runs.ts';
import { lastTorture, type RecordedTorture } from './torture-ledger.ts';

export type LastRun = { readonly id: string; readonly time: number; readonly ok: boolean };

export type StatusResult = {
  readonly project: { readonly name: string; readonly root: string };
  readonly vault: {
    readonly path: string;
    readonly exists: boolean;
    readonly bytes: number;
    readonly freeBytes: number;
    /** True where the vault's disk is the project's: no protection against the loss of the disk. */
    readonly sameDisk: boolean;
  };
  readonly lastSave: LastRun | undefined;
  readonly lastBackup: LastRun | undefined;
  readonly lastVerify: LastRun | undefined;
  /** The last restore drill. */
  readonly lastDrill: RecordedDrill | undefined;
  /** The last `cora torture` whose certificate is in the vault. */
  readonly lastTorture: RecordedTorture | undefined;
  readonly saves: number;
  readonly backups: number;
  /** Checkpoints that scripts/save.sh made where the engine could not start. */
  readonly fallbacks: number;
  /** Of the backups, those that have the immutable flag. */
  readonly sealed: number;
  /** Of the newest save or backup, largest first. */
  readonly largeFiles: Report['large_files'];
  /** Critical files that grew over the last week (or since the oldest save), most first. */
  readonly growth: readonly Growth[];
  readonly failures: Failures;
  /** What the newest save found lost and nobody accepted. */
  readonly losses: readonly LossReport[];
  /** A loss stands: nothing old is cleaned up. */
  readonly frozen: boolean;
  readonly warnings: readonly { readonly message: string; readonly next: string }[];
};

const DAY = 86_400_000;
const DRILL_ENDS = { damaged: 'with damage', failed: 'without proof', stopped: 'by its time limit' } as const;
const LITTLE_SPACE = 1_000_000_000;

/** @throws CoraError vault_missing where there is something at the vault's place that is no vault, vault_foreign */
export async function status(
  project: { readonly root: Bytes; readonly name: string },
  location: VaultLocation,
  logs: readonly string[],
  ctx: Context,
): Promise<StatusResult> {
  const failures = failuresOf(readRuns(logs), toText(project.root), ctx.now());
  const facts = { name: project.name, root: toText(project.root) };
  if (!exists(location.path) && location.expectedId === undefined) {
    return {
      project: facts,
      vault: { path: location.path, exists: false, bytes: 0, freeBytes: 0, sameDisk: false },
      lastSave: undefined,
      lastBackup: undefined,
      lastVerify: undefined,
      lastDrill: undefined,
      lastTorture: undefined,
      saves: 0,
      backups: 0,
      fallbacks: 0,
      sealed: 0,
      largeFiles: [],
      growth: [],
      failures,
      losses: [],
      frozen: false,
      warnings: [{ message: 'Nothing is saved yet', next: 'cora save' }, ...failureWarnings(failures)],
    };
  }
  const vault = openLocated(location);
  requireOwn(vault, project);
  const refs = listSnapshots(vault);
  const backups = refs.filter(({ kind }) => kind === 'backup');
  const vaultFacts = {
    path: vault.root,
    exists: true,
    bytes: bytesBelow(vault.root),
    freeBytes: freeBytes(vault.root),
    sameDisk: statSync(vault.root).dev === statSync(fsPath(project.root)).dev,
  };
  const result = {
    project: facts,
    vault: vaultFacts,
    lastSave: lastSave(vault),
    lastBackup: lastBackup(vault),
    lastVerify: lastVerify(vault),
    lastDrill: lastDrill(vault),
    lastTorture: lastTorture(vault),
    saves: refs.filter(({ kind }) => kind === 'save').length,
    fallbacks: refs.filter(({ kind }) => kind === 'fallback').length,
    backups: backups.length,
    sealed: [...protectionsOf(vault, backups).values()].filter((protection) => protection === 'kernel').length,
    ...overTime(vault, refs, ctx.now()),
    failures,
    losses: lossesOf(vault, refs),
    frozen: isFrozen(vault, refs),
  };
  return { ...result, warnings: warningsOf(result, vault, backups, ctx.now()) };
}

/** A save that found nothing to do is a success as well: its time counts, its id is the snapshot it found. */
function lastSave(vault: Vault): LastRun | undefined {
  const line = findLast(vault.root, ({ kind }) => kind === 'save' || kind === 'unchanged' || kind === 'fallback');
  const kind = line?.kind === 'fallback' ? 'fallback' : 'save';
  return line === undefined ? undefined : { id: line.id, time: Date.parse(line.time), ok: isGoodSnapshot(vault, kind, line) };
}

function lastBackup(vault: Vault): LastRun | undefined {
  const line = findLast(vault.root, ({ kind }) => kind === 'backup');
  return line === undefined ? undefined : { id: line.id, time: Date.parse(line.time), ok: isGoodSnapshot(vault, 'backup', line) };
}

function isGoodSnapshot(vault: Vault, kind: SnapshotKind, line: ChainLine): boolean {
  const report = reportOf(vault, kind, line.id);
  return report !== undefined && isGood(report);
}

/** A snapshot's own directory is looked at: a list of all of them costs a moment where there are thousands. */
function reportOf(vault: Vault, kind: SnapshotKind, text: string): Report | undefined {
  const id = parseId(text);
  if (id === undefined) return undefined;
  const directory = snapshotDirectory(kind, id);
  if (!exists(`${vault.root}/${directory}/${NAMES.sums}`)) return undefined;
  // Saves and checkpoints lie at the same places.
  if (kind !== 'backup' && exists(`${vault.root}/${directory}/${NAMES.checkpoint}`) !== (kind === 'fallback')) return undefined;
  return tryReport(vault, { id, kind, directory, sequence: undefined });
}

function lastVerify(vault: Vault): LastRun | undefined {
  const line = findLast(vault.root, ({ kind }) => kind === 'verify');
  return line === undefined ? undefined : { id: line.id, time: Date.parse(line.time), ok: line.extra.endsWith(',ok') };
}

/** What the reports of the newest snapshot and of one a week older tell together. */
function overTime(vault: Vault, refs: readonly SnapshotRef[], now: number): Pick<StatusResult, 'largeFiles' | 'growth'> {
  const newest = refs.at(-1);
  const reference = refs.find(({ id }) => now - timeOfId(id) <= WEEK);
  const report = newest === undefined ? undefined : tryReport(vault, newest);
  const then = reference === undefined ? undefined : tryReport(vault, reference);
  return {
    largeFiles: report?.large_files ?? [],
    growth: report === undefined || then === undefined ? [] : growthOf(then, report),
  };
}

function failureWarnings({ count, last, pushesWithoutSave }: Failures): { message: string; next: string }[] {
  const warnings: { message: string; next: string }[] = [];
  const why = last?.message === undefined ? '' : `: ${last.message}`;
  if (count > 0) warnings.push({ message: `${count === 1 ? 'A run' : `${count} runs`} failed since the last success${why}`, next: `cora save` });
  if (pushesWithoutSave > 0)
    warnings.push({
      message: `${pushesWithoutSave === 1 ? 'A push' : `${pushesWithoutSave} pushes`} without a save this week`,
      next: 'cora hooks status',
    });
  return warnings;
}

function warningsOf(result: Omit<StatusResult, 'warnings'>, vault: Vault, backups: readonly SnapshotRef[], now: number): StatusResult['warnings'] {
  const warnings: { message: string; next: string }[] = [];
  const warn = (message: string, next: string): void => {
    warnings.push({ message, next });
  };
  const { lastSave: save, lastBackup: backup, lastVerify: verified } = result;
  if (save === undefined) warn('Nothing is saved yet', 'cora save');
  else if (now - save.time > DAY) warn(`The last save is from ${formatAge(now - save.time)}`, 'cora save');
  const isSuspect = (kind: 'save' | 'backup', run: LastRun): boolean => reportOf(vault, kind, run.id)?.status === 'suspect';
  if (save?.ok === false && !isSuspect('save', save)) warn(`The save ${save.id} is incomplete or gone`, `cora show ${save.id}`);
  const checkpoint = save === undefined ? undefined : reportOf(vault, 'fallback', save.id);
  if (checkpoint !== undefined) {
    const what = checkpoint.scope === 'tree' ? 'a plain checkpoint' : 'a checkpoint of critical files and databases only';
    warn(`The last save is ${what}, made without the engine${checkpoint.reason === undefined ? '' : ` (${checkpoint.reason})`}`, 'cora doctor');
  }
  if (backup === undefined) warn('There is no backup yet', 'cora backup now');
  if (backup?.ok === false && !isSuspect('backup', backup)) warn(`The backup ${backup.id} is incomplete or gone`, `cora show ${backup.id}`);
  else if (backup?.ok === false && !result.frozen) warn(`The backup ${backup.id} was made while something was lost`, 'cora backup now');
  const leftOut = (kind: 'save' | 'backup', run: LastRun | undefined): boolean =>
    run?.ok === true && reportOf(vault, kind, run.id)?.status === 'partial';
  if (save !== undefined && leftOut('save', save)) warn(`The save ${save.id} counts, but is not complete`, `cora show ${save.id}`);
  if (backup !== undefined && leftOut('backup', backup)) warn(`The backup ${backup.id} counts, but is not complete`, `cora show ${backup.id}`);
  if (verified?.ok === false) warn(`The last verification found damage in ${verified.id}`, `cora verify ${verified.id} --deep`);
  const { lastDrill: drilled } = result;
  if (drilled !== undefined && drilled.outcome !== 'ok')
    warn(`The last restore drill (${formatAge(now - drilled.time)}) ended ${DRILL_ENDS[drilled.outcome]}`, `cora drill ${drilled.id}`);
  const { lastTorture: tortured } = result;
  if (tortured !== undefined && tortured.losses > 0)
    warn(`The last torture of the disk (${formatAge(now - tortured.time)}) lost something`, `see ledger/torture/${tortured.id}.txt in the vault`);
  const newest = parseId(backup?.id ?? save?.id ?? '');
  if (newest !== undefined && timeOfId(newest) > now + DAY) warn('The newest snapshot is dated in the future', 'check the clock (date)');
  if (result.vault.sameDisk) warn('The vault lies on the same disk as the project', 'name a vault on another disk with --vault');
  if (result.vault.freeBytes < LITTLE_SPACE) warn(`The vault's disk has only ${formatBytes(result.vault.freeBytes)} left`, 'free space on it');
  const lost = lostSeals(vault, backups).length;
  if (lost > 0) warn(`${lost === 1 ? 'A backup has' : `${lost} backups have`} lost the immutable flag`, 'cora protect');
  const losses = result.losses.length;
  if (losses > 0) warn(`${losses === 1 ? 'Something critical is' : `${losses} critical things are`} lost since the last good save`, 'cora lost');
  else if (result.frozen) warn('What was lost was put back since the last save, and no save has seen it yet', 'cora save');
  warnings.push(...failureWarnings(result.failures));
  if (!exists(`${vault.root}/${NAMES.restoreScript}`)) warn('restore.sh is missing from the vault', 'cora save puts it back');
  return warnings;
}
