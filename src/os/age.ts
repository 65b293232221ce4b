// age encryption of a stream: by the age program where it is installed (1.3 GB/s), else by the library (60 to 100
// MB/s), both in constant memory. Invariant: ciphertext ends only where plaintext was ended and all of it was
// encrypted; whatever fails or is given up destroys it, so that no upload of a part looks whole.

import { PassThrough, type Readable, Transform, Writable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { ReadableStream } from 'node:stream/web';
import { CoraError, messageOf } from '../base/errors.ts';
import { checkRecipients } from './age-keys.ts';
import { type Piped, type PipedEnd, startPiped } from './piped.ts';
import { findProgram } from './run.ts';

export type AgeOptions = {
  readonly signal?: AbortSignal | undefined;
  /** The age program; `null`: the library, also where the program is installed. Default: what is found. */
  readonly program?: string | null;
};

/** The program to use; undefined for the library. */
export function ageProgram({ program }: AgeOptions): string | undefined {
  return program === undefined ? findProgram('age') : (program ?? undefined);
}

/** An encryption under way. */
export type Encryption = {
  /** Takes plaintext. `end()` completes it; `destroy()` ends it so that nothing looks complete. */
  readonly plaintext: Writable;
  /** Ends only after age ended well and all was given out; else it is destroyed with the error. */
  readonly ciphertext: Readable;
  /** Settles with `ciphertext`: rejects where encryption failed or was given up, so that an upload can be killed. */
  readonly done: Promise<void>;
};

/**
 * Starts to encrypt for recipients.
 * @throws CoraError config_invalid where one is none
 */
export async function startEncrypt(recipients: readonly string[], options: AgeOptions = {}): Promise<Encryption> {
  await checkRecipients(recipients);
  const program = ageProgram(options);
  return program === undefined ? encryptByLibrary(recipients, options) : encryptByProgram(program, recipients, options);
}

function encryptByProgram(program: string, recipients: readonly string[], { signal }: AgeOptions): Encryption {
  const age = startAge(program, ['--encrypt', ...recipients.flatMap((recipient) => ['--recipient', recipient])], signal);
  const ciphertext = age.output;
  const plaintext = new Writable({
    write(chunk: Buffer, _encoding, callback) {
      age.input.write(chunk, (error) => {
        if (error === null || error === undefined) return callback();
        // The pipe broke because the program has ended: what it said is the reason.
        age.stop();
        void age.failure.then(callback);
      });
    },
    final: (callback) => void age.input.end(callback),
    destroy(error, callback) {
      // An end of input that nobody asked for would make a short copy that looks whole.
      if (!plaintext.writableFinished) {
        age.stop();
        ciphertext.destroy(error ?? new Error('it was given up'));
      }
      callback(error);
    },
  });
  ciphertext.once('close', () => {
    if (ciphertext.readableEnded) return;
    age.stop();
    plaintext.destroy();
  });
  return tied(plaintext, ciphertext, signal);
}

async function encryptByLibrary(recipients: readonly string[], { signal }: AgeOptions): Promise<Encryption> {
  const { Encrypter } = await import('age-encryption');
  const encrypter = new Encrypter();
  for (const recipient of recipients) encrypter.addRecipient(recipient);
  const plaintext = new PassThrough();
  const ciphertext = new PassThrough();
  const source = await encrypter.encrypt(webOf(plaintext));
  pipeline(source, ciphertext, ...(signal === undefined ? [] : [{ signal }])).catch(() => plaintext.destroy());
  return tied(plaintext, ciphertext, signal);
}

function tied(plaintext: Writable, ciphertext: Readable, signal: AbortSignal | undefined): Encryption {
  // Either may fail when nobody listens yet, or any more: `done` tells.
  for (const stream of [plaintext, ciphertext]) stream.on('error', () => undefined);
  const done = finished(ciphertext, { writable: false }).catch((error: unknown) => {
    throw encryptionFailure(error, signal);
  });
  done.catch(() => undefined);
  return { plaintext, ciphertext, done };
}

function encryptionFailure(error: unknown, signal: AbortSignal | undefined): CoraError {
  if (signal?.aborted === true) return new CoraError('interrupted', 'Interrupted', { cause: error });
  if (error instanceof CoraError) return error;
  return new CoraError('io', `age could not encrypt: ${messageOf(error)}`, { hint: 'age --version shows whether it works', cause: error });
}

/** An age program that works. */
export type AgeProgram = {
  readonly input: Writable;
  /** What it gives out; ends only where the program ended well, and fails with its reason else. */
  readonly output: Readable;
  /** Its reason, where it has one, once it has ended. */
  readonly failure: Promise<Error>;
  /** Ends it, and leaves what it still had to say unread. Safe to call at any time. */
  stop(): void;
};

export function startAge(program: string, args: readonly string[], signal: AbortSignal | undefined): AgeProgram {
  const { stdin, stdout, ended, stop }: Piped = startPiped(program, args, { stdin: 'pipe', signal });
  const input = stdin as Writable;
  input.on('error', () => undefined);
  const output = new Transform({
    transform: (chunk: Buffer, _encoding, callback) => callback(null, chunk),
    flush: (callback) => void ended.then((end) => callback(end.exitCode === 0 ? null : new Error(reasonOf(end))), callback),
  });
  const failure = ended.then(
    (end) => new Error(reasonOf(end)),
    (error: unknown) => (error instanceof Error ? error : new Error(String(error))),
  );
  stdout.pipe(output);
  stdout.once('close', () => {
    if (!stdout.readableEnded) void failure.then((error) => output.destroy(error));
  });
  return {
    input,
    output,
    failure,
    stop() {
      stop();
      stdout.destroy();
    },
  };
}

/** The program's own words without its name and its advice. */
function reasonOf({ exitCode, signal, stderr }: PipedEnd): string {
  if (signal !== null) return `${KILLED} ${signal}`;
  const line = /^age: error: (.*)$/m.exec(stderr)?.[1];
  return line ?? (stderr === '' ? `it ended with ${exitCode}` : stderr.slice(0, 300));
}

/** How the reason begins where a signal ended the program. */
export const KILLED = 'it was ended by';

/** The stream as the library takes it; not Readable.toWeb, which throws where nobody catches when it is left in the middle. */
export function webOf(source: AsyncIterable<Uint8Array>): WebStream {
  return ReadableStream.from<Uint8Array>(source) as WebStream;
}

type WebStream = globalThis.ReadableStream<Uint8Array>;
