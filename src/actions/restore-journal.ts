// The record of a restore in place, `.cora-restore/` at the top of the project (docs/format.md): what is
// staged, what was there before, and how far the swap is. Invariant: while RESTORE.json says `swapping` or
// `undoing`, every path of moves.tsv is either in its place, or below the run's `new/` or `old/`.

import { randomBytes } from 'node:crypto';
import { chmodSync, constants, fchownSync, lchownSync, lstatSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { type Bytes, bytes, dirnameBytes, fromText, fsPath, joinBytes, toText } from '../base/bytes.ts';
import { CoraError, errnoOf } from '../base/errors.ts';
import { escapeField, formatTime, parseTime, unescapeField } from '../format/file-list.ts';
import { closing, exists, namesIn, readTextIfThere, replaceFile, syncDirectory, writeNewFile } from '../os/files.ts';
import { type Lock, tryLock } from '../os/lock.ts';

export const RESTORE_DIRECTORY = '.cora-restore';
/** In a run's directory: something in it is in no save, so later restores leave it. */
export const KEEP = 'KEEP';

/** `file`: by rename; `database`: with its sidecars; `live`: through SQLite; `mounted`: its content; `extra`: only moved away. */
export type MoveKind = 'file' | 'database' | 'live' | 'mounted' | 'extra';

export type Move = { readonly kind: MoveKind; readonly path: Bytes; readonly hadLive: boolean };

/** Owner, mode and time of a directory. */
export type DirectoryState = { readonly mode: number; readonly uid: number; readonly gid: number; readonly mtime: bigint };

/** A directory that is made, given other attributes, or (no `after`) removed if it is empty. */
export type DirectoryChange = { readonly path: Bytes; readonly after: DirectoryState | undefined; readonly before: DirectoryState | undefined };

export type RestorePhase = 'swapping' | 'done' | 'undoing' | 'undone';

export type Journal = {
  readonly format: 1;
  readonly run: string;
  readonly phase: RestorePhase;
  readonly snapshot_id: string;
  readonly vault: string;
  readonly started: string;
  /** The save of what was there before; null where none was made. */
  readonly pre_restore_snapshot: string | null;
  /** Directories, relative and as in moves.tsv, that other file systems are mounted on; each has a `.cora-restore/` of its own. */
  readonly mounts: readonly string[];
};

/** Where the parts of one run lie. */
export type Run = { readonly root: Bytes; readonly name: string; readonly mounts: readonly Bytes[] };

export function newRun(root: Bytes, mounts: readonly Bytes[]): Run {
  return { root, name: `run-${randomBytes(4).toString('hex')}`, mounts };
}

export function runOf(root: Bytes, journal: Journal): Run {
  return { root, name: journal.run, mounts: journal.mounts.map(unescapeField) };
}

/** The run's directory on the file system that a path lies on. */
export function runDirectory(run: Run, path: Bytes): Bytes {
  const mount = run.mounts.findLast((one) => path.startsWith(`${one}/`));
  return joinBytes(mount === undefined ? run.root : joinBytes(run.root, mount), `${RESTORE_DIRECTORY}/${run.name}`);
}

export type RunPart = 'new' | 'old' | 'late';

export function partPath(run: Run, part: RunPart, path: Bytes): Bytes {
  return joinBytes(joinBytes(runDirectory(run, path), part), path);
}

/** The run's directories on all its file systems. */
export function runDirectories(run: Run): Bytes[] {
  return [run.root, ...run.mounts.map((mount) => joinBytes(run.root, mount))].map((base) => joinBytes(base, `${RESTORE_DIRECTORY}/${run.name}`));
}

/**
 * Makes the directories of a run, which no save captures and git does not see.
 * @throws system errors of mkdir
 */
export function makeRun(run: Run): void {
  for (const directory of runDirectories(run)) {
    const parent = dirnameBytes(directory);
    const base = dirnameBytes(parent);
    makeRestoreDirectory(base);
    const ignore = bytes(`${parent}/.gitignore`);
    if (!exists(toText(ignore))) writeNewFile(toText(ignore), '*\n');
    giveToOwner(base, ignore);
    mkdirSync(fsPath(directory), { mode: 0o700 });
    giveToOwner(base, directory);
  }
}

function makeRestoreDirectory(base: Bytes): void {
  const directory = joinBytes(base, RESTORE_DIRECTORY);
  if (!exists(toText(directory))) mkdirSync(fsPath(directory), { mode: 0o700 });
  giveToOwner(base, directory);
}

/** What root makes in a project of somebody else belongs to that person, or their own commands could not read the record. */
function giveToOwner(base: Bytes, path: Bytes): void {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = statSync(fsPath(base));
  lchownSync(fsPath(path), uid, gid);
}

/** Made beforehand, so that at no moment a file of that name is root's alone: what writes it later keeps its owner. */
function makeForOwner(root: Bytes, path: string): void {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = statSync(fsPath(root));
  const fd = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  closing(fd, () => fchownSync(fd, uid, gid));
}

export function removeRun(run: Run): void {
  for (const directory of runDirectories(run)) removeTree(directory);
}

/** Where no restore is on record: lock, directory and all. The caller holds the lock. */
export function removeRestoreDirectories(run: Run): void {
  for (const directory of runDirectories(run)) rmSync(fsPath(dirnameBytes(directory)), { recursive: true, force: true });
}

/** One restore in place at a time; undefined while another one works. The directory is made where it is missing. */
export function lockRestore(root: Bytes): Lock | undefined {
  makeRestoreDirectory(root);
  const directory = `${toText(root)}/${RESTORE_DIRECTORY}`;
  makeForOwner(root, `${directory}/lock`);
  return tryLock(`${directory}/lock`, 'exclusive', 0);
}

function journalPath(root: Bytes): string {
  return `${toText(root)}/${RESTORE_DIRECTORY}/RESTORE.json`;
}

/** @throws CoraError damaged where the record cannot be read */
export function readJournal(root: Bytes): Journal | undefined {
  const text = readTextIfThere(journalPath(root));
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (isJournal(value)) return value;
  throw new CoraError('damaged', `${journalPath(root)} cannot be read: a restore may be half done`, {
    hint: `look into ${toText(root)}/${RESTORE_DIRECTORY} (docs/recovery.md), or restore beside the project with --to DIR`,
  });
}

function isJournal(value: unknown): value is Journal {
  return (
    typeof value === 'object' &&
    value !== null &&
    'format' in value &&
    value.format === 1 &&
    'run' in value &&
    typeof value.run === 'string' &&
    /^run-[0-9a-f]{8}$/.test(value.run) &&
    'phase' in value &&
    'mounts' in value &&
    Array.isArray(value.mounts)
  );
}

export function writeJournal(root: Bytes, journal: Journal): void {
  makeForOwner(root, `${journalPath(root)}.new`);
  replaceFile(journalPath(root), `${JSON.stringify(journal, null, 2)}\n`, true);
}

export function removeJournal(root: Bytes): void {
  rmSync(journalPath(root), { force: true });
  syncDirectory(`${toText(root)}/${RESTORE_DIRECTORY}`);
}

/** True where a restore was stopped between its first and its last move. */
export function isUnfinished(root: Bytes): boolean {
  if (!exists(journalPath(root))) return false;
  const phase = readJournal(root)?.phase;
  return phase === 'swapping' || phase === 'undoing';
}

export type Moves = { readonly moves: readonly Move[]; readonly directories: readonly DirectoryChange[] };

export function writeMoves(run: Run, { moves, directories }: Moves): void {
  const state = (one: DirectoryState | undefined): string =>
    one === undefined ? '-' : `${one.mode.toString(8)},${one.uid},${one.gid},${formatTime(one.mtime)}`;
  const lines = [
    ...moves.map(({ kind, hadLive, path }) => `${kind}\t${hadLive ? 1 : 0}\t${escapeField(path)}\n`),
    ...directories.map(({ path, after, before }) => `directory\t${state(after)}\t${state(before)}\t${escapeField(path)}\n`),
  ];
  writeNewFile(movesPath(run), Buffer.from(lines.join(''), 'latin1'));
  giveToOwner(run.root, fromText(movesPath(run)));
}

export function readMoves(run: Run): Moves {
  const moves: Move[] = [];
  const directories: DirectoryChange[] = [];
  for (const line of readFileSync(movesPath(run), 'latin1').split('\n')) {
    const fields = line.split('\t');
    const [kind, first, second, third] = fields;
    if (kind === 'directory' && first !== undefined && second !== undefined && third !== undefined) {
      directories.push({ path: unescapeField(third), after: stateOf(first), before: stateOf(second) });
    } else if (kind !== undefined && isKind(kind) && second !== undefined) {
      moves.push({ kind, hadLive: first === '1', path: unescapeField(second) });
    }
  }
  return { moves, directories };
}

function movesPath(run: Run): string {
  return `${toText(run.root)}/${RESTORE_DIRECTORY}/${run.name}/moves.tsv`;
}

function isKind(word: string): word is MoveKind {
  return word === 'file' || word === 'database' || word === 'live' || word === 'mounted' || word === 'extra';
}

function stateOf(field: string): DirectoryState | undefined {
  const [mode, uid, gid, mtime] = field.split(',');
  if (mode === undefined || uid === undefined || gid === undefined || mtime === undefined) return undefined;
  return { mode: Number.parseInt(mode, 8), uid: Number(uid), gid: Number(gid), mtime: parseTime(mtime) };
}

/**
 * Runs that no record names: what earlier restores displaced and saves hold, and stages of those that were stopped before
 * their swap. What is in no save stays (`KEEP`), and so does what a program put in the way (`late/`). The caller holds the lock.
 */
export function removeStrayRuns(root: Bytes, mounts: readonly Bytes[], keep: string | undefined): void {
  for (const base of [root, ...mounts.map((mount) => joinBytes(root, mount))]) {
    const directory = joinBytes(base, RESTORE_DIRECTORY);
    for (const name of namesIn(toText(directory))) {
      if (!/^run-[0-9a-f]{8}$/.test(name) || name === keep) continue;
      const run = joinBytes(directory, name);
      if (!exists(`${toText(run)}/${KEEP}`) && !exists(`${toText(run)}/late`)) removeTree(run);
    }
  }
}

/** Also what holds directories that their owner may not write to. */
function removeTree(path: Bytes): void {
  try {
    rmSync(fsPath(path), { recursive: true, force: true });
  } catch (error) {
    if (errnoOf(error) !== 'EACCES') throw error;
    openUp(path);
    rmSync(fsPath(path), { recursive: true, force: true });
  }
}

function openUp(directory: Bytes): void {
  chmodSync(fsPath(directory), 0o700);
  for (const name of readdirSync(fsPath(directory), { encoding: 'latin1' })) {
    const path = joinBytes(directory, name);
    if (lstatSync(fsPath(path)).isDirectory()) openUp(path);
  }
}
