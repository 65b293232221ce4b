// AtoCore's view of a vault (ATO-2, ATO-3): its backups under AtoCore's words, what a new one gave, and whether one is
// whole, with AtoCore's error codes. Invariant: nothing here writes; a validation leaves no line in the ledger.

import { existsSync } from 'node:fs';
import { basenameBytes, bytes, fromText, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError, messageOf } from '../base/errors.ts';
import type { DatabaseReport, Report } from '../format/report.ts';
import { namesIn, readTextIfThere } from '../os/files.ts';
import { checkCopy } from '../os/sqlite.ts';
import { type AdoptedSnapshot, listAdopted } from '../vault/adopted.ts';
import { listSnapshots, readReport, type SnapshotRef } from '../vault/catalog.ts';
import { NAMES, timeOfId } from '../vault/layout.ts';
import { loadEntries } from '../vault/listing.ts';
import type { Vault } from '../vault/vault.ts';
import { verifyAdopted } from './adopted-verify.ts';
import { type Damage, FileChecker } from './verify-files.ts';

/** The artefact that AtoCore's vector store is called. */
export const CHROMA = 'chroma';

export type ListedBackup = {
  /** The id; of one that AtoCore made its own stamp. */
  readonly stamp: string;
  readonly path: string;
  readonly metadata: unknown;
  readonly error: string | undefined;
};

/** Backups, and those that AtoCore made and were adopted, oldest first. */
export function listForAtoCore(vault: Vault): ListedBackup[] {
  const own = backupsOf(vault).map((ref) => ({
    time: timeOfId(ref.id),
    stamp: ref.id,
    path: `${vault.root}/${ref.directory}`,
    ...metadataOf(vault, ref),
  }));
  const adopted = adoptedOf(vault).map((one) => ({ time: one.time, stamp: one.id, path: toText(one.path), ...metadataOfAdopted(one) }));
  // Own ones stay in the ledger's order, which no clock can change.
  const merged: ListedBackup[] = [];
  for (const one of own) {
    while (adopted[0] !== undefined && adopted[0].time <= one.time) merged.push(...adopted.splice(0, 1));
    merged.push(one);
  }
  return [...merged, ...adopted];
}

type Metadata = { readonly metadata: unknown; readonly error: string | undefined };

function metadataOf(vault: Vault, ref: SnapshotRef): Metadata {
  try {
    return { metadata: readReport(vault, ref), error: undefined };
  } catch (error) {
    return { metadata: null, error: codeOf(error, 'metadata_missing') };
  }
}

function metadataOfAdopted({ path }: AdoptedSnapshot): Metadata {
  const directory = toText(path);
  const name = namesIn(directory).find((one) => one.endsWith('.json'));
  const text = name === undefined ? undefined : readTextIfThere(`${directory}/${name}`);
  if (text === undefined) return { metadata: null, error: 'metadata_missing' };
  try {
    return { metadata: JSON.parse(text), error: undefined };
  } catch {
    return { metadata: null, error: 'metadata_invalid_json' };
  }
}

function codeOf(error: unknown, otherwise: string): string {
  return error instanceof CoraError ? error.code : otherwise;
}

function backupsOf(vault: Vault): SnapshotRef[] {
  return listSnapshots(vault).filter(({ kind }) => kind === 'backup');
}

function adoptedOf(vault: Vault): AdoptedSnapshot[] {
  return listAdopted(vault).snapshots.filter(({ layout }) => layout === 'atocore');
}

export type CreatedBackup = {
  readonly dbPath: string;
  readonly dbBytes: number;
  readonly registryPath: string;
  readonly chromaPath: string;
  readonly chromaBytes: number;
  readonly chromaFiles: number;
  readonly chromaIncluded: boolean;
  readonly errors: readonly string[];
};

