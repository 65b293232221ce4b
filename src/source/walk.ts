// What is there: one ordered walk of the project with the facts of lstat, as columns. Nothing is
// opened and no link is followed. Excluded directories and other file systems are not entered.

import { lstatSync, readdirSync, type Stats } from 'node:fs';
import { ARTEFACTS } from '../base/artefact.ts';
import { type Bytes, bytes, toText } from '../base/bytes.ts';
import type { Problem } from '../base/context.ts';
import { CoraError, errnoOf } from '../base/errors.ts';
import { pathFields } from '../base/path-fields.ts';
import { onPath } from '../os/long-path.ts';
import type { Matcher } from './patterns.ts';

export type WalkOptions = {
  /** Directory names that are left out at any depth. */
  readonly excludedNames: ReadonlySet<string>;
  readonly excluded: Matcher;
  /** Paths that this run leaves out, and why. */
  readonly omitted?: ReadonlyMap<string, string>;
  readonly oneFileSystem: boolean;
  readonly signal: AbortSignal;
  readonly onCount: (files: number) => void;
};

/** Entry i is row i of each column; the project itself is row 0 with path `.`. */
export type Scan = {
  /** Milliseconds since 1970, taken before the first entry. */
  readonly started: number;
  readonly paths: Bytes[];
  readonly size: number[];
  readonly mtimeMs: number[];
  readonly ctimeMs: number[];
  readonly ino: number[];
  readonly mode: number[];
  readonly uid: number[];
  readonly gid: number[];
  readonly links: number[];
  /** Blocks of 512 bytes that the file takes. */
  readonly blocks: number[];
  readonly device: number[];
  readonly problems: Problem[];
  /** What is there and was left out, and why. */
  readonly notCovered: { path: string; reason: string }[];
  /**
   * Rows that are not in the project but in the snapshot (outputs of commands): where the content lies, or undefined where
   * it is the one of the last save.
   */
  readonly virtual: Map<number, Bytes | undefined>;
};

/** Names that are never part of a project's content, whatever the configuration says. */
const NEVER = new Set(['.git', '.cora-restore', ARTEFACTS]);
const TEMPORARY = '.cora-restore-';

/** True for a name that no walk enters or lists, at any depth. */
export function isNeverSaved(name: string): boolean {
  return NEVER.has(name) || name.startsWith(TEMPORARY);
}

export const S_IFMT = 0o170000;
export const S_IFDIR = 0o040000;
export const S_IFREG = 0o100000;
export const S_IFLNK = 0o120000;
export const S_IFIFO = 0o010000;
export const S_IFSOCK = 0o140000;
export const S_IFCHR = 0o020000;
export const S_IFBLK = 0o060000;

/**
 * @param root absolute
 * @throws CoraError failed where the root itself cannot be read; interrupted
 */
export function walk(root: Bytes, options: WalkOptions): Scan {
  const scan: Scan = {
    started: Date.now(),
    paths: [],
    size: [],
    mtimeMs: [],
    ctimeMs: [],
    ino: [],
    mode: [],
    uid: [],
    gid: [],
    links: [],
    blocks: [],
    device: [],
    problems: [],
    notCovered: [],
    virtual: new Map(),
  };
  let top: Stats;
  try {
    top = onPath(root, (path) => lstatSync(path));
  } catch (error) {
    throw new CoraError('io', `The project ${toText(root)} cannot be read (${errnoOf(error) ?? 'unknown error'})`, {
      hint: 'check that it is mounted and readable',
      cause: error,
    });
  }
  add(scan, bytes('.'), top);
  walkDirectory(scan, root, '', top.dev, options);
  return scan;
}

function add(scan: Scan, path: Bytes, stat: Stats): void {
  scan.paths.push(path);
  scan.size.push(stat.size);
  scan.mtimeMs.push(stat.mtimeMs);
  scan.ctimeMs.push(stat.ctimeMs);
  scan.ino.push(stat.ino);
  scan.mode.push(stat.mode);
  scan.uid.push(stat.uid);
  scan.gid.push(stat.gid);
  scan.links.push(stat.nlink);
  scan.blocks.push(stat.blocks);
  scan.device.push(stat.rdev);
}

function walkDirectory(scan: Scan, root: Bytes, prefix: string, device: number, options: WalkOptions): void {
  if (options.signal.aborted) throw new CoraError('interrupted', 'Interrupted');
  const directory = bytes(prefix === '' ? root : `${root}/${prefix.slice(0, -1)}`);
  let names: string[];
  try {
    names = onPath(directory, (path) => readdirSync(path, { encoding: 'latin1' }));
  } catch (error) {
    scan.problems.push({
      code: errnoOf(error) === 'ENOENT' ? 'vanished' : 'unreadable',
      ...pathFields(bytes(prefix === '' ? '.' : prefix.slice(0, -1))),
      message: `The directory cannot be read (${errnoOf(error) ?? 'unknown error'}); what is in it is not in this snapshot`,
      severity: errnoOf(error) === 'ENOENT' ? 'warning' : 'error',
    });
    return;
  }
  names.sort();
  for (const name of names) {
    const path = bytes(prefix + name);
    if (isNeverSaved(name)) continue;
    const stat = onPath(bytes(`${directory}/${name}`), (full) => lstatSync(full, { throwIfNoEntry: false }));
    if (stat === undefined) continue;
    const isDirectory = (stat.mode & S_IFMT) === S_IFDIR;
    if (isDirectory && options.excludedNames.has(name)) {
      scan.notCovered.push({ path: toText(path), reason: 'excluded by default (can be made again)' });
      continue;
    }
    const why = options.omitted?.get(path);
    if (why !== undefined) {
      scan.notCovered.push({ path: toText(path), reason: why });
      continue;
    }
    if (options.excluded(path, isDirectory)) {
      scan.notCovered.push({ path: toText(path), reason: 'excluded by scan.exclude' });
      continue;
    }
    if (isDirectory && stat.dev !== device && options.oneFileSystem) {
      scan.notCovered.push({ path: toText(path), reason: 'another file system (scan.one_file_system = false brings it in)' });
      add(scan, path, stat);
      continue;
    }
    add(scan, path, stat);
    if (scan.paths.length % 5000 === 0) options.onCount(scan.paths.length);
    if (isDirectory) walkDirectory(scan, root, `${path}/`, device, options);
  }
}
