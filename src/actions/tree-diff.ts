// The scan against the state of the last save: which entry is which, what may have changed, and what
// a database's companions say about it. Pure arithmetic over columns; nothing is opened here.

import { type Bytes, bytes } from '../base/bytes.ts';
import { S_IFMT, S_IFREG, type Scan } from '../source/walk.ts';
import { FLAG_HARD_LINK, FLAG_MISSING, FLAG_RACY, FLAG_SIDECAR, type Tree } from '../store/stat-cache.ts';

export type TreeDiff = {
  /** Row of the old tree for each row of the scan, or -1. */
  readonly oldRow: Int32Array;
  /** Regular files whose content must be read. */
  readonly toRead: number[];
  /** Row of the entry that a hard link shares its content with, or -1. */
  readonly linkedTo: Int32Array;
  /** Rows that are companions of a database (-wal, -shm, -journal): the database's row, or -1. */
  readonly sidecarOf: Int32Array;
  /** Something other than content differs: entries came, went, or changed type, mode, owner or target. */
  readonly structureChanged: boolean;
  readonly removedRows: number[];
};

/** Times are compared as the milliseconds they were read as; a file system's grain is coarser. */
const RACY_WINDOW = 2000;

/** True where a later change could hide behind equal facts. */
export function isRacy(scan: Scan, row: number): boolean {
  return !scan.virtual.has(row) && Math.max(scan.mtimeMs[row] ?? 0, scan.ctimeMs[row] ?? 0) > scan.started - RACY_WINDOW;
}

/**
 * @param old state of the last save, if known
 * @param isDatabase asked only for files that have a companion by name and that the old tree does not know
 * @param rereadSlice read unchanged files of this slice of thirty again; -1 for none
 */
export function diffTree(scan: Scan, old: Tree | undefined, isDatabase: (row: number) => boolean, rereadSlice: number): TreeDiff {
  const count = scan.paths.length;
  const oldRow = alignRows(scan, old);
  const linkedTo = findHardLinks(scan);
  const sidecarOf = findSidecars(scan, isDatabase);
  const dirty = new Set<number>();
  const toRead: number[] = [];
  let structureChanged = false;
  for (let row = 0; row < count; row++) {
    const before = oldRow[row] ?? -1;
    if (scan.virtual.has(row)) {
      if (before < 0) structureChanged = true;
      if (scan.virtual.get(row) !== undefined) toRead.push(row);
      continue;
    }
    const isFile = ((scan.mode[row] ?? 0) & S_IFMT) === S_IFREG;
    const owner = sidecarOf[row] ?? -1;
    if (owner >= 0) {
      if (!sameFacts(scan, row, old, before) && ((scan.size[row] ?? 0) > 0 || before >= 0) && !endsWith(scan, row, '-shm')) dirty.add(owner);
      continue;
    }
    if (before < 0 || old === undefined) {
      structureChanged = true;
      if (isFile && (linkedTo[row] ?? -1) < 0) toRead.push(row);
      continue;
    }
    if (scan.mode[row] !== old.mode[before] || scan.uid[row] !== old.uid[before] || scan.gid[row] !== old.gid[before]) structureChanged = true;
    const wasLink = ((old.flags[before] ?? 0) & FLAG_HARD_LINK) !== 0;
    if (wasLink !== (linkedTo[row] ?? -1) >= 0 || ((old.flags[before] ?? 0) & FLAG_SIDECAR) !== 0) structureChanged = true;
    if (!isFile) {
      // A link's target cannot change without its change time; a directory's times alone are no change.
      if (((scan.mode[row] ?? 0) & S_IFMT) !== 0o040000 && scan.ctimeMs[row] !== old.ctimeMs[before]) structureChanged = true;
      continue;
    }
    if ((linkedTo[row] ?? -1) >= 0) continue;
    const unchanged = sameFacts(scan, row, old, before) && !wasLink;
    if (!unchanged || row % 30 === rereadSlice) toRead.push(row);
  }
  const { removed, database } = removedRows(scan, old, oldRow);
  for (const row of database) dirty.add(row);
  const inList = new Set(toRead);
  for (const row of dirty) if (!inList.has(row)) toRead.push(row);
  return { oldRow, toRead, linkedTo, sidecarOf, structureChanged: structureChanged || removed.length > 0, removedRows: removed };
}

