// A drill compares what came back byte by byte, whatever the restore said: files that are stored whole, and files in pieces.

import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compareRestored, openDatabases } from '../src/actions/drill-compare.ts';
import { parseDrill } from '../src/actions/drill-ledger.ts';
import { fromText, toText } from '../src/base/bytes.ts';
import type { Entry } from '../src/format/file-list.ts';
import type { Report } from '../src/format/report.ts';
import { listSnapshots, readReport } from '../src/vault/catalog.ts';
import { loadEntries } from '../src/vault/listing.ts';
import { openVault } from '../src/vault/vault.ts';
import { CTX } from './support/compact-driver.ts';
import { Sandbox } from './support/sandbox.ts';

const LARGE = 6 << 20;
const sandbox = new Sandbox({ fast: true });
const out = join(sandbox.root, 'out');
let entries: readonly Entry[];
let report: Report;

beforeAll(async () => {
  writeFileSync(join(sandbox.project, 'small.txt'), 'as it was saved');
  writeFileSync(join(sandbox.project, 'large.bin'), randomBytes(LARGE));
  const database = new Database(join(sandbox.project, 'app.db'));
  database.exec('CREATE TABLE note (text, hour); CREATE INDEX by_text ON note (text); INSERT INTO note VALUES (1, 2)');
  database.close();
  const { id } = await sandbox.snapshot(['save']);
  expect((await sandbox.cora(['restore', id, '--to', out])).code).toBe(0);
  const vault = openVault(sandbox.vault);
  const [ref] = listSnapshots(vault).filter((one) => one.id === id);
  if (ref === undefined) throw new Error('no such save');
  report = readReport(vault, ref);
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

test('a database that came back with all its rows and an index that misses them is not sound', async () => {
  const opened = async () => (await openDatabases(fromText(out), entries, report, CTX)).map(({ path, ok, error }) => ({ path, ok, error }));
  expect(await opened()).toEqual([{ path: 'app.db', ok: true, error: undefined }]);
  const database = new Database(join(out, 'app.db'));
  database.unsafeMode();
  database.exec("PRAGMA writable_schema = on; UPDATE sqlite_schema SET sql = 'CREATE INDEX by_text ON note (hour)' WHERE name = 'by_text'");
  database.close();
  expect(await opened()).toEqual([{ path: 'app.db', ok: false, error: expect.stringMatching(/^db_integrity_check_failed: .*by_text/) }]);
});

test('a drill whose outcome is a word that nobody knows did not succeed', () => {
  const line = { sequence: 1, kind: 'drill', id: 'x', time: '2026-11-22T00:00:00Z', previous: '', sums: '-', extra: 'backup,splendid,1.5,all,-,met' };
  expect(parseDrill(line)).toMatchObject({ outcome: 'failed', seconds: 1.5, whole: true });
});
