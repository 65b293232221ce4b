// Timers that run Cora by itself: install, look at, remove. What is written is named by the plan
// (timers-plan.ts); only files that Cora wrote are replaced or deleted.

import { chmodSync, lstatSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Context } from '../base/context.ts';
import { CoraError, errnoOf } from '../base/errors.ts';
import { exists, makeDirectories, namesIn, readTextIfThere, replaceFile } from '../os/files.ts';
import { isBooted, lingers, order, userId, userName } from '../os/systemctl.ts';
import { isOurs } from '../os/systemd-unit.ts';
import { openForWriting } from './open-project.ts';
import {
  cronLines,
  jobsOf,
  placeOf,
  planAgain,
  planTimers,
  slotFor,
  slotsOf,
  startedBy,
  type TimersMachine,
  type TimersOptions,
  type TimersPlace,
  type TimersPlan,
  type TimersTarget,
  unitName,
} from './timers-plan.ts';

export type InstalledTimers = {
  /** `cron` where there is no systemd, or cron was asked for: nothing is written, `cron` has the lines. */
  readonly scope: 'system' | 'user' | 'cron';
  readonly instance: string | undefined;
  readonly files: TimersPlan['files'];
  readonly timers: readonly string[];
  /** True where systemd runs the timers now. */
  readonly started: boolean;
  readonly cron: readonly string[];
  /** What keeps them from running, or from running safely. */
  readonly warnings: readonly string[];
};

export type RemovedTimers = { readonly scope: 'system' | 'user'; readonly instance: string | undefined; readonly files: readonly string[] };

/**
 * Writes the units and starts the timers; a vault that is not there yet is made first, because the services may write
 * nowhere else. Safe to call twice: what is right already is left alone.
 * @param options `print`: only say what would be written; `cron`: lines for cron instead
 * @throws CoraError refused, project_refused, usage, io, and what `save` throws for a vault that cannot be made
 */
export function installTimers(
  machine: TimersMachine,
  target: TimersTarget,
  options: TimersOptions & { readonly print?: boolean; readonly cron?: boolean },
  ctx: Context,
): InstalledTimers {
  const place = placeOf(machine, options);
  if ('sealFor' in target) {
    requireRoot(place);
    requireUser(target.sealFor);
  }
  const noSystemd = place.manager !== undefined && !isBooted();
  if (noSystemd && options.listen !== undefined) {
    throw new CoraError('tool_missing', 'systemd does not run on this machine', {
      hint: 'start it by hand: cora serve, or write the units with --unit-dir',
    });
  }
  if (options.cron === true || noSystemd) {
    if ('sealFor' in target) throw new CoraError('tool_missing', 'Sealing for a user needs systemd', { hint: 'run cora protect as root' });
    const warnings = options.cron === true ? [] : ['systemd does not run on this machine: put these lines into the crontab (crontab -e)'];
    return { scope: 'cron', instance: undefined, files: [], timers: [], started: false, cron: cronLines(machine, target, options), warnings };
  }
  const plan = planTimers(machine, target, options);
  if (options.print !== true && 'project' in target && !exists(target.location.path)) openForWriting(target.project, target.location, ctx).release();
  return carryOut(machine, plan, options.print === true);
}

/**
 * Points every timer that is installed, of all projects and users, at this installation of Cora, and brings the units up to
 * what it ships: for after an upgrade, before the old installation goes. No timers: no files.
 */
export function repointTimers(
  machine: TimersMachine,
  options: Pick<TimersOptions, 'user' | 'unitDirectory'> & { readonly print?: boolean },
): InstalledTimers {
  return carryOut(machine, planAgain(machine, options), options.print === true);
}

function carryOut(machine: TimersMachine, plan: TimersPlan, print: boolean): InstalledTimers {
  const { place } = plan;
  const warnings = [...privilegeWarnings(machine, place), ...lingerWarnings(machine, place)];
  const told = { scope: place.scope, instance: plan.instance, files: plan.files, timers: plan.timers, cron: [] };
  if (print) return { ...told, started: false, warnings };
  write(plan);
  const failure = start(plan);
  return {
    ...told,
    started: place.manager !== undefined && failure === undefined,
    warnings: failure === undefined ? warnings : [...warnings, `The timers are written, but not started: ${failure}`],
  };
}

function write({ files }: TimersPlan): void {
  for (const { path, content, change } of files) {
    if (change === 'same') continue;
    try {
      // Unit files are for everyone to read: systemctl status runs as any user.
      const isNew = !exists(dirname(path));
      makeDirectories('', dirname(path));
      if (isNew) chmodSync(dirname(path), 0o755);
      replaceFile(path, content, true);
      chmodSync(path, 0o644);
    } catch (error) {
      throw new CoraError('io', `${path} cannot be written: ${error instanceof Error ? error.message : String(error)}`, {
        hint: 'run it as root, or with --user for timers of your own',
        cause: error,
      });
    }
  }
}

