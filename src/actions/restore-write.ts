// Writes the entries of a restore plan below a directory: directories, then contents by temporary name and
// rename, then links, owners, modes and times. It never writes through a link and never deletes.

import { chmodSync, closeSync, constants, fchmodSync, lchownSync, linkSync, lstatSync, mkdirSync, openSync, renameSync, symlinkSync } from 'node:fs';
import { type Bytes, basenameBytes, bytes, dirnameBytes, fsPath, joinBytes, toBuffer, toText } from '../base/bytes.ts';
import type { Context, Problem } from '../base/context.ts';
import { CoraError, errnoOf, messageOf } from '../base/errors.ts';
import { pathFields } from '../base/path-fields.ts';
import type { Entry } from '../format/file-list.ts';
import { makePath, tryRemove } from '../os/files.ts';
import { onPath } from '../os/long-path.ts';
import { findProgram, runSync } from '../os/run.ts';
import { setJournalMode } from '../os/sqlite.ts';
import { syncFileSystem } from '../os/sync.ts';
import { setExactTimes } from '../os/times.ts';
import { temporaryName } from '../store/temporary-name.ts';
import { restoreFromArchive } from './restore-archive.ts';
import { restoreFromObjects } from './restore-objects.ts';
import type { RestorePlan } from './restore-plan.ts';
import type { RestoreTarget } from './restore-target.ts';

export type WriteOptions = {
  /** Where the entries go: the plan's own directory, or a stage. */
  readonly directory: Bytes;
  readonly entries: readonly Entry[];
  /** Directories get their owner, mode and time; a stage stays open for the moves out of it. */
  readonly finish: boolean;
  /** Where what a hard link names is, if it is not among the entries. */
  readonly linksFrom: Bytes;
  /** Whether a database gets the journal mode again that it had; one that goes into a live file stays as it is stored. */
  readonly journalModes: (path: Bytes) => boolean;
};

export type Written = {
  /** Files that hold what they should. */
  readonly files: number;
  readonly databases: number;
  /** Paths whose stored content is damaged; they were not written. */
  readonly damaged: number;
  readonly problems: readonly Problem[];
};

/** What the plan leaves alone, told. */
export function refusedProblems(plan: RestorePlan, ctx: Context): Problem[] {
  return plan.work.refused.map(({ path, code, reason }) => {
    const problem: Problem = { code, ...pathFields(path), message: reason, severity: 'error' };
    ctx.monitor.problem(problem);
    return problem;
  });
}

/** @throws CoraError no_space, read_only, io, interrupted; system errors of the target's file system */
export async function writeEntries(
  plan: RestorePlan,
  { directory, entries, finish, linksFrom, journalModes }: WriteOptions,
  ctx: Context,
): Promise<Written> {
  const problems: Problem[] = [];
  const leftOut = new Set<Bytes>();
  let damaged = 0;
  const problem = (one: Problem): void => {
    problems.push(one);
    ctx.monitor.problem(one);
  };
  ctx.monitor.phase('restore');
  const { ref, report } = plan.work;
  refuseBelowLinks(entries);
  const contents = entries.filter(isContent);
  const target: RestoreTarget = {
    directory,
    owners: process.getuid?.() === 0,
    problem,
    damaged: (path, message) => {
      damaged += 1;
      leftOut.add(path);
      problem({ code: 'damaged', ...pathFields(path), message, severity: 'error' });
    },
    leftOut: (path) => leftOut.add(path),
    progress: (files, count) => ctx.monitor.progress({ phase: 'restore', files, totalFiles: contents.length, bytes: count, totalBytes: plan.bytes }),
  };
  const made = makeDirectories(directory, entries, target);
  // A directory that was there keeps its mode and times, unless the whole snapshot is put back.
  const touched = entries.filter((entry) => entry.type !== 'd' || (finish && (plan.work.whole || made.has(entry.path))));
  if (ref.kind !== 'save') await restoreFromArchive({ ...plan, work: { ...plan.work, entries } }, contents, target, ctx);
  else await restoreFromObjects(plan, contents, target, ctx);
  const inside = new Set<Bytes>(entries.map(({ path }) => path));
  for (const entry of entries) if (entry.type === 'h') makeHardLink(entry, inside.has(entry.link ?? bytes('')) ? directory : linksFrom, target);
  for (const entry of entries) if (entry.type === 'p' || entry.type === 'c' || entry.type === 'b' || entry.type === 's') makeSpecial(entry, target);
  for (const entry of entries) if (entry.type === 'l') makeSymlink(entry, target);
  const modes = new Map(
    report.databases.filter(({ stored, journal_mode }) => stored === 'copy' && journal_mode === 'wal').map((db) => [db.path, db.journal_mode]),
  );
  let databases = 0;
  for (const entry of contents) {
    if (report.databases.some(({ path }) => path === toText(entry.path))) databases += 1;
    const mode = leftOut.has(entry.path) || !journalModes(entry.path) ? undefined : modes.get(toText(entry.path));
    if (mode !== undefined) await setWalAgain(joinBytes(directory, entry.path), entry, mode, target);
  }
  if (finish) finishDirectories(directory, touched, target);
  setAllTimes(directory, leftOut.size === 0 ? touched : touched.filter(({ path }) => !leftOut.has(path)), problem);
  syncFileSystem(directory);
  return { files: contents.length - damaged, databases, damaged, problems };
}

