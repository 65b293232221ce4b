// Whether a project's timers are there, armed, and do what they are for: asked of systemd, of the
// files, and of the ledger. Nothing is changed, and nothing is called well that was not seen.

import { accessSync, constants } from 'node:fs';
import { toText } from '../base/bytes.ts';
import { formatAge } from '../base/units.ts';
import { cronTable } from '../os/crontab.ts';
import { exists } from '../os/files.ts';
import { readRuns } from '../os/run-log.ts';
import { isBooted, lingers, type UnitState, unitStates, userName } from '../os/systemctl.ts';
import { findLast } from '../vault/chain.ts';
import {
  isCronSave,
  jobsOf,
  type ProjectTarget,
  placeOf,
  SYSTEM_UNITS,
  slotFor,
  slotsOf,
  type TimerJob,
  type TimersMachine,
  type TimersOptions,
  type TimersTarget,
  unitName,
} from './timers-plan.ts';

export type TimerState = {
  readonly job: TimerJob;
  readonly timer: string;
  /** Armed: enabled for the next boot, and waiting now. */
  readonly armed: boolean;
  /** Milliseconds since 1970; undefined for never or unknown. */
  readonly lastTrigger: number | undefined;
  readonly nextTrigger: number | undefined;
  /** The end of the service's last run since the boot, whoever started it. */
  readonly lastRun: number | undefined;
  /** How the last run of the service ended; undefined where it has not run since the boot. */
  readonly lastResult: string | undefined;
  readonly lastExit: number | undefined;
};

export type TimersStatus = {
  readonly scope: 'system' | 'user';
  readonly installed: boolean;
  /** True where cron, and no timer of ours, saves this project. */
  readonly cron: boolean;
  readonly instance: string | undefined;
  /** What the timers start. */
  readonly launcher: string | undefined;
  readonly timers: readonly TimerState[];
  /** Users whose vaults are sealed by a timer of the system. */
  readonly sealedUsers: readonly string[];
  /** What keeps the timers from running, or the runs from succeeding; none where all is well. */
  readonly problems: readonly { readonly message: string; readonly next: string }[];
};

const MINUTE = 60_000;
/** Milliseconds between two runs as the shipped timers have it; two of them without a run are a missed run. */
const INTERVAL: Readonly<Record<TimerJob, number>> = {
  save: 15 * MINUTE,
  seal: 15 * MINUTE,
  backup: 24 * 60 * MINUTE,
  ship: 60 * MINUTE,
  drill: 93 * 24 * 60 * MINUTE,
  health: 60 * MINUTE,
  // Started when somebody asks.
  serve: Number.POSITIVE_INFINITY,
};
const INSTALL = 'cora timers install';

/** @param now milliseconds since 1970 */
export function timersStatus(machine: TimersMachine, target: TimersTarget, options: TimersOptions, now: number): TimersStatus {
  const place = placeOf(machine, options);
  const sealedUsers = slotsOf(options.unitDirectory ?? SYSTEM_UNITS, 'seal').flatMap(({ note }) => note.user ?? []);
  const slot = slotFor(place.directory, target);
  if (slot === undefined) {
    const cron = 'project' in target && cronTable(machine.uid).some((line) => isCronSave(line, target));
    const problems = cron ? lateCron(machine, target, now) : [{ message: 'No timers are installed for this project', next: INSTALL }];
    return { scope: place.scope, installed: false, cron, instance: undefined, launcher: undefined, timers: [], sealedUsers, problems };
  }
  const problems: { message: string; next: string }[] = [];
  const { launcher, project } = slot.note;
  if (!isExecutable(launcher)) problems.push({ message: `The timers start ${launcher}, which is not there any more`, next: INSTALL });
  if (project !== undefined && !exists(project))
    problems.push({ message: `The project ${project} is not there any more`, next: 'cora timers remove' });
  const wanted = jobsOf(machine, target, options);
  const jobs = wanted.filter((job) => slotsOf(place.directory, job).some(({ instance }) => instance === slot.instance));
  if (wanted.includes('ship') && !jobs.includes('ship'))
    problems.push({ message: 'A remote is configured, and no timer ships to it', next: INSTALL });
  const { manager } = place;
  if (manager === undefined || !isBooted()) {
    problems.push({ message: 'systemd was not asked: it does not run here, or other unit files were named', next: `${INSTALL} --cron` });
    const timers = jobs.map((job) => timerState(job, unitName(job, slot.instance, 'timer'), undefined, undefined));
    return { scope: place.scope, installed: true, cron: false, instance: slot.instance, launcher, timers, sealedUsers, problems };
  }
  const names = jobs.flatMap((job) => [unitName(job, slot.instance, 'timer'), unitName(job, slot.instance, 'service')]);
  const states = new Map(unitStates(manager, names).map((state) => [state.name, state]));
  if (states.size === 0)
    problems.push({ message: 'systemd does not answer', next: manager.user ? 'log in, or loginctl enable-linger' : 'systemctl status' });
  if (manager.user && machine.uid !== 0 && !lingers()) {
    problems.push({ message: 'These timers run only while you are logged in', next: `loginctl enable-linger ${userName()}` });
  }
  const timers = jobs.map((job) => {
    const timer = states.get(unitName(job, slot.instance, 'timer'));
    const service = states.get(unitName(job, slot.instance, 'service'));
    if (states.size > 0) problems.push(...problemsOf(job, timer, service, manager.user, now));
    return timerState(job, unitName(job, slot.instance, 'timer'), timer, service);
  });
  if ('project' in target && timers.some(({ job, armed }) => job === 'save' && armed))
    problems.push(...oldSave(target.location.path, states, slot.instance, now));
  return { scope: place.scope, installed: true, cron: false, instance: slot.instance, launcher, timers, sealedUsers, problems };
}

