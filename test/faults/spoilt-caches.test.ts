// A cache of the vault with one byte flipped, where it counts most: nothing wrong is saved, restored or shown, and no command
// fails for it. (Arbitrary spoiling of every file, without a look at the answers, is spoilt-files.test.ts.)

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { coraHere, jsonHere } from '../support/in-process.ts';
import { Sandbox } from '../support/sandbox.ts';
import { startServer } from '../support/serve.ts';

const NOTES = 'what must not be mistaken\n';
let sandbox: Sandbox;
const at = (path: string) => join(sandbox.project, path);
const cache = (name: string) => join(sandbox.vault, '.cache', name);
const digest = (text: string) => createHash('sha256').update(text).digest();

beforeEach(async () => {
  sandbox = new Sandbox({ fast: true });
  writeFileSync(at('notes.md'), NOTES);
  writeFileSync(at('other.md'), 'other\n');
  // Older than a save doubts.
  const before = new Date(Date.now() - 60_000);
  for (const name of ['notes.md', 'other.md']) utimesSync(at(name), before, before);
  await sandbox.snapshot(['save']);
});
afterEach(() => sandbox.remove());

/** Flips a bit so many bytes behind where `needle` begins, at its last place. */
function flip(path: string, needle: string | Buffer, behind = 0): void {
  const data = readFileSync(path);
  const found = data.lastIndexOf(needle);
  expect(found, `${path} holds it`).toBeGreaterThanOrEqual(0);
  data[found + behind] = (data[found + behind] ?? 0) ^ 1;
  writeFileSync(path, data);
}

async function everythingIsRight(): Promise<void> {
  expect((await coraHere(sandbox, ['verify', '--all', '--deep'])).code).toBe(0);
  const out = join(sandbox.root, 'out');
  rmSync(out, { recursive: true, force: true });
  expect((await coraHere(sandbox, ['restore', 'latest', '--to', out])).code).toBe(0);
  for (const name of readdirSync(sandbox.project)) expect(readFileSync(join(out, name), 'utf8'), name).toBe(readFileSync(at(name), 'utf8'));
}

test('of the hashes of unchanged files: the next save has the right ones', async () => {
  // The file is not read again: its size and time are those of the cache.
  flip(cache('tree.bin'), digest(NOTES), 5);
  writeFileSync(at('other.md'), 'another\n');
  expect((await jsonHere(sandbox, ['save'])).code).toBe(0);
  await everythingIsRight();
});

// 32 bytes of hash, then: pack, offset (8), bytes of the frame, place in the frame, size.
test.each([
  ['hash', 3],
  ['pack', 32],
  ['offset', 36],
  ['frame', 44],
  ['place', 48],
  ['size', 52],
])('of the places of contents, the %s: they are found all the same', async (_what, behind) => {
  flip(cache('objects.idx'), digest(NOTES), behind);
  writeFileSync(at('other.md'), NOTES);
  expect((await jsonHere(sandbox, ['save'])).code).toBe(0);
  await everythingIsRight();
});

test('an index of contents that is whole and leads to others gives no wrong byte', async () => {
  const path = cache('objects.idx');
  const data = readFileSync(path);
  // magic, number of records, bytes of the name, crc32 of name and records; the name, padded to 4; records of 56 bytes.
  const [count, length] = [data.readUInt32LE(4), data.readUInt32LE(8)];
  const begin = 16 + length + ((4 - (length % 4)) % 4);
  expect(begin + count * 56).toBe(data.length);
  const [one, two] = [data.indexOf(digest(NOTES)), data.indexOf(digest('other\n'))];
  expect(Math.min(one, two)).toBeGreaterThan(0);
  const place = Buffer.from(data.subarray(one + 32, one + 56));
  data.copy(data, one + 32, two + 32, two + 56);
  place.copy(data, two + 32);
  data.writeUInt32LE(crc32(data.subarray(begin), crc32(data.subarray(16, 16 + length))), 12);
  writeFileSync(path, data);
  const shown = await coraHere(sandbox, ['cat', 'latest', 'notes.md']);
  expect([shown.code, shown.stdout]).toEqual(shown.code === 0 ? [0, NOTES] : [21, '']);
  const out = join(sandbox.root, 'out');
  const restored = await coraHere(sandbox, ['restore', 'latest', '--to', out]);
  expect([0, 21]).toContain(restored.code);
  if (restored.code === 0) expect(readFileSync(join(out, 'notes.md'), 'utf8')).toBe(NOTES);
  // Without the cache all is as it was.
  rmSync(path);
  await everythingIsRight();
});

test('of what every path became: its versions are what they were', async () => {
  writeFileSync(at('notes.md'), 'later\n');
  await sandbox.snapshot(['save']);
  const versions = async () => (await jsonHere(sandbox, ['log', 'notes.md'])).result['versions'] as unknown[];
  const known = await versions();
  expect(known).toHaveLength(2);
  // A bit of the hash, in hexadecimal digits.
  flip(cache('history.tsv'), digest(NOTES).toString('hex'), 10);
  expect(await versions()).toEqual(known);
});

test('of what lists tell of each snapshot: it is read from the snapshots again', async () => {
  await sandbox.snapshot(['save', '-m', 'a note to look for']);
  const notes = async () => {
    const server = await startServer(sandbox);
    try {
      const { snapshots } = await server.get<{ snapshots: { note: string | null }[] }>('/api/v1/snapshots');
      await expect.poll(() => readdirSync(join(sandbox.vault, '.cache'))).toContain('view.json');
      return snapshots.map(({ note }) => note);
    } finally {
      await server.stop();
    }
  };
  expect(await notes()).toEqual(['a note to look for', null]);
  flip(cache('view.json'), 'a note to look for');
  expect(await notes()).toEqual(['a note to look for', null]);
});
