// A real Chroma server, installed into this test's own directory (400 MB, so only where it is asked for): backed
// up while it runs, under its application's lock; wrecked; restored; the same query gives the same ids.

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { execute, Sandbox } from './support/sandbox.ts';

const wanted = process.env['CORA_TEST_SLOW'] === '1' || process.env['CORA_TEST_CHROMA'] !== undefined;
const VECTORS = 3000;
const SIZE = 64;

let sandbox: Sandbox;
let server: ChildProcess | undefined;
let base = '';
afterEach(async () => {
  await stopServer();
  await sandbox?.remove();
});

/** CORA_TEST_CHROMA may name a directory where it is installed already. */
async function installed(): Promise<string> {
  const given = process.env['CORA_TEST_CHROMA'] ?? '';
  if (existsSync(join(given, 'node_modules/chromadb'))) return given;
  const overrides = { 'chromadb-js-bindings-linux-x64-gnu': '1.0.1' };
  writeFileSync(join(sandbox.root, 'package.json'), JSON.stringify({ private: true, dependencies: { chromadb: '3.0.4' }, overrides }));
  const run = await execute('npm', ['install', '--no-audit', '--no-fund'], { cwd: sandbox.root, env: process.env });
  expect(run.code, run.stderr).toBe(0);
  return sandbox.root;
}

async function startServer(home: string): Promise<void> {
  const port = await new Promise<number>((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' ? (address?.port ?? 0) : 0));
    });
  });
  const args = [
    join(home, 'node_modules/.bin/chroma'),
    'run',
    '--path',
    join(sandbox.project, 'chroma'),
    '--host',
    '127.0.0.1',
    '--port',
    String(port),
  ];
  server = spawn(process.execPath, args, { cwd: sandbox.root, stdio: 'ignore', detached: true });
  base = `http://127.0.0.1:${port}/api/v2`;
  await expect.poll(() => call('GET', '/heartbeat').catch(() => undefined), { timeout: 30_000, interval: 200 }).toBeDefined();
}

async function stopServer(): Promise<void> {
  const child = server;
  server = undefined;
  if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  process.kill(-child.pid, 'SIGKILL');
  await ended;
}

async function call(method: string, path: string, body?: object): Promise<Record<string, unknown>> {
  const response = await fetch(base + path, {
    method,
    headers: { 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return JSON.parse(text) as Record<string, unknown>;
}

/** The same vectors in each run. */
function vector(seed: number): number[] {
  let state = seed * 2_654_435_761 + 1;
  return Array.from({ length: SIZE }, () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648 - 0.5;
  });
}

const COLLECTIONS = '/tenants/default_tenant/databases/default_database/collections';

async function nearest(): Promise<unknown> {
  const { id } = await call('POST', COLLECTIONS, { name: 'notes', get_or_create: true });
  const found = await call('POST', `${COLLECTIONS}/${String(id)}/query`, {
    query_embeddings: [vector(77_777), vector(5)],
    n_results: 10,
    include: ['distances'],
  });
  return { ids: found['ids'], distances: found['distances'], count: (await fetch(`${base}${COLLECTIONS}/${String(id)}/count`)).status };
}

test.skipIf(!wanted)('a Chroma server that was backed up while it ran, wrecked and restored gives the same ids', { timeout: 600_000 }, async () => {
  sandbox = new Sandbox();
  const home = await installed();
  const lock = join(sandbox.project, 'ingest.lock');
  writeFileSync(lock, '');
  writeFileSync(
    join(sandbox.project, 'cora.toml'),
    '[[artefacts]]\nname = "chroma"\nkind = "directory"\npath = "chroma"\nlock = "ingest.lock"\nlock_wait = "60s"\n',
  );
  await startServer(home);
  const { id } = await call('POST', COLLECTIONS, { name: 'notes', get_or_create: true });
  const add = (from: number, count: number) => {
    const numbers = Array.from({ length: count }, (_, n) => from + n);
    return call('POST', `${COLLECTIONS}/${String(id)}/add`, {
      ids: numbers.map((n) => `note-${n}`),
      embeddings: numbers.map(vector),
      documents: numbers.map((n) => `text ${n}`),
    });
  };
  for (let from = 0; from < VECTORS; from += 250) await add(from, 250);
  const before = await nearest();

  // An ingestion that goes on, each step of it under the lock, as the application does it.
  let added = VECTORS;
  let going = true;
  const ingestion = (async () => {
    while (going) {
      const holder = spawn('flock', ['-x', lock, 'sh', '-c', 'echo held; exec cat'], { stdio: ['pipe', 'pipe', 'ignore'] });
      await new Promise((resolve) => holder.stdout.once('data', resolve));
      const ended = new Promise((resolve) => holder.once('exit', resolve));
      await add(added, 50);
      added += 50;
      holder.stdin.end();
      await ended;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  })();
  const began = Date.now();
  const made = await sandbox.json(['backup', 'now']);
  const seconds = (Date.now() - began) / 1000;
  going = false;
  await ingestion;
  expect([made.code, made.problems]).toEqual([0, []]);
  expect(made.result['artefacts']).toMatchObject([{ name: 'chroma', ok: true }]);

  await stopServer();
  for (const name of readdirSync(join(sandbox.project, 'chroma'))) {
    if (name === 'chroma.sqlite3') writeFileSync(join(sandbox.project, 'chroma', name), 'wrecked');
    else await execute('rm', ['-rf', '--', join(sandbox.project, 'chroma', name)]);
  }
  const restoreBegan = Date.now();
  const restored = await sandbox.json(['restore', String(made.result['snapshot_id']), 'chroma', '--yes', '--confirm-service-stopped']);
  const restoreSeconds = (Date.now() - restoreBegan) / 1000;
  expect([restored.code, restored.problems.filter(({ severity }) => severity === 'error')]).toEqual([0, []]);
  await startServer(home);
  const { id: same } = await call('POST', COLLECTIONS, { name: 'notes', get_or_create: true });
  const kept = Number(await (await fetch(`${base}${COLLECTIONS}/${String(same)}/count`)).text());
  expect(kept).toBeGreaterThanOrEqual(VECTORS);
  expect(kept).toBeLessThanOrEqual(added);
  // Whole steps of the ingestion only.
  expect((kept - VECTORS) % 50).toBe(0);
  // What was added while the backup was made may be nearer; without it the answer is the same.
  const later = Array.from({ length: kept - VECTORS }, (_, n) => `note-${VECTORS + n}`);
  if (later.length > 0) await call('POST', `${COLLECTIONS}/${String(same)}/delete`, { ids: later });
  expect(await nearest()).toEqual(before);
  console.log(`chroma: ${VECTORS} vectors and ${kept - VECTORS} more, backup ${seconds} s, restore ${restoreSeconds} s`);
});
