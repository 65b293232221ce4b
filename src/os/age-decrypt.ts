// age decryption of a stream, by the program or the library (age.ts). Invariant: both give out what comes before a
// cut or a damaged place, so a file of plaintext gets its name only when all of it was authenticated.

import { createHash } from 'node:crypto';
import { closeSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CoraError, messageOf, writeFailure } from '../base/errors.ts';
import { type AgeOptions, ageProgram, KILLED, startAge, webOf } from './age.ts';
import { type IdentityFile, secretsOf } from './age-keys.ts';
import { syncDirectory, writeAll } from './files.ts';

/** What was decrypted. */
export type Plaintext = { readonly bytes: number; readonly sha256: string };

export type DecryptOptions = AgeOptions & {
  /** Whom the copy was made for (COMPLETE.json): where an identity is among them and does not open it, it is damaged. */
  readonly recipients?: readonly string[];
  /** The ciphertext in messages. */
  readonly name?: string;
};

/**
 * Decrypts into a file: written beside it under another name (mode 0600), synced, and renamed only when everything was authenticated.
 * Nothing stays where it fails.
 * @param path absolute; what stands there is replaced
 * @throws CoraError key_wrong where no identity fits, damaged where the ciphertext is cut or altered, no_space and the like
 */
export async function decryptFile(
  ciphertext: Readable,
  identities: readonly IdentityFile[],
  path: string,
  options: DecryptOptions = {},
): Promise<Plaintext> {
  const partial = `${path}.${process.pid}.part`;
  const fd = create(partial);
  let open = true;
  try {
    const hash = createHash('sha256');
    let bytes = 0;
    const keep = (chunk: Uint8Array) => {
      hash.update(chunk);
      bytes += chunk.length;
      try {
        writeAll(fd, chunk);
      } catch (error) {
        throw writeFailure(error, path);
      }
    };
    await decrypt(ciphertext, identities, keep, options);
    try {
      fsyncSync(fd);
      open = false;
      closeSync(fd);
      renameSync(partial, path);
      syncDirectory(dirname(path));
    } catch (error) {
      throw writeFailure(error, path);
    }
    return { bytes, sha256: hash.digest('hex') };
  } catch (error) {
    if (open) closeSync(fd);
    rmSync(partial, { force: true });
    throw error;
  }
}

function create(path: string): number {
  try {
    rmSync(path, { force: true });
    return openSync(path, 'wx', 0o600);
  } catch (error) {
    throw writeFailure(error, path);
  }
}

/**
 * Decrypts and drops the plaintext: proves that it opens and is whole.
 * @throws as `decryptFile`
 */
export async function decryptNowhere(ciphertext: Readable, identities: readonly IdentityFile[], options: DecryptOptions = {}): Promise<Plaintext> {
  const hash = createHash('sha256');
  let bytes = 0;
  await decrypt(
    ciphertext,
    identities,
    (chunk) => {
      hash.update(chunk);
      bytes += chunk.length;
    },
    options,
  );
  return { bytes, sha256: hash.digest('hex') };
}

/**
 * The first plaintext of a copy, or all of it where it has less; what follows is not looked at. The ciphertext may be the head alone:
 * age authenticates each 64 KiB by itself.
 * @throws as `decryptFile`
 */
export async function decryptHead(
  ciphertext: Readable,
  identities: readonly IdentityFile[],
  bytes: number,
  options: DecryptOptions = {},
): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let length = 0;
  const enough = new CoraError('internal', 'Enough was read');
  const take = (chunk: Uint8Array) => {
    parts.push(chunk);
    length += chunk.length;
    if (length >= bytes) throw enough;
  };
  try {
    await decrypt(ciphertext, identities, take, options);
  } catch (error) {
    if (error !== enough) throw error;
  }
  return Buffer.concat(parts).subarray(0, bytes);
}

