// gzip members are what gzip itself reads, at every boundary of the format.

import { randomBytes } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { gzipMember, looksIncompressible, PROBE_FROM } from '../src/format/gzip-member.ts';
import { requireProgram, runSync } from '../src/os/run.ts';

const text = (size: number): Buffer => Buffer.alloc(size, 'a line of text that repeats\n');
const SIZES = [0, 1, 2, 511, 512, 65_534, 65_535, 65_536, 131_069, 131_070, 131_071, 1_048_575, 1_048_576, 1_048_577];

test.each(SIZES)('a member of %i bytes gives its content back, deflated and stored', (size) => {
  const random = randomBytes(size);
  for (const member of [gzipMember(text(size)), gzipMember(random), gzipMember(random, size === 0 ? [] : [{ start: 0, end: size }])]) {
    const content = gunzipSync(member);
    expect(content.equals(text(size)) || content.equals(random)).toBe(true);
  }
});

test('gzip accepts members in a row and reads them as one file', () => {
  const parts = SIZES.map((size, index) => (index % 2 === 0 ? text(size) : randomBytes(size)));
  const file = Buffer.concat(parts.map((part) => gzipMember(part, looksIncompressible(part) ? [{ start: 0, end: part.length }] : [])));
  const gzip = requireProgram('gzip', 'gzip');
  expect(runSync(gzip, ['-t'], { input: file })).toMatchObject({ exitCode: 0, stderr: '' });
  expect(runSync(gzip, ['-dc'], { input: file }).stdout.equals(Buffer.concat(parts))).toBe(true);
});

test('stored ranges may stand anywhere in a member', () => {
  const random = randomBytes(70_000);
  const content = Buffer.concat([random, text(5000), random, random, text(3)]);
  const ranges = [
    { start: 0, end: 70_000 },
    { start: 75_000, end: 145_000 },
    { start: 145_000, end: 215_000 },
  ];
  expect(gunzipSync(gzipMember(content, ranges)).equals(content)).toBe(true);
  expect(gunzipSync(gzipMember(content, [])).equals(content)).toBe(true);
});

test('the header and trailer are those of RFC 1952', () => {
  const member = gzipMember(Buffer.from('hello\n'));
  expect(member.subarray(0, 10).toString('hex')).toBe('1f8b0800000000000403');
  expect(member.readUInt32LE(member.length - 8)).toBe(0x363a3020);
  expect(member.readUInt32LE(member.length - 4)).toBe(6);
  expect(gzipMember(Buffer.from('hello\n')).equals(member)).toBe(true);
});

test('content that does not compress grows by no more than stored blocks need', () => {
  const random = randomBytes(1 << 20);
  expect(gzipMember(random).length).toBeLessThanOrEqual(random.length + 17 * 5 + 20);
});

test('the probe finds random bytes and leaves text and little content alone', () => {
  for (let i = 0; i < 50; i++) expect(looksIncompressible(randomBytes(PROBE_FROM))).toBe(true);
  expect(looksIncompressible(randomBytes(PROBE_FROM - 1))).toBe(false);
  expect(looksIncompressible(text(1 << 20))).toBe(false);
  expect(looksIncompressible(Buffer.from(randomBytes(1 << 20).toString('base64')))).toBe(false);
  expect(looksIncompressible(new Uint8Array(1 << 20))).toBe(false);
});
