// backup_log in ledger/cora.db: the columns that others' queries rely on, a row for each run, and that it is only a copy of what the
// chain and the reports say: deleted or damaged it is made again, and a failure to write it fails nothing.

import { spawn } from 'node:child_process';
import { appendFileSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { backupsOverTime, ledgerFacts } from '../src/actions/ledger-query.ts';
import { bytesBelow } from '../src/actions/list.ts';
import { formatLine, hashLine, parseLine } from '../src/vault/chain.ts';
import { openVault } from '../src/vault/vault.ts';
import { Sandbox } from './support/sandbox.ts';

const sandbox = new Sandbox();
const table = join(sandbox.vault, 'ledger/cora.db');

function query(sql: string): Record<string, unknown>[] {
  const database = new Database(table, { readonly: true });
  try {
    return database.prepare(sql).all() as Record<string, unknown>[];
  } finally {
    database.close();
  }
}

beforeAll(async () => {
  mkdirSync(join(sandbox.project, 'chroma'));
  for (const [path, sql] of [
    ['app.db', 'CREATE TABLE a (x); INSERT INTO a VALUES (1), (2), (3); CREATE TABLE b (y); INSERT INTO b VALUES (1)'],
    ['chroma/chroma.sqlite3', 'CREATE TABLE embeddings (id); INSERT INTO embeddings VALUES (1), (2), (3), (4), (5)'],
  ] as const) {
    const database = new Database(join(sandbox.project, path));
    database.exec(sql);
    database.close();
  }
  await sandbox.snapshot(['save']);
  await sandbox.snapshot(['save']);
  await sandbox.snapshot(['backup', 'now']);
  await sandbox.snapshot(['backup', 'now', '--trigger', 'timer']);
}, 60_000);

afterAll(() => sandbox.remove());

test('the table has the columns of ATLAS-4 first, and is for its owner alone', () => {
  const columns = query('PRAGMA table_info(backup_log)').map(({ name, type, notnull, dflt_value: value, pk }) => [name, type, notnull, value, pk]);
  expect(columns.slice(0, 10)).toEqual([
    ['id', 'INTEGER', 0, null, 1],
    ['archive_path', 'TEXT', 1, null, 0],
    ['backup_type', 'TEXT', 1, null, 0],
    ['size_bytes', 'INTEGER', 0, null, 0],
    ['db_row_count', 'INTEGER', 0, null, 0],
    ['chroma_doc_count', 'INTEGER', 0, null, 0],
    ['duration_ms', 'INTEGER', 0, null, 0],
    ['success', 'BOOLEAN', 0, 'TRUE', 0],
    ['error_message', 'TEXT', 0, null, 0],
    ['created_at', 'TIMESTAMP', 0, 'CURRENT_TIMESTAMP', 0],
  ]);
  expect(query("SELECT sql FROM sqlite_schema WHERE name = 'backup_log'")[0]?.['sql']).toContain('AUTOINCREMENT');
  expect(statSync(table).mode & 0o777).toBe(0o600);
});

test('each run is a row: rows over all tables, documents of vector stores, the size on disk', () => {
  const rows = query('SELECT * FROM backup_log ORDER BY id');
  expect(rows.map(({ kind }) => kind)).toEqual(['save', 'unchanged', 'unchanged', 'backup', 'unchanged', 'backup']);
  const [save, unchanged] = rows;
  expect(save).toMatchObject({ backup_type: 'save', db_row_count: 9, chroma_doc_count: 5, success: 1, error_message: null });
  expect(unchanged).toMatchObject({ backup_type: 'save', size_bytes: null, success: 1 });
  const backup = rows[3]!;
  expect(backup).toMatchObject({ backup_type: 'manual', db_row_count: 9, chroma_doc_count: 5, success: 1 });
  expect(statSync(String(backup['archive_path'])).isFile()).toBe(true);
  const directory = join(String(backup['archive_path']), '..');
  expect(backup['size_bytes']).toBe(bytesBelow(directory));
  expect(backup['duration_ms']).toBeGreaterThan(0);
  expect(['daily', 'weekly', 'monthly']).toContain(rows[5]?.['backup_type']);
  expect(query("SELECT 1 FROM backup_log WHERE created_at > datetime('now', '-1 hour') AND created_at <= datetime('now')")).toHaveLength(rows.length);
});

test('a run that failed is a row with its reason, also of a backup; one that its caller got wrong is none', async () => {
  const holder = spawn('flock', [join(sandbox.vault, '.lock'), 'sleep', '60'], { stdio: 'ignore', detached: true });
  try {
    await expect.poll(async () => (await sandbox.cora(['save', '--lock-wait', '0s'])).code, { timeout: 10_000 }).toBe(11);
    expect((await sandbox.cora(['backup', 'now', '--trigger', 'timer', '--lock-wait', '0s'])).code).toBe(11);
  } finally {
    process.kill(-holder.pid!, 'SIGKILL');
  }
  expect((await sandbox.cora(['save', '--nonsense'])).code).toBe(2);
  const failed = query('SELECT * FROM backup_log WHERE success = 0 ORDER BY id');
  expect(failed[0]).toMatchObject({ kind: 'save', backup_type: 'save', sequence: null, size_bytes: null, archive_path: sandbox.vault });
  expect(failed.at(-1)).toMatchObject({ kind: 'backup', error_message: expect.stringContaining('Another Cora is working') });
  expect(['daily', 'weekly', 'monthly']).toContain(failed.at(-1)?.['backup_type']);
});

test('deleted it is made again by the next run, damaged by itself, and by cora ledger rebuild, which keeps failed runs', async () => {
  const columns = 'archive_path, backup_type, size_bytes, db_row_count, chroma_doc_count, duration_ms, success, error_message, created_at, sequence';
  const fromVault = () => query(`SELECT ${columns} FROM backup_log WHERE sequence IS NOT NULL ORDER BY sequence`);
  const before = fromVault();
  const failures = query('SELECT count(*) AS n FROM backup_log WHERE sequence IS NULL')[0]?.['n'];
  const { code, result } = await sandbox.json(['ledger', 'rebuild']);
  expect({ code, result }).toMatchObject({ code: 0, result: { path: table, rows: before.length, failures } });
  expect(fromVault()).toEqual(before);
  expect(statSync(table).mode & 0o777).toBe(0o600);

  rmSync(table);
  expect((await sandbox.cora(['ledger', 'rebuild'])).code).toBe(0);
  expect(fromVault()).toEqual(before);

  for (const [damage, content] of [
    ['no database at all', Buffer.from('this is no database')],
    ['an empty file', Buffer.alloc(0)],
    ['a page of noise', Buffer.concat([readFileSync(table).subarray(0, 4096), Buffer.alloc(12_288, 7)])],
  ] as const) {
    writeFileSync(table, content);
    appendFileSync(join(sandbox.project, 'a.txt'), damage);
    await sandbox.snapshot(['save']);
    expect(fromVault().slice(0, before.length), damage).toEqual(before);
  }
});

test('damage that no query meets is found after the next backup', async () => {
  const whole = readFileSync(table);
  const database = new Database(table);
  const root = Number(database.prepare("SELECT rootpage FROM sqlite_schema WHERE name = 'backup_log_snapshot'").pluck().get());
  const size = Number(database.pragma('page_size', { simple: true }));
  database.close();
  whole.fill(0x2a, (root - 1) * size + 100, root * size);
  writeFileSync(table, whole);
  await sandbox.snapshot(['backup', 'now']);
  expect(query('PRAGMA quick_check')).toEqual([{ quick_check: 'ok' }]);
});

test('where the table cannot be written, nothing else fails, and questions are answered all the same', async () => {
  rmSync(table);
  mkdirSync(table);
  try {
    appendFileSync(join(sandbox.project, 'a.txt'), 'more');
    const { id } = await sandbox.snapshot(['save']);
    const { path } = await sandbox.snapshot(['backup', 'now']);
    const facts = await ledgerFacts(openVault(sandbox.vault));
    expect(facts.lastSave?.snapshotId).toBe(id);
    expect(facts.lastBackup?.path.startsWith(path)).toBe(true);
  } finally {
    rmSync(table, { recursive: true });
  }
});

test('when the last runs were, and what is kept by type, without what clean-up took', async () => {
  const vault = openVault(sandbox.vault);
  const facts = await ledgerFacts(vault);
  expect(facts.lastBackup).toMatchObject({ kind: 'backup', success: true });
  const saves = facts.kept.find(({ type }) => type === 'save');
  const overTime = await backupsOverTime(vault, 2);
  expect(overTime.map(({ kind }) => kind)).toEqual(['backup', 'backup']);

  const chain = join(sandbox.vault, 'ledger/chain.log');
  const lines = readFileSync(chain, 'latin1').split('\n').slice(0, -1);
  const save = parseLine(lines.find((line) => line.split(' ')[1] === 'save')!);
  const last = lines.at(-1)!;
  const tombstone = { ...save, kind: 'prune', sequence: parseLine(last).sequence + 1, previous: hashLine(last), sums: '-', extra: 'save' };
  appendFileSync(chain, `${formatLine(tombstone)}\n`);
  const after = await ledgerFacts(vault);
  expect(after.kept.find(({ type }) => type === 'save')?.count).toBe((saves?.count ?? 0) - 1);
  expect(query('SELECT removed_at FROM backup_log WHERE removed_at IS NOT NULL')).toHaveLength(1);

  const begun = performance.now();
  await ledgerFacts(vault);
  expect(performance.now() - begun).toBeLessThan(250);
});
