// `cora protect` and `cora unprotect`: +a on files that only grow, +i on backups. Every answer is what
// lsattr said after the change; a marker is never taken for a flag.

import { lstatSync, realpathSync } from 'node:fs';
import { type Bytes, basenameBytes, bytes, dirnameBytes, fromBuffer, fromText, isText, joinBytes, toText } from '../base/bytes.ts';
import { DEFAULT_EXCLUDES } from '../base/config.ts';
import type { Context } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import { changeFlags, flagReason, readFlags } from '../os/chattr.ts';
import { findRepository, gitIn } from '../os/git.ts';
import { onPath } from '../os/long-path.ts';
import { compilePatterns } from '../source/patterns.ts';
import { S_IFMT, S_IFREG, walk } from '../source/walk.ts';
import { forgetProtected, protectedPaths, rememberProtected } from '../vault/append-only.ts';
import { listSnapshots, resolveSnapshot, type SnapshotRef } from '../vault/catalog.ts';
import { parseId } from '../vault/layout.ts';
import { openLocated, type VaultLocation } from '../vault/locate.ts';
import type { Vault } from '../vault/vault.ts';
import { openForWriting, type ProjectFacts } from './open-project.ts';
import { listBackups, type SealedBackup, sealBackups, unsealBackup } from './seal.ts';
import { hasSqliteHeader } from './sqlite-probe.ts';

export type ProtectedFile = {
  /** Relative to the project. */
  readonly path: Bytes;
  /** What lsattr says now. */
  readonly appendOnly: boolean;
  /** Why it is not as it was asked for. */
  readonly reason?: string;
  readonly warning?: string;
};

export type ProtectResult = { readonly files: readonly ProtectedFile[]; readonly backups: readonly SealedBackup[] };

/** What a person named: a path as typed and as an absolute one. */
export type Target = { readonly typed: Bytes; readonly path: Bytes };

const SIDECAR = /-(?:wal|shm|journal)$/;

/** Names that are rewritten by people and programs as a matter of course; a pattern of the configuration that meets them is a slip. */
const SETTINGS = /^\.env(?:\.|$)/;

/**
 * Without targets: +a on the append-only files of the configuration, and every backup sealed that lacks a flag, also where a
 * person took it (whoever types it asks for everything; timers and later backups leave those alone).
 * @throws CoraError as `save` does; unknown_snapshot for a target that is neither a path nor a snapshot
 */
export async function protect(project: ProjectFacts, location: VaultLocation, targets: readonly Target[], ctx: Context): Promise<ProtectResult> {
  const { vault, release } = openForWriting(project, location, ctx);
  try {
    const wanted = targets.map((target) => targetOf(target, vault, project, ctx));
    const paths = targets.length === 0 ? appendOnlyFiles(project, vault, ctx) : wanted.flatMap((one) => (typeof one === 'string' ? [one] : []));
    const refs = targets.length === 0 ? listBackups(vault) : wanted.filter((one) => typeof one !== 'string');
    const files = await protectFiles(project, paths, targets.length === 0);
    const held = files.filter(({ appendOnly }) => appendOnly).map(({ path }) => path);
    rememberProtected(vault, [...new Set([...protectedPaths(vault), ...held])]);
    return { files, backups: project.config.seal === 'off' && targets.length === 0 ? [] : sealBackups(vault, refs, 'again', ctx) };
  } finally {
    release();
  }
}

/**
 * Lifts flags. Without targets: from every file that Cora made append-only; backups must be named.
 * The caller has asked a person.
 * @throws CoraError vault_missing where nothing was ever saved; as `protect` does
 */
export function unprotect(project: ProjectFacts, location: VaultLocation, targets: readonly Target[], ctx: Context): ProtectResult {
  openLocated(location);
  const { vault, release } = openForWriting(project, location, ctx);
  try {
    const wanted = targets.map((target) => targetOf(target, vault, project, ctx));
    const paths = targets.length === 0 ? protectedPaths(vault) : wanted.flatMap((one) => (typeof one === 'string' ? [one] : []));
    const failure = changeFlags(
      '-a',
      absolute(
        project.root,
        paths.filter((path) => isFile(project.root, path)),
      ),
    );
    const flags = readFlags(absolute(project.root, paths));
    const files = paths.map((path, index): ProtectedFile => {
      const appendOnly = flags[index]?.append === true;
      return { path, appendOnly, ...(appendOnly && failure !== undefined ? { reason: flagReason(failure) } : {}) };
    });
    forgetProtected(
      vault,
      files.filter(({ appendOnly }) => !appendOnly).map(({ path }) => path),
    );
    const refs = wanted.filter((one) => typeof one !== 'string');
    const backups = refs.map((ref): SealedBackup => {
      const state = unsealBackup(vault, ref, ctx);
      return { vault: vault.root, id: ref.id, ...state, ...(state.protection === 'kernel' ? { reason: flagReason('denied') } : {}) };
    });
    return { files, backups };
  } finally {
    release();
  }
}

/** A path in the project (relative to it), or a snapshot. A link on the way must not lead out of the project; one at the end is told by `whyNot`. */
function targetOf({ typed, path: absolutePath }: Target, vault: Vault, project: ProjectFacts, ctx: Context): Bytes | SnapshotRef {
  if (onPath(absolutePath, (reachable) => lstatSync(reachable, { throwIfNoEntry: false })) !== undefined) {
    const path = joinBytes(realOf(dirnameBytes(absolutePath)), basenameBytes(absolutePath));
    if (path.startsWith(`${project.root}/`)) return bytes(path.slice(project.root.length + 1));
    const inVault = `${fromText(vault.root)}/`;
    if (path.startsWith(inVault)) return backupNamed(vault, nameInVault(path.slice(inVault.length)), ctx);
    throw new CoraError('refused', `${toText(path)} lies outside the project and its vault`, {
      hint: 'cora protect works on files of one project and its backups',
    });
  }
  return backupNamed(vault, toText(typed), ctx);
}

