// `cora init`: does what was found and answered. Order: the vault with a record of what will be done, the
// configuration and the hook (which may lie in the tree), a real save, a real restore, then the timers. Where
// save or restore fails, what was written so far is taken back: a failed init leaves the tree as it was.

import { chmodSync, chownSync, mkdirSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { toText } from '../base/bytes.ts';
import type { Context, Problem } from '../base/context.ts';
import { CoraError, errnoOf, messageOf } from '../base/errors.ts';
import { exists, syncDirectory, writeNewFile } from '../os/files.ts';
import { findHookOwner } from '../source/hook-owner.ts';
import {
  hasInitRecord,
  type InitRecord,
  isUndone,
  readInitRecord,
  removeInitRecord,
  sha256,
  stateOfFile,
  type WrittenFile,
  writeInitRecord,
} from '../vault/init-record.ts';
import type { VaultLocation } from '../vault/locate.ts';
import type { Vault } from '../vault/vault.ts';
import { type HooksResult, installHooks, removeHooks } from './hooks.ts';
import { hooksStatus } from './hooks-status.ts';
import { type AgentOutcome, type AgentPlan, applyAgents } from './init-agents.ts';
import { type InitFacts, refusePlaces } from './init-detect.ts';
import { type InitKey, makeInitKey } from './init-key.ts';
import { type InitAnswers, missingDirectories, type PlannedFile } from './init-plan.ts';
import { proveRestore, type RestoreProof } from './init-proof.ts';
import { openForWriting, type ProjectFacts } from './open-project.ts';
import { type SaveResult, save } from './save.ts';
import { type InstalledTimers, installTimers } from './timers.ts';
import { placeOf, slotFor, type TimersMachine, type TimersOptions } from './timers-plan.ts';
import { undoAgents } from './undo-agents.ts';

/** What became of a file: `same` as an earlier init wrote it, `kept` because it is the user's or was edited since. */
export type FileOutcome = { readonly path: string; readonly action: 'written' | 'same' | 'kept' | 'failed'; readonly reason?: string };

export type InitResult = {
  readonly location: VaultLocation;
  readonly files: readonly FileOutcome[];
  readonly save: SaveResult;
  readonly proof: RestoreProof;
  readonly hooks: HooksResult | undefined;
  readonly timers: InstalledTimers | undefined;
  readonly key: InitKey | undefined;
  /** Undefined where that was not asked for. */
  readonly agents: readonly AgentOutcome[] | undefined;
  /** What was asked for and is not there now; each was shown. */
  readonly problems: readonly Problem[];
};

/** The project and its vault as the configuration on the disk has them. */
export type Opened = { readonly project: ProjectFacts; readonly location: VaultLocation };

export type InitSteps = {
  readonly answers: InitAnswers;
  readonly files: readonly PlannedFile[];
  readonly machine: TimersMachine;
  readonly timers: TimersOptions;
  /** What assistants get; undefined for nothing. */
  readonly agents: AgentPlan | undefined;
  /** Where the vault is to be. */
  readonly location: VaultLocation;
  /** True where the machine's own configuration names it. */
  readonly recorded: boolean;
  /** Reads the configuration again, once it is written: that proves it valid. */
  readonly reopen: () => Promise<Opened>;
};

/**
 * Safe to call twice: what is as it should be is left as it is.
 * @throws CoraError what `save` and a restore throw; validation_failed where the restore brings something else back
 */
export async function init(facts: InitFacts, steps: InitSteps, ctx: Context): Promise<InitResult> {
  const { answers } = steps;
  const problems: Problem[] = [];
  const problem = (one: Problem): void => {
    problems.push(one);
    ctx.monitor.problem(one);
  };
  refusePlaces(facts.project.root, answers.vault);
  const chosen = steps.location;
  const { vault, release } = openForWriting(facts.project, chosen, ctx);
  release();
  const before = readInitRecord(vault, ctx.now());
  const written: WrittenFile[] = [];
  try {
    const files = steps.files.map((file) => writeFile(vault, file, written, ctx, problem));
    const opened = written.length > 0 ? await steps.reopen() : { project: facts.project, location: chosen };
    const { project } = opened;
    // As later runs will find it, whatever was typed for this one: timers then need not carry it.
    const location = steps.recorded ? chosen : opened.location;
    if (location.path !== vault.root && location.path !== answers.vault) throw otherVault(location.path, answers.vault);
    const hooks = answers.hooks ? wireHooks(facts, steps, vault, ctx, problem) : undefined;
    const agents = steps.agents === undefined ? undefined : applyAgents(project.root, vault, steps.agents, ctx, problem);
    // After all that is written into the project, so that the next save has nothing new to find.
    const saved = await save(project, location, { trigger: 'init' }, ctx);
    problems.push(...saved.problems);
    const proof = await proveRestore(project, location, saved.id, ctx);
    const timers = answers.timers ? wireTimers({ project, location }, steps, vault, ctx, problem) : undefined;
    const key = answers.key && facts.key !== undefined ? await wireKey(project, steps, vault, ctx, problem) : undefined;
    return { location, files, save: saved, proof, hooks, timers, key, agents, problems };
  } catch (error) {
    takeBack(facts, steps, written, before, vault);
    throw error;
  }
}

function otherVault(is: string, wanted: string): CoraError {
  return new CoraError('refused', `The configuration of this machine names the vault ${is}, not ${wanted}`, {
    hint: 'cora init without --vault takes it, or correct the configuration',
  });
}

/** Adds to the record before the change that it records. */
function record(vault: Vault, ctx: Context, add: (now: InitRecord) => Partial<InitRecord>): void {
  const now = readInitRecord(vault, ctx.now());
  writeInitRecord(vault, { ...now, ...add(now) });
}

function writeFile(vault: Vault, file: PlannedFile, written: WrittenFile[], ctx: Context, problem: (one: Problem) => void): FileOutcome {
  const { path, content } = file;
  if (path.includes('\ufffd')) {
    problem({ code: 'config', path: 'cora.toml', message: 'it is not written: the path of the project is not UTF-8', severity: 'error' });
    return { path, action: 'failed', reason: 'the path of the project is not UTF-8' };
  }
  const ours = readInitRecord(vault, ctx.now()).files.find((one) => one.path === path);
  const state = ours === undefined ? undefined : stateOfFile(ours);
  if (state === 'begun') rmSync(path, { force: true });
  else if (exists(path)) {
    if (state === 'same') return { path, action: 'same' };
    return { path, action: 'kept', reason: ours === undefined ? 'it was there before' : 'it was edited since init wrote it' };
  }
  const made = { path, sha256: sha256(content) };
  const directories = missingDirectories(dirname(path));
  record(vault, ctx, (now) => ({
    files: [...now.files.filter((one) => one.path !== path), made],
    directories: [...new Set([...now.directories, ...directories])],
  }));
  try {
    for (const directory of directories) mkdirSync(directory, { mode: 0o755 });
    writeNewFile(path, content);
    const owner = statSync(dirname(path));
    if (process.geteuid?.() === 0) chownSync(path, owner.uid, owner.gid);
    chmodSync(path, 0o644);
    syncDirectory(dirname(path));
  } catch (error) {
    record(vault, ctx, (now) => ({ files: now.files.filter((one) => one.path !== path) }));
    // Without the machine's file the vault would not be found again; without cora.toml the defaults hold.
    if (file.kind === 'machine') throw error;
    const reason = `it cannot be written (${errnoOf(error) ?? messageOf(error)}); the defaults hold`;
    problem({ code: 'config', path: 'cora.toml', message: reason, severity: 'error' });
    return { path, action: 'failed', reason };
  }
  written.push(made);
  return { path, action: 'written' };
}

/** Only what this run did, and files only while they are as they were written. */
function takeBack(facts: InitFacts, steps: InitSteps, written: readonly WrittenFile[], before: InitRecord, vault: Vault): void {
  for (const file of written) if (stateOfFile(file) === 'same') rmSync(file.path, { force: true });
  if (!hasInitRecord(vault)) return;
  // What was thrown before is what a person must see; what cannot be taken back now stays in the record.
  const now = { ...readInitRecord(vault, 0), files: before.files, hooks: before.hooks };
  const agents = before.agents ?? [];
  const added = (now.agents ?? []).filter(({ path }) => !agents.some((one) => one.path === path));
  now.agents = [...agents, ...undoAgents(facts.project.root, added).left];
  if (readInitRecord(vault, 0).hooks && !before.hooks) {
    try {
      removeHooks(facts.project.root, steps.machine);
    } catch {
      now.hooks = true;
    }
  }
  const directories = removeEmpty(now.directories.filter((directory) => !before.directories.includes(directory)));
  if (isUndone(now)) removeInitRecord(vault);
  else writeInitRecord(vault, { ...now, directories: [...before.directories, ...directories] });
}

/** Those of our directories that nobody put anything into; gives those that stay. */
export function removeEmpty(directories: readonly string[]): string[] {
  return directories.toReversed().filter((directory) => {
    try {
      rmdirSync(directory);
      return false;
    } catch (error) {
      return errnoOf(error) !== 'ENOENT';
    }
  });
}

function wireHooks(facts: InitFacts, steps: InitSteps, vault: Vault, ctx: Context, problem: (one: Problem) => void): HooksResult | undefined {
  try {
    const { root } = facts.project;
    const owner = findHookOwner(toText(root), steps.machine);
    const wasThere = hooksStatus(root, steps.machine).hooks.some(({ installed }) => installed);
    const directories = missingDirectories(owner.huskyDirectory ?? owner.directory);
    if (!wasThere) record(vault, ctx, (now) => ({ hooks: true, directories: [...new Set([...now.directories, ...directories])] }));
    const result = installHooks(root, [], steps.machine);
    for (const { path, action, reason } of result.changes) {
      if (action === 'kept') problem({ code: 'hooks', path, message: reason ?? 'kept as it is', severity: 'error' });
    }
    return result;
  } catch (error) {
    if (!(error instanceof CoraError) && errnoOf(error) === undefined) throw error;
    problem({ code: 'hooks', message: `The hook is not installed: ${messageOf(error)}`, severity: 'error' });
    return undefined;
  }
}

function wireTimers(opened: Opened, steps: InitSteps, vault: Vault, ctx: Context, problem: (one: Problem) => void): InstalledTimers | undefined {
  try {
    const place = placeOf(steps.machine, steps.timers);
    const wasThere = slotFor(place.directory, opened) !== undefined;
    const result = installTimers(steps.machine, opened, { ...steps.timers, print: true }, ctx);
    if (result.scope === 'cron') {
      // Nothing failed, and nothing saves by itself yet: the lines to add are shown.
      problem({ code: 'timers', message: 'No systemd runs here, so no timers: nothing saves by the clock yet', severity: 'warning' });
      return result;
    }
    if (!wasThere) {
      const directories = missingDirectories(place.directory);
      record(vault, ctx, (now) => ({
        timers: { user: steps.timers.user, unit_directory: steps.timers.unitDirectory ?? null },
        directories: [...new Set([...now.directories, ...directories])],
      }));
    }
    const installed = installTimers(steps.machine, opened, steps.timers, ctx);
    const stopped = !installed.started && steps.timers.unitDirectory === undefined;
    for (const message of installed.warnings) problem({ code: 'timers', message, severity: stopped ? 'error' : 'warning' });
    return installed;
  } catch (error) {
    if (!(error instanceof CoraError) && errnoOf(error) === undefined) throw error;
    problem({ code: 'timers', message: `The timers are not installed: ${messageOf(error)}`, severity: 'error' });
    return undefined;
  }
}

async function wireKey(
  project: ProjectFacts,
  { machine }: InitSteps,
  vault: Vault,
  ctx: Context,
  problem: (one: Problem) => void,
): Promise<InitKey | undefined> {
  try {
    return await makeInitKey(project, vault, machine, ctx);
  } catch (error) {
    if (!(error instanceof CoraError) && errnoOf(error) === undefined) throw error;
    problem({ code: 'key', message: `Copies are not encrypted yet: ${messageOf(error)}`, severity: 'error' });
    return undefined;
  }
}
