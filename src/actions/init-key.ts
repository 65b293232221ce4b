// The key of `cora init`: made or taken, and its recipient written. `--undo` takes the
// recipient out of the configuration again; the identity itself is never removed, because copies may need it.

import { dirname } from 'node:path';
import type { Context } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import { readIdentityFile } from '../os/age-keys.ts';
import { exists, readTextIfThere } from '../os/files.ts';
import { readInitRecord, sha256, stateOfFile, type WrittenRecipient, writeInitRecord } from '../vault/init-record.ts';
import type { Vault } from '../vault/vault.ts';
import type { InitMachine } from './init-detect.ts';
import { missingDirectories } from './init-plan.ts';
import { addRecipient, type RecipientPlace, recipientInsertion, recipientPlace, replaceText, withRecipient } from './key-config.ts';
import { newKey } from './key-new.ts';
import { type KeyPlace, usualIdentity } from './key-place.ts';
import type { ProjectFacts } from './open-project.ts';

export type InitKey = { readonly path: string; readonly recipient: string; readonly config: string; readonly made: boolean };

/**
 * Makes the key, or takes the one that is there, and writes its recipient.
 * @throws CoraError where `newKey` or `recipientPlace` do
 */
export async function makeInitKey(project: ProjectFacts, vault: Vault, machine: InitMachine, ctx: Context): Promise<InitKey> {
  const place: KeyPlace = { project, vault: vault.root, home: machine.home };
  const path = usualIdentity(place);
  const config = await recipientPlace(project, machine);
  const made = !exists(path);
  const recipient = made ? (await newKey(path, place, undefined, ctx)).recipient : (await readIdentityFile(path)).recipients[0];
  if (recipient === undefined) throw new CoraError('key_wrong', `${path} holds no age identity`);
  recordRecipient(vault, path, config, recipient, ctx);
  addRecipient(config, recipient);
  return { path, recipient, config: config.path, made };
}

/** Before it is written, as all that init does. */
function recordRecipient(vault: Vault, key: string, { path, before }: RecipientPlace, recipient: string, ctx: Context): void {
  const now = readInitRecord(vault, ctx.now());
  const file = { path, sha256: sha256(withRecipient(before, recipient)) };
  const isOurs = before === undefined || now.files.some((one) => one.path === path && stateOfFile(one) === 'same');
  if (!isOurs) {
    writeInitRecord(vault, { ...now, key, recipient: { path, inserted: recipientInsertion(before ?? '', recipient).text } });
    return;
  }
  const directories = before === undefined ? missingDirectories(dirname(path)) : [];
  writeInitRecord(vault, {
    ...now,
    key,
    files: [...now.files.filter((one) => one.path !== path), file],
    directories: [...new Set([...now.directories, ...directories])],
  });
}

/** True where the line stands there as it was written. */
export function isRecipientThere({ path, inserted }: WrittenRecipient): boolean {
  return readTextIfThere(path)?.includes(inserted) === true;
}

/** Takes out what was put in, and leaves the rest of the file as it is. */
export function removeRecipient({ path, inserted }: WrittenRecipient): void {
  const text = readTextIfThere(path) ?? '';
  const at = text.lastIndexOf(inserted);
  if (at >= 0) replaceText(path, text.slice(0, at) + text.slice(at + inserted.length), true);
}