function start({ place, files, timers }: TimersPlan): string | undefined {
  const { manager } = place;
  if (manager === undefined || timers.length === 0) return undefined;
  if (!isBooted()) return 'systemd does not run on this machine';
  const reload = order(manager, ['daemon-reload']);
  if (reload !== undefined) return reload;
  const failure = order(manager, ['enable', '--now', ...timers]);
  if (failure !== undefined || files.every(({ change }) => change !== 'changed')) return failure;
  // A socket is not opened again while its service runs.
  const sockets = timers.filter((name) => name.endsWith('.socket'));
  if (sockets.length > 0) order(manager, ['stop', ...sockets.map((name) => name.replace(/socket$/, 'service'))]);
  return order(manager, ['restart', ...timers]);
}

/** Root must not run, every 15 minutes, what somebody else can write. */
function privilegeWarnings({ launcher }: TimersMachine, { scope }: TimersPlace): string[] {
  if (scope !== 'system') return [];
  for (let path = launcher; ; path = dirname(path)) {
    const { uid, mode } = statSync(path);
    // The sticky bit keeps others from renaming what is root's.
    if (uid !== 0 || ((mode & 0o022) !== 0 && (mode & 0o1000) === 0)) {
      return [`${path} can be changed by somebody who is not root, and root runs ${launcher}: install Cora with scripts/install.sh`];
    }
    if (path === '/') return [];
  }
}

function lingerWarnings({ uid }: TimersMachine, { scope, manager }: TimersPlace): string[] {
  if (scope !== 'user' || manager === undefined || uid === 0 || lingers()) return [];
  return [`Timers of a user run only while the user is logged in; to change that: loginctl enable-linger ${userName()}`];
}

function requireRoot(place: TimersPlace): void {
  if (place.scope === 'user') {
    throw new CoraError('usage', 'Sealing needs a timer of the system, which root installs', {
      hint: `sudo cora timers install --seal ${userName()}`,
    });
  }
}

function requireUser(name: string): void {
  const uid = userId(name);
  if (uid === undefined) throw new CoraError('usage', `There is no user ${JSON.stringify(name)}`, { hint: 'name the user who owns the vaults' });
  if (uid === 0) throw new CoraError('usage', "Root's own backups are sealed when they are made", { hint: 'cora protect seals what lost its flag' });
}

/**
 * Stops the timers and deletes the files that Cora wrote for them; a run that is under way ends by itself.
 * @returns no files where there were none
 * @throws CoraError io
 */
export function removeTimers(machine: TimersMachine, target: TimersTarget, options: TimersOptions): RemovedTimers {
  const place = placeOf(machine, options);
  const isServer = options.jobs[0] === 'serve';
  const slot = slotFor(place.directory, target, isServer ? 'serve' : 'save');
  if (slot === undefined) return { scope: place.scope, instance: undefined, files: [] };
  // A job whose command is gone may have been installed by an older Cora.
  const jobs = 'sealFor' in target || isServer ? jobsOf(machine, target, options) : (['save', 'backup', 'ship', 'drill', 'health'] as const);
  const files: string[] = [];
  const { manager } = place;
  for (const job of jobs) {
    const [service, timer] = [unitName(job, slot.instance, 'service'), unitName(job, slot.instance, 'timer')];
    if (!slotsOf(place.directory, job).some(({ instance }) => instance === slot.instance)) continue;
    if (manager !== undefined && isBooted()) {
      order(manager, ['disable', '--now', timer, ...(isServer ? [service] : [])]);
      // The stamp of the last run: a later installation must not find a run to make up for.
      order(manager, ['clean', '--what=state', timer]);
    }
    // systemctl has done it, unless the user's manager could not be asked.
    rmSync(`${place.directory}/${startedBy(job)}s.target.wants/${timer}`, { force: true });
    files.push(...removeFiles(place.directory, [`${service}.d`, `${timer}.d`]));
    const shared = slot.instance !== undefined && slotsOf(place.directory, job).some(({ instance }) => instance !== undefined);
    const base = `cora-${job}${slot.instance === undefined ? '' : '@'}`;
    if (!shared) files.push(...removeFiles(place.directory, [`${base}.service`, `${base}.${startedBy(job)}`]));
    if (manager !== undefined && isBooted()) order(manager, ['reset-failed', service, timer]);
  }
  if (manager !== undefined && isBooted()) order(manager, ['daemon-reload']);
  return { scope: place.scope, instance: slot.instance, files };
}

/** Deletes files of ours, and ours in directories of that name; a directory that then holds nothing goes too. */
function removeFiles(directory: string, names: readonly string[]): string[] {
  const removed: string[] = [];
  for (const name of names) {
    const path = `${directory}/${name}`;
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat?.isDirectory() === true) {
      removed.push(...removeFiles(path, namesIn(path)));
      removeEmpty(path);
    } else if (stat?.isFile() === true && isOurs(readTextIfThere(path) ?? '')) {
      rmSync(path);
      removed.push(path);
    }
  }
  return removed;
}

function removeEmpty(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    // Settings of the administrator's own stay.
    if (errnoOf(error) !== 'ENOTEMPTY') throw error;
  }
}
