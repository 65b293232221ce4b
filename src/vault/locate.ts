// Where a project's vault is (a named vault wins over the remembered one, and that over the
// default place). What is remembered lies outside the project, so that an unmounted disk is noticed.

import { createHash } from 'node:crypto';
import { dirname } from 'node:path';
import { type Bytes, fromText, toText } from '../base/bytes.ts';
import { CoraError } from '../base/errors.ts';
import { exists, makePath, readTextIfThere, replaceFile } from '../os/files.ts';
import { NAMES } from './layout.ts';
import { stateDirectory } from './state.ts';
import { openVault, rootOf, type Vault } from './vault.ts';

/** What of the process and machine decides the place; read once by the command line. */
export type VaultEnvironment = {
  /** `--vault` or CORA_VAULT: the vault directory itself. Absolute. */
  readonly explicit: string | undefined;
  readonly uid: number;
  readonly home: string | undefined;
  readonly xdgStateHome: string | undefined;
};

export type VaultLocation = {
  readonly path: string;
  /** Why here: asked for, remembered from an earlier run, configured, or the default. */
  readonly source: 'explicit' | 'remembered' | 'configured' | 'default';
  /** The vault id that was there before, where one is remembered. */
  readonly expectedId: string | undefined;
  readonly memory: string | undefined;
};

/**
 * Finds the place, without touching it.
 * @param configured `vault` of the configuration
 * @throws CoraError usage where no place can be known (no home directory)
 */
export function locateVault(
  project: { readonly root: Bytes; readonly name: string },
  configured: string | undefined,
  env: VaultEnvironment,
): VaultLocation {
  if (env.explicit !== undefined) return { path: stripSlash(env.explicit), source: 'explicit', expectedId: undefined, memory: undefined };
  const state = stateDirectory(env);
  const memory =
    state === undefined ? undefined : `${state}/projects/${createHash('sha256').update(project.root, 'latin1').digest('hex').slice(0, 32)}.json`;
  const remembered = memory === undefined ? undefined : recall(memory);
  if (configured !== undefined) {
    const path = stripSlash(configured);
    return { path, source: 'configured', expectedId: remembered?.vault === path ? remembered.id : undefined, memory };
  }
  if (remembered !== undefined) return { path: remembered.vault, source: 'remembered', expectedId: remembered.id, memory };
  if (state === undefined) {
    throw new CoraError('usage', 'No place for a vault is known: there is no home directory', { hint: 'name one with --vault DIR or CORA_VAULT' });
  }
  const parent = env.uid === 0 ? '/var/backups' : state;
  return { path: freePlace(`${parent}/${project.name}`, project.root), source: 'default', expectedId: undefined, memory };
}

/** The first of NAME, NAME-2, NAME-3, ... that is free or this project's own. */
function freePlace(wanted: string, root: Bytes): string {
  for (let number = 1; ; number++) {
    const path = number === 1 ? wanted : `${wanted}-${number}`;
    if (!exists(path)) return path;
    if (!exists(`${path}/${NAMES.vaultJson}`)) continue;
    if (rootOf(openVault(path).info) === root) return path;
  }
}

function recall(memory: string): { vault: string; id: string } | undefined {
  const text = readTextIfThere(memory);
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (
      typeof value === 'object' &&
      value !== null &&
      'vault' in value &&
      typeof value.vault === 'string' &&
      'vault_id' in value &&
      typeof value.vault_id === 'string'
    ) {
      return { vault: value.vault, id: value.vault_id };
    }
  } catch {
    // A torn memory is no memory; the vault itself is the truth.
  }
  return undefined;
}

/** Remembers where a project's vault is; a failure is not an error (the default place is found without it). */
export function remember(location: VaultLocation, project: { readonly root: Bytes }, vault: Vault): void {
  if (location.memory === undefined || location.expectedId === vault.info.vault_id) return;
  try {
    makePath(fromText(dirname(location.memory)));
    replaceFile(location.memory, `${JSON.stringify({ root: toText(project.root), vault: vault.root, vault_id: vault.info.vault_id })}\n`, true);
  } catch {
    // Read-only state directory: the next run looks in the default place again.
  }
}

/**
 * Opens the vault at a location for reading.
 * @throws CoraError vault_missing
 */
export function openLocated(location: VaultLocation): Vault {
  const vault = openVault(location.path);
  if (location.expectedId !== undefined && location.expectedId !== vault.info.vault_id) {
    throw new CoraError('vault_foreign', `The vault at ${location.path} is not the one this project had before`, {
      hint: 'mount the right disk, or name the vault with --vault to accept it',
    });
  }
  return location.source === 'explicit' ? { ...vault, named: true } : vault;
}

/** @throws CoraError vault_foreign where the vault holds another project's history */
export function requireOwn(vault: Vault, project: { readonly root: Bytes }): void {
  if (rootOf(vault.info) === project.root) return;
  throw new CoraError('vault_foreign', `The vault ${vault.root} belongs to ${vault.info.root}, not to ${toText(project.root)}`, {
    hint: 'name another vault with --vault, or leave it to the default',
  });
}

function stripSlash(path: string): string {
  return path.length > 1 ? path.replace(/\/+$/, '') : path;
}
