// The new state of the tree: the scan's columns, joined with what was read now and what was known
// before. Also the judgement whether anything that matters has changed.

import { lstatSync, readlinkSync } from 'node:fs';
import { type Bytes, joinBytes } from '../base/bytes.ts';
import { onPath } from '../os/long-path.ts';
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../source/walk.ts';
import { FLAG_DATABASE, FLAG_HARD_LINK, FLAG_MISSING, FLAG_RACY, FLAG_SIDECAR, type Tree } from '../store/stat-cache.ts';
import { sameTime } from '../store/store-job.ts';
import type { Content, Scanned } from './capture.ts';
import type { Stored } from './store-request.ts';
import { isRacy } from './tree-diff.ts';
import { hashesOf } from './tree-rows.ts';

const NOTHING: Content = { flags: 0, piece: 0, size: 0, hashes: new Uint8Array(), facts: undefined };

export type BuiltTree = {
  /** Without its snapshot id, which is known after the commit. */
  readonly tree: Tree;
  /** False where the new tree says the same as the old one (times of directories aside). */
  readonly changed: boolean;
  readonly filesNew: number;
  readonly filesChanged: number;
  readonly filesUnmodified: number;
};

export function buildTree(root: Bytes, { scan, diff }: Scanned, old: Tree | undefined, stored: Stored | undefined): BuiltTree {
  const count = scan.paths.length;
  const mtime = new BigInt64Array(count);
  const size = Float64Array.from(scan.size);
  const mtimeMs = Float64Array.from(scan.mtimeMs);
  const ctimeMs = Float64Array.from(scan.ctimeMs);
  const storedBytes = new Float64Array(count);
  const mode = Uint32Array.from(scan.mode);
  const uid = Uint32Array.from(scan.uid);
  const gid = Uint32Array.from(scan.gid);
  const flags = new Uint32Array(count);
  const piece = new Uint32Array(count);
  const links: string[] = new Array<string>(count).fill('');
  const hashRuns: Uint8Array[] = new Array<Uint8Array>(count);
  let changed = diff.structureChanged;
  let filesNew = 0;
  let filesChanged = 0;
  let filesUnmodified = 0;

  const contentOf = (row: number): Content => {
    const read = stored?.contents.get(row);
    if (read !== undefined) return read;
    const before = diff.oldRow[row] ?? -1;
    if (old === undefined || before < 0) return NOTHING;
    return {
      flags: (old.flags[before] ?? 0) & ~(FLAG_RACY | FLAG_HARD_LINK | FLAG_SIDECAR),
      piece: old.piece[before] ?? 0,
      size: old.stored[before] ?? 0,
      hashes: hashesOf(old, before),
      facts: undefined,
    };
  };
  const sameContent = (content: Content, before: number): boolean =>
    old !== undefined &&
    old.stored[before] === content.size &&
    old.piece[before] === content.piece &&
    ((old.flags[before] ?? 0) & ~FLAG_RACY) === content.flags &&
    Buffer.compare(hashesOf(old, before), content.hashes) === 0;

  for (let row = 0; row < count; row++) {
    const before = diff.oldRow[row] ?? -1;
    const type = (scan.mode[row] ?? 0) & S_IFMT;
    const full = joinBytes(root, scan.paths[row] ?? '');
    hashRuns[row] = NOTHING.hashes;
    mtime[row] = knownTime(row, before);
    if (isRacy(scan, row)) flags[row] = FLAG_RACY;
    if (type === S_IFLNK) links[row] = readTarget(full, before);
    if (type === S_IFCHR || type === S_IFBLK) links[row] = deviceNumbers(scan.device[row] ?? 0);
    if (type !== S_IFREG) {
      if (type !== S_IFDIR && type !== S_IFLNK) continue;
      if (old !== undefined && before >= 0 && type === S_IFLNK && old.links[before] !== links[row]) changed = true;
      continue;
    }
    if ((diff.sidecarOf[row] ?? -1) >= 0) {
      flags[row] = (flags[row] ?? 0) | FLAG_SIDECAR;
      if (stored?.contents.has(diff.sidecarOf[row] ?? -1) === true) takeOwnTouch(row, full);
      continue;
    }
    const target = diff.linkedTo[row] ?? -1;
    if (target >= 0) {
      takeLink(row, target);
      continue;
    }
    const content = contentOf(row);
    flags[row] = (flags[row] ?? 0) | content.flags;
    piece[row] = content.piece;
    storedBytes[row] = content.size;
    hashRuns[row] = content.hashes;
    if (content.facts !== undefined) takeFacts(row, content.facts);
    if ((content.flags & FLAG_MISSING) !== 0) {
      if (before < 0 || ((old?.flags[before] ?? 0) & FLAG_MISSING) === 0) changed = true;
    } else if (before < 0) filesNew += 1;
    else if (sameContent(content, before)) {
      filesUnmodified += 1;
      // The same output once more is no change.
      if (scan.virtual.has(row)) mtime[row] = old?.mtime[before] ?? 0n;
      // A database's times move with every checkpoint; only its content counts.
      if ((content.flags & FLAG_DATABASE) === 0 && old?.mtime[before] !== mtime[row]) changed = true;
    } else {
      filesChanged += 1;
      changed = true;
    }
  }

  function takeLink(row: number, target: number): void {
    flags[row] = (flags[row] ?? 0) | FLAG_HARD_LINK | ((flags[target] ?? 0) & FLAG_MISSING);
    piece[row] = piece[target] ?? 0;
    storedBytes[row] = storedBytes[target] ?? 0;
    hashRuns[row] = hashRuns[target] ?? NOTHING.hashes;
    mtime[row] = mtime[target] ?? 0n;
    links[row] = scan.paths[target] ?? '';
    const before = diff.oldRow[row] ?? -1;
    if (before < 0) filesNew += 1;
    else {
      filesUnmodified += 1;
      if (old?.links[before] !== links[row]) changed = true;
    }
  }

  /**
   * Run by root, SQLite gives a -wal that it opens its owner again: a new change time, and no commit, which would
   * change the modification time too. Without this, a database that some program keeps open would be copied each time.
   */
  function takeOwnTouch(row: number, full: Bytes): void {
    const stat = onPath(full, (path) => lstatSync(path, { throwIfNoEntry: false }));
    if (stat !== undefined && stat.ino === scan.ino[row] && stat.size === scan.size[row] && stat.mtimeMs === scan.mtimeMs[row])
      ctimeMs[row] = stat.ctimeMs;
  }

  /** What was read may be a later state than what was scanned; then the next save must look again. */
  function takeFacts(row: number, facts: NonNullable<Content['facts']>): void {
    mtime[row] = facts.mtime;
    mode[row] = ((mode[row] ?? 0) & S_IFMT) | facts.mode;
    uid[row] = facts.uid;
    gid[row] = facts.gid;
    if (facts.size !== scan.size[row] || !sameTime(facts.ctimeMs, scan.ctimeMs[row] ?? 0) || facts.ino !== scan.ino[row])
      flags[row] = (flags[row] ?? 0) | FLAG_RACY;
  }

  function knownTime(row: number, before: number): bigint {
    if (old !== undefined && before >= 0 && old.mtimeMs[before] === scan.mtimeMs[row] && old.ctimeMs[before] === scan.ctimeMs[row])
      return old.mtime[before] ?? 0n;
    if (stored?.contents.get(row)?.facts !== undefined) return 0n;
    const stat = scan.virtual.has(row)
      ? undefined
      : onPath(joinBytes(root, scan.paths[row] ?? ''), (path) => lstatSync(path, { bigint: true, throwIfNoEntry: false }));
    return stat?.mtimeNs ?? BigInt(Math.round((scan.mtimeMs[row] ?? 0) * 1000)) * 1000n;
  }

  function readTarget(full: Bytes, before: number): string {
    try {
      return onPath(full, (path) => readlinkSync(path, { encoding: 'latin1' }));
    } catch {
      return before >= 0 ? (old?.links[before] ?? '') : '';
    }
  }

  const { first, hashes } = joinHashes(hashRuns);
  const tree: Tree = {
    count,
    snapshot: '',
    size,
    mtimeMs,
    ctimeMs,
    ino: Float64Array.from(scan.ino),
    mtime,
    stored: storedBytes,
    mode,
    uid,
    gid,
    flags,
    piece,
    first,
    hashes,
    paths: scan.paths,
    links,
    notes: {},
  };
  return { tree, changed: changed || filesNew > 0, filesNew, filesChanged, filesUnmodified };
}

function joinHashes(runs: readonly Uint8Array[]): { first: Uint32Array; hashes: Uint8Array } {
  const first = new Uint32Array(runs.length + 1);
  let total = 0;
  runs.forEach((run, row) => {
    first[row] = total / 32;
    total += run.length;
  });
  first[runs.length] = total / 32;
  const hashes = new Uint8Array(total);
  let at = 0;
  for (const run of runs) {
    hashes.set(run, at);
    at += run.length;
  }
  return { first, hashes };
}

/** Linux packs major and minor as glibc's gnu_dev_major does (sys/sysmacros.h). */
function deviceNumbers(device: number): string {
  const wide = BigInt(device);
  const major = ((wide >> 8n) & 0xfffn) | ((wide >> 32n) & ~0xfffn);
  const minor = (wide & 0xffn) | ((wide >> 12n) & 0xffffff00n);
  return `${major},${minor}`;
}
