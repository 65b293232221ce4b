// What a scenario is, and the project that most begin with: small, with what hurts (a database in WAL mode with rows in
// its -wal, a hard link, names that are no text, a file in pieces), and a vault with older saves and a sealed backup.
// After the command was killed, cut off or met an error, the judge looks; `extra` says what that command promises besides.

import { spawnSync } from 'node:child_process';
import { appendFileSync, linkSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CoraEnd, Expectation, KnownSnapshot } from '../../../src/actions/judge.ts';
import type { Place } from './place.ts';

export type Scenario = {
  readonly name: string;
  /** The command under test. */
  readonly args: readonly string[] | ((place: Place) => readonly string[]);
  readonly makes?: Expectation['makes'];
  /** Brings the place to where the command starts; a project and a history are there already, unless `bare`. */
  readonly before?: (place: Place) => Promise<void> | void;
  readonly bare?: true;
  /** Whether the command may change the project: `same` byte for byte (default), `either` (all as before or all as after it), `any` (not looked at). */
  readonly project?: 'same' | 'either' | 'any';
  /** A new snapshot need only be restorable: what it holds differs from run to run. */
  readonly anyTree?: true;
  readonly next?: Scenario['args'];
  readonly nextCodes?: readonly number[];
  /** Codes of the command without a fault; default 0. */
  readonly codes?: readonly number[];
  /** Points of the sample that `npm run test:faults` tries; default 2. */
  readonly sample?: number;
  /** What else must hold after the fault and the next run, one sentence for each thing that does not. */
  readonly extra?: (place: Place, end: CoraEnd, older: readonly KnownSnapshot[]) => Promise<string[]> | string[];
  /** What a copy of an interrupted place has to be told: the original's inode numbers are not its own. */
  readonly copied?: (place: Place) => void;
  /** Why it cannot be tried here, or undefined. */
  readonly skip?: () => string | undefined;
};

export const LOG = 'AI_WORK_LOG.md';
export const logLines = () => Array.from({ length: 40 }, (_, n) => `line ${n}`);
const ODD = Buffer.from('odd \n\xff name', 'latin1');

export async function must(place: Place, args: readonly string[], codes: readonly number[] = [0]): Promise<CoraEnd> {
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

/** A command that must work now; a sentence where it does not. */
export async function worksAgain(place: Place, args: readonly string[], codes: readonly number[] = [0]): Promise<string[]> {
  const end = await place.cora(args);
  return codes.includes(end.code ?? -1) ? [] : [`cora ${args.join(' ')} ended with ${end.code}: ${end.stderr.trim().slice(-300)}`];
}