/** @param take gets plaintext in order; what it throws ends the decryption and is thrown */
async function decrypt(
  ciphertext: Readable,
  identities: readonly IdentityFile[],
  take: (chunk: Uint8Array) => void,
  options: DecryptOptions,
): Promise<void> {
  const program = ageProgram(options);
  let refusal: unknown;
  const sink = new Writable({
    write(chunk: Buffer, _encoding, callback) {
      try {
        take(chunk);
        callback();
      } catch (error) {
        refusal ??= error;
        callback(error instanceof Error ? error : new Error(messageOf(error)));
      }
    },
  });
  const source = new Source(ciphertext);
  try {
    if (program === undefined) await decryptByLibrary(source, identities, sink, options);
    else await decryptByProgram(program, source, identities, sink, options);
  } catch (error) {
    const failure = refusal ?? source.failure;
    if (options.signal?.aborted === true) throw new CoraError('interrupted', 'Interrupted', { cause: error });
    if (failure !== undefined) throw failure;
    throw error instanceof CoraError ? error : notOpened(error, identities, options);
  }
}

/** Ciphertext that knows what it failed with by itself: a download that broke is no damage, and neither is a reader that has seen enough. */
class Source {
  failure: unknown;
  readonly #stream: Readable;
  #isLeft = false;

  constructor(stream: Readable) {
    this.#stream = stream;
    stream.on('error', () => undefined);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of this.#stream) yield chunk;
    } catch (error) {
      if (!this.#isLeft) this.failure ??= error;
      throw error;
    }
  }

  /** Nobody reads on. */
  leave(): void {
    this.#isLeft = true;
    this.#stream.destroy();
  }
}

async function decryptByProgram(
  program: string,
  ciphertext: Source,
  identities: readonly IdentityFile[],
  sink: Writable,
  { signal }: DecryptOptions,
): Promise<void> {
  const age = startAge(program, ['--decrypt', ...identities.flatMap(({ path }) => ['--identity', path])], signal);
  // It stops reading at the first thing that is wrong: what it says about it counts, not the broken pipe.
  const fed = pipeline(withHeader(ciphertext), age.input).catch(() => undefined);
  try {
    await pipeline(age.output, sink);
  } finally {
    age.stop();
    ciphertext.leave();
    await fed;
  }
}

async function decryptByLibrary(ciphertext: Source, identities: readonly IdentityFile[], sink: Writable, { signal }: DecryptOptions): Promise<void> {
  const { Decrypter } = await import('age-encryption');
  const decrypter = new Decrypter();
  for (const secret of identities.flatMap(secretsOf)) decrypter.addIdentity(secret);
  signal?.throwIfAborted();
  const leave = () => ciphertext.leave();
  signal?.addEventListener('abort', leave, { once: true });
  try {
    await pipeline(await decrypter.decrypt(webOf(withHeader(ciphertext))), sink, ...(signal === undefined ? [] : [{ signal }]));
  } finally {
    signal?.removeEventListener('abort', leave);
    leave();
  }
}

/** More than any header has. */
const HEADER_BYTES = 256 << 10;

/** Ciphertext that begins with a header: both implementations look for its end in the whole of a file of zeros, and keep all of it. */
async function* withHeader(ciphertext: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let head: Buffer | undefined = Buffer.alloc(0);
  for await (const chunk of ciphertext) {
    if (head === undefined) {
      yield chunk;
      continue;
    }
    head = Buffer.concat([head, chunk]);
    const isWhole = head.includes('\n--- ');
    if (!isWhole && head.length < HEADER_BYTES) continue;
    if (!isWhole || !head.subarray(0, 19).equals(Buffer.from('age-encryption.org/'))) throw new Error('there is no age header');
    yield head;
    head = undefined;
  }
  if (head !== undefined) yield head;
}

function notOpened(error: unknown, identities: readonly IdentityFile[], { recipients = [], name = 'The encrypted copy' }: DecryptOptions): CoraError {
  const reason = messageOf(error);
  const paths = identities.map(({ path }) => path).join(', ');
  if (/no identity matched/.test(reason)) {
    const isMeant = identities.some((file) => file.recipients.some((recipient) => recipients.includes(recipient)));
    if (isMeant)
      return new CoraError('damaged', `${name} is damaged: its head does not open with the identity that it was made for`, { cause: error });
    return new CoraError('key_wrong', `${name} does not open with ${paths}: it was encrypted for another key`, {
      hint: 'name the right identity with --identity FILE; cora key show FILE prints what a key belongs to',
      cause: error,
    });
  }
  if (reason.startsWith(KILLED) || identities.some(({ path }) => reason.includes(path))) {
    return new CoraError('io', `age could not decrypt: ${reason}`, { cause: error });
  }
  return new CoraError('damaged', `${name} is damaged or cut: ${reason}`, { hint: 'take another copy', cause: error });
}
