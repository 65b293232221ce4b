// `cora timers` as lines and as JSON. Pure.

import type { InstalledTimers, RemovedTimers } from '../actions/timers.ts';
import type { TimersStatus } from '../actions/timers-status.ts';
import { formatAge } from '../base/units.ts';
import { counted, visible } from './render.ts';

export function installedLines(result: InstalledTimers, print: boolean): string[] {
  if (result.scope === 'cron') return [...result.cron];
  if (print) {
    return result.files.flatMap(({ path, content, change }) => [
      `# ${visible(path)}${change === 'same' ? ' (as it is)' : ''}`,
      content.trimEnd(),
      '',
    ]);
  }
  if (result.timers.length === 0) return ['No timers of Cora are installed'];
  const changed = result.files.filter(({ change }) => change !== 'same').length;
  const wrote = changed === 0 ? 'Everything is as it should be' : `Wrote ${counted(changed, 'file')}`;
  const state = result.started ? 'armed' : 'not started';
  return [
    `${wrote}; ${result.timers.join(', ')} ${result.timers.length === 1 ? 'is' : 'are'} ${state}`,
    ...(result.started ? ['cora timers status shows when they run'] : []),
  ];
}

export function installedDocument(result: InstalledTimers, print: boolean): Readonly<Record<string, unknown>> {
  return {
    scope: result.scope,
    instance: result.instance ?? null,
    timers: result.timers,
    started: result.started,
    files: result.files.map(({ path, change, content }) => ({ path, change, ...(print ? { content } : {}) })),
    cron: result.cron,
  };
}

export function removedLines({ files }: RemovedTimers): string[] {
  return files.length === 0 ? ['There were no timers of Cora for this project'] : [`Stopped the timers and removed ${counted(files.length, 'file')}`];
}

export function removedDocument({ scope, instance, files }: RemovedTimers): Readonly<Record<string, unknown>> {
  return { scope, instance: instance ?? null, files };
}

export function timersStatusLines(status: TimersStatus, now: number): string[] {
  const lines = status.timers.map(({ timer, armed, lastRun, lastTrigger, nextTrigger, lastResult, lastExit }) => {
    const ran = lastRun ?? lastTrigger;
    const last = ran === undefined ? 'has not run yet' : `ran ${formatAge(now - ran)}`;
    const how =
      lastResult === undefined
        ? ''
        : ` (${lastResult === 'success' ? 'ok' : lastResult}${lastExit === undefined || lastExit === 0 ? '' : `, exit code ${lastExit}`})`;
    const next = nextTrigger === undefined ? '' : `, next at ${new Date(nextTrigger).toISOString().slice(0, 16)}Z`;
    return `${timer}: ${armed ? 'armed' : 'NOT armed'}, ${last}${how}${next}`;
  });
  if (status.sealedUsers.length > 0) lines.push(`Sealed by a timer of the system: the vaults of ${status.sealedUsers.map(visible).join(', ')}`);
  for (const { message, next } of status.problems) lines.push(`warning: ${visible(message)}. ${visible(next)}`);
  return status.cron ? ['cron saves this project', ...lines] : lines;
}

export function timersStatusDocument(status: TimersStatus): Readonly<Record<string, unknown>> {
  return {
    scope: status.scope,
    installed: status.installed,
    cron: status.cron,
    instance: status.instance ?? null,
    launcher: status.launcher ?? null,
    timers: status.timers.map(({ job, timer, armed, lastRun, lastTrigger, nextTrigger, lastResult, lastExit }) => ({
      job,
      timer,
      armed,
      last_trigger: timeOf(lastTrigger),
      next_trigger: timeOf(nextTrigger),
      last_run: timeOf(lastRun),
      last_result: lastResult ?? null,
      last_exit_code: lastExit ?? null,
    })),
    sealed_users: status.sealedUsers,
    warnings: status.problems,
  };
}

function timeOf(milliseconds: number | undefined): string | null {
  return milliseconds === undefined ? null : new Date(milliseconds).toISOString();
}