/** What a backup that was just made, and read back while it was, gave. A path is empty where there is no such thing. */
export function createdForAtoCore(vault: Vault, report: Report): CreatedBackup {
  const ref = backupsOf(vault).find(({ id }) => id === report.snapshot_id);
  if (ref === undefined) throw new CoraError('snapshot_directory_missing', `The backup ${report.snapshot_id} is gone already`);
  const directory = `${vault.root}/${ref.directory}`;
  const archive = `${directory}/${namesIn(directory).find((name) => name.endsWith('-full.tar.gz')) ?? ''}`;
  const plain = (path: string) =>
    [`${directory}/${NAMES.critical}/${path}`, `${directory}/${NAMES.db}/${path}`].find((one) => existsSync(one)) ?? archive;
  const database = databaseOf(report);
  const registry = report.artefacts?.find(({ kind }) => kind === 'json')?.path;
  const chroma = chromaOf(report);
  const inside =
    chroma === undefined ? [] : loadEntries(vault, ref).filter(({ path, type }) => type === 'f' && toText(path).startsWith(`${chroma}/`));
  return {
    dbPath: database === undefined ? '' : plain(database.path),
    dbBytes: database?.size ?? 0,
    registryPath: registry === undefined ? '' : plain(registry),
    // Beside it lies the copy of its database alone.
    chromaPath: inside.length === 0 ? '' : archive,
    chromaBytes: inside.reduce((sum, { size }) => sum + size, 0),
    chromaFiles: inside.length,
    chromaIncluded: inside.length > 0,
    errors: faultsOf(report).map(textOf),
  };
}

/** The database that is meant: the one that is named as an artefact, else the first that is not a vector store's. */
function databaseOf(report: Report): DatabaseReport | undefined {
  const named = report.artefacts?.find(({ kind }) => kind === 'database')?.path;
  const own = ownDatabases(report);
  return own.find(({ path }) => path === named) ?? own[0];
}

function ownDatabases(report: Report): DatabaseReport[] {
  const inUnits = new Set(report.units.map(({ database }) => database));
  return report.databases.filter(({ path }) => !inUnits.has(path));
}

function chromaOf(report: Report): string | undefined {
  return report.artefacts?.find(({ name }) => name === CHROMA)?.path ?? report.units[0]?.path;
}

/** One of AtoCore's words, and what it is about. */
type Fault = { readonly code: string; readonly path?: string; readonly detail?: string };

function textOf({ code, path, detail }: Fault): string {
  return [code, path, detail].filter((part) => part !== undefined).join(': ');
}

/** What was wrong when it was made. */
function faultsOf(report: Report): Fault[] {
  const raw = report.databases.filter(({ stored, check_result: result }) => stored === 'raw' || result !== 'ok');
  const named = report.problems.filter(
    ({ code, severity }) => severity === 'error' && /^(?:db_snapshot|db_open|registry|chroma|artefact)_/.test(code),
  );
  return [
    ...raw.map(({ path, check_result: detail }) => ({ code: 'db_integrity_check_failed', path, detail })),
    ...named.map(({ code, path }) => (path === undefined ? { code } : { code, path })),
  ];
}

export type ValidatedBackup = {
  readonly stamp: string;
  readonly path: string;
  readonly dbOk: boolean | null;
  readonly registryOk: boolean | null;
  readonly chromaOk: boolean | null;
  readonly errors: readonly string[];
  readonly metadata: unknown;
};

const ATOCORE_STAMP = /^(\d{8})T(\d{6})Z$/;

/**
 * Reads a backup from the disk and says what of it is whole.
 * @param stamp an id, or AtoCore's `YYYYMMDDTHHMMSSZ` for the (newest) backup of that second
 * @throws CoraError snapshot_directory_missing, interrupted
 */
export async function validateForAtoCore(vault: Vault, stamp: string, ctx: Context): Promise<ValidatedBackup> {
  const atocore = ATOCORE_STAMP.exec(stamp);
  const second = atocore === null ? undefined : `${atocore[1]}-${atocore[2]}-`;
  const ref = backupsOf(vault).findLast(({ id }) => id === stamp || (second !== undefined && id.startsWith(second)));
  if (ref !== undefined) return validateOwn(vault, ref, ctx);
  const adopted = adoptedOf(vault).findLast(({ id }) => id === stamp);
  if (adopted !== undefined) return validateAdopted(vault, adopted, ctx);
  throw new CoraError('snapshot_directory_missing', `There is no backup ${stamp}`, { hint: 'cora backup list' });
}

