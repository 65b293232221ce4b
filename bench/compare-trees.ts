// Says whether a restored tree equals its source: number of entries, names, kinds, link targets,
// permissions and a hash of all contents. Databases are compared by their rows, because an online
// backup of one may differ from it in a few header bytes.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, existsSync, lstatSync, openSync, readdirSync, readlinkSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { hashRows } from './data-database.ts';

export type Fingerprint = { readonly entries: number; readonly hash: string };

const buffer = Buffer.allocUnsafe(1024 * 1024);

/** @param database the relative path of a database to compare by rows, if there is one */
export function fingerprintTree(directory: string, database?: string): Fingerprint {
  const hash = createHash('sha256');
  let entries = 0;
  for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort()) {
    if (database !== undefined && (name === `${database}-wal` || name === `${database}-shm`)) continue;
    const path = join(directory, name);
    const stats = lstatSync(path);
    entries += 1;
    const content = stats.isSymbolicLink()
      ? readlinkSync(path)
      : stats.isFile()
        ? name === database
          ? hashRows(path)
          : hashFile(path)
        : 'directory';
    hash.update(`${name}\0${(stats.mode & 0o7777).toString(8)}\0${content}\n`);
  }
  return { entries, hash: hash.digest('hex') };
}

/** The sha256 of one file. */
export function hashFile(path: string): string {
  const hash = createHash('sha256');
  const file = openSync(path, 'r');
  for (let count = readSync(file, buffer); count > 0; count = readSync(file, buffer)) hash.update(buffer.subarray(0, count));
  closeSync(file);
  return hash.digest('hex');
}

/** Why the restored tree is not the source, in words; undefined when it is. */
export function differenceOf(restored: string, source: Fingerprint, database?: string): string | undefined {
  if (!existsSync(restored)) return 'the restore made no tree';
  const found = fingerprintTree(restored, database);
  if (found.entries !== source.entries) return `restored ${found.entries} entries of ${source.entries}`;
  return found.hash === source.hash ? undefined : 'the restored contents differ';
}

/** Why the one restored file is not the source's, in words; undefined when it is. */
export function differenceOfFile(restored: string, source: string): string | undefined {
  if (!existsSync(restored) || !statSync(restored).isFile()) return 'the file was not restored';
  return hashFile(restored) === hashFile(source) ? undefined : 'the restored file differs';
}

/** Why the newest archive below `repository` is not a whole one of `entries` entries, in words; undefined when it is. */
export function differenceOfArchive(repository: string, entries: number): string | undefined {
  const archives = readdirSync(repository, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.tar.gz'))
    .map((name) => join(repository, name))
    .sort((left, right) => statSync(right).mtimeMs - statSync(left).mtimeMs);
  if (archives[0] === undefined) return 'there is no archive';
  const list = spawnSync('tar', ['-tzf', archives[0]], { maxBuffer: 1 << 28 });
  if (list.status !== 0) return `tar cannot read the archive: ${list.stderr.toString().trim().slice(-200)}`;
  // One line an entry (tar escapes newlines); the top directory may be one more.
  const found = list.stdout.reduce((lines, byte) => (byte === 10 ? lines + 1 : lines), 0);
  return found < entries ? `the archive has ${found} entries of ${entries}` : undefined;
}
