// Encryption and decryption of streams: the age program and the library understand each other, nothing that is cut,
// altered or given up looks whole, and a wrong key is told from damage.

import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startEncrypt } from '../src/os/age.ts';
import { type DecryptOptions, decryptFile, decryptHead, decryptNowhere } from '../src/os/age-decrypt.ts';
import { checkRecipients, type IdentityFile, makeIdentity, readIdentityFile, whyNoRecipient } from '../src/os/age-keys.ts';
import { findProgram, runSync } from '../src/os/run.ts';

const age = findProgram('age');
const SLOW = process.env['CORA_TEST_SLOW'] === '1';
const directory = mkdtempSync(join(tmpdir(), 'cora-age-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** The two implementations; the program's cases are skipped by name where it is not installed. */
const IMPLEMENTATIONS = [
  { name: 'the age program', program: age ?? null, missing: age === undefined },
  { name: 'the library', program: null, missing: false },
] as const;
const CHUNK = 65_536;

let [own, other]: IdentityFile[] = [];
let secret = '';
const mine = () => own as IdentityFile;
const foreign = () => other as IdentityFile;
const recipients = () => mine().recipients;

async function identityFile(name: string): Promise<IdentityFile> {
  const made = await makeIdentity();
  const path = join(directory, name);
  writeFileSync(path, `# created: today\n# public key: ${made.recipient}\n${made.secret}\n`, { mode: 0o600 });
  return readIdentityFile(path);
}

beforeAll(async () => {
  own = await identityFile('own.txt');
  other = await identityFile('other.txt');
  secret = /^AGE-SECRET-KEY-.*$/m.exec(readFileSync(mine().path, 'utf8'))?.[0] ?? '';
});

async function encrypt(content: Uint8Array, program: string | null, to: readonly string[] = recipients()): Promise<Buffer> {
  const { plaintext, ciphertext, done } = await startEncrypt(to, { program });
  const [encrypted] = await Promise.all([buffer(ciphertext), pipeline(Readable.from([content]), plaintext), done]);
  return encrypted;
}

/** Never more than 10 kB at once, as from a network. */
function inParts(content: Uint8Array): Readable {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < content.length; at += 10_000) parts.push(content.subarray(at, at + 10_000));
  return Readable.from(parts);
}

const codeOf = async (work: Promise<unknown>) => {
  try {
    await work;
    return 'opened';
  } catch (error) {
    expect(String((error as Error).stack)).not.toContain(secret);
    return (error as { code?: string }).code ?? String(error);
  }
};

for (const by of IMPLEMENTATIONS) {
  describe.skipIf(by.missing)(`with ${by.name}`, () => {
    const { program } = by;

    test.each([0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 1_000_000])('%i bytes come back, opened by both', async (size) => {
      const content = randomBytes(size);
      const encrypted = await encrypt(content, program);
      for (const reader of IMPLEMENTATIONS.filter(({ missing }) => !missing)) {
        const path = join(directory, 'back');
        const result = await decryptFile(inParts(encrypted), [mine()], path, { program: reader.program });
        expect(readFileSync(path).equals(content)).toBe(true);
        expect(result).toEqual({ bytes: size, sha256: createHash('sha256').update(content).digest('hex') });
      }
      if (age === undefined) return;
      const byHand = runSync(age, ['-d', '-i', mine().path], { input: encrypted });
      expect(byHand.stdout.equals(content), byHand.stderr).toBe(true);
    });

    test('a copy for two opens with either, and with both given in any order', async () => {
      const encrypted = await encrypt(Buffer.from('both'), program, [...recipients(), ...foreign().recipients]);
      for (const identities of [[mine()], [foreign()], [foreign(), mine()]]) {
        expect((await decryptHead(inParts(encrypted), identities, 100, { program })).toString()).toBe('both');
      }
    });

    test('a cut anywhere is damage, and leaves no file', async () => {
      const content = randomBytes(3 * CHUNK + 500);
      const encrypted = await encrypt(content, program);
      const body = encrypted.length - (content.length + 4 * 16) - 16;
      const places = [
        0,
        1,
        10,
        30,
        100,
        body - 1,
        body,
        body + 5,
        body + 16,
        body + 17,
        body + 16 + 1000,
        body + 16 + CHUNK + 15,
        body + 16 + CHUNK + 16,
      ];
      for (const length of [...places, body + 16 + CHUNK + 17, body + 16 + 3 * (CHUNK + 16), encrypted.length - 1]) {
        const path = join(directory, 'cut');
        expect(`${length} ${await codeOf(decryptFile(inParts(encrypted.subarray(0, length)), [mine()], path, { program }))}`).toBe(
          `${length} damaged`,
        );
        expect(readdirSync(directory).filter((name) => name.startsWith('cut'))).toEqual([]);
      }
    });

    test('an altered byte or one too many is damage', async () => {
      const encrypted = await encrypt(randomBytes(2 * CHUNK), program);
      for (const at of [3, 30, encrypted.length - 2 * CHUNK, encrypted.length - 5]) {
        const altered = Buffer.from(encrypted);
        altered[at] = (altered[at] ?? 0) ^ 1;
        expect(`${at} ${await codeOf(decryptNowhere(inParts(altered), [mine()], { program, recipients: recipients() }))}`).toBe(`${at} damaged`);
      }
      expect(await codeOf(decryptNowhere(inParts(Buffer.concat([encrypted, Buffer.from('x')])), [mine()], { program }))).toBe('damaged');
      const started = { bytes: 0 };
      for (const head of [Buffer.alloc(0), encrypted.subarray(0, 40)]) {
        started.bytes = 0;
        expect(await codeOf(decryptNowhere(Readable.from(zerosAfter(head, started)), [mine()], { program }))).toBe('damaged');
        // It is given up at once, not after all of it is in memory.
        expect(started.bytes).toBeLessThan(8 << 20);
      }
    });

    test('a wrong key is told from damage, and leaves no file', async () => {
      const encrypted = await encrypt(randomBytes(200_000), program);
      const open = (options: DecryptOptions) => decryptFile(inParts(encrypted), [foreign()], join(directory, 'wrong'), options);
      expect(await codeOf(open({ program }))).toBe('key_wrong');
      expect(await codeOf(open({ program, recipients: recipients() }))).toBe('key_wrong');
      expect(await codeOf(open({ program, recipients: foreign().recipients }))).toBe('damaged');
      expect(readdirSync(directory).filter((name) => name.startsWith('wrong'))).toEqual([]);
    });

    test('what stood at the target stays until all of it is there', async () => {
      const path = join(directory, 'kept');
      writeFileSync(path, 'before');
      const encrypted = await encrypt(randomBytes(200_000), program);
      expect(await codeOf(decryptFile(inParts(encrypted.subarray(0, 150_000)), [mine()], path, { program }))).toBe('damaged');
      expect(readFileSync(path, 'utf8')).toBe('before');
    });

    test('a download that fails is no damage', async () => {
      const encrypted = await encrypt(randomBytes(500_000), program);
      const source = new PassThrough();
      source.write(encrypted.subarray(0, 200_000));
      setTimeout(() => source.destroy(Object.assign(new Error('network gone'), { code: 'ECONNRESET' })), 50);
      expect(await codeOf(decryptNowhere(source, [mine()], { program }))).toBe('ECONNRESET');
    });

    test('the head of a copy opens without the rest', async () => {
      const content = randomBytes(10 * CHUNK);
      const encrypted = await encrypt(content, program);
      expect(
        (await decryptHead(inParts(encrypted.subarray(0, 3 * CHUNK)), [mine()], 100_000, { program })).equals(content.subarray(0, 100_000)),
      ).toBe(true);
    });

    test('plaintext that breaks off never becomes a ciphertext that ends', async () => {
      for (const error of [new Error('disk broke'), undefined]) {
        const { plaintext, ciphertext, done } = await startEncrypt(recipients(), { program });
        const received = codeOf(buffer(ciphertext));
        plaintext.write(randomBytes(300_000));
        setTimeout(() => plaintext.destroy(error), 30);
        expect(await codeOf(done)).toBe('io');
        expect(await received).not.toBe('opened');
      }
    });

    test('a stop ends both sides', async () => {
      const stop = new AbortController();
      const { plaintext, ciphertext, done } = await startEncrypt(recipients(), { program, signal: stop.signal });
      const received = codeOf(buffer(ciphertext));
      plaintext.write(randomBytes(300_000));
      setTimeout(() => stop.abort(), 30);
      expect(await codeOf(done)).toBe('interrupted');
      expect(await received).not.toBe('opened');
      const encrypted = await encrypt(randomBytes(300_000), program);
      const later = new AbortController();
      const source = new PassThrough();
      source.write(encrypted.subarray(0, 200_000));
      setTimeout(() => later.abort(), 30);
      expect(await codeOf(decryptNowhere(source, [mine()], { program, signal: later.signal }))).toBe('interrupted');
    });

    test('whoever takes the ciphertext and gives up ends the writer', async () => {
      const { plaintext, ciphertext, done } = await startEncrypt(recipients(), { program });
      const written = codeOf(pipeline(endless(), plaintext));
      ciphertext.once('data', () => ciphertext.destroy(new Error('upload failed')));
      expect(await codeOf(done)).toBe('io');
      expect(await written).not.toBe('opened');
    });

    test('a reader that waits holds the writer back', async () => {
      const { plaintext, ciphertext, done } = await startEncrypt(recipients(), { program });
      let written = 0;
      const source = Readable.from(
        (async function* () {
          for (; written < 64 << 20; written += CHUNK) yield randomBytes(CHUNK);
        })(),
      );
      const sent = pipeline(source, plaintext);
      await new Promise((resolve) => setTimeout(resolve, 200));
      expect(written).toBeLessThan(4 << 20);
      ciphertext.destroy();
      expect(await codeOf(done)).toBe('io');
      expect(await codeOf(sent)).not.toBe('opened');
    });
  });
}

function* zerosAfter(head: Uint8Array, given: { bytes: number }): Generator<Buffer> {
  if (head.length > 0) yield Buffer.from(head);
  for (; given.bytes < 64 << 20; given.bytes += CHUNK) yield Buffer.alloc(CHUNK);
}

async function* endless(): AsyncGenerator<Buffer> {
  for (;;) yield randomBytes(CHUNK);
}

test.skipIf(age === undefined)('an age program that dies is told of, and its output does not end well', async () => {
  const dying = join(directory, 'dying-age');
  writeFileSync(dying, '#!/bin/sh\nhead -c 100000 >/dev/null\nhead -c 5000 /dev/urandom\nkill -9 $$\n', { mode: 0o755 });
  const { plaintext, ciphertext, done } = await startEncrypt(recipients(), { program: dying });
  const received = codeOf(buffer(ciphertext));
  const written = codeOf(pipeline(Readable.from([randomBytes(1_000_000)]), plaintext));
  expect(await codeOf(done)).toBe('io');
  expect(await received).not.toBe('opened');
  expect(await written).not.toBe('opened');
  expect(await codeOf(decryptNowhere(Readable.from([randomBytes(1_000_000)]), [mine()], { program: dying }))).toBe('io');
});

test.skipIf(age === undefined)('the secret is in no argument of a program that runs', async () => {
  const encrypted = await encrypt(randomBytes(100_000), null);
  const source = new PassThrough();
  source.write(encrypted.subarray(0, 50_000));
  const opened = decryptNowhere(source, [mine()]);
  let seen = '';
  for (let tries = 0; tries < 100 && !seen.includes('--identity'); tries++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    seen = argumentsOfAll();
  }
  expect(seen).toContain('--identity');
  expect(seen).not.toContain(secret);
  source.end(encrypted.subarray(50_000));
  expect((await opened).bytes).toBe(100_000);
});

function argumentsOfAll(): string {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
      } catch {
        return '';
      }
    })
    .join('\n');
}