async function validateOwn(vault: Vault, ref: SnapshotRef, ctx: Context): Promise<ValidatedBackup> {
  const damaged = await new FileChecker(vault, ctx).checkDirectory(ref);
  const inside = new Map(damaged.map((damage) => [damage.file.slice(ref.directory.length + 1), damage]));
  const { metadata, error } = metadataOf(vault, ref);
  const base = { stamp: ref.id as string, path: `${vault.root}/${ref.directory}`, metadata };
  if (error !== undefined) inside.delete(NAMES.report);
  const unread = [...(error === undefined ? [] : [error])];
  if (metadata === null) return { ...base, dbOk: false, registryOk: null, chromaOk: null, errors: [...unread, ...otherDamage(inside)] };
  const report = metadata as Report;
  const faults = faultsOf(report);
  const chroma = chromaOf(report);
  const registries = report.artefacts?.filter(({ kind }) => kind === 'json') ?? [];
  const archive = [...inside.keys()].find((name) => name.endsWith('-full.tar.gz'));
  for (const { path, plain = true } of report.databases) {
    const damage = inside.get(`${NAMES.db}/${path}`);
    if (damage !== undefined) faults.push(await databaseFault(vault, damage, path));
    else if (!plain && archive !== undefined) faults.push({ code: 'db_snapshot_missing', path, detail: 'the archive that holds it is damaged' });
    inside.delete(`${NAMES.db}/${path}`);
  }
  for (const { path } of registries) {
    const isPlain = existsSync(`${base.path}/${NAMES.critical}/${path}`);
    if (inside.has(`${NAMES.critical}/${path}`) || (!isPlain && archive !== undefined)) faults.push({ code: 'registry_snapshot_missing', path });
  }
  if (chroma !== undefined && archive !== undefined)
    faults.push({ code: 'chroma_snapshot_missing', path: chroma, detail: 'the archive that holds it is damaged' });
  const isClear = (path: string) => !faults.some((fault) => fault.path === path || fault.path?.startsWith(`${path}/`) === true);
  const databases = ownDatabases(report);
  const isMissing = faults.some(({ code }) => code === 'db_snapshot_missing' || code === 'db_open_failed');
  return {
    ...base,
    dbOk: databases.length === 0 && !isMissing ? null : !isMissing && databases.every(({ path }) => isClear(path)),
    registryOk: registries.length === 0 ? null : registries.every(({ path, ok }) => ok && isClear(path)),
    chromaOk: chroma === undefined ? null : isClear(chroma),
    errors: [...unread, ...faults.map(textOf), ...otherDamage(inside)],
  };
}

function otherDamage(inside: ReadonlyMap<string, Damage>): string[] {
  return [...inside].map(([name, { reason }]) => `damaged: ${name}: ${reason}`);
}

/** What SQLite says of a copy whose bytes are not those that were stored. */
async function databaseFault(vault: Vault, { file }: Damage, path: string): Promise<Fault> {
  const absolute = `${vault.root}/${file}`;
  if (!existsSync(absolute)) return { code: 'db_snapshot_missing', path };
  try {
    const { result } = await checkCopy(Buffer.from(absolute), 'integrity_check');
    const detail = result === 'ok' ? 'its bytes are not those that were stored' : (result.split('\n')[0] ?? '');
    return { code: 'db_integrity_check_failed', path, detail };
  } catch (error) {
    return { code: 'db_open_failed', path, detail: messageOf(error) };
  }
}

async function validateAdopted(vault: Vault, snapshot: AdoptedSnapshot, ctx: Context): Promise<ValidatedBackup> {
  const { damaged } = await verifyAdopted(vault, snapshot, ctx);
  const { metadata, error } = metadataOfAdopted(snapshot);
  const directory = toText(snapshot.path);
  const words = /^(?:snapshot|metadata|db|registry|chroma)_[a-z_]+/;
  const below = (name: string) => damaged.some(({ path }) => path === name || path.startsWith(`${name}/`));
  const has = (name: string) => existsSync(`${directory}/${name}`);
  const errors = damaged.map(({ path, reason }) =>
    words.test(reason) ? `${reason}${reason.includes(':') ? '' : `: ${path}`}` : `damaged: ${path}: ${reason}`,
  );
  return {
    stamp: toText(basenameBytes(bytes(fromText(directory)))),
    path: directory,
    metadata,
    dbOk: !below('db'),
    registryOk: has('config') ? !below('config') : null,
    chromaOk: has(CHROMA) || below(CHROMA) ? !below(CHROMA) : null,
    errors: error === undefined || errors.some((one) => one.startsWith(error)) ? errors : [error, ...errors],
  };
}