/** Nothing lies below a link; a listing that says so would have us write to where the link leads. @throws CoraError damaged */
function refuseBelowLinks(entries: readonly Entry[]): void {
  const links = new Set<string>(entries.flatMap(({ type, path }) => (type === 'l' ? [path] : [])));
  if (links.size === 0) return;
  for (const { path } of entries) {
    for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) {
      if (!links.has(path.slice(0, end))) continue;
      throw new CoraError('damaged', `The listing has ${toText(path)} below a link; nothing was restored`, { hint: 'take another snapshot' });
    }
  }
}

export function isContent(entry: Entry): boolean {
  return entry.type === 'f' || entry.type === 'S';
}

/** Makes what is missing, parents first, open for us; final modes come last. A link in a directory's place is never followed. */
function makeDirectories(root: Bytes, entries: readonly Entry[], target: RestoreTarget): Set<string> {
  const made = new Set<string>();
  if (makePath(root)) made.add('.');
  const directories = entries.filter((entry) => entry.type === 'd' && entry.path !== '.').sort((a, b) => (a.path < b.path ? -1 : 1));
  for (const entry of directories) {
    const path = joinBytes(root, entry.path);
    const live = onPath(path, (reachable) => lstatSync(reachable, { throwIfNoEntry: false }));
    if (live === undefined) {
      onPath(path, (reachable) => mkdirSync(reachable, { mode: 0o700 }));
      made.add(entry.path);
      continue;
    }
    if (!live.isDirectory())
      throw new CoraError('refused', `${toText(path)} changed while the restore was being planned`, { hint: 'run the command again' });
    if ((live.mode & 0o700) !== 0o700 && !target.owners) onPath(path, (reachable) => chmodSync(reachable, live.mode | 0o700));
  }
  return made;
}

/** Puts a finished temporary entry in its place. */
function place(path: Bytes, make: (temporary: string | Buffer) => void): void {
  const temporary = joinBytes(dirnameBytes(path), temporaryName());
  onPath(temporary, (from) => {
    make(from);
    try {
      onPath(path, (to) => renameSync(from, to));
    } catch (error) {
      tryRemove(from);
      throw error;
    }
  });
}

function attempt(entry: Entry, target: RestoreTarget, action: () => void): void {
  try {
    action();
  } catch (error) {
    if (errnoOf(error) === 'ENOSPC' || errnoOf(error) === 'EROFS' || errnoOf(error) === 'EDQUOT') throw error;
    target.problem({ code: 'not_restored', ...pathFields(entry.path), message: `It could not be restored: ${messageOf(error)}`, severity: 'error' });
  }
}

function makeHardLink(entry: Entry, from: Bytes, target: RestoreTarget): void {
  const source = joinBytes(from, entry.link ?? '');
  const path = joinBytes(target.directory, entry.path);
  attempt(entry, target, () => {
    const linked = onPath(source, (reachable) => lstatSync(reachable));
    const live = onPath(path, (reachable) => lstatSync(reachable, { throwIfNoEntry: false }));
    // rename(2) of two names of one inode does nothing and would leave the temporary name.
    if (live !== undefined && live.ino === linked.ino && live.dev === linked.dev) return;
    place(path, (temporary) => onPath(source, (reachable) => linkSync(reachable, temporary)));
  });
}

