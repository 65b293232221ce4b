// `cora guard`: a labelled backup, a command of the caller's in the caller's own place, what it changed, and the way
// back where it failed. Invariant: the command runs only after a good backup with the label is visible in the vault;
// from then on nothing that fails here is an exception, because the exit code is the command's.

import { bytes, joinBytes } from '../base/bytes.ts';
import { type Context, type Problem, SILENT } from '../base/context.ts';
import { CoraError, messageOf } from '../base/errors.ts';
import { findDatabaseHolders } from '../os/database-files.ts';
import { listSnapshots, type SnapshotRef } from '../vault/catalog.ts';
import { openLocated, type VaultLocation } from '../vault/locate.ts';
import type { Project } from '../vault/project.ts';
import type { ArtefactChoice } from './artefact-dumps.ts';
import { backup } from './backup.ts';
import { isGood } from './report-state.ts';
import { momentsApart } from './restore-moments.ts';
import { planRestore } from './restore-plan.ts';
import { restoreWithService } from './restore-service.ts';
import { save } from './save.ts';
import { changesBetween, type SnapshotChanges } from './snapshot-changes.ts';
import type { CommandHost } from './trust.ts';

export type GuardOptions = {
  readonly label: string;
  readonly note?: string;
  readonly trigger: string;
  /** Named artefacts that the backup takes, and who runs their commands. */
  readonly artefacts: ArtefactChoice;
  /** What the command added is moved aside by a roll back. */
  readonly deleteAdded: boolean;
};

/** How the command ended. */
export type Ending = {
  /** What a shell would call its exit code: 128 + n for a signal, 127 where it was not found, 126 where it could not be started. */
  readonly exitCode: number;
  readonly signal: string | null;
  readonly seconds: number;
  /** Why it could not be started. */
  readonly error?: string;
};

export type GuardSteps = {
  /** Told before the command runs. */
  readonly backedUp: (id: string, path: string) => void;
  readonly runCommand: () => Promise<Ending>;
  /** Told when the command has ended. @returns whether to roll back; asked only where it failed */
  readonly wantsRollBack: (ending: Ending, changes: SnapshotChanges | undefined, id: string) => Promise<boolean>;
};

export type RollBack = {
  /** `not_needed`: the command succeeded; `not_wanted`: somebody said no, or nobody could be asked. */
  readonly outcome: 'not_needed' | 'not_wanted' | 'done' | 'failed';
  /** The save of what the command had left. */
  readonly preRestoreSnapshot?: string;
  readonly files?: number;
  readonly movedAside?: number;
  readonly error?: string;
  readonly hint?: string;
};

export type GuardResult = {
  readonly id: string;
  /** Absolute path of the backup. */
  readonly path: string;
  readonly label: string;
  readonly ending: Ending;
  /** Undefined where what the command left could not be saved and compared; then a problem says why. */
  readonly changes: SnapshotChanges | undefined;
  readonly rollBack: RollBack;
  readonly seconds: number;
  readonly problems: readonly Problem[];
};

/**
 * @throws CoraError as `backup` does, and refused where the backup is not good: then the command was not run
 */
export async function guard(
  project: Project,
  location: VaultLocation,
  options: GuardOptions,
  steps: GuardSteps,
  host: CommandHost,
  ctx: Context,
): Promise<GuardResult> {
  const begun = performance.now();
  const before = await backUp(project, location, options, ctx);
  steps.backedUp(before.id, before.path);
  const ending = await steps.runCommand();
  const problems: Problem[] = [];
  const problem = (one: Problem): void => {
    problems.push(one);
    ctx.monitor.problem(one);
  };
  if (ending.exitCode !== 0) problems.push({ code: 'command_failed', message: describeEnding(ending), severity: 'error' });
  const changes = await compareWith(before.save, project, location, problem, host, ctx);
  const rollBack = ending.exitCode === 0 ? ({ outcome: 'not_needed' } as const) : await perhapsRollBack();
  return { id: before.id, path: before.path, label: options.label, ending, changes, rollBack, seconds: (performance.now() - begun) / 1000, problems };

  async function perhapsRollBack(): Promise<RollBack> {
    try {
      if (!(await steps.wantsRollBack(ending, changes, before.id))) return { outcome: 'not_wanted' };
      return await rollBackTo(before.id, project, location, options, host, ctx);
    } catch (error) {
      const hint = error instanceof CoraError ? error.hint : undefined;
      return { outcome: 'failed', error: messageOf(error), ...(hint === undefined ? {} : { hint }) };
    }
  }
}

export function describeEnding({ exitCode, signal, error }: Ending): string {
  if (error !== undefined) return `The command could not be started: ${error}`;
  return signal === null ? `The command ended with ${exitCode}` : `The command was ended by ${signal}`;
}

