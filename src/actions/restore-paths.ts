// Paths as a person writes them after `cora restore ID`: relative to the project wherever the command runs,
// or whole. No reading is guessed silently.

import { realpathSync } from 'node:fs';
import { posix } from 'node:path';
import { type Bytes, basenameBytes, bytes, dirnameBytes, fromBuffer, fsPath, joinBytes, printable } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import type { SnapshotRef } from '../vault/catalog.ts';
import { loadEntries } from '../vault/listing.ts';
import type { Vault } from '../vault/vault.ts';
import { rowsFor } from './restore-select.ts';

/** The current directory, and the words as they were typed. */
export type Here = { readonly directory: Bytes; readonly typed: readonly Bytes[] };

/**
 * Relative to the project, also where it was written with the project's own path.
 * @param roots real paths of the project; what lies in none of them stays as it is
 */
export function relativePath(path: Bytes, roots: readonly Bytes[]): Bytes {
  if (path.startsWith('/')) {
    const written = bytes(posix.normalize(path).replace(/(?<=.)\/+$/, ''));
    for (const candidate of [written, withRealParent(written)]) {
      const root = roots.find((one) => candidate === one || candidate.startsWith(`${one}/`));
      if (root !== undefined) return bytes(candidate.slice(root.length + 1) || '.');
    }
  }
  return bytes(path.replace(/^(?:\.\/+)+/, '').replace(/\/+$/, '') || '.');
}

/** A project may be reached through a link; what is asked for may be one itself. */
function withRealParent(path: Bytes): Bytes {
  try {
    return joinBytes(fromBuffer(realpathSync(fsPath(dirnameBytes(path)), { encoding: 'buffer' })), basenameBytes(path));
  } catch {
    return path;
  }
}

/** Paths are relative to the project wherever the command runs; where another reading is as good a person hears of it. */
export function noteSeenFromHere(vault: Vault, ref: SnapshotRef, root: Bytes, here: Here, paths: readonly Bytes[], ctx: Context): void {
  if (!here.directory.startsWith(`${root}/`)) return;
  const directory = bytes(here.directory.slice(root.length + 1));
  for (const typed of paths.filter((path) => !path.startsWith('/') && here.typed.includes(path))) {
    const other = bytes(posix.normalize(`${directory}/${typed}`).replace(/\/+$/, ''));
    const path = relativePath(typed, []);
    if (other === path || other.startsWith('..')) continue;
    const there = loadEntries(vault, ref, rowsFor([other])).some((entry) => entry.path === other);
    if (there) ctx.monitor.note(`${printable(typed)} is read as ${printable(path)} of the project; ${printable(other)} is in ${ref.id} too`);
  }
}
