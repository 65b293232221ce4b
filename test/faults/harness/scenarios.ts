// The commands that write into a vault or, from it, into a project: each as a scenario of the crash matrix.

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CoraEnd, KnownSnapshot } from '../../../src/actions/judge.ts';
import { treeDifferences } from '../../../src/actions/judge-tree.ts';
import { isRoot } from '../../support/sandbox.ts';
import type { Place } from './place.ts';
import { projectState } from './project-state.ts';
import { LOG, logLines, makeProject, must, type Scenario, worksAgain } from './scenario.ts';
import { MORE_SCENARIOS } from './scenarios-more.ts';

const needsRoot = () => (isRoot ? undefined : 'needs root');

/** The log has all its lines, or the newest of them below the line that says where the rest is, which then is in a save. */
function rotatedWell(place: Place, end: CoraEnd): string[] {
  const lines = readFileSync(join(place.project, LOG), 'utf8').trimEnd().split('\n');
  const whole = [...logLines(), 'one more line'];
  const cut = lines[0] !== whole[0];
  if (!cut)
    return end.code === 0 || lines.join() !== whole.join()
      ? [`rotate ended with ${end.code}, and the log is ${lines.length} lines from the first`]
      : [];
  const rest = lines.slice(1);
  return rest.length > 0 && rest.join() === whole.slice(-rest.length).join() ? [] : [`the log is cut to ${JSON.stringify(lines).slice(0, 300)}`];
}

/**
 * With 0 a restore beside the project is whole (its database by rows: that WAL mode could not be set again is a warning). What
 * another end left there is not: the next one says that the place is not empty, and what to type.
 */
async function restoredBeside(place: Place, end: CoraEnd, older: readonly KnownSnapshot[]): Promise<string[]> {
  const again = (...more: readonly string[]) => worksAgain(place, ['restore', String(older.at(-1)?.id), '--yes', '--to', ...more]);
  const failed = [...(await again('../whole')), ...(end.code === 0 ? [] : await again('../out', '--overwrite', 'always'))];
  if (failed.length > 0) return failed;
  return treeDifferences(projectState(place.at('whole')), projectState(place.at('out')));
}

export const SCENARIOS: readonly Scenario[] = [
  { name: 'save', args: ['save'], makes: 'save', sample: 4 },
  { name: 'save-first', args: ['save'], makes: 'save', bare: true, before: makeProject },
  { name: 'save-unchanged', args: ['save'], before: async (place) => void (await must(place, ['save'])) },
  { name: 'backup', args: ['backup', 'now'], makes: 'backup', sample: 4 },
  { name: 'verify', args: ['verify', '--all', '--deep'] },
  { name: 'pin', args: ['pin', 'latest'] },
  { name: 'ledger-rebuild', args: ['ledger', 'rebuild'] },
  {
    name: 'protect',
    args: ['protect'],
    skip: needsRoot,
    before: (place) => void spawnSync('chattr', ['-R', '-f', '-ia', '--', place.root]),
    // What the fault left unsealed is sealed by the next one.
    next: ['protect'],
  },
  {
    name: 'prune',
    sample: 4,
    args: ['prune', '--keep-last', '1', '--confirm', '--yes'],
    before: async (place) => void (await must(place, ['save'])),
  },
  {
    // A sealed one goes: its flags come off before it is moved, and a crash between must not leave it open.
    name: 'prune-backup',
    args: ['prune', '--keep-last', '1', '--confirm', '--yes'],
    before: async (place) => void (await must(place, ['backup', 'now'])),
  },
  { name: 'rotate', args: ['rotate', LOG, '--max-lines', '10'], project: 'any', extra: rotatedWell },
  { name: 'restore-beside', args: ['restore', 'latest', '--to', '../out'], extra: restoredBeside },
  {
    name: 'restore-in-place',
    sample: 4,
    args: ['restore', 'latest', '--yes', '--confirm-service-stopped', '--delete'],
    project: 'either',
  },
  {
    name: 'restore-undo',
    args: ['restore', '--undo', '--yes', '--confirm-service-stopped'],
    project: 'either',
    before: async (place) => void (await must(place, ['restore', 'latest', '--yes', '--confirm-service-stopped', '--delete'])),
  },
  ...MORE_SCENARIOS,
];
