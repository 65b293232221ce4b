// What timers a project gets: which unit names are its own, what each file says, and the same as lines
// for cron. It reads, and changes nothing. The first project of a machine has the plain names, further
// ones are instances; who has which is told by the unit files themselves.

import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Bytes, isText, toText } from '../base/bytes.ts';
import type { Config } from '../base/config.ts';
import { CoraError } from '../base/errors.ts';
import { exists, namesIn, readTextIfThere } from '../os/files.ts';
import type { Manager } from '../os/systemctl.ts';
import { DROP_IN, formatDropIn, formatListen, forUserManager, isOurs, parseDropIn, plainText, repointed, type UnitNote } from '../os/systemd-unit.ts';
import type { VaultLocation } from '../vault/locate.ts';
import { needsHomeToShip, remoteDirectories, shipsFrom } from './timers-ship.ts';

/** `serve` has a socket instead of a timer. */
export type TimerJob = 'save' | 'backup' | 'ship' | 'drill' | 'health' | 'seal' | 'serve';

/** The machine as timers need to know it; the command line's `Machine` fits. */
export type TimersMachine = {
  readonly uid: number;
  readonly home: string | undefined;
  readonly launcher: string;
  readonly logs: readonly string[];
  env(name: string): string | undefined;
};

/** Whose units: a project's, or those that seal the vaults of one user. */
export type TimersTarget =
  | {
      readonly project: { readonly root: Bytes; readonly name: string; readonly config: Config };
      readonly location: VaultLocation;
    }
  | { readonly sealFor: string };

export type TimersOptions = {
  /** Units of the user's own manager; implied for everyone but root. */
  readonly user: boolean;
  /** Where the unit files go instead of the manager's directory; nothing is started then. */
  readonly unitDirectory: string | undefined;
  /** Jobs whose command exists; only these get timers. */
  readonly jobs: readonly TimerJob[];
  /** Of `serve`: `127.0.0.1:PORT`, or the path of a unix socket. */
  readonly listen?: string;
};

/** Where units lie, and who runs them. */
export type TimersPlace = {
  readonly scope: 'system' | 'user';
  readonly directory: string;
  /** Undefined where the files alone are wanted. */
  readonly manager: Manager | undefined;
};

/** One set of unit names: plain where `instance` is undefined. */
export type Slot = { readonly instance: string | undefined; readonly note: UnitNote };

export type UnitFile = { readonly path: string; readonly content: string; readonly change: 'new' | 'changed' | 'same' };

export type TimersPlan = {
  readonly place: TimersPlace;
  readonly instance: string | undefined;
  readonly files: readonly UnitFile[];
  readonly timers: readonly string[];
};

const JOBS: readonly TimerJob[] = ['save', 'backup', 'ship', 'drill', 'health', 'seal', 'serve'];
export const SYSTEM_UNITS = '/etc/systemd/system';
const TEMPORARY = /^(?:\/var)?\/tmp\//;

/** @throws CoraError usage where a user's directory cannot be known, or root's is asked of somebody else */
export function placeOf(machine: TimersMachine, options: Pick<TimersOptions, 'user' | 'unitDirectory'>): TimersPlace {
  const user = options.user || machine.uid !== 0;
  const scope = user ? 'user' : 'system';
  if (options.unitDirectory !== undefined) return { scope, directory: options.unitDirectory, manager: undefined };
  if (!user) return { scope, directory: SYSTEM_UNITS, manager: { user: false } };
  const configured = machine.env('XDG_CONFIG_HOME');
  const configuration = configured?.startsWith('/') === true ? configured : machine.home === undefined ? undefined : `${machine.home}/.config`;
  if (configuration === undefined) throw new CoraError('usage', 'HOME is not set, so there is no place for user units', { hint: 'set HOME' });
  const runtimeDirectory = machine.env('XDG_RUNTIME_DIR') ?? `/run/user/${machine.uid}`;
  return { scope, directory: `${configuration}/systemd/user`, manager: { user: true, runtimeDirectory, home: machine.home } };
}

/** Every set of names that Cora has given away for a job in a directory of units. */
export function slotsOf(directory: string, job: TimerJob): Slot[] {
  const pattern = new RegExp(`^cora-${job}(?:@(.+))?\\.service\\.d$`);
  return namesIn(directory).flatMap((name) => {
    const match = pattern.exec(name);
    const content = match === null ? undefined : readTextIfThere(join(directory, name, DROP_IN));
    const note = content === undefined ? undefined : parseDropIn(content);
    return note === undefined ? [] : [{ instance: match?.[1], note }];
  });
}

/** The names that a project or a sealed user has already; those of the server are given away apart from the timers'. */
export function slotFor(directory: string, target: TimersTarget, job: 'save' | 'serve' = 'save'): Slot | undefined {
  if ('sealFor' in target) return slotsOf(directory, 'seal').find(({ note }) => note.user === target.sealFor);
  const root = textPath(target.project.root);
  return slotsOf(directory, job).find(({ note }) => note.project === root);
}

