// `cora adopt`: backups that other tools made become readable history. They are registered by their
// directory, and never copied, changed or pruned.

import { existsSync } from 'node:fs';
import { type Bytes, fromText, fsPath, joinBytes, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import { type AdoptedLayout, type AdoptedSnapshot, adoptedPlaces, findBackups, realPlace, writeAdoptedPlaces } from '../vault/adopted.ts';
import { NAMES } from '../vault/layout.ts';
import { openLocated, type VaultLocation } from '../vault/locate.ts';
import { openForWriting, type ProjectFacts } from './open-project.ts';

export type AdoptOptions = {
  /** Absolute. */
  readonly directory: Bytes;
  /** Takes the directory out of the register again. */
  readonly forget: boolean;
  readonly dryRun: boolean;
};

export type AdoptResult = {
  readonly directory: Bytes;
  readonly outcome: 'adopted' | 'known' | 'forgotten' | 'would_adopt' | 'would_forget';
  /** Oldest first. */
  readonly snapshots: readonly AdoptedSnapshot[];
  /** A vault without VAULT.json: it also has saves, which only `restore.sh` reads. */
  readonly hasSaves: boolean;
};

/** @throws CoraError not_found, usage, vault_missing, vault_foreign, locked */
export async function adopt(project: ProjectFacts, location: VaultLocation, options: AdoptOptions, ctx: Context): Promise<AdoptResult> {
  if (options.forget) return forget(project, location, options, ctx);
  const directory = realPlace(options.directory);
  if (existsSync(fsPath(joinBytes(directory, NAMES.vaultJson)))) {
    throw new CoraError('usage', `${toText(directory)} is a vault of Cora already`, {
      hint: `name it: cora list --vault ${toText(directory)}`,
    });
  }
  const snapshots = foundIn(directory);
  const hasSaves = existsSync(fsPath(joinBytes(directory, NAMES.progress)));
  const result = (outcome: AdoptResult['outcome']): AdoptResult => ({ directory, outcome, snapshots, hasSaves });
  if (options.dryRun) return result('would_adopt');
  const { vault, release } = openForWriting(project, location, ctx);
  try {
    if (`${directory}/`.startsWith(`${fromText(vault.root)}/`)) {
      throw new CoraError('usage', `${toText(directory)} lies in this vault`, { hint: 'cora list shows what is in it' });
    }
    const places = adoptedPlaces(vault);
    const kinds: AdoptedLayout[] = [...new Set(snapshots.map(({ layout }) => layout))].sort();
    const known = places.find(({ path }) => path === directory);
    if (known !== undefined && kinds.every((kind) => known.kinds.includes(kind))) return result('known');
    const place = { path: directory, kinds, adoptedAt: known?.adoptedAt ?? new Date(ctx.now()).toISOString() };
    writeAdoptedPlaces(vault, [...places.filter(({ path }) => path !== directory), place]);
    return result('adopted');
  } finally {
    release();
  }
}

function foundIn(directory: Bytes): readonly AdoptedSnapshot[] {
  let found: readonly AdoptedSnapshot[];
  try {
    found = findBackups(directory);
  } catch (error) {
    throw new CoraError('not_found', `${toText(directory)} cannot be read`, { hint: 'run the command as its owner', cause: error });
  }
  if (found.length > 0) return found;
  throw new CoraError('not_found', `${toText(directory)} holds no backup of a layout that Cora knows`, {
    hint: 'docs/adopt.md describes the four layouts',
  });
}

async function forget(project: ProjectFacts, location: VaultLocation, options: AdoptOptions, ctx: Context): Promise<AdoptResult> {
  const named = (places: readonly { readonly path: Bytes }[]) => {
    // Its disk may be gone: the name as it was typed counts too.
    const real = existsSync(fsPath(options.directory)) ? realPlace(options.directory) : options.directory;
    const place = places.find(({ path }) => path === real || path === options.directory);
    if (place !== undefined) return place;
    throw new CoraError('not_found', `${toText(options.directory)} was not adopted`, { hint: 'cora list shows what was' });
  };
  const result = (directory: Bytes, outcome: AdoptResult['outcome']): AdoptResult => ({ directory, outcome, snapshots: [], hasSaves: false });
  if (options.dryRun) return result(named(adoptedPlaces(openLocated(location))).path, 'would_forget');
  const { vault, release } = openForWriting(project, location, ctx);
  try {
    const places = adoptedPlaces(vault);
    const { path: directory } = named(places);
    writeAdoptedPlaces(
      vault,
      places.filter(({ path }) => path !== directory),
    );
    return result(directory, 'forgotten');
  } finally {
    release();
  }
}
