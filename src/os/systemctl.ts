// Questions and orders to systemd's managers through systemctl. Never throws for what systemd answers:
// a machine without it, a user without a session and a unit that is not there are answers.

import { userInfo } from 'node:os';
import { exists } from './files.ts';
import { findProgram, type RunResult, runSync } from './run.ts';

/** The system's manager, or the one of the user we run as. */
export type Manager = { readonly user: false } | { readonly user: true; readonly runtimeDirectory: string; readonly home: string | undefined };

/** What systemd knows about a unit; times in milliseconds since 1970, undefined for never. */
export type UnitState = {
  readonly name: string;
  /** `loaded`, `not-found`, `masked`, `bad-setting`, ... */
  readonly load: string;
  /** `enabled`, `disabled`, `static`, ... */
  readonly enabled: string;
  readonly active: string;
  readonly activeSince: number | undefined;
  readonly lastTrigger: number | undefined;
  readonly nextTrigger: number | undefined;
  /** Of the last run: `success`, `exit-code`, `timeout`, ... */
  readonly result: string;
  readonly exitCode: number | undefined;
  readonly lastEnd: number | undefined;
  readonly dropIns: readonly string[];
};

/** True where systemd is the init of this machine (sd_booted). */
export function isBooted(): boolean {
  return exists('/run/systemd/system') && findProgram('systemctl') !== undefined;
}

/** True where a user's manager runs without the user being logged in. */
export function lingers(): boolean {
  return exists(`/var/lib/systemd/linger/${userInfo().username}`);
}

export function userName(): string {
  return userInfo().username;
}

/** The id of a user of this machine, of LDAP and the like too; undefined where there is none of that name. */
export function userId(name: string): number | undefined {
  const id = findProgram('id');
  // A number is an id as well for id(1), and a slash would leave the directory of units.
  if (id === undefined || !/^[A-Za-z_][A-Za-z0-9_.-]*$/.test(name)) return undefined;
  const { exitCode, stdout } = runSync(id, ['-u', '--', name]);
  return exitCode === 0 ? Number(stdout.toString().trim()) : undefined;
}

/** @returns undefined when it worked, else what systemctl said */
export function order(manager: Manager, args: readonly string[]): string | undefined {
  const { exitCode, stderr } = ask(manager, args);
  if (exitCode === 0) return undefined;
  return stderr.trim().split('\n').at(-1) || `systemctl ${args[0] ?? ''} ended with ${exitCode ?? 'a signal'}`;
}

/** The state of units; none where the manager cannot be reached. */
export function unitStates(manager: Manager, names: readonly string[]): UnitState[] {
  if (names.length === 0) return [];
  const { exitCode, stdout } = ask(manager, ['show', `--property=${PROPERTIES.join(',')}`, '--', ...names]);
  if (exitCode !== 0) return [];
  return stdout
    .toString()
    .split(/\n\n+/)
    .flatMap((block) => {
      const fields = new Map(block.split('\n').map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
      const name = fields.get('Id');
      return name === undefined ? [] : [stateOf(name, fields)];
    });
}

const PROPERTIES = [
  'Id',
  'LoadState',
  'UnitFileState',
  'ActiveState',
  'ActiveEnterTimestamp',
  'LastTriggerUSec',
  'NextElapseUSecRealtime',
  'Result',
  'ExecMainStatus',
  'ExecMainExitTimestamp',
  'DropInPaths',
];

function stateOf(name: string, fields: ReadonlyMap<string, string>): UnitState {
  const exitCode = Number(fields.get('ExecMainStatus') ?? '');
  return {
    name,
    load: fields.get('LoadState') ?? '',
    enabled: fields.get('UnitFileState') ?? '',
    active: fields.get('ActiveState') ?? '',
    activeSince: timeOf(fields.get('ActiveEnterTimestamp')),
    lastTrigger: timeOf(fields.get('LastTriggerUSec')),
    nextTrigger: timeOf(fields.get('NextElapseUSecRealtime')),
    result: fields.get('Result') ?? '',
    exitCode: fields.get('ExecMainStatus') === undefined ? undefined : exitCode,
    lastEnd: timeOf(fields.get('ExecMainExitTimestamp')),
    dropIns: (fields.get('DropInPaths') ?? '').split(' ').filter((path) => path !== ''),
  };
}

/** `Sat 2026-11-21 03:15:04 UTC`: systemctl prints the time zone of its environment, and ours is UTC. */
function timeOf(value: string | undefined): number | undefined {
  const match = /^\w{3} (\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}:\d{2}) UTC$/.exec(value ?? '');
  return match === null ? undefined : Date.parse(`${match[1]}T${match[2]}Z`);
}

function ask(manager: Manager, args: readonly string[]): RunResult {
  const program = findProgram('systemctl');
  if (program === undefined) return { exitCode: 127, signal: null, stdout: Buffer.alloc(0), stderr: 'systemctl is not installed', timedOut: false };
  if (!manager.user) return runSync(program, args);
  const env = { XDG_RUNTIME_DIR: manager.runtimeDirectory, ...(manager.home === undefined ? {} : { HOME: manager.home }) };
  return runSync(program, ['--user', ...args], { env });
}