function realOf(directory: Bytes): Bytes {
  return onPath(directory, (path) => fromBuffer(realpathSync.native(path, { encoding: 'buffer' })));
}

/** The snapshot that a path below the vault lies in: `20261121-143000-x/db/a`, `progress/2026/11/21/143000-x`. */
function nameInVault(path: string): string {
  const save = /^progress\/(\d{4})\/(\d\d)\/(\d\d)\/([^/]+)/.exec(path);
  return save === null ? toText(bytes(path.replace(/\/.*$/s, ''))) : `${save[1]}${save[2]}${save[3]}-${save[4]}`;
}

/** @throws CoraError refused for a save, unknown_snapshot, ambiguous_snapshot */
function backupNamed(vault: Vault, name: string, ctx: Context): SnapshotRef {
  const id = parseId(name);
  const forms = listSnapshots(vault).filter((ref) => ref.id === id);
  if (forms.length > 0 && forms.every(({ kind }) => kind !== 'backup')) {
    throw new CoraError('refused', `${name} is a save: saves share what they hold, only backups are sealed`, {
      hint: 'cora backup now makes a backup and seals it',
    });
  }
  return resolveSnapshot(vault, name, ctx.now(), { kind: 'backup' });
}

/** What the configuration names and what was protected before, where it is there. */
function appendOnlyFiles({ root, config }: ProjectFacts, vault: Vault, ctx: Context): Bytes[] {
  const isWanted = compilePatterns(config.critical.appendOnly);
  const scan = walk(root, {
    excludedNames: new Set(config.scan.excludeDefaults ? DEFAULT_EXCLUDES.map((name) => name.replace(/\/$/, '')) : []),
    excluded: compilePatterns(config.scan.exclude),
    oneFileSystem: config.scan.oneFileSystem,
    signal: ctx.signal,
    onCount: () => undefined,
  });
  const found = scan.paths.filter((path, row) => ((scan.mode[row] ?? 0) & S_IFMT) === S_IFREG && isWanted(path, false));
  return [...new Set([...found, ...protectedPaths(vault).filter((path) => isFile(root, path))])];
}

/** @param byPattern nobody named them one by one */
async function protectFiles({ root }: ProjectFacts, paths: readonly Bytes[], byPattern: boolean): Promise<ProtectedFile[]> {
  const refused = new Map(
    paths.map((path) => [
      path,
      byPattern && SETTINGS.test(basenameBytes(path))
        ? 'it holds settings, which are rewritten; name it to protect it all the same'
        : whyNot(root, path),
    ]),
  );
  const allowed = paths.filter((path) => refused.get(path) === undefined);
  const failure = changeFlags('+a', absolute(root, allowed));
  const flags = new Map(readFlags(absolute(root, paths)).map((flag, index) => [paths[index], flag?.append === true]));
  const tracked = await trackedFiles(root, allowed);
  return paths.map((path) => {
    const why = refused.get(path);
    if (why !== undefined) return flags.get(path) === true ? { path, appendOnly: true, warning: why } : { path, appendOnly: false, reason: why };
    if (flags.get(path) !== true) return { path, appendOnly: false, reason: flagReason(failure ?? 'unsupported') };
    if (!tracked.has(path)) return { path, appendOnly: true };
    return {
      path,
      appendOnly: true,
      warning: 'git tracks it and cannot replace it now: checkout and merge will fail on it (cora unprotect lifts the flag)',
    };
  });
}

/** Why a file must not become append-only; undefined where it may. */
function whyNot(root: Bytes, path: Bytes): string | undefined {
  const full = joinBytes(root, path);
  const stat = onPath(full, (reachable) => lstatSync(reachable, { throwIfNoEntry: false }));
  if (stat === undefined) return 'it is not there';
  if (stat.isSymbolicLink()) return 'it is a symbolic link: name the file it points to';
  if (!stat.isFile()) return stat.isDirectory() ? 'it is a directory: name the files in it' : 'it is no regular file';
  if (SIDECAR.test(path) && hasSqliteHeader(joinBytes(root, path.replace(SIDECAR, ''))))
    return 'it belongs to a live database, which must be able to change it; backups hold a sealed copy';
  if (hasSqliteHeader(full)) return 'it is a live database, which must be able to change; backups hold a sealed copy of it';
  return undefined;
}

function isFile(root: Bytes, path: Bytes): boolean {
  return onPath(joinBytes(root, path), (reachable) => lstatSync(reachable, { throwIfNoEntry: false }))?.isFile() === true;
}

const absolute = (root: Bytes, paths: readonly Bytes[]) => paths.map((path) => joinBytes(root, path));

/** Which of the files git would want to replace. Where git cannot say, none. */
async function trackedFiles(root: Bytes, paths: readonly Bytes[]): Promise<ReadonlySet<string>> {
  const place = findRepository(root);
  const names = paths.filter(isText).map((path) => `:(literal)${toText(path)}`);
  if (place === undefined || names.length === 0) return new Set();
  const { exitCode, stdout } = await gitIn(place, root, ['ls-files', '-z', '--', ...names]);
  return new Set(exitCode === 0 ? stdout.toString('latin1').split('\0') : []);
}