function sameFacts(scan: Scan, row: number, old: Tree | undefined, before: number): boolean {
  if (old === undefined || before < 0) return false;
  return (
    ((old.flags[before] ?? 0) & (FLAG_RACY | FLAG_MISSING)) === 0 &&
    scan.size[row] === old.size[before] &&
    scan.mtimeMs[row] === old.mtimeMs[before] &&
    scan.ctimeMs[row] === old.ctimeMs[before] &&
    scan.ino[row] === old.ino[before] &&
    scan.mode[row] === old.mode[before]
  );
}

/** Walk order is stable, so mostly both sides advance together; a map answers the rest. */
function alignRows(scan: Scan, old: Tree | undefined): Int32Array {
  const oldRow = new Int32Array(scan.paths.length).fill(-1);
  if (old === undefined) return oldRow;
  let map: Map<string, number> | undefined;
  let next = 0;
  for (let row = 0; row < oldRow.length; row++) {
    const path = scan.paths[row] ?? '';
    if (old.paths[next] === path) {
      oldRow[row] = next++;
      continue;
    }
    map ??= new Map(old.paths.map((known, at) => [known, at]));
    const at = map.get(path);
    if (at === undefined) continue;
    oldRow[row] = at;
    next = at + 1;
  }
  return oldRow;
}

function findHardLinks(scan: Scan): Int32Array {
  const linkedTo = new Int32Array(scan.paths.length).fill(-1);
  const first = new Map<number, number>();
  for (let row = 0; row < linkedTo.length; row++) {
    if ((scan.links[row] ?? 1) < 2 || ((scan.mode[row] ?? 0) & S_IFMT) !== S_IFREG) continue;
    const inode = scan.ino[row] ?? 0;
    const known = first.get(inode);
    if (known === undefined) first.set(inode, row);
    else linkedTo[row] = known;
  }
  return linkedTo;
}

const SIDECARS = ['-wal', '-shm', '-journal'];

function endsWith(scan: Scan, row: number, suffix: string): boolean {
  return scan.paths[row]?.endsWith(suffix) ?? false;
}

function findSidecars(scan: Scan, isDatabase: (row: number) => boolean): Int32Array {
  const sidecarOf = new Int32Array(scan.paths.length).fill(-1);
  const candidates: [row: number, base: string][] = [];
  for (let row = 0; row < sidecarOf.length; row++) {
    const path = scan.paths[row] ?? '';
    const suffix = SIDECARS.find((ending) => path.endsWith(ending));
    if (suffix !== undefined && ((scan.mode[row] ?? 0) & S_IFMT) === S_IFREG) candidates.push([row, path.slice(0, -suffix.length)]);
  }
  if (candidates.length === 0) return sidecarOf;
  const wanted = new Map<string, number>(candidates.map(([, base]) => [base, -1]));
  scan.paths.forEach((path, row) => {
    if (wanted.has(path)) wanted.set(path, row);
  });
  for (const [row, base] of candidates) {
    const owner = wanted.get(base) ?? -1;
    if (owner >= 0 && isDatabase(owner)) sidecarOf[row] = owner;
  }
  return sidecarOf;
}

/** Old rows that are gone. A companion with content that is gone makes its database suspect of change instead. */
function removedRows(scan: Scan, old: Tree | undefined, oldRow: Int32Array): { removed: number[]; database: number[] } {
  if (old === undefined) return { removed: [], database: [] };
  const seen = new Uint8Array(old.count);
  for (const row of oldRow) if (row >= 0) seen[row] = 1;
  const removed: number[] = [];
  const database: number[] = [];
  for (let row = 0; row < old.count; row++) {
    if (seen[row] === 1) continue;
    const flags = old.flags[row] ?? 0;
    if ((flags & FLAG_SIDECAR) === 0) {
      removed.push(row);
    } else if ((old.size[row] ?? 0) > 0 && !(old.paths[row] ?? '').endsWith('-shm')) {
      const base = bytes((old.paths[row] ?? '').replace(/-(?:wal|journal)$/, ''));
      const owner = scan.paths.indexOf(base as Bytes);
      if (owner >= 0) database.push(owner);
    }
  }
  return { removed, database };
}
