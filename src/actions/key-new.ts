// `cora key new`: a new age identity in a file of its own, and its recipient in the configuration of this machine. Invariant: a
// key that exists is never written over, and a recipient that is configured is never replaced.

import { dirname } from 'node:path';
import type { Context } from '../base/context.ts';
import { CoraError, errnoOf, messageOf } from '../base/errors.ts';
import { makeIdentity } from '../os/age-keys.ts';
import { makeDirectories, syncDirectory, writeNewFile } from '../os/files.ts';
import { addRecipient, type RecipientPlace } from './key-config.ts';
import { type KeyPlace, refuseIdentityAt } from './key-place.ts';

export type NewKey = {
  readonly path: string;
  readonly recipient: string;
  /** Where its recipient was written; undefined where nobody asked for that. */
  readonly config: RecipientPlace | undefined;
};

/**
 * Makes a key.
 * @param path absolute
 * @param config where its recipient goes (`recipientPlace`); looked at before the key is made
 * @throws CoraError target_exists, refused (a place that is none for a key), io
 */
export async function newKey(path: string, place: KeyPlace, config: RecipientPlace | undefined, ctx: Context): Promise<NewKey> {
  refuseIdentityAt(path, place);
  const { secret, recipient } = await makeIdentity();
  const made = new Date(ctx.now()).toISOString();
  // As age-keygen writes it: both comments are what people look for.
  const text = `# created: ${made}\n# public key: ${recipient}\n${secret}\n`;
  try {
    makeDirectories('', dirname(path));
    writeNewFile(path, text);
    syncDirectory(dirname(path));
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') {
      throw new CoraError('target_exists', `There is a key at ${path} already, and it is never written over`, {
        hint: `cora key show ${path} prints the recipient to write below [offsite]; or name another file with --out`,
      });
    }
    throw new CoraError('io', `The key cannot be written to ${path}: ${messageOf(error)}`, { hint: 'name another file with --out', cause: error });
  }
  if (config !== undefined) addRecipient(config, recipient);
  return { path, recipient, config };
}
