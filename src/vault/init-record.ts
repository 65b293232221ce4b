// What `cora init` did to a project and its machine, kept in the vault so that `init --undo` can take it
// back: `ledger/init.json`. Written before each change. Invariant: what is not in the record is never undone.

import { createHash } from 'node:crypto';
import { lstatSync, readFileSync, rmSync } from 'node:fs';
import { exists, readTextIfThere, replaceFile } from '../os/files.ts';
import { NAMES } from './layout.ts';
import type { Vault } from './vault.ts';

/** A file that was not there before. */
export type WrittenFile = { readonly path: string; readonly sha256: string };

/** A recipient that was added to a file of the user's: exactly this text. */
export type WrittenRecipient = { readonly path: string; readonly inserted: string };

/** A file of the project that has something for AI assistants in it. */
export type WrittenForAgents = {
  readonly path: string;
  readonly kind: 'settings' | 'block' | 'file';
  /** True where there was no file. */
  readonly made: boolean;
  /** What was put in; of a file that was made, the whole of it. */
  readonly inserted: readonly string[];
};

export type InitRecord = {
  readonly schema: 1;
  /** RFC 3339, of the first run that did something. */
  readonly made_at: string;
  readonly files: readonly WrittenFile[];
  /** Directories that were not there before; those above come first. */
  readonly directories: readonly string[];
  /** True where init put the hook in. */
  readonly hooks: boolean;
  /** Where init installed timers; null where it did not. */
  readonly timers: { readonly user: boolean; readonly unit_directory: string | null } | null;
  readonly recipient?: WrittenRecipient | null;
  readonly agents?: readonly WrittenForAgents[];
  /** The identity file that was made or taken; it is never removed. */
  readonly key?: string;
};

const isText = (value: unknown): boolean => typeof value === 'string';
const isObject = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null && !Array.isArray(value);
const listOf = (isOne: (value: unknown) => boolean) => (value: unknown) => Array.isArray(value) && value.every(isOne);

/** A field that is not what it must be counts as not there: what is not in the record is never undone. */
const SHAPES: Readonly<Record<string, (field: unknown) => boolean>> = {
  made_at: isText,
  files: listOf((one) => isObject(one) && isText(one['path']) && isText(one['sha256'])),
  directories: listOf(isText),
  hooks: (field) => typeof field === 'boolean',
  timers: (field) =>
    field === null ||
    (isObject(field) && typeof field['user'] === 'boolean' && (field['unit_directory'] === null || isText(field['unit_directory']))),
  recipient: (field) => field === null || (isObject(field) && isText(field['path']) && isText(field['inserted'])),
  agents: listOf(
    (one) => isObject(one) && isText(one['path']) && isText(one['kind']) && typeof one['made'] === 'boolean' && listOf(isText)(one['inserted']),
  ),
  key: isText,
};

/** The record; an empty one where there is none. */
export function readInitRecord(vault: Vault, now: number): InitRecord {
  const empty: InitRecord = { schema: 1, made_at: new Date(now).toISOString(), files: [], directories: [], hooks: false, timers: null };
  try {
    const value: unknown = JSON.parse(readTextIfThere(`${vault.root}/${NAMES.init}`) ?? 'null');
    if (typeof value !== 'object' || value === null || !('schema' in value)) return empty;
    return { ...empty, ...Object.fromEntries(Object.entries(value).filter(([key, field]) => SHAPES[key]?.(field) ?? true)) };
  } catch {
    // A damaged record undoes nothing; hooks and timers have their own `remove`.
    return empty;
  }
}

export function hasInitRecord(vault: Vault): boolean {
  return exists(`${vault.root}/${NAMES.init}`);
}

export function writeInitRecord(vault: Vault, record: InitRecord): void {
  replaceFile(`${vault.root}/${NAMES.init}`, `${JSON.stringify(record, null, 2)}\n`, true);
}

/** True where nothing is left to undo. A key alone needs no record: it stays anyway. */
export function isUndone({ files, hooks, timers, recipient, agents }: InitRecord): boolean {
  return files.length === 0 && !hooks && timers === null && (recipient ?? null) === null && (agents ?? []).length === 0;
}

export function removeInitRecord(vault: Vault): void {
  rmSync(`${vault.root}/${NAMES.init}`, { force: true });
}

export function sha256(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

/**
 * `same` as it was written, `edited` since, or `gone`; `begun` where init was killed between making the file and writing it: it is
 * empty, and has the mode that no file of init keeps.
 */
export function stateOfFile(file: WrittenFile): 'same' | 'begun' | 'edited' | 'gone' {
  const stat = lstatSync(file.path, { throwIfNoEntry: false });
  if (stat === undefined) return 'gone';
  if (!stat.isFile()) return 'edited';
  if (stat.size === 0 && (stat.mode & 0o7777) === 0o600) return 'begun';
  return sha256(readFileSync(file.path)) === file.sha256 ? 'same' : 'edited';
}