function makeSymlink(entry: Entry, target: RestoreTarget): void {
  const path = joinBytes(target.directory, entry.path);
  attempt(entry, target, () =>
    place(path, (temporary) => {
      symlinkSync(toBuffer(entry.link ?? bytes('')), temporary);
      if (target.owners) lchownSync(temporary, entry.uid, entry.gid);
    }),
  );
}

function makeSpecial(entry: Entry, target: RestoreTarget): void {
  if (entry.type === 's') {
    target.problem({ code: 'socket', ...pathFields(entry.path), message: 'A socket is made by its program, not by a restore', severity: 'warning' });
    return;
  }
  const device = entry.type === 'c' || entry.type === 'b';
  if (device && !target.owners) {
    target.problem({ code: 'not_restored', ...pathFields(entry.path), message: 'Only root can make a device', severity: 'warning' });
    return;
  }
  const path = joinBytes(target.directory, entry.path);
  attempt(entry, target, () => {
    if (onPath(path, (reachable) => lstatSync(reachable, { throwIfNoEntry: false })) !== undefined) return;
    const mknod = findProgram('mknod');
    if (mknod === undefined) throw new CoraError('tool_missing', 'The program mknod is not installed', { hint: 'apt-get install coreutils' });
    // Programs take text; a name of other bytes is reached through its directory's descriptor and renamed.
    const directory = onPath(dirnameBytes(path), (reachable) => openSync(reachable, constants.O_RDONLY | constants.O_DIRECTORY));
    try {
      const temporary = temporaryName();
      const numbers = device ? (entry.link ?? '').split(',') : [];
      const result = runSync(mknod, ['-m', '0600', '--', temporary, entry.type, ...numbers], { cwd: `/proc/${process.pid}/fd/${directory}` });
      if (result.exitCode !== 0) throw new CoraError('io', result.stderr.trim());
      const here = bytes(`/proc/self/fd/${directory}`);
      const made = fsPath(joinBytes(here, temporary));
      if (target.owners) lchownSync(made, entry.uid, entry.gid);
      chmodSync(made, entry.mode);
      renameSync(made, fsPath(joinBytes(here, basenameBytes(path))));
    } finally {
      closeSync(directory);
    }
  });
}

/** The copy in the vault is in DELETE mode; the live database was in WAL mode, and its program counts on it. */
async function setWalAgain(path: Bytes, entry: Entry, mode: string, target: RestoreTarget): Promise<void> {
  try {
    await setJournalMode(toBuffer(path), mode);
  } catch (error) {
    target.problem({
      code: 'journal_mode',
      ...pathFields(entry.path),
      message: `Journal mode ${mode} could not be set again: ${messageOf(error)}`,
      severity: 'warning',
    });
  }
}

/** Owners and modes of directories, deepest first, now that nothing is made in them any more. */
function finishDirectories(root: Bytes, entries: readonly Entry[], target: RestoreTarget): void {
  for (const entry of entries.filter(({ type }) => type === 'd').sort((a, b) => (a.path < b.path ? 1 : -1))) {
    attempt(entry, target, () => {
      const fd = onPath(joinBytes(root, entry.path), (path) => openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW));
      try {
        if (target.owners) lchownSync(`/proc/self/fd/${fd}/.`, entry.uid, entry.gid);
        fchmodSync(fd, entry.mode);
      } finally {
        closeSync(fd);
      }
    });
  }
}

/** Exact times of all that was written: files and links first, directories deepest first, because each change touches its parent. */
export function setAllTimes(root: Bytes, entries: readonly Entry[], problem: (problem: Problem) => void): void {
  const times = (wanted: readonly Entry[]) =>
    wanted.map((entry) => ({ path: entry.path === '.' ? root : joinBytes(root, entry.path), mtime: entry.mtime }));
  const directories = entries.filter(({ type }) => type === 'd').sort((a, b) => (a.path < b.path ? 1 : -1));
  const others = entries.filter(({ type }) => type !== 'd' && type !== 's');
  if (!setExactTimes([...times(others), ...times(directories)])) {
    problem({
      code: 'times',
      message: 'Some times are not exact to the nanosecond (perl is missing, or they could not be set)',
      severity: 'warning',
    });
  }
}
