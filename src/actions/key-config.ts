// The recipient in the configuration: one line in the file of this machine that counts, added without touching the others.
// Invariant: what is written is read first as Cora would read it, and differs from what was there by the recipient alone.

import { chmodSync, chownSync, closeSync, fsyncSync, openSync, realpathSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { type PartialConfig, parseConfig } from '../base/config.ts';
import { CoraError, messageOf } from '../base/errors.ts';
import { makeDirectories, readTextIfThere, syncDirectory, writeAll } from '../os/files.ts';
import type { ProjectFacts } from './open-project.ts';

/** A configuration file that will name the recipient. */
export type RecipientPlace = {
  readonly path: string;
  /** What is there now; undefined where there is no such file. */
  readonly before: string | undefined;
};

/** The line to write by hand. */
export function recipientLine(recipient: string): string {
  return `recipients = ["${recipient}"]`;
}

/**
 * The file of this machine that counts for a project: the one that was read, else the one that would be.
 * @throws CoraError refused where there are recipients already or none can be added; config_invalid, usage without a home
 */
export async function recipientPlace(
  project: ProjectFacts,
  machine: { readonly uid: number; readonly home: string | undefined },
): Promise<RecipientPlace> {
  const read = Object.keys(project.owners ?? {}).find((name) => name.startsWith('/'));
  const own = machine.home === undefined ? undefined : `${machine.home}/.config/cora/${project.name}.toml`;
  const path = read ?? (machine.uid === 0 ? `/etc/cora/${project.name}.toml` : own);
  if (path === undefined) throw new CoraError('usage', 'HOME is not set, so there is no place for the recipient', { hint: 'set HOME' });
  const before = readTextIfThere(path);
  const { offsite } = await parseConfig(before ?? '', path);
  if (project.config.offsite.recipients.length > 0 || (offsite?.recipients ?? []).length > 0) {
    throw new CoraError('refused', `${project.name} has recipients already`, {
      hint: 'without --write the new key is made, and you decide which recipients copies are for from now on (docs/keys.md)',
    });
  }
  if (!(await addsOnly(before ?? '', withRecipient(before, SAMPLE), SAMPLE, path))) {
    throw new CoraError('refused', `A recipient cannot be added to ${path} by itself: its [offsite] is written in another way`, {
      hint: 'cora key new without --write makes the key and prints the line to write there',
    });
  }
  return { path, before };
}

/** Stands for a recipient while it is tried whether one can be added. */
const SAMPLE = 'age1sample';

/** What is put into a file that is there, and where. */
export function recipientInsertion(before: string, recipient: string): { readonly at: number; readonly text: string } {
  const line = `${recipientLine(recipient)}\n`;
  const header = /^[ \t]*\[[ \t]*offsite[ \t]*\][^\n]*(?:\n|$)/m.exec(before);
  if (header === null) return { at: before.length, text: `${before === '' || before.endsWith('\n') ? '' : '\n'}\n[offsite]\n${line}` };
  return { at: header.index + header[0].length, text: `${header[0].endsWith('\n') ? '' : '\n'}${line}` };
}

/** The text with the recipient added. */
export function withRecipient(before: string | undefined, recipient: string): string {
  if (before === undefined)
    return `# Written by Cora (docs/keys.md). Only the identity of a recipient opens the copies.\n[offsite]\n${recipientLine(recipient)}\n`;
  const { at, text } = recipientInsertion(before, recipient);
  return before.slice(0, at) + text + before.slice(at);
}

/** @throws CoraError io; the key is made by then */
export function addRecipient({ path, before }: RecipientPlace, recipient: string): void {
  const after = withRecipient(before, recipient);
  try {
    replaceText(path, after, before !== undefined);
  } catch (error) {
    throw new CoraError('io', `${path} cannot be written: ${messageOf(error)}`, {
      hint: `the key is made; write into its [offsite]: ${recipientLine(recipient)}`,
      cause: error,
    });
  }
}

/** True where the new text says what the old one did, and names the recipient. */
async function addsOnly(before: string, after: string, recipient: string, path: string): Promise<boolean> {
  let read: PartialConfig;
  try {
    read = await parseConfig(after, path);
  } catch {
    return false;
  }
  const { recipients, ...offsite } = read.offsite ?? {};
  const old = await parseConfig(before, path);
  const { recipients: none, ...oldOffsite } = old.offsite ?? {};
  const named = recipients?.length === 1 && recipients[0] === recipient && (none ?? []).length === 0;
  return named && isDeepStrictEqual({ ...read, offsite }, { ...old, offsite: oldOffsite });
}

/** By rename, with the mode and the owner that the file had. */
export function replaceText(path: string, text: string | Uint8Array, isThere: boolean): void {
  if (!isThere) makeDirectories('', dirname(path));
  const real = isThere ? realpathSync(path) : path;
  const temporary = `${real}.${process.pid}.new`;
  const fd = openSync(temporary, 'wx', 0o600);
  try {
    try {
      writeAll(fd, typeof text === 'string' ? Buffer.from(text) : text);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    if (isThere) {
      const { mode, uid, gid } = statSync(real);
      if (process.geteuid?.() === 0) chownSync(temporary, uid, gid);
      chmodSync(temporary, mode & 0o7777);
    } else chmodSync(temporary, 0o644);
    renameSync(temporary, real);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  syncDirectory(dirname(real));
}
