// What a directory holds, as plain data that two moments can be compared by: for the judge of crash and fault
// trials. It is told by the file system alone, so that it vouches for Cora's own reading; links are never followed
// and special files never opened.

import { createHash } from 'node:crypto';
import { type BigIntStats, closeSync, constants, lstatSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs';
import { type Bytes, bytes, fromText, fsPath, joinBytes, printable } from '../base/bytes.ts';

/** Relative path (a byte string, `.` for the directory itself) to one line that tells all there is to compare. */
export type TreeRecord = ReadonlyMap<string, string>;

const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const CHUNK_BYTES = 1 << 18;

/** sha256 in hex of a file's bytes as the file system gives them. */
export function hashOfFile(path: Bytes): string {
  const hash = createHash('sha256');
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  const fd = openSync(fsPath(path), READ);
  try {
    for (let count = readSync(fd, chunk); count > 0; count = readSync(fd, chunk)) hash.update(chunk.subarray(0, count));
    return hash.digest('hex');
  } finally {
    closeSync(fd);
  }
}

/**
 * Every entry below a directory, and `.` for itself: type, mode, owner, time in nanoseconds, size, sha256, target, hard links.
 * @param skip true for a relative path that is left out with all below it
 * @throws the system's error where something cannot be read
 */
export function recordTree(directory: string, skip: (path: string) => boolean = () => false): TreeRecord {
  const top = fromText(directory);
  const found: Bytes[] = [];
  const walk = (path: Bytes): void => {
    found.push(path);
    const absolute = joinBytes(top, path);
    if (!lstatSync(fsPath(absolute)).isDirectory()) return;
    for (const name of readdirSync(fsPath(absolute), { encoding: 'latin1' }).sort()) {
      const below = bytes(path === '.' ? name : `${path}/${name}`);
      if (!skip(below)) walk(below);
    }
  };
  walk(bytes('.'));
  const firstNames = new Map<string, string>();
  return new Map(found.toSorted().map((path) => [path, lineOf(joinBytes(top, path), path, firstNames)]));
}

function lineOf(absolute: Bytes, path: Bytes, firstNames: Map<string, string>): string {
  const stats = lstatSync(fsPath(absolute), { bigint: true });
  const owner = `${stats.uid}:${stats.gid}`;
  if (stats.isSymbolicLink()) return `link ${owner} ${stats.mtimeNs} to ${readlinkSync(fsPath(absolute), { encoding: 'latin1' })}`;
  const common = `${(stats.mode & 0o7777n).toString(8)} ${owner} ${stats.mtimeNs}`;
  if (stats.isDirectory()) return `directory ${common}`;
  if (!stats.isFile()) return `special ${common} ${stats.mode & 0o170000n} ${stats.rdev}`;
  return `file ${common} ${stats.size} ${hashOfFile(absolute)}${twinOf(stats, path, firstNames)}`;
}

/** The first path that is the same file, where there are several. */
function twinOf(stats: BigIntStats, path: Bytes, firstNames: Map<string, string>): string {
  if (stats.nlink < 2n) return '';
  const identity = `${stats.dev}:${stats.ino}`;
  const first = firstNames.get(identity) ?? path;
  firstNames.set(identity, first);
  return first === path ? '' : ` same as ${first}`;
}

/** Each way in which `actual` is not `expected`, one printable line each; empty where they are equal. */
export function treeDifferences(expected: TreeRecord, actual: TreeRecord): string[] {
  const differences: string[] = [];
  for (const [path, line] of expected) {
    const now = actual.get(path);
    if (now === undefined) differences.push(`${printable(path)} is missing`);
    else if (now !== line) differences.push(`${printable(path)} is ${printable(now)}, not ${printable(line)}`);
  }
  for (const path of actual.keys()) if (!expected.has(path)) differences.push(`${printable(path)} was not there`);
  return differences;
}

/** Without the time of the directory itself: it says when `.cora-restore/` last came or went there. */
export function withoutTop(tree: TreeRecord): TreeRecord {
  return new Map([...tree].map(([path, line]) => [path, path === '.' ? line.replace(/ \d+$/, '') : line]));
}