type Before = { readonly id: string; readonly path: string; readonly save: string };

async function backUp(project: Project, location: VaultLocation, { label, note, trigger, artefacts }: GuardOptions, ctx: Context): Promise<Before> {
  const made = await backup(project, location, { mode: 'now', label, trigger, artefacts, ...(note === undefined ? {} : { note }) }, ctx);
  const { report } = made;
  if (report === undefined) throw new CoraError('internal', 'The backup before the command has no report');
  if (report.status === 'suspect') {
    throw new CoraError('refused', `The backup ${made.id} is SUSPECT: something critical is lost already, so the command was not run`, {
      hint: 'cora lost names it, with the way back',
    });
  }
  if (!isGood(report)) {
    throw new CoraError('refused', `The backup ${made.id} lacks a critical file or a database, so the command was not run`, {
      hint: `cora show ${made.id} lists what is missing`,
    });
  }
  return { id: made.id, path: made.path, save: report.exported_from ?? made.id };
}

/** Saves what the command has left, which is also the way back from a roll back, and compares the two saves. */
async function compareWith(
  earlier: string,
  project: Project,
  location: VaultLocation,
  problem: (problem: Problem) => void,
  host: CommandHost,
  ctx: Context,
): Promise<SnapshotChanges | undefined> {
  try {
    const after = await save(project, location, { trigger: 'guard', artefacts: { host } }, quiet(ctx));
    const vault = openLocated(location);
    const saves = listSnapshots(vault).filter(({ kind }) => kind === 'save');
    const find = (id: string): SnapshotRef => {
      const ref = saves.find((one) => one.id === id);
      if (ref === undefined) throw new CoraError('unknown_snapshot', `The save ${id} is gone`);
      return ref;
    };
    const changes = changesBetween(vault, find(earlier), find(after.id));
    for (const one of after.losses)
      problem({ code: 'lost', path: one.path, message: 'Lost since the backup; cora lost says more', severity: 'warning' });
    return changes;
  } catch (error) {
    problem({
      code: 'changes_unknown',
      message: `What the command changed could not be saved and compared: ${messageOf(error)}`,
      severity: 'warning',
    });
    return undefined;
  }
}

/**
 * The one seam to the restore in place: all of the backup, owners and modes too. Whoever asks for it says that what uses the
 * databases is stopped (DESIGN 8.31); where that is not so `[restore] stop` and `start` do it.
 */
async function rollBackTo(
  id: string,
  project: Project,
  location: VaultLocation,
  { deleteAdded }: GuardOptions,
  host: CommandHost,
  ctx: Context,
): Promise<RollBack> {
  const what = { target: bytes(id), paths: [], to: undefined, critical: false, overwrite: 'always', modes: 'snapshot' } as const;
  const plan = await planRestore(project, location, { ...what, deleteExtra: deleteAdded }, ctx);
  for (const sentence of momentsApart(plan, project.config)) ctx.monitor.note(sentence);
  const isHeld = plan.liveDatabases.some((path) => findDatabaseHolders(joinBytes(project.root, path)).holders.length > 0);
  // Checks that fail after it do not take the roll back back: the failed command's work is no better.
  const how = { databases: 'stopped', preSnapshot: true, partial: false, alreadyStopped: !isHeld, rollBack: async () => false } as const;
  const result = await restoreWithService(project, location, plan, how, host, ctx);
  const done = {
    files: result.files,
    movedAside: result.movedAside,
    ...(result.preRestoreSnapshot === undefined ? {} : { preRestoreSnapshot: result.preRestoreSnapshot }),
  };
  const wrong = result.databaseChecks.find(({ ok }) => !ok)?.error ?? result.problems.find(({ severity }) => severity === 'error')?.message;
  if (wrong !== undefined) return { outcome: 'failed', ...done, error: wrong, hint: 'cora restore --undo takes the roll back back' };
  await settleLosses(project, location, host, ctx);
  return { outcome: 'done', ...done };
}

/** What the command had lost is back: the next save says so, or `cora status` would go on to warn. */
async function settleLosses(project: Project, location: VaultLocation, host: CommandHost, ctx: Context): Promise<void> {
  try {
    await save(project, location, { trigger: 'guard', artefacts: { host } }, quiet(ctx));
  } catch (error) {
    ctx.monitor.note(`The project was not saved after the roll back: ${messageOf(error)}`);
  }
}

/** Losses and what cannot be read are in those saves' own reports; here they would only repeat. */
function quiet(ctx: Context): Context {
  return { ...ctx, monitor: { ...SILENT, phase: ctx.monitor.phase, progress: ctx.monitor.progress } };
}