function timerState(job: TimerJob, name: string, timer: UnitState | undefined, service: UnitState | undefined): TimerState {
  const ran = service?.lastEnd !== undefined;
  return {
    job,
    timer: name,
    armed: timer !== undefined && isArmed(timer),
    lastTrigger: timer?.lastTrigger,
    nextTrigger: timer?.nextTrigger,
    lastRun: service?.lastEnd,
    lastResult: ran ? service.result : undefined,
    lastExit: ran ? service.exitCode : undefined,
  };
}

function isArmed({ load, enabled, active }: UnitState): boolean {
  return load === 'loaded' && active === 'active' && (enabled === 'enabled' || enabled === 'enabled-runtime');
}

/** What is wrong with one timer and its service, as systemd tells it. */
export function problemsOf(
  job: TimerJob,
  timer: UnitState | undefined,
  service: UnitState | undefined,
  user: boolean,
  now: number,
): { message: string; next: string }[] {
  const name = timer?.name ?? `cora-${job}.timer`;
  const systemctl = user ? 'systemctl --user' : 'systemctl';
  if (timer === undefined || timer.load !== 'loaded')
    return [{ message: `${name} is not loaded by systemd${timer === undefined ? '' : ` (${timer.load})`}`, next: INSTALL }];
  const problems: { message: string; next: string }[] = [];
  if (!isArmed(timer))
    problems.push({
      message: `${name} is ${timer.active === 'active' ? `${timer.enabled}: it will not run after the next boot` : `${timer.active}: it will not run`}`,
      next: INSTALL,
    });
  // A schedule of the administrator's own has an interval that nobody told us.
  const since = Math.max(timer.lastTrigger ?? 0, timer.activeSince ?? now);
  if (isArmed(timer) && timer.dropIns.length === 0 && now - since > 2 * INTERVAL[job]) {
    problems.push({ message: `${name} is late: its last time was ${formatAge(now - since)}`, next: `${systemctl} status ${name}` });
  }
  if (service !== undefined && service.load !== 'loaded')
    problems.push({ message: `${service.name} is not loaded by systemd (${service.load})`, next: INSTALL });
  if (service?.active === 'failed') {
    problems.push({
      message: `The last run of ${service.name} failed (${service.result}${service.exitCode === undefined ? '' : `, exit code ${service.exitCode}`})`,
      next: `journalctl ${user ? '--user ' : ''}-u ${service.name} -n 20`,
    });
  }
  return problems;
}

/** The timer may fire and nothing be saved all the same: the ledger knows. */
function oldSave(
  vault: string,
  states: ReadonlyMap<string, UnitState>,
  instance: string | undefined,
  now: number,
): { message: string; next: string }[] {
  const timer = states.get(unitName('save', instance, 'timer'));
  if (timer === undefined || timer.dropIns.length > 0) return [];
  const line = exists(vault) ? findLast(vault, ({ kind }) => kind === 'save' || kind === 'unchanged') : undefined;
  const since = Math.max(line === undefined ? 0 : Date.parse(line.time), timer.activeSince ?? now);
  if (now - since <= 2 * INTERVAL.save) return [];
  return [{ message: `The last save in the ledger is from ${formatAge(now - since)}, though the timer is armed`, next: 'cora save' }];
}

function lateCron(machine: TimersMachine, target: ProjectTarget, now: number): { message: string; next: string }[] {
  const root = toText(target.project.root);
  const last = readRuns(machine.logs).findLast(({ trigger, command, project }) => trigger === 'timer' && command === 'save' && project === root);
  if (last !== undefined && now - last.time <= 2 * INTERVAL.save) return [];
  const when = last === undefined ? 'the run log has no save by it' : `its last save is from ${formatAge(now - last.time)}`;
  return [{ message: `cron has a line for this project, but ${when}`, next: 'systemctl status cron' }];
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
