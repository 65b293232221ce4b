// What the first word of `cora restore` names (DESIGN 8.20): a snapshot, ID:path, a snapshot's directory, or
// a path of the project, of which the newest good snapshot that has it is meant. Two readings are an error.

import { lstatSync, realpathSync } from 'node:fs';
import { type Bytes, basenameBytes, bytes, fromBuffer, fromText, fsPath, printable, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import { resolveSnapshot } from '../vault/catalog.ts';
import { parseId } from '../vault/layout.ts';
import { openLocated, type VaultLocation } from '../vault/locate.ts';
import { rootOf, type Vault } from '../vault/vault.ts';
import { newestHolding } from './list.ts';

/** A snapshot and paths in it; undefined stands for the latest. */
export type RestoreWord = { readonly target: Bytes | undefined; readonly paths: readonly Bytes[] };

/**
 * @param word as it was typed
 * @param absolute the word as a path
 * @throws CoraError unknown_snapshot, ambiguous_snapshot
 */
export async function readRestoreWord(location: VaultLocation, word: Bytes, absolute: Bytes, ctx: Context): Promise<RestoreWord> {
  const text = toText(word);
  const colon = text.indexOf(':');
  const name = colon > 0 ? text.slice(0, colon) : text;
  if (/^latest(?:~\d+)?$/.test(name) || parseId(name) !== undefined) return { target: word, paths: [] };
  const vault = openLocated(location);
  const now = ctx.now();
  const directory = idOfDirectory(vault, absolute);
  if (directory !== undefined) return { target: fromText(directory), paths: [] };
  const snapshot = nameOf(vault, name, now);
  const path = await pathOf(vault, word, absolute, snapshot === undefined, ctx);
  if (snapshot !== undefined && path !== undefined) {
    const meant = `the snapshot ${snapshot} or the path ${printable(path.path)}`;
    throw new CoraError('ambiguous_snapshot', `${printable(word)} can mean ${meant}`, {
      hint: `write the whole id, or -- ${printable(word)} for the path`,
      details: { readings: [{ snapshot_id: snapshot }, { path: toText(path.path), snapshot_id: path.id }] },
    });
  }
  if (path !== undefined) return say(path, ctx);
  // What it is no name of is told by the resolver of names.
  if (snapshot === undefined && /[./]/.test(name)) throw noSuchPath(word);
  if (snapshot === undefined) resolveSnapshot(vault, name, now);
  return { target: word, paths: [] };
}

function noSuchPath(word: Bytes): CoraError {
  const hint = `cora find ${printable(basenameBytes(word))} looks for the name in all snapshots`;
  return new CoraError('unknown_snapshot', `There is no snapshot ${printable(word)}, and no good one has such a path`, { hint });
}

/**
 * A path after `--`: of the newest good snapshot that has it.
 * @throws CoraError not_found
 */
export async function readRestorePath(location: VaultLocation, word: Bytes, absolute: Bytes, ctx: Context): Promise<RestoreWord> {
  const path = await pathOf(openLocated(location), word, absolute, true, ctx);
  if (path !== undefined) return say(path, ctx);
  throw new CoraError('not_found', `No good snapshot holds ${printable(word)}`, {
    hint: 'cora find NAME looks for names; paths are relative to the project',
  });
}

type FoundPath = { readonly path: Bytes; readonly id: string };

function say({ path, id }: FoundPath, ctx: Context): RestoreWord {
  ctx.monitor.note(`${printable(path)} = ${id}, the newest good snapshot that has it`);
  return { target: fromText(id), paths: [path] };
}

/** What cannot be looked at (a name that is too long, a directory that is closed) is nothing that a person means. */
export function isThere(path: Bytes): boolean {
  try {
    return lstatSync(fsPath(path), { throwIfNoEntry: false }) !== undefined;
  } catch {
    return false;
  }
}

/** True of a word that names what is there now and no snapshot. */
export function isLivePath(location: VaultLocation, word: Bytes, absolute: Bytes, now: number): boolean {
  if (word.startsWith('@') || !isThere(absolute)) return false;
  return nameOf(openLocated(location), toText(word), now) === undefined;
}

function nameOf(vault: Vault, name: string, now: number): string | undefined {
  try {
    return resolveSnapshot(vault, name, now).id;
  } catch (error) {
    if (error instanceof CoraError && error.code === 'unknown_snapshot') return undefined;
    throw error;
  }
}

/** The snapshot whose directory in this vault, or file in it, a path names. */
function idOfDirectory(vault: Vault, absolute: Bytes): string | undefined {
  const real = realOf(absolute);
  const root = `${fromText(vault.root)}/`;
  if (real === undefined || !real.startsWith(root)) return undefined;
  const parts = real.slice(root.length).split('/');
  const id = parts[0] === 'progress' ? `${parts.slice(1, 4).join('')}-${parts[4]}` : parts[0];
  return id === undefined ? undefined : parseId(id);
}

function realOf(path: Bytes): Bytes | undefined {
  try {
    return fromBuffer(realpathSync(fsPath(path), { encoding: 'buffer' }));
  } catch {
    return undefined;
  }
}

/**
 * The path of the project that a word names, and the newest good snapshot that has it.
 * @param anyway also where no such path is there now
 */
async function pathOf(vault: Vault, word: Bytes, absolute: Bytes, anyway: boolean, ctx: Context): Promise<FoundPath | undefined> {
  if (!anyway && !isThere(absolute)) return undefined;
  for (const path of candidatePaths(rootOf(vault.info), word, absolute)) {
    const newest = await newestHolding(vault, path, ctx.now());
    if (newest !== undefined) return { path, id: newest.id };
  }
  return undefined;
}

/** The paths of the project that a word may mean: as it is seen from here, then as other commands have it, relative to the project. */
export function candidatePaths(root: Bytes, word: Bytes, absolute: Bytes): Bytes[] {
  const below = absolute === root ? [bytes('.')] : absolute.startsWith(`${root}/`) ? [bytes(absolute.slice(root.length + 1))] : [];
  const plain = word.startsWith('/') ? [] : [bytes(word.replace(/^(?:\.\/+)+/, '').replace(/\/+$/, ''))];
  return [...new Set([...below, ...plain])].filter((candidate) => candidate !== '');
}
