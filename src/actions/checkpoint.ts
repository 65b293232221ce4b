// A fallback checkpoint (scripts/save.sh): its archive is its only listing, so that is what is read.

import { createReadStream } from 'node:fs';
import { createGunzip } from 'node:zlib';
import { type Bytes, bytes, dirnameBytes, fromText } from '../base/bytes.ts';
import { CoraError, errnoOf, messageOf } from '../base/errors.ts';
import type { Entry } from '../format/file-list.ts';
import { readTarEntries } from '../format/tar-read.ts';
import { findProgram, run } from '../os/run.ts';
import type { SnapshotRef } from '../vault/catalog.ts';
import { NAMES } from '../vault/layout.ts';
import type { Vault } from '../vault/vault.ts';

/**
 * The entries of a checkpoint, each content with its hash. Directories that the archive does not hold
 * (a checkpoint of critical files) are added, open for their owner alone.
 * @throws CoraError damaged
 */
export async function checkpointEntries(vault: Vault, ref: SnapshotRef): Promise<Entry[]> {
  const path = `${vault.root}/${ref.directory}/${NAMES.checkpoint}`;
  let found: Entry[];
  try {
    found = await readTarEntries(createReadStream(path).pipe(createGunzip()));
  } catch (error) {
    if (error instanceof CoraError) throw error;
    const code = errnoOf(error) === 'ENOENT' || errnoOf(error)?.startsWith('Z_') === true ? 'damaged' : 'io';
    throw new CoraError(code, `${path} cannot be read: ${messageOf(error)}`, { hint: `cora verify ${ref.id}`, cause: error });
  }
  const known = new Set<Bytes>(found.map((entry) => entry.path));
  const added: Entry[] = [];
  for (const { path: name, mtime } of found) {
    for (let at = name; at !== '.'; ) {
      at = at.includes('/') ? dirnameBytes(at) : bytes('.');
      if (known.has(at)) continue;
      known.add(at);
      added.push({
        type: 'd',
        mode: 0o700,
        uid: process.getuid?.() ?? 0,
        gid: process.getgid?.() ?? 0,
        mtime,
        size: 0,
        sha256: undefined,
        path: at,
        link: undefined,
        pieces: undefined,
      });
    }
  }
  return [...added, ...found];
}

/** Whether a checkpoint holds a path. */
export async function checkpointHolds(vault: Vault, ref: SnapshotRef, path: Bytes): Promise<boolean> {
  const tar = findProgram('tar');
  if (tar === undefined) return false;
  const archive = `${vault.root}/${ref.directory}/${NAMES.checkpoint}`;
  const input = Buffer.from(`${fromText('./')}${path}\0`, 'latin1');
  const result = await run(tar, ['--force-local', '-tzf', archive, '--no-recursion', '--null', '--verbatim-files-from', '-T', '-'], { input });
  return result.exitCode === 0;
}
