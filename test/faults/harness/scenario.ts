// What is tried: a small project with what hurts (a database in WAL mode with rows in its -wal, a hard link, names that
// are no text, a file in pieces), a vault with older saves and a sealed backup, and one command. After the command was
// killed, cut off or met an error, the judge looks; `extra` says what that command promises besides.

import { spawnSync } from 'node:child_process';
import { appendFileSync, linkSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CoraEnd, Expectation } from '../../../src/actions/judge.ts';
import { isRoot } from '../../support/sandbox.ts';
import type { Place } from './place.ts';

export type Scenario = {
  readonly name: string;
  /** The command under test. */
  readonly args: readonly string[];
  readonly makes?: Expectation['makes'];
  /** Brings the place to where the command starts; a project and a history are there already, unless `bare`. */
  readonly before?: (place: Place) => Promise<void> | void;
  readonly bare?: true;
  /** Whether the command may change the project: `same` (default), `either` (as before or as after it), `any` (not looked at). */
  readonly project?: 'same' | 'either' | 'any';
  readonly next?: readonly string[];
  readonly nextCodes?: readonly number[];
  /** Codes of the command without a fault; default 0. */
  readonly codes?: readonly number[];
  /** Points of the sample that `npm run test:faults` tries; default 3. */
  readonly sample?: number;
  /** What else must hold after the fault and the next run, one sentence for each thing that does not. */
  readonly extra?: (place: Place, end: CoraEnd) => Promise<string[]> | string[];
  /** Why it cannot be tried here, or undefined. */
  readonly skip?: () => string | undefined;
};

const LOG = 'AI_WORK_LOG.md';
const logLines = () => Array.from({ length: 40 }, (_, n) => `line ${n}`);
const ODD = Buffer.from('odd \n\xff name', 'latin1');
const needsRoot = () => (isRoot ? undefined : 'needs root');

async function must(place: Place, args: readonly string[], codes: readonly number[] = [0]): Promise<CoraEnd> {
  const end = await place.cora(args);
  if (!codes.includes(end.code ?? -1)) throw new Error(`cora ${args.join(' ')} ended with ${end.code}: ${end.stderr}${end.stdout}`);
  return end;
}

/** Rows that their program left in the -wal when it ended. */
export function addRows(place: Place, count: number): void {
  const program = `const D = require('better-sqlite3'); const d = new D(process.argv[1]); d.pragma('journal_mode = wal'); d.pragma('wal_autocheckpoint = 0');
    d.exec('CREATE TABLE IF NOT EXISTS note (text)'); for (let n = 0; n < ${count}; n++) d.prepare('INSERT INTO note VALUES (?)').run('row ' + n); process.kill(process.pid, 'SIGKILL');`;
  spawnSync(process.execPath, ['-e', program, join(place.project, 'app.db')], { cwd: join(import.meta.dirname, '../../..') });
}

export function makeProject(place: Place): void {
  const at = (path: string) => join(place.project, path);
  mkdirSync(at('src/deep'), { recursive: true });
  mkdirSync(at('empty'));
  writeFileSync(at('src/a.txt'), 'a, first\n');
  writeFileSync(at('src/deep/b.txt'), 'b, first\n');
  writeFileSync(at('src/gone.txt'), 'it will go\n');
  linkSync(at('src/a.txt'), at('src/second name of a'));
  symlinkSync('src/a.txt', at('link'));
  writeFileSync(Buffer.concat([Buffer.from(`${place.project}/`), ODD]), 'odd\n');
  writeFileSync(at(LOG), `${logLines().join('\n')}\n`);
  // Over 1 MiB: cut in pieces, which compress to nothing.
  writeFileSync(at('pieces.bin'), Buffer.concat(Array.from({ length: 20 }, (_, n) => Buffer.alloc(65_536, n))));
  addRows(place, 20);
}

export function changeProject(place: Place): void {
  const at = (path: string) => join(place.project, path);
  appendFileSync(at('src/a.txt'), 'a, second\n');
  rmSync(at('src/gone.txt'), { force: true });
  writeFileSync(at('src/new.txt'), 'new\n');
  renameSync(at('src/deep/b.txt'), at('src/deep/c.txt'));
  appendFileSync(at(LOG), 'one more line\n');
  appendFileSync(at('pieces.bin'), Buffer.alloc(70_000, 'x'));
  addRows(place, 5);
}

/** Two saves and a backup of which all but the last differ from what is there now. */
export async function makeHistory(place: Place): Promise<void> {
  makeProject(place);
  await must(place, ['save']);
  appendFileSync(join(place.project, 'src/a.txt'), 'between\n');
  addRows(place, 3);
  await must(place, ['save', '-m', 'between']);
  writeFileSync(join(place.project, 'src/deep/d.txt'), 'd\n');
  await must(place, ['backup', 'now']);
  changeProject(place);
}

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

export const SCENARIOS: readonly Scenario[] = [
  { name: 'save', args: ['save'], makes: 'save' },
  { name: 'save-first', args: ['save'], makes: 'save', bare: true, before: makeProject },
  { name: 'save-unchanged', args: ['save'], before: async (place) => void (await must(place, ['save'])) },
  { name: 'backup', args: ['backup', 'now'], makes: 'backup' },
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
  { name: 'prune', args: ['prune', '--keep-last', '1', '--confirm', '--yes'], before: async (place) => void (await must(place, ['save'])) },
  { name: 'rotate', args: ['rotate', LOG, '--max-lines', '10'], project: 'any', extra: rotatedWell },
  { name: 'restore-beside', args: ['restore', 'latest', '--to', '../out'] },
  {
    name: 'restore-in-place',
    args: ['restore', 'latest', '--yes', '--confirm-service-stopped', '--delete'],
    project: 'either',
  },
  {
    name: 'restore-undo',
    args: ['restore', '--undo', '--yes', '--confirm-service-stopped'],
    project: 'either',
    before: async (place) => void (await must(place, ['restore', 'latest', '--yes', '--confirm-service-stopped', '--delete'])),
  },
];
