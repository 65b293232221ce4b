// The commands beside saves and restores: off-site and back, set-up and its undo, hooks, single databases, drills. What
// each promises besides what the judge asks of all is in its `extra`.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { treeDifferences } from '../../../src/actions/judge-tree.ts';
import { findProgram } from '../../../src/os/run.ts';
import type { Place } from './place.ts';
import { files, rows } from './project-state.ts';
import { makeProject, must, type Scenario, worksAgain } from './scenario.ts';

const needsRclone = () => (findProgram('rclone') === undefined ? 'no rclone' : undefined);
const INIT = ['init', '--yes', '--no-timers', '--no-key'];

function configureRemote(place: Place): void {
  writeFileSync(join(place.project, 'cora.toml'), `[offsite]\nremote = ${JSON.stringify(place.at('remote'))}\nenv = "prod"\n`);
}

function makeRepository(place: Place): void {
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=T', '-c', 'user.email=t@example.org', ...args], { cwd: place.project, stdio: 'ignore', env: place.env });
  git('init', '-q');
  writeFileSync(join(place.project, '.gitignore'), '*.db*\n');
  git('add', '.gitignore');
  git('commit', '-q', '-m', 'first');
}

/** What is in a directory is what the project holds, databases by their rows. */
function holdsProject(place: Place, directory: string): string[] {
  if (!existsSync(directory)) return [`${directory} is not there`];
  const differences = treeDifferences(files(place.project), files(directory)).slice(0, 3);
  const [have, want] = [rows(join(directory, 'app.db')), rows(join(place.project, 'app.db'))];
  return have === want ? differences : [...differences, `the restored database has ${have} rows of ${want}`];
}

async function shippedWell(place: Place): Promise<string[]> {
  return [...(await worksAgain(place, ['ship'])), ...(await worksAgain(place, ['ship', '--check']))];
}

/** The note of a recovery that was cut off tells its directory by the inode, and goes on there alone. */
function renumber(place: Place): void {
  const path = join(place.vault, '.stage/restoring.json');
  if (!existsSync(path) || !existsSync(place.at('out'))) return;
  const note = JSON.parse(readFileSync(path, 'utf8')) as { ino: number };
  writeFileSync(path, `${JSON.stringify({ ...note, ino: statSync(place.at('out')).ino })}\n`);
}

const recoverArgs = (place: Place) => ['recover', place.at('remote'), '--latest', '--to', place.at('out'), '--yes'];

let beforeInit: ReadonlyMap<string, string> = new Map();

/** The project is as it was before, byte for byte, once init is taken back. */
async function undoneWell(place: Place): Promise<string[]> {
  const undone = await place.cora(['init', '--undo', '--yes']);
  const differences = treeDifferences(beforeInit, withoutGit(place));
  // 1: there is nothing left that it could take back.
  return [0, 1].includes(undone.code ?? -1) && differences.length === 0
    ? []
    : [`init --undo ended with ${undone.code}: ${differences.slice(0, 3).join('; ')}`];
}

/** git's own files but the hooks change with each look that git takes. */
function withoutGit(place: Place): ReadonlyMap<string, string> {
  return new Map([...files(place.project)].filter(([path]) => !path.startsWith('.git/') || path.startsWith('.git/hooks/')));
}

function keepBefore(place: Place): void {
  beforeInit = withoutGit(place);
}

export const MORE_SCENARIOS: readonly Scenario[] = [
  {
    name: 'ship',
    args: ['ship'],
    skip: needsRclone,
    before: (place) => configureRemote(place),
    extra: shippedWell,
  },
  {
    name: 'recover',
    args: recoverArgs,
    skip: needsRclone,
    project: 'any',
    before: async (place) => {
      configureRemote(place);
      await must(place, ['backup', 'now']);
      await must(place, ['ship', '--saves']);
      execFileSync('chattr', ['-R', '-f', '-ia', '--', place.vault]);
      rmSync(place.vault, { recursive: true });
    },
    // Cut off, the same command goes on; one that had ended refuses to overwrite what it made.
    next: recoverArgs,
    nextCodes: [0, 20],
    copied: renumber,
    extra: (place) => holdsProject(place, place.at('out')),
  },
  {
    name: 'init',
    args: INIT,
    // When it wrote cora.toml is in the save that it makes.
    anyTree: true,
    bare: true,
    project: 'any',
    before: (place) => {
      makeProject(place);
      makeRepository(place);
      keepBefore(place);
    },
    next: INIT,
    extra: undoneWell,
  },
  {
    name: 'init-undo',
    args: ['init', '--undo', '--yes'],
    bare: true,
    project: 'any',
    before: async (place) => {
      makeProject(place);
      makeRepository(place);
      keepBefore(place);
      await must(place, INIT);
    },
    extra: undoneWell,
  },
  {
    name: 'hooks-install',
    args: ['hooks', 'install'],
    project: 'any',
    before: (place) => {
      makeRepository(place);
      keepBefore(place);
    },
    next: ['hooks', 'install'],
    extra: async (place) => {
      const failed = await worksAgain(place, ['hooks', 'remove']);
      return [...failed, ...treeDifferences(beforeInit, withoutGit(place)).slice(0, 3)];
    },
  },
  {
    name: 'hooks-remove',
    args: ['hooks', 'remove'],
    project: 'any',
    before: async (place) => {
      makeRepository(place);
      keepBefore(place);
      await must(place, ['hooks', 'install']);
    },
    next: ['hooks', 'remove'],
    extra: (place) => treeDifferences(beforeInit, withoutGit(place)).slice(0, 3),
  },
  // What it restored was in TMPDIR, in which nothing is to stay.
  { name: 'drill', args: ['drill'] },
  {
    name: 'db-backup',
    // It writes the -wal back where nobody has the database open: the same rows in other bytes.
    project: 'either',
    args: ['db', 'backup', 'app.db', '--backup', '../copy.db'],
    extra: (place, end) => {
      if (!existsSync(place.at('copy.db'))) return end.code === 0 ? ['db backup ended with 0 and made nothing'] : [];
      return rows(place.at('copy.db')) === rows(join(place.project, 'app.db')) ? [] : ['the copy that is there lacks rows'];
    },
  },
  {
    name: 'db-restore',
    args: ['db', 'restore', '../copy.db', '--db', 'app.db', '--force'],
    project: 'any',
    before: async (place) => {
      await must(place, ['db', 'backup', 'app.db', '--backup', '../copy.db']);
      const database = new Database(join(place.project, 'app.db'));
      database.exec('DELETE FROM note WHERE rowid > 5');
      database.close();
    },
    nextCodes: [0, 3],
    extra: (place, end) => {
      const [now, copy] = [rows(join(place.project, 'app.db')), rows(place.at('copy.db'))];
      if (now === copy) return [];
      return now === 5 && end.code !== 0 ? [] : [`db restore ended with ${end.code}, and the database has ${now} rows, neither 5 nor ${copy}`];
    },
  },
];
