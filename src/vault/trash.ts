// Taking snapshots out of the vault. One is moved to `.trash/` by a single rename, so that it is listed whole or not at all; its
// line in the ledger (a tombstone) follows, then its files go. `ledger/pruning.json` says what is under way: after a crash what
// was moved is finished, what was not stays. Who moves or unlinks holds the write lock, and the gc lock alone.

import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, readFileSync, renameSync, rmdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { fromText } from '../base/bytes.ts';
import { errnoOf } from '../base/errors.ts';
import type { SnapshotKind } from '../format/report.ts';
import { exists, namesIn, readTextIfThere, removeBelow, replaceFile, syncDirectory } from '../os/files.ts';
import { tryLock } from '../os/lock.ts';
import { type SnapshotRef, snapshotsOnDisk } from './catalog.ts';
import { appendLine, type ChainLine, readHead, readLines } from './chain.ts';
import { NAMES, parseId, type SnapshotId, snapshotDirectory } from './layout.ts';
import { sealedInLedger, sealSnapshot, unsealSnapshot, unsealTree } from './seal.ts';
import type { Vault } from './vault.ts';

/** A form of a snapshot: the save or the backup of an id. */
export type Form = { readonly kind: SnapshotKind; readonly id: SnapshotId };

/** As `prunedInLedger` names it. */
export const formKey = ({ kind, id }: { readonly kind: string; readonly id: string }) => `${kind} ${id}`;

/**
 * Moves one snapshot out of the vault and writes its tombstone. `beginPruning` was called for it. A backup whose flag this process may
 * not take stays where it is, and its tombstone lets `cora-seal` remove it.
 * @param tombstones what `prunedInLedger` gives
 * @returns false where it stays
 */
export function moveToTrash(vault: Vault, form: Form, tombstones: ReadonlySet<string>, now: number): boolean {
  const ref = refOf(form);
  const from = `${vault.root}/${ref.directory}`;
  const sums = hashOfSums(from);
  if (form.kind === 'backup' && !unsealSnapshot(vault, ref)) {
    sealAgain(vault, ref);
    if (!tombstones.has(formKey(form))) writeTombstone(vault, form, sums, now);
    return false;
  }
  const trash = `${vault.root}/${NAMES.trash}`;
  if (!exists(trash)) {
    mkdirSync(trash, { mode: 0o700 });
    syncDirectory(vault.root);
  }
  const to = `${trash}/${nameIn(form)}`;
  removeBelow(trash, to);
  renameSync(from, to);
  syncDirectory(dirname(from));
  syncDirectory(trash);
  if (!tombstones.has(formKey(form))) writeTombstone(vault, form, sums, now);
  return true;
}

/** Says durably which snapshots are about to be moved. */
export function beginPruning(vault: Vault, forms: readonly Form[]): void {
  replaceFile(`${vault.root}/${NAMES.pruning}`, `${JSON.stringify(forms.map(({ kind, id }) => ({ kind, id })))}\n`, true);
}

/**
 * Deletes what lies in the trash, then the note of what was under way. What is immutable and not ours to change stays, with the
 * note, for `cora-seal`: it is listed nowhere, and must not stop whoever came to save.
 */
export function emptyTrash(vault: Vault): void {
  const trash = `${vault.root}/${NAMES.trash}`;
  const stuck = namesIn(trash).filter((name) => !removeFromTrash(trash, `${trash}/${name}`));
  if (exists(trash)) syncDirectory(trash);
  if (stuck.length > 0) return;
  rmSync(`${vault.root}/${NAMES.pruning}`, { force: true });
  syncDirectory(`${vault.root}/${NAMES.ledger}`);
}

/** @returns false where a flag keeps it there */
function removeFromTrash(trash: string, path: string): boolean {
  if (removeUnlessImmutable(trash, path)) return true;
  // btrfs may keep a rename and lose that the flags were taken away before it.
  if (lstatSync(path).isDirectory()) unsealTree(fromText(path));
  return removeUnlessImmutable(trash, path);
}

function removeUnlessImmutable(trash: string, path: string): boolean {
  try {
    removeBelow(trash, path);
    return true;
  } catch (error) {
    if (errnoOf(error) !== 'EPERM') throw error;
    return false;
  }
}

/**
 * Puts right what a crash left: what was moved gets its tombstone and goes, what was not stays as it was. The caller holds the
 * write lock. While somebody reads the vault the files stay in the trash for the next run; nothing lists them.
 * @returns ids that were moved and had no tombstone yet
 */
