// `cora status` as lines for people. Pure.

import type { StatusResult } from '../actions/status.ts';
import type { TimersStatus } from '../actions/timers-status.ts';
import { formatAge, formatBytes, formatDuration, formatWhen } from '../base/units.ts';
import type { AutomaticStatus } from './automatic-status.ts';
import { counted, visible } from './render.ts';
import { type Offsite, offsiteLines } from './render-fleet.ts';

/** Files of a list that are named; --json has all. */
const NAMED_MOST = 3;

type Around = Omit<AutomaticStatus, 'warnings'> & { readonly offsite: Offsite | undefined };

export function statusLines(result: StatusResult, { hooks, timers, offsite }: Around, now: number): string[] {
  const { vault } = result;
  const lines = [
    `Project   ${visible(result.project.name)} at ${visible(result.project.root)}`,
    `Vault     ${visible(vault.path)}${vault.exists ? `, ${formatBytes(vault.bytes)}, ${formatBytes(vault.freeBytes)} free` : ' (not there yet)'}`,
    `Save      ${lastLine(result.lastSave, 'none yet: cora save', now)}`,
    `Backup    ${lastLine(result.lastBackup, 'none yet: cora backup now', now)}`,
    `Verify    ${lastLine(result.lastVerify, 'none yet: cora verify', now)}`,
    `Drilled   ${drilledLine(result.lastDrill, now)}`,
    ...(result.lastTorture === undefined ? [] : [`Tortured  ${torturedLine(result.lastTorture, now)}`]),
    `Counts    ${counted(result.saves, 'save')}, ${counted(result.backups, 'backup')} (${result.sealed} sealed)${result.fallbacks === 0 ? '' : `, ${counted(result.fallbacks, 'checkpoint')} without the engine`}`,
    ...(hooks === undefined
      ? []
      : [
          `Hook      ${hooks.hooks.map(({ hook, installed, runs }) => `${hook}: ${!installed ? 'not installed' : runs ? 'installed' : 'would NOT run'}`).join(', ')}`,
        ]),
    ...(timers === undefined ? [] : [`Timers    ${timersLine(timers, now)}`]),
    ...(offsite === undefined ? [] : offsiteLines(offsite, now)),
    `Same disk ${vault.sameDisk ? 'yes: the loss of this disk loses both' : 'no'}`,
    ...named(
      'Large',
      result.largeFiles.map(({ path, size }) => `${visible(path)} ${formatBytes(size)}`),
    ),
    ...named(
      'Growing',
      result.growth.map(({ path, size, grown, days }) => `${visible(path)} ${formatBytes(size)} (+${formatBytes(grown)} in ${span(days)})`),
    ),
  ];
  for (const warning of result.warnings) lines.push(`warning: ${visible(warning.message)}. ${visible(warning.next)}`);
  return lines;
}

function timersLine({ installed, cron, timers }: TimersStatus, now: number): string {
  if (cron) return 'cron';
  if (!installed) return 'not installed';
  return timers
    .map(({ job, armed, lastRun }) => `${job}: ${armed ? 'armed' : 'NOT armed'}${lastRun === undefined ? '' : `, ran ${formatAge(now - lastRun)}`}`)
    .join('; ');
}

function drilledLine(drill: StatusResult['lastDrill'], now: number): string {
  if (drill === undefined) return 'never: cora drill';
  const time = drill.seconds === undefined ? '' : `, restored in ${formatDuration(drill.seconds * 1000)}`;
  return `${ago(drill.time, now)}  ${drill.id}${drill.outcome === 'ok' ? `${drill.whole ? '' : ', a sample'}${time}` : '  NOT PROVEN'}`;
}

function torturedLine({ time, points, losses, fileSystem }: NonNullable<StatusResult['lastTorture']>, now: number): string {
  return `${ago(time, now)}  ${counted(points, 'fault')} on ${visible(fileSystem)}, ${losses === 0 ? 'nothing lost' : `${losses} LOST SOMETHING`}`;
}

/** How long ago, and when that was. */
function ago(time: number, now: number): string {
  return `${formatAge(now - time)} (${formatWhen(time, now)})`;
}

function lastLine(run: StatusResult['lastSave'], none: string, now: number): string {
  return run === undefined ? none : `${ago(run.time, now)}  ${run.id}${run.ok ? '' : '  NOT GOOD'}`;
}

function named(title: string, items: readonly string[]): string[] {
  if (items.length === 0) return [];
  const more = items.length > NAMED_MOST ? ` and ${items.length - NAMED_MOST} more` : '';
  return [`${title.padEnd(9)} ${items.slice(0, NAMED_MOST).join(', ')}${more}`];
}

function span(days: number): string {
  return days < 2 ? `${Math.max(1, Math.round(days * 24))} h` : `${Math.round(days)} days`;
}
