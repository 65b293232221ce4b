// The checks of health that look at the project and its machine: live databases, losses, runs that failed, the hook and the timers.

import { statSync } from 'node:fs';
import { type Bytes, bytes, fromText, fsPath, joinBytes, toText } from '../base/bytes.ts';
import { formatBytes } from '../base/units.ts';
import type { Report } from '../format/report.ts';
import { readRuns } from '../os/run-log.ts';
import { walSize } from '../source/databases.ts';
import type { SnapshotRef } from '../vault/catalog.ts';
import { readInitRecord } from '../vault/init-record.ts';
import type { Vault } from '../vault/vault.ts';
import { critical, type HealthCheck, note, ok, warning } from './health-check.ts';
import type { HooksPlace } from './hooks.ts';
import { hooksStatus } from './hooks-status.ts';
import { isFrozen, lossesOf } from './lost.ts';
import { failuresOf } from './status-runs.ts';
import type { TimersMachine, TimersOptions, TimersTarget } from './timers-plan.ts';
import { timersStatus } from './timers-status.ts';

/** A -wal that only grows has a reader that never ends, and is lost with the next crash of its disk. */
export function walSizes(root: Bytes, report: Report | undefined, most: number): HealthCheck {
  const sizes = (report?.databases ?? []).map(({ path, path_base64: exact }) => {
    const relative = exact === undefined ? fromText(path) : bytes(Buffer.from(exact, 'base64').toString('latin1'));
    return { path, size: walSize(joinBytes(root, relative)) };
  });
  const huge = sizes.filter(({ size }) => size > most).toSorted((a, b) => b.size - a.size)[0];
  if (huge === undefined) {
    const total = sizes.reduce((sum, { size }) => sum + size, 0);
    return ok('wal', total === 0 ? 'No live database has a -wal with content' : `The -wal files of live databases have ${formatBytes(total)}`);
  }
  const message = `The -wal of ${huge.path} has ${formatBytes(huge.size)}: a program keeps it from being written back`;
  return warning('wal', message, `end the program that reads it for so long, then: sqlite3 ${huge.path} "PRAGMA wal_checkpoint(TRUNCATE)"`);
}

export function lossesOpen(vault: Vault, refs: readonly SnapshotRef[]): HealthCheck {
  const { length } = lossesOf(vault, refs);
  if (length > 0)
    return critical(
      'losses',
      `${length === 1 ? 'Something critical is' : `${length} critical things are`} lost since the last good save`,
      'cora lost',
    );
  if (isFrozen(vault, refs)) return warning('losses', 'What was lost was put back since the last save, and no save has seen it yet', 'cora save');
  return ok('losses', 'Nothing critical is lost');
}

export function runsFailed(logs: readonly string[], root: Bytes, now: number): HealthCheck {
  const { count, last, pushesWithoutSave } = failuresOf(readRuns(logs), toText(root), now);
  if (count > 0) {
    const why = last?.message === undefined ? '' : `: ${last.message}`;
    return warning('runs', `${count === 1 ? 'A run' : `${count} runs`} failed since the last success${why}`, 'cora save');
  }
  if (pushesWithoutSave > 0)
    return warning('runs', `${pushesWithoutSave === 1 ? 'A push' : `${pushesWithoutSave} pushes`} without a save this week`, 'cora hooks status');
  return ok('runs', 'No run failed since the last success');
}

export function ownDisk(vault: Vault, root: Bytes): HealthCheck {
  const same = statSync(vault.root).dev === statSync(fsPath(root)).dev;
  if (same) return note('disk', 'The vault lies on the same disk as the project: one loss takes both', 'name a vault on another disk with --vault');
  return ok('disk', 'The vault lies on another disk than the project');
}

/** A hook that is there and would not run, or that `cora init` put in and is gone. */
export function hookAlive(vault: Vault, root: Bytes, place: HooksPlace, now: number): HealthCheck {
  let hooks: ReturnType<typeof hooksStatus>['hooks'];
  try {
    ({ hooks } = hooksStatus(root, place));
  } catch {
    return ok('hook', 'There is no git work tree, and so no hook');
  }
  const dead = hooks.find(({ installed, runs }) => installed && !runs);
  if (dead !== undefined) return warning('hook', `The ${dead.hook} hook would not run: ${dead.reason ?? 'unknown reason'}`, 'cora hooks install');
  if (hooks.some(({ runs }) => runs)) return ok('hook', 'The hook runs');
  if (readInitRecord(vault, now).hooks) return warning('hook', 'The pre-push hook that cora init installed is gone', 'cora hooks install');
  return note('hook', 'No hook saves before a push', 'cora hooks install');
}

/** A timer that is there and does not run, a run that was missed, or timers that `cora init` put in and are gone. */
export function timersAlive(vault: Vault, machine: TimersMachine, target: TimersTarget, options: TimersOptions, now: number): HealthCheck {
  const { installed, cron, problems } = timersStatus(machine, target, options, now);
  const [first] = problems;
  if (!installed && !cron) {
    if (readInitRecord(vault, now).timers !== null) return warning('timers', 'The timers that cora init installed are gone', 'cora timers install');
    return note('timers', 'No timer saves and backs up by itself', 'cora timers install');
  }
  if (first === undefined) return ok('timers', cron ? 'cron saves this project' : 'The timers are armed, and none missed a run');
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more: cora timers status)` : '';
  return warning('timers', `${first.message}${more}`, first.next);
}
