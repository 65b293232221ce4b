// AtoCore's three requests against `cora serve`, as its programs make them.

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, copyFileSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { execute, Sandbox } from './support/sandbox.ts';
import { type Server, startServer } from './support/serve.ts';

let sandbox: Sandbox;
let server: Server;
const at = (path: string) => join(sandbox.project, path);

beforeEach(async () => {
  sandbox = new Sandbox({ fast: true });
  for (const directory of ['data/db', 'data/chroma/6f', 'config']) mkdirSync(at(directory), { recursive: true });
  makeDatabase(at('data/db/atocore.db'), "CREATE TABLE memory (text); INSERT INTO memory VALUES ('one'), ('two')");
  makeDatabase(at('data/chroma/chroma.sqlite3'), 'CREATE TABLE collections (id TEXT)');
  writeFileSync(at('data/chroma/6f/data_level0.bin'), 'vectors');
  writeFileSync(at('config/project-registry.json'), '{"projects":[]}');
  writeFileSync(
    at('cora.toml'),
    `[[artefacts]]
name = "main"
kind = "database"
path = "data/db/atocore.db"
[[artefacts]]
name = "registry"
kind = "json"
path = "config/project-registry.json"
[[artefacts]]
name = "chroma"
kind = "directory"
path = "data/chroma"
lock = "data/ingestion.lock"
optional = true
`,
  );
  server = await startServer(sandbox);
});
afterEach(async () => {
  await server.stop('SIGKILL');
  await sandbox.remove();
});

function makeDatabase(path: string, sql: string): void {
  const database = new Database(path);
  database.exec(sql);
  database.close();
}

type Created = Readonly<Record<string, unknown>>;
type Listed = {
  readonly backup_dir: string;
  readonly backups: readonly {
    readonly stamp: string;
    readonly path: string;
    readonly metadata_error: string | null;
    readonly has_metadata: boolean;
    readonly metadata: { readonly snapshot_id?: string } | null;
  }[];
};
type Validated = {
  readonly stamp: string;
  readonly errors: readonly string[];
  readonly valid: boolean;
  readonly db_ok: boolean | null;
  readonly registry_ok: boolean | null;
  readonly chroma_ok: boolean | null;
};

const CREATED = [
  'created_at',
  'backup_root',
  'db_snapshot_path',
  'db_size_bytes',
  'registry_snapshot_path',
  'chroma_snapshot_path',
  'chroma_snapshot_bytes',
  'chroma_snapshot_files',
  'chroma_snapshot_included',
  'vector_store_note',
  'validated',
  'validation_errors',
];

async function create(body?: object): Promise<Created> {
  const answer = await server.ask('/admin/backup', { method: 'POST', ...(body === undefined ? {} : { body }) });
  expect(answer.status, answer.text).toBe(200);
  return answer.json<Created>();
}

async function validate(stamp: string): Promise<Validated> {
  return server.get<Validated>(`/admin/backup/${stamp}/validate`);
}

test('a backup is made, listed last, and validated by stamps of both forms', async () => {
  const plain = await create();
  expect(Object.keys(plain)).toEqual(CREATED);
  expect(plain).toMatchObject({
    chroma_snapshot_included: false,
    chroma_snapshot_files: 0,
    chroma_snapshot_path: '',
    validated: true,
    validation_errors: [],
  });
  expect(readFileSync(String(plain['db_snapshot_path'])).length).toBe(plain['db_size_bytes']);
  expect(existsSync(String(plain['registry_snapshot_path']))).toBe(true);
  expect(new Date(String(plain['created_at'])).toISOString()).toBe(plain['created_at']);

  const whole = await create({ include_chroma: true });
  expect(whole).toMatchObject({ chroma_snapshot_included: true, chroma_snapshot_files: 2, validated: true });
  expect(whole['chroma_snapshot_bytes']).toBe(readFileSync(at('data/chroma/chroma.sqlite3')).length + 7);
  expect(existsSync(String(whole['chroma_snapshot_path']))).toBe(true);
  expect((await create({}))['chroma_snapshot_included']).toBe(false);

  const listed = await server.get<Listed>('/admin/backup');
  expect(listed.backup_dir).toBe(sandbox.vault);
  expect(listed.backups).toHaveLength(3);
  const [first, second, last] = listed.backups;
  expect([first?.path, second?.path]).toEqual([plain['backup_root'], whole['backup_root']]);
  expect(last).toMatchObject({ has_metadata: true, metadata_error: null, metadata: { snapshot_id: last!.stamp } });
  expect(Object.keys(last!)).toEqual(['stamp', 'path', 'has_metadata', 'metadata', 'metadata_error']);

  const checked = await validate(second!.stamp);
  expect(checked).toMatchObject({
    stamp: second!.stamp,
    path: second!.path,
    exists: true,
    db_ok: true,
    registry_ok: true,
    chroma_ok: true,
    errors: [],
    valid: true,
    metadata: { snapshot_id: second!.stamp },
  });
  expect(Object.keys(checked)).toEqual(['stamp', 'path', 'exists', 'db_ok', 'registry_ok', 'chroma_ok', 'errors', 'valid', 'metadata']);
  expect(await validate(last!.stamp)).toMatchObject({ valid: true, chroma_ok: null });
  const atocore = last!.stamp.replace(/^(\d{8})-(\d{6})-.*$/, '$1T$2Z');
  expect((await validate(atocore)).stamp.slice(0, 15)).toBe(last!.stamp.slice(0, 15));
  for (const stamp of ['20200101T000000Z', '20200101-000000-nogit', 'x', '..', '%2e%2e%2f%2e%2e%2fetc', last!.stamp.slice(0, 10), 'VAULT.json']) {
    const answer = await server.ask(`/admin/backup/${stamp}/validate`);
    expect(answer.status, stamp).toBe(404);
  }
});