export function jobsOf(machine: TimersMachine, target: TimersTarget, options: Pick<TimersOptions, 'jobs'>): TimerJob[] {
  if ('sealFor' in target) return ['seal'];
  const { notify, webhook } = target.project.config.health;
  // A look each hour is for somebody who is told of it.
  const tells = notify !== undefined || webhook !== undefined;
  const ships = options.jobs.includes('ship') && shipsFrom(machine, target);
  return options.jobs.filter((job) => job !== 'seal' && (job !== 'health' || tells) && (job !== 'ship' || ships));
}

/** `cora-save.timer`, or `cora-save@app.timer` for an instance; the `timer` of the server is its socket. */
export function unitName(job: TimerJob, instance: string | undefined, kind: 'service' | 'timer'): string {
  return `cora-${job}${instance === undefined ? '' : `@${instance}`}.${kind === 'timer' ? startedBy(job) : kind}`;
}

/** What systemd starts the service by. */
export function startedBy(job: TimerJob): 'timer' | 'socket' {
  return job === 'serve' ? 'socket' : 'timer';
}

/** @throws CoraError refused where a file of somebody else has one of our names; project_refused for a path that units cannot hold */
export function planTimers(machine: TimersMachine, target: TimersTarget, options: TimersOptions): TimersPlan {
  const place = placeOf(machine, options);
  const jobs = jobsOf(machine, target, options);
  const instance = chooseInstance(place.directory, target, jobs);
  const next = jobs.includes('ship') ? unitName('ship', instance, 'service') : undefined;
  const files = jobs.flatMap((job) => filesOf(machine, place, target, job, instance, job === 'backup' ? next : undefined));
  if (options.listen !== undefined)
    files.push(unitFile(`${place.directory}/${unitName('serve', instance, 'timer')}.d/${DROP_IN}`, formatListen(options.listen)));
  return { place, instance, files, timers: jobs.map((job) => unitName(job, instance, 'timer')) };
}

/** Everything that is installed, as this installation of Cora ships it and with this one to start: for after an upgrade. */
export function planAgain(machine: TimersMachine, options: Pick<TimersOptions, 'user' | 'unitDirectory'>): TimersPlan {
  const place = placeOf(machine, options);
  const all = JOBS.flatMap((job) => slotsOf(place.directory, job).map(({ instance }) => ({ job, instance })));
  const files = all.flatMap(({ job, instance }) => {
    const { service, units } = sharedFiles(machine, place, job, instance);
    const path = dropInPath(place, job, instance);
    return [...units, unitFile(path, repointed(readFileSync(path, 'utf8'), service, machine.launcher))];
  });
  const unique = [...new Map(files.map((file) => [file.path, file])).values()];
  return { place, instance: undefined, files: unique, timers: all.map(({ job, instance }) => unitName(job, instance, 'timer')) };
}

function chooseInstance(directory: string, target: TimersTarget, jobs: readonly TimerJob[]): string | undefined {
  const first = jobs[0] ?? 'save';
  const own = slotFor(directory, target, first === 'serve' ? first : 'save');
  if (own !== undefined) return own.instance;
  const taken = new Set(slotsOf(directory, first).map(({ instance }) => instance));
  if (!taken.has(undefined)) return undefined;
  const name = 'sealFor' in target ? target.sealFor : target.project.name;
  for (let number = 1; ; number++) {
    const instance = number === 1 ? name : `${name}-${number}`;
    if (!taken.has(instance)) return instance;
  }
}

/** @param next the service to start when this one has done its work */
function filesOf(
  machine: TimersMachine,
  place: TimersPlace,
  target: TimersTarget,
  job: TimerJob,
  instance: string | undefined,
  next: string | undefined,
): UnitFile[] {
  const { service, units } = sharedFiles(machine, place, job, instance);
  const dropIn = formatDropIn({
    unit: service,
    ...(job === 'serve' ? { by: 'cora serve --install' } : {}),
    launcher: machine.launcher,
    ...(next === undefined ? {} : { onSuccess: next }),
    ...('sealFor' in target
      ? { user: target.sealFor, environment: {}, writable: [], privateTmp: true }
      : { project: textPath(target.project.root), vault: target.location.path, ...settingsOf(machine, place, target, job) }),
  });
  return [...units, unitFile(dropInPath(place, job, instance), dropIn)];
}

/** The units themselves: of the plain names, or the templates of all instances. */
function sharedFiles(machine: TimersMachine, place: TimersPlace, job: TimerJob, instance: string | undefined) {
  const name = `cora-${job}${instance === undefined ? '' : '@'}`;
  const service = shipped(machine.launcher, `${name}.service`);
  const units = [
    unitFile(`${place.directory}/${name}.service`, place.scope === 'user' ? forUserManager(service) : service),
    unitFile(`${place.directory}/${name}.${startedBy(job)}`, shipped(machine.launcher, `${name}.${startedBy(job)}`)),
  ];
  return { service, units };
}

