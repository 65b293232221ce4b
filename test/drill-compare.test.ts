// A drill compares what came back byte by byte, whatever the restore said: files that are stored whole, and files in pieces.

import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compareRestored } from '../src/actions/drill-compare.ts';
import { fromText, toText } from '../src/base/bytes.ts';
import type { Entry } from '../src/format/file-list.ts';
import { listSnapshots } from '../src/vault/catalog.ts';
import { loadEntries } from '../src/vault/listing.ts';
import { openVault } from '../src/vault/vault.ts';
import { CTX } from './support/compact-driver.ts';
import { Sandbox } from './support/sandbox.ts';

const LARGE = 6 << 20;
const sandbox = new Sandbox({ fast: true });
const out = join(sandbox.root, 'out');
let entries: readonly Entry[];

beforeAll(async () => {
  writeFileSync(join(sandbox.project, 'small.txt'), 'as it was saved');
  writeFileSync(join(sandbox.project, 'large.bin'), randomBytes(LARGE));
  const { id } = await sandbox.snapshot(['save']);
  expect((await sandbox.cora(['restore', id, '--to', out])).code).toBe(0);
  const vault = openVault(sandbox.vault);
  const [ref] = listSnapshots(vault).filter((one) => one.id === id);
  if (ref === undefined) throw new Error('no such save');
  entries = loadEntries(vault, ref).filter(({ path }) => path !== '.');
  expect(entries.some(({ pieces }) => pieces !== undefined)).toBe(true);
});
afterAll(() => sandbox.remove());

const compared = async () => (await compareRestored(fromText(out), entries, () => false, CTX)).differences.map(({ path }) => toText(path));

test('what came back whole differs in nothing', async () => {
  expect(await compared()).toEqual([]);
});

test.each([
  ['small.txt', 3],
  ['large.bin', 0],
  ['large.bin', LARGE - 1],
])('one byte of %s that is another (at %i) is a difference', async (name, at) => {
  const path = join(out, name);
  const good = readFileSync(path);
  const other = Buffer.from(good);
  other[at] = (other[at] ?? 0) ^ 1;
  writeFileSync(path, other);
  expect(await compared()).toEqual([name]);
  writeFileSync(path, good);
});
