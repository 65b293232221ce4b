// The first half of a restore in place: every entry is written and checked beside its place, and what has
// to change places is worked out. Nothing that is live is touched.

import { lstatSync } from 'node:fs';
import { type Bytes, bytes, dirnameBytes, joinBytes, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { onPath } from '../os/long-path.ts';
import { lockForReading } from '../vault/vault.ts';
import {
  type DirectoryChange,
  type DirectoryState,
  type Move,
  type MoveKind,
  type Moves,
  partPath,
  type Run,
  runDirectory,
} from './restore-journal.ts';
import { SIDECARS } from './restore-moves.ts';
import { isBelow, type RestorePlan } from './restore-plan.ts';
import { type Written, writeEntries } from './restore-write.ts';

/** How databases that stand there are replaced: nobody has them open, or through SQLite while programs work. */
export type DatabaseMode = 'stopped' | 'live';

/** Writes and checks every entry beside its place, on its own file system. */
export async function stage(run: Run, plan: RestorePlan, databases: DatabaseMode, ctx: Context): Promise<Written> {
  const lock = lockForReading(plan.work.vault);
  try {
    const groups = new Map<Bytes, Set<Bytes>>();
    for (const { path } of plan.work.entries) {
      const base = partBase(run, path);
      const group = groups.get(base) ?? new Set<Bytes>();
      groups.set(base, group);
      // With the directories that lead there, whose own place may be on another file system.
      for (let at: Bytes = path; ; at = dirnameBytes(at)) {
        group.add(at);
        if (at === '.' || !at.includes('/')) break;
      }
    }
    const all: Written[] = [];
    const intoLive = new Set<Bytes>(
      databases === 'live' ? plan.liveDatabases.filter((path) => lstatOf(joinBytes(run.root, path))?.isFile() === true) : [],
    );
    const journalModes = (path: Bytes): boolean => !intoLive.has(path);
    for (const [directory, paths] of groups) {
      const entries = plan.work.entries.filter(({ path }) => path === '.' || paths.has(path));
      const part = groups.size === 1 ? plan : { ...plan, work: { ...plan.work, whole: false } };
      all.push(await writeEntries(part, { directory, entries, finish: false, linksFrom: plan.directory, journalModes }, ctx));
    }
    return {
      files: all.reduce((sum, { files }) => sum + files, 0),
      databases: all.reduce((sum, { databases }) => sum + databases, 0),
      damaged: all.reduce((sum, { damaged }) => sum + damaged, 0),
      problems: all.flatMap(({ problems }) => problems),
    };
  } finally {
    lock?.release();
  }
}

function partBase(run: Run, path: Bytes): Bytes {
  return joinBytes(runDirectory(run, path), 'new');
}

/** What has to change places: whole directories where nothing is, single entries elsewhere. */
export function movesOf(run: Run, plan: RestorePlan, mounted: ReadonlySet<Bytes>, how: DatabaseMode): Moves {
  const databases = new Set<string>(plan.work.report.databases.filter(({ stored }) => stored === 'copy').map(({ path }) => path));
  const moves: Move[] = [];
  const directories: DirectoryChange[] = [];
  const covered = new Set<string>();
  const listed = new Set<Bytes>([...plan.work.entries.map(({ path }) => path), ...plan.extras]);
  for (const { path, type, mode, uid, gid, mtime } of plan.work.entries) {
    if (path === '.' && !plan.work.asked.has(path)) continue;
    const live = lstatOf(joinBytes(run.root, path));
    if (type === 'd') {
      const before = live === undefined ? undefined : stateOf(live);
      // It merely leads to what is wanted.
      if (before !== undefined && !plan.work.asked.has(path)) continue;
      const after = before !== undefined && plan.modes === 'live' ? { ...before, mtime } : { mode, uid, gid, mtime };
      directories.push({ path, after, before });
    }
    if (covered.size > 0 && isBelow(path, covered)) continue;
    if (type === 'd' && live !== undefined) continue;
    // Not staged: damaged with --partial, a socket, or what the file system would not take; it is told.
    if (lstatOf(partPath(run, 'new', path)) === undefined) {
      // Of a log whose save is gone the newest part goes beside it.
      const tail = bytes(`${path}.tail`);
      if (lstatOf(partPath(run, 'new', tail)) !== undefined)
        moves.push({ kind: 'file', path: tail, hadLive: lstatOf(joinBytes(run.root, tail)) !== undefined });
      continue;
    }
    if (type === 'd') covered.add(path);
    const kind = mounted.has(path) ? 'mounted' : databases.has(toText(path)) ? kindOfDatabase(live, how) : 'file';
    // Beside a link SQLite never wrote these; beside the file that replaces it they would be taken for its own.
    if (kind === 'file' && databases.has(toText(path))) {
      for (const sidecar of SIDECARS.map((suffix) => bytes(path + suffix)).filter((one) => !listed.has(one))) {
        if (lstatOf(joinBytes(run.root, sidecar))?.isDirectory() === false) moves.push({ kind: 'extra', path: sidecar, hadLive: true });
      }
    }
    moves.push({ kind, path, hadLive: live !== undefined });
  }
  for (const path of plan.extras) {
    const live = lstatOf(joinBytes(run.root, path));
    if (live?.isDirectory() === true) directories.push({ path, after: undefined, before: stateOf(live) });
    else if (live !== undefined) moves.push({ kind: 'extra', path, hadLive: true });
  }
  return { moves, directories };
}

/** Through SQLite goes only into what is a database's own file: through a link it would write into what lies elsewhere. */
function kindOfDatabase(live: LiveState | undefined, how: DatabaseMode): MoveKind {
  if (live !== undefined && !live.isFile()) return 'file';
  return live !== undefined && how === 'live' ? 'live' : 'database';
}

type LiveState = {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: bigint;
  isDirectory(): boolean;
  isFile(): boolean;
};

export function lstatOf(path: Bytes): LiveState | undefined {
  const stat = onPath(path, (reachable) => lstatSync(reachable, { throwIfNoEntry: false, bigint: true }));
  if (stat === undefined) return undefined;
  const { mtimeNs } = stat;
  return {
    mode: Number(stat.mode),
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    mtimeNs,
    isDirectory: () => stat.isDirectory(),
    isFile: () => stat.isFile(),
  };
}

function stateOf({ mode, uid, gid, mtimeNs }: LiveState): DirectoryState {
  return { mode: mode & 0o7777, uid, gid, mtime: mtimeNs };
}

export function isDirectory(path: Bytes): boolean {
  return lstatOf(path)?.isDirectory() === true;
}
