// A vault: where it lies, creating and opening it, its locks, and clearing what a crash left.
//
// Invariant: nothing is ever written into a directory that is not a vault of this project. A
// missing VAULT.json at a known place is an unmounted disk, not an empty vault.

import { randomBytes, randomUUID } from 'node:crypto';
import { chmodSync, lstatSync, mkdirSync, readFileSync, realpathSync, renameSync, unlinkSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { type Bytes, base64Of, fromText, isText, toText } from '../base/bytes.ts';
import { CoraError, errnoOf, messageOf, writeFailure } from '../base/errors.ts';
import { exists, makePath, namesIn, removeBelow, replaceFile, syncDirectory, tryRemove, writeNewFile } from '../os/files.ts';
import { type Lock, takeLock, tryLock } from '../os/lock.ts';
import { FORMAT, NAMES, parseId } from './layout.ts';

export type VaultInfo = {
  readonly format: number;
  readonly vault_id: string;
  readonly name: string;
  readonly root: string;
  readonly root_base64?: string;
  readonly created_at: string;
};

/** An opened vault. `root` is the real path. */
export type Vault = {
  readonly root: string;
  readonly info: VaultInfo;
  /** It was named by --vault or CORA_VAULT: a command that people are to paste has to name it too. */
  readonly named?: true;
};

const README = `This is a Cora vault: the history of one project, readable without Cora.

  sh restore.sh                lists what is here
  sh restore.sh ID DIR         restores a backup or a save into the new directory DIR

A directory YYYYMMDD-HHMMSS-... is a backup. By hand:
  cd YYYYMMDD-HHMMSS-...; sha256sum -c SHA256SUMS.txt; tar -xzf NAME-full.tar.gz -C DIR
Saves lie under progress/YYYY/MM/DD/ and need zstd. Do not change or delete files here by hand.
`;

/**
 * Opens an existing vault.
 * @throws CoraError vault_missing where there is no VAULT.json, io where its disk cannot be read, vault_version where it is from a newer Cora
 */
export function openVault(path: string): Vault {
  let text: string;
  try {
    text = readFileSync(`${path}/${NAMES.vaultJson}`, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'EACCES') {
      throw new CoraError('vault_missing', `The vault ${path} may not be read by this user`, {
        hint: "run the command as the vault's owner",
        cause: error,
      });
    }
    if (errnoOf(error) === 'EIO') {
      throw new CoraError('io', `The vault ${path} cannot be read: ${messageOf(error)}`, {
        hint: "check the vault's disk (smartctl, dmesg), then run the command again",
        cause: error,
      });
    }
    throw new CoraError(
      'vault_missing',
      exists(path) ? `${path} has no VAULT.json: it is not a vault, or its disk is not mounted` : `There is no vault at ${path}`,
      {
        hint: exists(path) ? (handHint(path) ?? 'mount the disk, or name another vault with --vault') : 'cora save makes it',
        cause: error,
      },
    );
  }
  const info = parseInfo(text, path);
  if (info.format > FORMAT) {
    throw new CoraError('vault_version', `The vault ${path} has format ${info.format}; this Cora knows ${FORMAT}`, {
      hint: "upgrade Cora, or restore with the vault's own restore.sh",
    });
  }
  return { root: realpathSync(path), info };
}

/** What to do about a vault that lost everything but its sealed backups (`rm -rf` ends like that); undefined where there are none. */
function handHint(path: string): string | undefined {
  let newest: string | undefined;
  try {
    newest = namesIn(path)
      .filter((name) => parseId(name) !== undefined)
      .sort()
      .at(-1);
  } catch {
    return undefined;
  }
  if (newest === undefined) return undefined;
  return `its backups are still there and need no Cora: in ${path}/${newest} run sha256sum -c SHA256SUMS.txt, then tar -xzf *-full.tar.gz -C DIR; for new saves name another vault with --vault`;
}

function parseInfo(text: string, path: string): VaultInfo {
  try {
    const value: unknown = JSON.parse(text);
    if (
      typeof value === 'object' &&
      value !== null &&
      'format' in value &&
      typeof value.format === 'number' &&
      'vault_id' in value &&
      typeof value.vault_id === 'string'
    ) {
      return { name: '', root: '', created_at: '', ...value } as VaultInfo;
    }
  } catch {
    // falls through: what cannot be parsed and what has the wrong shape are the same to a user
  }
  throw new CoraError('vault_missing', `${path}/VAULT.json is damaged`, {
    hint: 'put the file back from another copy of the vault; its form is in docs/format.md',
  });
}

/** The project of a vault as bytes. */
export function rootOf(info: VaultInfo): Bytes {
  return info.root_base64 === undefined ? fromText(info.root) : (Buffer.from(info.root_base64, 'base64').toString('latin1') as Bytes);
}

/**
 * Creates a vault at a path that does not exist; where another run is doing the same, one of them makes it.
 * @param project `vaultId` of a vault that was lost and is made again
 * @param restoreScript text of restore.sh
 * @throws CoraError vault_missing where the path exists, no_space, read_only, io
 */
export function createVault(
  path: string,
  project: { readonly name: string; readonly root: Bytes; readonly vaultId?: string },
  now: number,
  restoreScript: string,
): Vault {
  if (exists(path))
    throw new CoraError('vault_missing', `${path} exists and is not a vault`, { hint: 'mount the disk, or name another vault with --vault' });
  const info: VaultInfo = {
    format: FORMAT,
    vault_id: project.vaultId ?? randomUUID(),
    name: project.name,
    ...rootFields(project.root),
    created_at: new Date(now).toISOString(),
  };
  // Made beside its place and renamed into it, so that another first run never sees half a vault.
  const building = `${dirname(path)}/.${basename(path)}.new-${randomBytes(4).toString('hex')}`;
  try {
    makePath(fromText(dirname(path)));
    mkdirSync(building, { mode: 0o700 });
    chmodSync(building, 0o700);
    for (const directory of [NAMES.progress, NAMES.ledger, NAMES.stage, NAMES.cache]) mkdirSync(`${building}/${directory}`, { mode: 0o700 });
    writeNewFile(`${building}/${NAMES.readme}`, README);
    writeNewFile(`${building}/${NAMES.restoreScript}`, restoreScript);
    chmodSync(`${building}/${NAMES.restoreScript}`, 0o700);
    replaceFile(`${building}/${NAMES.vaultJson}`, `${JSON.stringify(info, null, 2)}\n`, true);
    renameSync(building, path);
    syncDirectory(dirname(path));
  } catch (error) {
    tryRemove(building);
    const taken = errnoOf(error) === 'ENOTEMPTY' || errnoOf(error) === 'EEXIST';
    // The other run was first; this one works in its vault.
    if (taken) return openVault(path);
    throw writeFailure(error, path);
  }
  return { root: realpathSync(path), info };
}

function rootFields(root: Bytes): Pick<VaultInfo, 'root' | 'root_base64'> {
  return { root: toText(root), ...(isText(root) ? {} : { root_base64: base64Of(root) }) };
}

/** Gives the vault to the project at another place. Only for one whose own place is gone, or was never known. */
export function moveProject(vault: Vault, root: Bytes): Vault {
  const { root_base64: _, ...rest } = vault.info;
  const info = { ...rest, ...rootFields(root) };
  replaceFile(`${vault.root}/${NAMES.vaultJson}`, `${JSON.stringify(info, null, 2)}\n`, true);
  return { ...vault, info };
}

/** Puts back what may have been deleted: the caches' directory, and what people need without Cora. */
export function repairVault(vault: Vault, restoreScript: () => string): void {
  for (const directory of [NAMES.cache, NAMES.ledger, NAMES.progress]) {
    if (!exists(`${vault.root}/${directory}`)) mkdirSync(`${vault.root}/${directory}`, { mode: 0o700 });
  }
  if (!exists(`${vault.root}/${NAMES.readme}`)) writeNewFile(`${vault.root}/${NAMES.readme}`, README);
  if (exists(`${vault.root}/${NAMES.restoreScript}`)) return;
  writeNewFile(`${vault.root}/${NAMES.restoreScript}`, restoreScript());
  chmodSync(`${vault.root}/${NAMES.restoreScript}`, 0o700);
}

/**
 * The lock of those who add snapshots.
 * @throws CoraError locked, exit 11
 */
export function lockForWriting(vault: Vault, waitMilliseconds: number): Lock {
  try {
    return takeLock(`${vault.root}/${NAMES.writeLock}`, 'exclusive', waitMilliseconds);
  } catch (error) {
    throw writeFailure(error, `${vault.root}/${NAMES.writeLock}`);
  }
}

/** The lock of those who read packs for long; clean-up waits for it. Undefined where the vault cannot be written (then nobody cleans up either). */
export function lockForReading(vault: Vault, waitMilliseconds = 30_000): Lock | undefined {
  try {
    return takeLock(`${vault.root}/${NAMES.gcLock}`, 'shared', waitMilliseconds);
  } catch (error) {
    if (error instanceof CoraError && error.code === 'locked') throw error;
    return undefined;
  }
}

export type Stage = { readonly path: string; readonly release: () => void };

/**
 * A new private directory inside the vault, held by a lock so that another run's clean-up leaves it alone.
 * `release` removes what is left of it, and never throws: what the disk refuses to remove must not make a failure of what was
 * done, nor hide why it failed; the next run's clean-up removes it.
 */
export function openStage(vault: Vault): Stage {
  const parent = `${vault.root}/${NAMES.stage}`;
  try {
    if (!exists(parent)) {
      mkdirSync(parent, { mode: 0o700 });
      syncDirectory(vault.root);
    }
    for (;;) {
      // The lock comes first: a directory that nobody holds is what a dead run left, and clean-up removes it.
      const path = `${parent}/run-${randomBytes(3).toString('hex')}`;
      const lock = tryLock(`${path}.lock`, 'exclusive', 0);
      if (lock === undefined) continue;
      mkdirSync(path, { mode: 0o700 });
      const release = () => {
        try {
          removeBelow(parent, path);
          removeBelow(parent, `${path}.lock`);
        } catch {
          // A disk that died: the run's own error is what has to be told. The next run clears what is left.
        } finally {
          lock.release();
        }
      };
      return { path, release };
    }
  } catch (error) {
    throw writeFailure(error, parent);
  }
}

/**
 * Removes staging directories whose run is dead. The caller holds the write lock.
 * @returns those that could not be removed (an immutable file, a broken disk): they cost room and keep no run from working
 */
export function clearStages(vault: Vault): string[] {
  const parent = `${vault.root}/${NAMES.stage}`;
  const stuck: string[] = [];
  for (const name of namesIn(parent)) {
    if (!/^run-[A-Za-z0-9]{6}$/.test(name)) {
      if (/^run-[A-Za-z0-9]{6}\.lock$/.test(name)) removeOrphan(parent, name);
      continue;
    }
    const lock = tryLock(`${parent}/${name}.lock`, 'exclusive', 0);
    if (lock === undefined) continue;
    try {
      // A link goes itself; what it leads to is not looked at.
      removeBelow(parent, `${parent}/${name}`);
      removeBelow(parent, `${parent}/${name}.lock`);
    } catch {
      stuck.push(`${parent}/${name}`);
    } finally {
      lock.release();
    }
  }
  return stuck;
}

/**
 * A link in the place of a directory that is only Cora's own work would lead what is written there out of the vault: it goes,
 * and a directory is made when one is needed. The caller holds the write lock.
 */
export function dropLinks(vault: Vault): void {
  for (const name of [NAMES.stage, NAMES.trash, NAMES.cache]) {
    const path = `${vault.root}/${name}`;
    if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true) unlinkSync(path);
  }
}

/** A lock file whose directory is gone, unless its run is just about to make it. */
function removeOrphan(parent: string, name: string): void {
  if (exists(`${parent}/${name.slice(0, -5)}`)) return;
  const lock = tryLock(`${parent}/${name}`, 'exclusive', 0);
  if (lock === undefined) return;
  if (!exists(`${parent}/${name.slice(0, -5)}`)) removeBelow(parent, `${parent}/${name}`);
  lock.release();
}
