// age keys: recipients (public, `age1...`) and identities (secret, `AGE-SECRET-KEY-1...`), by the library's own
// checks. Invariant: a secret leaves this module only in a new identity's text and in what reads one file for
// decryption; no error, argument or log carries it.

import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { CoraError, errnoOf, messageOf } from '../base/errors.ts';

/** An identity file that was read and may be used. */
export type IdentityFile = {
  readonly path: string;
  /** What copies are encrypted for, one for each identity in the file. */
  readonly recipients: readonly string[];
};

/** Not in the object itself, which may be shown or logged. */
const SECRETS = new WeakMap<IdentityFile, readonly string[]>();

const RECIPIENT = /^age1[02-9ac-hj-np-z]{58}$/;
const IDENTITY = /^AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}$/;
/** An identity file is a few lines; what is larger is another file. */
const MOST_BYTES = 1 << 20;

/**
 * Why a text is no recipient that both the age program and the library encrypt for; undefined where it is one.
 * Keys of plugins, ssh and the post-quantum kind are refused: not every age opens them.
 */
export async function whyNoRecipient(text: string): Promise<string | undefined> {
  if (text.startsWith('AGE-SECRET-KEY-')) return 'this is a secret identity; the recipient begins with age1 (cora key show)';
  if (!RECIPIENT.test(text)) return 'a recipient is age1 and 58 more characters (cora key show)';
  const { Encrypter } = await import('age-encryption');
  try {
    const encrypter = new Encrypter();
    encrypter.addRecipient(text);
    await encrypter.encrypt(new Uint8Array());
    return undefined;
  } catch {
    return 'its checksum is wrong: a character was mistyped or lost';
  }
}

/** @throws CoraError config_invalid at the first that is no recipient, and where there is none */
export async function checkRecipients(recipients: readonly string[]): Promise<void> {
  if (recipients.length === 0) throw new CoraError('config_invalid', 'There is no recipient to encrypt for', { hint: 'cora key new makes one' });
  for (const recipient of recipients) {
    const reason = await whyNoRecipient(recipient);
    if (reason === undefined) continue;
    const name = recipient.startsWith('age1') ? recipient : 'A recipient';
    throw new CoraError('config_invalid', `${name} is not valid: ${reason}`, { hint: 'correct recipients in [offsite]' });
  }
}

/** A new identity, and the recipient that belongs to it. `secret` must go nowhere but into its file. */
export async function makeIdentity(): Promise<{ readonly secret: string; readonly recipient: string }> {
  const { generateX25519Identity, identityToRecipient } = await import('age-encryption');
  const secret = await generateX25519Identity();
  return { secret, recipient: await identityToRecipient(secret) };
}

/**
 * Reads an identity file: lines that begin with AGE-SECRET-KEY-1, and comments. Not one that others may read.
 * @param path absolute
 * @throws CoraError not_found, refused (its mode, a passphrase), key_wrong where it holds no identity or a mistyped one
 */
export async function readIdentityFile(path: string): Promise<IdentityFile> {
  const secrets: string[] = [];
  for (const [index, line] of readPrivate(path).split(/\r?\n/).entries()) {
    if (line === '' || line.startsWith('#')) continue;
    if (!IDENTITY.test(line)) throw malformed(path, index + 1, line);
    secrets.push(line);
  }
  if (secrets.length === 0) {
    throw new CoraError('key_wrong', `${path} holds no age identity`, {
      hint: 'a line of it must begin with AGE-SECRET-KEY-1; cora key new makes one',
    });
  }
  const { identityToRecipient } = await import('age-encryption');
  const recipients = await Promise.all(
    secrets.map(async (secret, index) => {
      try {
        return await identityToRecipient(secret);
      } catch {
        // The library's error may quote what it was given.
        throw new CoraError('key_wrong', `${path}: the checksum of ${secrets.length === 1 ? 'the identity' : `identity ${index + 1}`} is wrong`, {
          hint: 'a character was mistyped or lost: compare it with the paper key',
        });
      }
    }),
  );
  const file = { path, recipients };
  SECRETS.set(file, secrets);
  return file;
}

/** SECRET: the identities of a file, for decryption and for a paper key. */
export function secretsOf(file: IdentityFile): readonly string[] {
  return SECRETS.get(file) ?? [];
}

function malformed(path: string, line: number, text: string): CoraError {
  if (text.startsWith('age-encryption.org/') || text.startsWith('-----BEGIN AGE ENCRYPTED FILE')) {
    return new CoraError('refused', `The identity file ${path} is protected by a passphrase, which Cora cannot ask for`, {
      hint: 'age -d FILE > OPENED (umask 077), use that one, and remove it afterwards',
    });
  }
  if (text.startsWith('age1')) {
    return new CoraError('key_wrong', `${path} holds a recipient, not an identity: it can lock and not open`, {
      hint: 'the identity is the line that begins with AGE-SECRET-KEY-1',
    });
  }
  return new CoraError('key_wrong', `${path}: line ${line} is not an age identity`, {
    hint: 'an identity is one line: AGE-SECRET-KEY-1 and 58 more characters, in capitals and without blanks; other lines begin with #',
  });
}

/** The text of a file that nobody but its owner may read. */
function readPrivate(path: string): string {
  let fd: number;
  try {
    // Without O_NONBLOCK a FIFO of that name would hold us for ever.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') {
      throw new CoraError('not_found', `There is no identity file ${path}`, {
        hint: 'name it with --identity FILE; without it no encrypted copy opens',
      });
    }
    throw new CoraError('io', `The identity file ${path} cannot be read: ${messageOf(error)}`, { cause: error });
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile() || stat.size > MOST_BYTES) throw new CoraError('key_wrong', `${path} is not an identity file`, { hint: 'name the right one' });
    if ((stat.mode & 0o077) !== 0) {
      throw new CoraError('refused', `Others may read the identity file ${path}`, { hint: `chmod 600 ${path}` });
    }
    const content = Buffer.alloc(stat.size);
    const length = readSync(fd, content, 0, content.length, 0);
    return content.toString('latin1', 0, length);
  } finally {
    closeSync(fd);
  }
}