export function recoverPruning(vault: Vault, now: number): SnapshotId[] {
  const note = `${vault.root}/${NAMES.pruning}`;
  const trash = `${vault.root}/${NAMES.trash}`;
  const left = namesIn(trash);
  if (left.length === 0 && !exists(note)) return [];
  const finished: SnapshotId[] = [];
  const tombstones = prunedInLedger(readLines(vault.root).flatMap(({ line }) => line ?? []));
  for (const name of left) {
    const form = formIn(name);
    if (form === undefined || tombstones.has(formKey(form))) continue;
    writeTombstone(vault, form, hashOfSums(`${trash}/${name}`), now);
    finished.push(form.id);
  }
  for (const form of readForms(note)) {
    if (form.kind === 'backup' && exists(`${vault.root}/${refOf(form).directory}`)) sealAgain(vault, refOf(form));
  }
  const alone = tryLock(`${vault.root}/${NAMES.gcLock}`, 'exclusive', 0);
  if (alone === undefined) return finished;
  try {
    emptyTrash(vault);
  } finally {
    alone.release();
  }
  return finished;
}

/**
 * Removes backups that have a tombstone and are still there because whoever pruned could not take their flag. For `cora-seal`,
 * which may. The caller holds the write lock and has called `recoverPruning`.
 * @param wait milliseconds for those who read the vault
 * @returns ids of what was removed
 */
export function removeTombstoned(vault: Vault, wait: number, now: number): SnapshotId[] {
  const tombstones = prunedInLedger(readLines(vault.root).flatMap(({ line }) => line ?? []));
  const backups = snapshotsOnDisk(vault).filter(({ kind }) => kind === 'backup');
  const waiting = backups.filter((ref) => tombstones.has(formKey(ref)));
  // Clean-up always keeps one: a ledger that says otherwise is not clean-up's.
  if (waiting.length === 0 || waiting.length === backups.length) return [];
  const alone = tryLock(`${vault.root}/${NAMES.gcLock}`, 'exclusive', wait);
  if (alone === undefined) return [];
  try {
    beginPruning(vault, waiting);
    const removed = waiting.filter((ref) => moveToTrash(vault, ref, tombstones, now)).map(({ id }) => id);
    emptyTrash(vault);
    return removed;
  } finally {
    alone.release();
  }
}

/** Snapshots that the ledger calls removed, as `<kind> <id>`: that they are missing is as it should be. */
export function prunedInLedger(lines: readonly ChainLine[]): Set<string> {
  const pruned = new Set<string>();
  for (const { kind, id, extra } of lines) {
    if (kind === 'prune') pruned.add(`${extra} ${id}`);
    // A clock that went back can give an id again.
    if (kind === 'save' || kind === 'backup' || kind === 'fallback') pruned.delete(`${kind} ${id}`);
    // A person took it back before it was gone.
    if (kind === 'pin') for (const form of ['save', 'backup', 'fallback']) pruned.delete(`${form} ${id}`);
  }
  return pruned;
}

/** Directories of saves that clean-up left empty: days, months, years. The caller holds the write lock. */
export function removeEmptyDays(vault: Vault, forms: readonly Form[]): void {
  for (const form of forms) {
    if (form.kind === 'backup') continue;
    for (let at = dirname(refOf(form).directory); at !== NAMES.progress && at !== '.'; at = dirname(at)) {
      try {
        rmdirSync(`${vault.root}/${at}`);
      } catch {
        // Others lie in it, or another run has removed it.
        break;
      }
    }
  }
}

function refOf({ kind, id }: Form): SnapshotRef {
  return { kind, id, directory: snapshotDirectory(kind, id), sequence: undefined };
}

const nameIn = ({ kind, id }: Form) => `${kind}-${id}`;

function formIn(name: string): Form | undefined {
  const match = /^(save|backup|fallback)-(.*)$/.exec(name);
  return match === null ? undefined : formOf(match[1], match[2]);
}

function formOf(kind: unknown, id: unknown): Form | undefined {
  const parsed = typeof id === 'string' ? parseId(id) : undefined;
  return parsed !== undefined && (kind === 'save' || kind === 'backup' || kind === 'fallback') ? { kind, id: parsed } : undefined;
}

function writeTombstone(vault: Vault, { kind, id }: Form, sums: string, now: number): void {
  appendLine(vault.root, readHead(vault.root), { kind: 'prune', id, time: new Date(now).toISOString(), sums, extra: kind });
}

function hashOfSums(directory: string): string {
  const path = `${directory}/${NAMES.sums}`;
  return lstatSync(path, { throwIfNoEntry: false }) === undefined ? '-' : createHash('sha256').update(readFileSync(path)).digest('hex');
}

/** What lost a part of its flags in an attempt gets them again. */
function sealAgain(vault: Vault, ref: SnapshotRef): void {
  if (sealedInLedger(vault).get(ref.id) === 'seal') sealSnapshot(vault, ref);
}

function readForms(note: string): Form[] {
  try {
    const value: unknown = JSON.parse(readTextIfThere(note) ?? '[]');
    if (!Array.isArray(value)) return [];
    return (value as { readonly kind?: unknown; readonly id?: unknown }[]).flatMap(({ kind, id }) => formOf(kind, id) ?? []);
  } catch {
    // It is replaced by rename, so a damaged one was damaged from outside: the trash itself still tells what was moved.
    return [];
  }
}