test('recipients are checked to their last character', async () => {
  const [good = ''] = recipients();
  expect(await whyNoRecipient(good)).toBeUndefined();
  for (const bad of [
    `${good}q`,
    good.slice(0, -1),
    good.toUpperCase(),
    'age1',
    '',
    'ssh-ed25519 AAAA',
    `${good.slice(0, -1)}${good.endsWith('q') ? 'p' : 'q'}`,
  ]) {
    expect(await whyNoRecipient(bad)).toBeDefined();
    expect(await codeOf(checkRecipients([good, bad]))).toBe('config_invalid');
  }
  expect(await codeOf(checkRecipients([]))).toBe('config_invalid');
  expect(await codeOf(checkRecipients([secret]))).toBe('config_invalid');
});

test('an identity file is refused where others may read it, where it is locked, mistyped or none', async () => {
  const path = join(directory, 'tried.txt');
  const tryOut = async (text: string, mode = 0o600) => {
    writeFileSync(path, text);
    chmodSync(path, mode);
    return codeOf(readIdentityFile(path));
  };
  expect(await tryOut(`${secret}\r\n`)).toBe('opened');
  expect(await tryOut(secret, 0o644)).toBe('refused');
  expect(await tryOut(secret, 0o640)).toBe('refused');
  expect(await tryOut('# only a comment\n')).toBe('key_wrong');
  expect(await tryOut(`${recipients()[0]}\n`)).toBe('key_wrong');
  expect(await tryOut(`${secret.slice(0, -1)}\n`)).toBe('key_wrong');
  expect(await tryOut(`${secret.slice(0, 20)}${secret[20] === 'Q' ? 'P' : 'Q'}${secret.slice(21)}\n`)).toBe('key_wrong');
  expect(await tryOut('age-encryption.org/v1\n-> scrypt abc 18\n')).toBe('refused');
  expect(await codeOf(readIdentityFile(join(directory, 'absent')))).toBe('not_found');
  expect(JSON.stringify(mine())).not.toContain(secret);
});

