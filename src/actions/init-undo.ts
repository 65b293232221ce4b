// `cora init --undo`: takes back what the record says that init did, and nothing else. What somebody
// edited since is kept and named; the vault with its saves stays.

import { rmSync } from 'node:fs';
import { type Bytes, joinBytes, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError, messageOf } from '../base/errors.ts';
import { readFlags } from '../os/chattr.ts';
import { exists } from '../os/files.ts';
import { protectedPaths } from '../vault/append-only.ts';
import { hasInitRecord, type InitRecord, isUndone, readInitRecord, removeInitRecord, stateOfFile, writeInitRecord } from '../vault/init-record.ts';
import { openLocated, requireOwn, type VaultLocation } from '../vault/locate.ts';
import { removeHooks } from './hooks.ts';
import { removeEmpty } from './init.ts';
import { isRecipientThere, removeRecipient } from './init-key.ts';
import type { ProjectFacts } from './open-project.ts';
import { unprotect } from './protect.ts';
import { removeTimers } from './timers.ts';
import type { TimersMachine } from './timers-plan.ts';
import { undoAgentsOnRequest } from './undo-agents.ts';

export type UndoPlan = {
  readonly files: readonly { readonly path: string; readonly action: 'remove' | 'keep' }[];
  readonly hooks: boolean;
  readonly timers: boolean;
  /** The file whose recipient goes. */
  readonly recipient: string | undefined;
  /** Files of the project that have something for assistants in them. */
  readonly agents: readonly string[];
  /** The identity that stays. */
  readonly key: string | undefined;
  /** Files that are append-only now: only a person at a terminal may say that this ends. */
  readonly appendOnly: readonly Bytes[];
  readonly record: InitRecord;
};

export type UndoResult = {
  /** Absolute paths of files that are gone or as they were. */
  readonly removed: readonly string[];
  /** What stays, each with the reason. */
  readonly kept: readonly { readonly path: string; readonly reason: string }[];
  readonly lifted: readonly Bytes[];
  /** The identity that stays; undefined where there is none. */
  readonly key: string | undefined;
  readonly vault: string;
};

/** @throws CoraError not_found where init did nothing here, or all was undone; vault_missing, vault_foreign */
export function planUndo(project: ProjectFacts, location: VaultLocation, ctx: Context): UndoPlan {
  const vault = openLocated(location);
  requireOwn(vault, project);
  if (!hasInitRecord(vault)) {
    throw new CoraError('not_found', `The vault ${vault.root} has no record of an init, so there is nothing to undo`, {
      hint: 'cora hooks remove and cora timers remove take back what was installed by hand',
    });
  }
  const record = readInitRecord(vault, ctx.now());
  const paths = protectedPaths(vault);
  const flags = readFlags(paths.map((path) => joinBytes(project.root, path)));
  return {
    files: record.files.flatMap((file) => {
      const state = stateOfFile(file);
      return state === 'gone' ? [] : [{ path: file.path, action: state === 'edited' ? ('keep' as const) : ('remove' as const) }];
    }),
    hooks: record.hooks,
    timers: record.timers !== null,
    recipient: record.recipient?.path,
    agents: (record.agents ?? []).map(({ path }) => `${toText(project.root)}/${path}`),
    key: record.key !== undefined && exists(record.key) ? record.key : undefined,
    appendOnly: paths.filter((_, index) => flags[index]?.append === true),
    record,
  };
}

/** @param liftFlags true only where a person at a terminal agreed */
export function applyUndo(
  plan: UndoPlan,
  project: ProjectFacts,
  location: VaultLocation,
  machine: TimersMachine,
  liftFlags: boolean,
  ctx: Context,
): UndoResult {
  const vault = openLocated(location);
  const kept: { path: string; reason: string }[] = [];
  const removed: string[] = [];
  let left: InitRecord = plan.record;
  const attempt = (what: string, act: () => void): void => {
    try {
      act();
    } catch (error) {
      kept.push({ path: what, reason: messageOf(error) });
    }
  };
  const { timers } = plan.record;
  if (timers !== null) {
    attempt('timers', () => {
      const options = { user: timers.user, unitDirectory: timers.unit_directory ?? undefined, jobs: [] };
      removed.push(...removeTimers(machine, { project, location }, options).files);
      left = { ...left, timers: null };
    });
  }
  if (plan.hooks) {
    attempt('hooks', () => {
      const { changes } = removeHooks(project.root, machine);
      for (const { path, action, reason } of changes) {
        if (action === 'kept') kept.push({ path, reason: reason ?? 'edited since' });
        else removed.push(path);
      }
      left = { ...left, hooks: changes.some(({ action }) => action === 'kept') };
    });
  }
  const lifted: Bytes[] = [];
  if (liftFlags && plan.appendOnly.length > 0) {
    attempt('append-only files', () => {
      for (const file of unprotect(project, location, [], ctx).files) if (!file.appendOnly) lifted.push(file.path);
    });
  }
  for (const path of plan.appendOnly.filter((one) => !lifted.includes(one))) {
    kept.push({ path: toText(path), reason: 'it is append-only; a person at a terminal lifts that: cora unprotect' });
  }
  for (const file of plan.record.files) {
    const state = stateOfFile(file);
    if (state === 'edited') kept.push({ path: file.path, reason: 'it was edited since init wrote it' });
    if (state === 'same' || state === 'begun') {
      attempt(file.path, () => {
        rmSync(file.path);
        removed.push(file.path);
      });
    }
  }
  const { recipient } = plan.record;
  if (recipient !== undefined && recipient !== null) {
    if (!isRecipientThere(recipient)) kept.push({ path: recipient.path, reason: 'its recipients were edited since init wrote one' });
    else {
      attempt(recipient.path, () => {
        removeRecipient(recipient);
        removed.push(recipient.path);
      });
    }
    if (!isRecipientThere(recipient)) left = { ...left, recipient: null };
  }
  // Last, because it waits for the vault, and what was done before it must be in the record all the same.
  attempt('what was written for assistants', () => {
    const agents = undoAgentsOnRequest(vault, project.root, plan.record.agents ?? [], ctx);
    removed.push(...agents.removed);
    kept.push(...agents.kept);
    left = { ...left, agents: agents.left };
  });
  const remaining = plan.record.files.filter((file) => !['edited', 'gone'].includes(stateOfFile(file)));
  left = { ...left, files: remaining, directories: removeEmpty(plan.record.directories) };
  if (isUndone(left)) removeInitRecord(vault);
  else writeInitRecord(vault, left);
  return { removed, kept, lifted, key: plan.key, vault: vault.root };
}