function dropInPath(place: TimersPlace, job: TimerJob, instance: string | undefined): string {
  return `${place.directory}/${unitName(job, instance, 'service')}.d/${DROP_IN}`;
}

export type ProjectTarget = Extract<TimersTarget, { readonly project: unknown }>;

function settingsOf(machine: TimersMachine, place: TimersPlace, target: ProjectTarget, job: TimerJob) {
  const environment = environmentOf(machine, place.scope, target);
  if (place.scope === 'user') return { environment, writable: [], privateTmp: true };
  const vault = target.location.path;
  const log = machine.logs[0];
  // The vault and not the directory above it: where its disk is not mounted, a service cannot begin a new one in its place.
  const remotes = job === 'ship' || job === 'serve' ? remoteDirectories(machine, target) : [];
  const places = [textPath(target.project.root), vault, ...(log === undefined ? [] : [dirname(log)]), ...remotes];
  const writable = [...new Set(places)];
  return { environment, writable, privateTmp: ![...writable, machine.launcher].some((path) => TEMPORARY.test(`${path}/`)) };
}

/** What of the environment of the installation decides where things lie, so that a timer finds the same vault and log. */
function environmentOf(machine: TimersMachine, scope: TimersPlace['scope'], { project, location }: ProjectTarget): Record<string, string> {
  const carried: Record<string, string> = {};
  if (location.source === 'explicit') carried['CORA_VAULT'] = location.path;
  const log = machine.env('CORA_LOG');
  if (log === '' || log?.startsWith('/') === true) carried['CORA_LOG'] = log;
  const state = machine.env('XDG_STATE_HOME');
  if (machine.uid !== 0 && state?.startsWith('/') === true) carried['XDG_STATE_HOME'] = state;
  // A service of the system has no HOME; it gets one where the configuration is found by it.
  const { home } = machine;
  const isFoundByHome = (path: string) => exists(`${home}/.config/${path}`);
  const needsHome =
    home !== undefined &&
    (project.config.vault?.startsWith('~/') === true || isFoundByHome(`cora/${project.name}.toml`) || needsHomeToShip({ project }, isFoundByHome));
  if (scope === 'system' && needsHome) carried['HOME'] = home;
  return carried;
}

/** A unit as it is shipped, from the tree that `launcher` belongs to. */
function shipped(launcher: string, name: string): string {
  const path = join(dirname(dirname(launcher)), 'systemd', name);
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new CoraError('not_found', `${path} is missing from this installation of Cora`, { hint: 'install Cora again', cause: error });
  }
}

function unitFile(path: string, content: string): UnitFile {
  const there = readTextIfThere(path);
  if (there !== undefined && !isOurs(there)) {
    throw new CoraError('refused', `${path} is there and was not written by Cora`, { hint: 'move it away, then run the command again' });
  }
  return { path, content, change: there === undefined ? 'new' : there === content ? 'same' : 'changed' };
}

/** @throws CoraError project_refused where the path is not text */
function textPath(path: Bytes): string {
  if (!isText(path)) plainText('\ufffd');
  return plainText(toText(path));
}

/** The same as lines of a crontab, for machines without systemd. Cron makes up for nothing that was missed. */
export function cronLines(machine: TimersMachine, target: ProjectTarget, options: Pick<TimersOptions, 'jobs'>): string[] {
  const carried = Object.entries(environmentOf(machine, 'user', target)).map(([name, value]) => `${name}=${shellWord(plainText(value))}`);
  const run = (command: string) =>
    // cron reads a percent sign as the end of the command.
    [changeDirectory(target), ...carried, `nice -n 19 ${shellWord(plainText(machine.launcher))} ${command}`].join(' ').replaceAll('%', '\\%');
  const lines: Readonly<Record<TimerJob, string>> = {
    save: `*/15 * * * * ${run('save --trigger timer --lock-wait 5m --quiet')}`,
    backup: `15 3 * * * ${run('backup now --trigger timer --lock-wait 30m --quiet')}`,
    // A remote that is down for a day must not send 24 mails: cora status and cora health tell.
    ship: `20 * * * * ${run('ship --trigger timer --lock-wait 30m --quiet')} 2>/dev/null`,
    drill: `45 4 2 1,4,7,10 * ${run('drill --trigger timer --lock-wait 30m --quiet')}`,
    health: `5 * * * * ${run('health --notify --quiet')}`,
    seal: '',
    serve: '',
  };
  return jobsOf(machine, target, options).map((job) => lines[job]);
}

/** True for a line of a crontab that saves this project by the clock. */
export function isCronSave(line: string, target: ProjectTarget): boolean {
  return line.includes(` ${changeDirectory(target).replaceAll('%', '\\%')} `) && line.includes(' save --trigger timer');
}

function changeDirectory(target: ProjectTarget): string {
  return `cd ${shellWord(textPath(target.project.root))} &&`;
}

function shellWord(value: string): string {
  return /^[A-Za-z0-9_/.:=@+-]+$/.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`;
}