test.skipIf(!SLOW)(`300 MB take constant memory${SLOW ? '' : ' (skipped: CORA_TEST_SLOW is not 1)'}`, { timeout: 300_000 }, async () => {
  const root = join(import.meta.dirname, '..');
  for (const { program, missing } of IMPLEMENTATIONS) {
    if (missing) continue;
    const script = `
      const { startEncrypt } = await import(${JSON.stringify(join(root, 'src/os/age.ts'))});
      const { decryptNowhere } = await import(${JSON.stringify(join(root, 'src/os/age-decrypt.ts'))});
      const { readIdentityFile } = await import(${JSON.stringify(join(root, 'src/os/age-keys.ts'))});
      const { pipeline } = await import('node:stream/promises');
      const { Readable } = await import('node:stream');
      const program = ${JSON.stringify(program)};
      const own = await readIdentityFile(${JSON.stringify(mine().path)});
      const { plaintext, ciphertext, done } = await startEncrypt(own.recipients, { program });
      const source = Readable.from((function* () { for (let n = 0; n < 4800; n++) yield Buffer.alloc(62500, n); })());
      const [result] = await Promise.all([decryptNowhere(ciphertext, [own], { program }), pipeline(source, plaintext), done]);
      process.stdout.write(JSON.stringify({ bytes: result.bytes, rss: process.resourceUsage().maxRSS }));`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const { bytes, rss } = JSON.parse((await buffer(child.stdout)).toString()) as { bytes: number; rss: number };
    expect(bytes).toBe(300_000_000);
    expect(rss).toBeLessThan(220_000);
  }
});