test('wrong bodies are 400 and make nothing', async () => {
  for (const body of [
    '{',
    '[]',
    '{"include_chroma":"yes"}',
    '{"include_chroma":1}',
    '{"include_chroma":null}',
    '{"with_chroma":true}',
    '{"include_chroma":true}x',
  ]) {
    const answer = await server.ask('/admin/backup', { method: 'POST', body, headers: { 'Content-Type': 'application/json' } });
    expect(answer.status, body).toBe(400);
  }
  expect((await server.ask('/admin/backup', { method: 'POST', token: false })).status).toBe(401);
  expect((await server.ask('/admin/backup', { method: 'DELETE' })).status).toBe(405);
  expect((await server.get<Listed>('/admin/backup')).backups).toEqual([]);
});

test("the application's ingestion lock, and another run in the vault, are 409 at once", async () => {
  writeFileSync(at('data/ingestion.lock'), '');
  const holder = spawn('flock', [at('data/ingestion.lock'), 'sh', '-c', 'echo held; read line'], { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(holder.stdout, 'data');
  const begun = performance.now();
  const answer = await server.post('/admin/backup', { include_chroma: true });
  expect(answer.status).toBe(409);
  expect(answer.json()).toMatchObject({ status: 409, code: 'locked', exit_code: 11, details: { artefact: 'chroma' } });
  expect(performance.now() - begun).toBeLessThan(3000);
  // What does not take the vector store does not wait for it.
  expect((await create({}))['chroma_snapshot_included']).toBe(false);
  holder.stdin.end('\n');
  await once(holder, 'exit');
  expect((await create({ include_chroma: true }))['chroma_snapshot_included']).toBe(true);

  const other = spawn('flock', [join(sandbox.vault, '.lock'), 'sh', '-c', 'echo held; read line'], { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(other.stdout, 'data');
  const busy = await server.post('/admin/backup');
  expect([busy.status, busy.json<{ code: string }>().code]).toEqual([409, 'locked']);
  other.stdin.end('\n');
  await once(other, 'exit');
  expect((await server.get<Listed>('/admin/backup')).backups).toHaveLength(2);
});

test("damage is told in AtoCore's words", async () => {
  const made = await create({ include_chroma: true });
  const root = String(made['backup_root']);
  await execute('chattr', ['-R', '-f', '-i', root]);
  const { stamp } = (await server.get<Listed>('/admin/backup')).backups[0]!;
  const keep = (path: string, damage: () => void, expected: object) => async () => {
    const copy = join(sandbox.root, 'copy');
    copyFileSync(join(root, path), copy);
    damage();
    expect(await validate(stamp), path).toMatchObject({ valid: false, ...expected });
    copyFileSync(copy, join(root, path));
  };
  const error = (...starts: string[]) => starts.map((start) => expect.stringMatching(new RegExp(`^${start}`)));
  const database = 'db/data/db/atocore.db';
  await keep(database, () => writeFileSync(join(root, database), 'no database at all, but longer than nothing'.repeat(100)), {
    db_ok: false,
    chroma_ok: true,
    errors: error('db_open_failed: data/db/atocore.db: '),
  })();
  await keep(database, () => rmSync(join(root, database)), { db_ok: false, errors: error('db_snapshot_missing: data/db/atocore.db') })();
  await keep('REPORT.json', () => writeFileSync(join(root, 'REPORT.json'), '{'), {
    db_ok: false,
    metadata: null,
    errors: error('metadata_invalid_json'),
  })();
  await keep('REPORT.json', () => rmSync(join(root, 'REPORT.json')), { metadata: null, errors: error('metadata_missing') })();
  const archive = 'project-full.tar.gz';
  await keep(archive, () => writeFileSync(join(root, archive), 'x'), {
    db_ok: true,
    registry_ok: false,
    chroma_ok: false,
    errors: error('registry_snapshot_missing', 'chroma_snapshot_missing', 'damaged: project-full.tar.gz'),
  })();
  expect(await validate(stamp)).toMatchObject({ valid: true, errors: [] });
  rmSync(join(root, 'REPORT.json'));
  expect((await server.get<Listed>('/admin/backup')).backups[0]).toMatchObject({
    has_metadata: false,
    metadata: null,
    metadata_error: 'metadata_missing',
  });
});

test('a large archive is read back beside the server, and one changed byte in it is found', { timeout: 60_000 }, async () => {
  writeFileSync(at('large.bin'), randomBytes(40_000_000));
  const made = await create();
  const { stamp } = (await server.get<Listed>('/admin/backup')).backups[0]!;
  expect(await validate(stamp)).toMatchObject({ valid: true });
  const archive = join(String(made['backup_root']), 'project-full.tar.gz');
  await execute('chattr', ['-R', '-f', '-i', String(made['backup_root'])]);
  const fd = openSync(archive, 'r+');
  writeSync(fd, 'x', 20_000_000);
  writeSync(fd, 'y', 20_000_001);
  closeSync(fd);
  expect(await validate(stamp)).toMatchObject({ valid: false, db_ok: true, registry_ok: false });
  expect((await sandbox.json(['verify', stamp])).code).toBe(21);
  expect((await sandbox.json(['verify', stamp], { env: { CORA_WORKERS: '0' } })).code).toBe(21);
});

test('a registry that does not parse is no success', async () => {
  writeFileSync(at('config/project-registry.json'), '{"projects":');
  const made = await create();
  expect(made).toMatchObject({ validated: false, validation_errors: ['registry_invalid_json: config/project-registry.json'] });
  const { stamp } = (await server.get<Listed>('/admin/backup')).backups[0]!;
  expect(await validate(stamp)).toMatchObject({ valid: false, registry_ok: false, db_ok: true });
});
