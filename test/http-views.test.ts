// The reading routes of `cora serve` by real requests: what they answer against what the disk and the command line say, and that
// looking changes no byte of the vault.

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { execute, Sandbox } from './support/sandbox.ts';
import { type Answer, type Server, startServer } from './support/serve.ts';

type Row = Record<string, unknown>;
const rows = (value: unknown): Row[] => value as Row[];

let box: Sandbox;
let server: Server;
const ids: string[] = [];
const big = Buffer.concat(Array.from({ length: 3 << 15 }, (_, i) => createHash('sha256').update(String(i)).digest()));
const odd = Buffer.from('src/caf\xe9 <b>.txt', 'latin1');

beforeAll(async () => {
  box = new Sandbox({ fast: true });
  const at = (path: string) => join(box.project, path);
  mkdirSync(at('src/deep'), { recursive: true });
  for (let i = 0; i < 250; i++) writeFileSync(at(`src/deep/f${String(i).padStart(3, '0')}.ts`), `export const f${i} = ${i};\n`);
  writeFileSync(at('notes.md'), 'one\ntwo\nthree\n');
  writeFileSync(at('big.bin'), big);
  writeFileSync(Buffer.concat([Buffer.from(`${box.project}/`), odd]), 'odd');
  writeFileSync(at('<script>.html'), '<script>alert(1)</script>');
  const database = new Database(at('app.db'));
  database.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b')");
  ids.push((await box.snapshot(['save', '-m', 'first'])).id);
  writeFileSync(at('notes.md'), 'one\n2\nthree\nfour\n');
  database.exec("UPDATE t SET v = 'B' WHERE id = 2; INSERT INTO t VALUES (3, 'c')");
  database.close();
  rmSync(at('src/deep/f007.ts'));
  ids.push((await box.snapshot(['save', '-m', 'before migration'])).id);
  ids.push((await box.snapshot(['backup', 'now', '-l', '</script>'])).id);
  await box.cora(['verify', ids[2] ?? '']);
  server = await startServer(box);
  // The caches are written once, when the server starts.
  for (let tries = 0; tries < 100 && !readdirSync(join(box.vault, '.cache')).includes('view-storage.json'); tries++)
    await new Promise((resolve) => setTimeout(resolve, 50));
}, 60_000);

afterAll(async () => {
  await server?.stop();
  await box?.remove();
});

function everything(directory: string): string {
  const hash = createHash('sha256');
  const visit = (path: string): void => {
    for (const entry of readdirSync(path, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const below = join(path, entry.name);
      hash.update(`${below}\0`);
      if (entry.isDirectory()) visit(below);
      else if (entry.isFile()) hash.update(readFileSync(below));
    }
  };
  visit(directory);
  return hash.digest('hex');
}

describe('snapshots', () => {
  test('are told page by page, as cora list tells them', async () => {
    const { result } = await box.json(['list']);
    const listed = rows(result['snapshots']).reverse();
    const first = await server.get('/api/v1/snapshots?limit=2');
    expect(first).toMatchObject({ total: listed.length, newest: ids.at(-1), next: '2' });
    const second = await server.get(`/api/v1/snapshots?limit=2&after=${first['next']}`);
    expect(second['next']).toBeNull();
    const all = [...rows(first['snapshots']), ...rows(second['snapshots'])];
    for (const [index, one] of all.entries()) {
      const { snapshot_id, kinds, type, status, sequence, time, label, note, size, protection, total_files_processed, pinned } = listed[index] ?? {};
      expect(one).toMatchObject({ snapshot_id, kinds, type, status, sequence, time, label, note, size, protection, total_files_processed, pinned });
    }
    expect(all[0]).toMatchObject({ verified: { ok: true }, label: '</script>' });
    expect(all.map((one) => one['unique_bytes'])).toEqual(all.map(() => expect.any(Number)));
  });

  test('are found by label, by mark and by moment', async () => {
    const found = async (query: string) => rows((await server.get(`/api/v1/snapshots?${query}`))['snapshots']).map((one) => one['snapshot_id']);
    expect(await found('q=MIGRATION')).toEqual([ids[1]]);
    expect(await found('mark=verified')).toEqual([ids[2]]);
    expect(await found('kind=backup&order=oldest')).toEqual([ids[2]]);
    expect(await found('q=nothing+is+called+so')).toEqual([]);
    expect(await server.get('/api/v1/snapshots?at=2+years+ago')).toMatchObject({ total: 0, moment: expect.stringMatching(/^\d{4}-/) });
    expect((await found('at=now')).length).toBe((await found('')).length);
    expect((await server.ask('/api/v1/snapshots?at=whenever')).status).toBe(400);
    expect((await server.ask('/api/v1/snapshots?limit=1000')).status).toBe(400);
  });

  test('go by any name the command line takes', async () => {
    for (const name of [ids[0] ?? '', 'latest', 'latest~1', encodeURIComponent('before migration')]) {
      const shown = await box.json(['show', decodeURIComponent(name)]);
      const answer = await server.get(`/api/v1/snapshots/${name}`);
      expect(rows(answer['forms']).map((form) => form['report'])).toEqual(rows(shown.result['forms']).map((form) => form['report']));
    }
    const unknown = await server.ask('/api/v1/snapshots/20200101-000000-nogit');
    expect([unknown.status, unknown.json()['code']]).toEqual([404, 'unknown_snapshot']);
  });
});

describe('files', () => {
  test('a directory is listed page by page, directories first, names in bytes', async () => {
    const root = await server.get(`/api/v1/snapshots/${ids[0]}/tree`);
    const names = rows(root['entries']).map(({ name }) => name);
    expect(names).toEqual(['src', '<script>.html', 'app.db', 'big.bin', 'notes.md']);
    expect(rows(root['entries'])[0]).toMatchObject({ type: 'directory', children: 2 });
    const src = rows((await server.get(`/api/v1/snapshots/${ids[0]}/tree?path=src`))['entries']);
    expect(src.map((one) => one['path_base64'])).toEqual([undefined, odd.toString('base64')]);
    const deep = `/api/v1/snapshots/${ids[0]}/tree?path=src/deep`;
    const first = await server.get(deep);
    const second = await server.get(`${deep}&after=${first['next']}`);
    expect([first['total'], rows(first['entries']).length, rows(second['entries']).length, second['next']]).toEqual([250, 200, 50, null]);
    expect(rows((await server.get(`${deep}&order=desc&limit=1`))['entries'])[0]).toMatchObject({ name: 'f249.ts' });
    expect((await server.ask(`/api/v1/snapshots/${ids[0]}/tree?path=nowhere`)).status).toBe(404);
  });

  test('names are found within a snapshot', async () => {
    const search = async (query: string) => rows((await server.get(`/api/v1/snapshots/latest/search?${query}`))['entries']).map(({ path }) => path);
    expect(await search('q=NOTES')).toEqual(['notes.md']);
    expect(await search('q=f00?.ts')).toEqual([0, 1, 2, 3, 4, 5, 6, 8, 9].map((n) => `src/deep/f00${n}.ts`));
    expect(await search('q=deep/f10&type=file')).toHaveLength(10);
    expect(await search('q=deep&type=directory')).toEqual(['src/deep']);
  });

  test('content comes whole, in ranges, and never as something to run', async () => {
    const path = `/api/v1/snapshots/${ids[0]}/content?path=big.bin`;
    const whole = await raw(path);
    expect(createHash('sha256').update(whole.body).digest('hex')).toBe(createHash('sha256').update(big).digest('hex'));
    for (const [range, start, end] of [
      ['bytes=0-0', 0, 1],
      ['bytes=65530-131080', 65530, 131_081],
      ['bytes=3000000-', 3_000_000, big.length],
      ['bytes=-10', big.length - 10, big.length],
      ['bytes=3145720-9999999', 3_145_720, big.length],
    ] as const) {
      const part = await raw(path, { Range: range });
      expect([part.status, part.headers.get('content-range')]).toEqual([206, `bytes ${start}-${end - 1}/${big.length}`]);
      expect(part.body.equals(big.subarray(start, end))).toBe(true);
    }
    expect((await raw(path, { Range: 'bytes=9999999-' })).status).toBe(416);
    for (const name of ['<script>.html', 'notes.md']) {
      const { headers } = await raw(`/api/v1/snapshots/latest/content?path=${encodeURIComponent(name)}`);
      expect(headers.get('content-disposition')).toMatch(/^attachment; filename="[\w. -]+"/);
      expect(headers.get('content-security-policy')).toContain('sandbox');
      expect(headers.get('content-type')).toBe('application/octet-stream');
      expect(headers.get('x-content-type-options')).toBe('nosniff');
    }
    const bytes = await raw(`/api/v1/snapshots/latest/content?path_base64=${encodeURIComponent(odd.toString('base64'))}`);
    expect(bytes.body.toString()).toBe('odd');
  });

  test('no path leads out of the project', async () => {
    for (const path of ['../vault/VAULT.json', '/etc/passwd', 'src/../../x', 'src//deep']) {
      for (const what of ['content', 'text', 'tree']) {
        const { status } = await server.ask(`/api/v1/snapshots/latest/${what}?path=${encodeURIComponent(path)}`);
        expect([path, what, status]).toEqual([path, what, 400]);
      }
    }
    expect((await server.ask(`/api/v1/versions/diff?path=..%2fvault&a=${ids[0]}&b=now`)).status).toBe(400);
  });

  test('a look at a file is text where it is, and base64 where not', async () => {
    const look = (query: string) => server.get(`/api/v1/snapshots/latest/text?${query}`);
    expect(await look('path=notes.md')).toMatchObject({ text: 'one\n2\nthree\nfour\n', base64: null, binary: false, truncated: false, size: 17 });
    expect(await look('path=notes.md&bytes=5')).toMatchObject({ text: 'one\n2', truncated: true, bytes: 5 });
    const binary = await look('path=big.bin&bytes=1000&offset=70000');
    expect(Buffer.from(String(binary['base64']), 'base64').equals(big.subarray(70_000, 71_000))).toBe(true);
    expect(binary).toMatchObject({ text: null, binary: true, truncated: true, size: big.length });
  });
});

describe('over time', () => {
  test('the versions of a path are those of cora log, of a database with its rows', async () => {
    const { result } = await box.json(['log', 'notes.md']);
    const answer = await ready('/api/v1/versions?path=notes.md');
    expect(rows(answer['versions'])).toMatchObject(rows(result['versions']).reverse());
    expect(rows(answer['versions'])).toMatchObject([{ rows: null, suspect: false }, { rows: null }]);
    const database = await ready('/api/v1/versions?path=app.db');
    expect(rows(database['versions'])).toMatchObject([
      { rows: 3, suspect: false },
      { rows: 2, suspect: false },
    ]);
    expect(answer).toMatchObject({ present: true, total: 2 });
    const directory = await ready('/api/v1/versions?path=src');
    expect(rows(directory['changes'])[0]).toMatchObject({ snapshot_id: ids[1], deleted: 1 });
    expect((await server.ask('/api/v1/versions?path=never')).status).toBe(404);
    for (const path of ['notes.md/x', 'x'.repeat(300)])
      expect((await server.ask(`/api/v1/versions/diff?a=latest&b=now&path=${path}`)).status, path).toBe(404);
    for (const base64 of ['!!!', '', 'c3JjAA==', 'c3 Jj'])
      expect((await server.ask(`/api/v1/versions?path_base64=${encodeURIComponent(base64)}`)).status, base64).toBe(400);
    expect((await ready(`/api/v1/versions?path_base64=${encodeURIComponent(Buffer.from('src').toString('base64'))}`))['changes']).not.toBe(null);
  });

  test('two versions differ by lines, or by rows of tables', async () => {
    const text = await server.get(`/api/v1/versions/diff?path=notes.md&a=${ids[0]}&b=${ids[1]}`);
    expect(text).toMatchObject({ change: 'changed', aspects: ['content'] });
    const lines = rows((text['content'] as Row)['hunks']).flatMap((hunk) => rows(hunk['lines']));
    expect(lines.map(({ op, text: line }) => `${op}${line}`)).toEqual([' one', '-two', '+2', ' three', '+four']);
    const database = await server.get(`/api/v1/versions/diff?path=app.db&a=${ids[0]}&b=latest`);
    expect(database['content']).toMatchObject({
      kind: 'rows',
      tables: [
        {
          table: 't',
          columns: ['id', 'v'],
          before: [[2, 'b']],
          after: [
            [2, 'B'],
            [3, 'c'],
          ],
        },
      ],
    });
    expect(database['rows']).toMatchObject({ rows: { before: 2, after: 3 } });
    const now = await server.get(`/api/v1/versions/diff?path=notes.md&a=${ids[1]}&b=now`);
    expect([now['change'], now['after'], now['content']]).toEqual(['same', null, null]);
  });

  test('two snapshots differ as cora diff says', async () => {
    const { result } = await box.json(['diff', ids[0] ?? '', ids[1] ?? '']);
    const answer = await server.get(`/api/v1/diff?a=${ids[0]}&b=${ids[1]}`);
    for (const key of ['created', 'changed', 'deleted', 'files', 'databases']) expect(answer[key]).toEqual(result[key]);
    expect(await server.get(`/api/v1/snapshots/${ids[1]}/changes`)).toEqual(answer);
  });

  test('what is gone is found, the last to go first', async () => {
    const answer = await ready('/api/v1/find?gone=true&sort=gone');
    expect(rows(answer['found'])).toMatchObject([
      { path: 'src/deep/f007.ts', gone: true, last_seen: { snapshot_id: ids[0] }, gone_in: { snapshot_id: ids[1] } },
    ]);
    const { result } = await box.json(['find', '*.ts', '-n', '0']);
    const all = await ready('/api/v1/find?q=*.ts&limit=200');
    expect(all).toMatchObject({ total: result['total'], gone: result['gone'] });
  });

  test('figures add up, and verified, sealed and lost are told', async () => {
    const storage = await ready('/api/v1/storage');
    const listed = rows((await box.json(['list'])).result['snapshots']);
    expect(rows(storage['snapshots']).map(({ size }) => size)).toEqual(listed.reverse().map(({ size }) => size));
    expect(Number(storage['object_bytes'])).toBeGreaterThan(big.length);
    expect(Number(storage['saved_bytes'])).toBeGreaterThan(big.length);
    expect(storage).toMatchObject({ unreferenced_bytes: 0, growth: [{ saves: 2, backups: 1 }] });
    expect(await server.get('/api/v1/trends')).toMatchObject({ total: 3, drills: { count: 0, rate: null } });
    expect(await server.get('/api/v1/verify-state')).toMatchObject({
      snapshots: 3,
      backups: 1,
      verified: 1,
      unverified: 2,
      damaged: [],
      last: { ok: true },
    });
    expect(await server.get('/api/v1/lost')).toEqual({ frozen: false, losses: [] });
    const ledger = await server.get('/api/v1/ledger');
    expect(rows(ledger['lines'])[0]).toMatchObject({ kind: 'verify', snapshot_id: ids[2] });
    const timeline = await server.get('/api/v1/timeline');
    expect(timeline).toMatchObject({ total: 3, ids: ids, labels: { 0: 'first', 1: 'before migration', 2: '</script>' } });
    expect((timeline['flags'] as number[]).map((flags) => flags & 0b100011)).toEqual([1, 1, 0b100010]);
    expect(rows((await server.get('/api/v1/runs'))['runs']).map(({ command }) => command)).toEqual(['backup now', 'save', 'save']);
  });
});

test('looking changes no byte of the vault, and a change made elsewhere is seen', async () => {
  const before = everything(box.vault);
  const api = await server.get<OpenApi>('/openapi.json');
  for (const path of [
    '/snapshots',
    `/snapshots/${ids[2]}`,
    '/timeline',
    `/snapshots/${ids[2]}/tree?path=src`,
    '/snapshots/latest/search?q=f',
    '/snapshots/latest/content?path=notes.md',
    '/snapshots/latest/text?path=app.db',
    '/versions?path=notes.md',
    `/versions/diff?path=app.db&a=${ids[0]}&b=${ids[1]}`,
    `/versions/diff?path=app.db&a=${ids[0]}&b=now`,
    `/diff?a=${ids[0]}&b=${ids[2]}`,
    '/find?q=a',
    '/lost',
    '/ledger',
    '/runs',
    '/verify-state',
    '/storage',
    '/trends',
  ])
    expect([path, ...differences(api, path, await server.ask(`/api/v1${path}`))]).toEqual([path]);
  expect(everything(box.vault)).toBe(before);
  writeFileSync(join(box.project, 'late.txt'), 'late');
  renameSync(join(box.project, 'notes.md'), join(box.project, 'notes-2.md'));
  const { id } = await box.snapshot(['save', '-m', 'late']);
  expect(await server.get('/api/v1/snapshots?limit=1')).toMatchObject({ newest: id, total: 4 });
  expect(rows((await ready('/api/v1/find?gone=true&sort=gone'))['found'])[0]).toMatchObject({ path: 'notes.md', gone_in: { snapshot_id: id } });
  expect(rows((await ready('/api/v1/storage'))['snapshots'])[0]).toMatchObject({ snapshot_id: id });
});

test('a download that is not read, or broken off, or during which the vault changes, keeps no lock and loses no byte', async () => {
  const path = `/api/v1/snapshots/${ids[0]}/content?path=big.bin`;
  const head = await fetch(`${server.url.replace(/\/$/, '')}${path}`, { method: 'HEAD', headers: { Authorization: `Bearer ${server.token}` } });
  expect([head.status, head.headers.get('content-length')]).toEqual([200, String(big.length)]);
  const gone = new AbortController();
  const broken = await fetch(`${server.url.replace(/\/$/, '')}${path}`, {
    headers: { Authorization: `Bearer ${server.token}` },
    signal: gone.signal,
  });
  await broken.body?.getReader().read();
  gone.abort();
  const slow = await fetch(`${server.url.replace(/\/$/, '')}${path}`, { headers: { Authorization: `Bearer ${server.token}` } });
  const reader = slow.body?.getReader();
  const parts: Uint8Array[] = [(await reader?.read())?.value ?? new Uint8Array()];
  writeFileSync(join(box.project, 'meanwhile.txt'), 'x');
  await box.snapshot(['save', '-m', 'meanwhile']);
  expect((await server.ask('/api/v1/snapshots/latest/text?path=meanwhile.txt')).status).toBe(200);
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
    if (done || value === undefined) break;
    parts.push(value);
  }
  expect(Buffer.concat(parts).equals(big)).toBe(true);
  const free = async () => (await execute('flock', ['-n', '-x', join(box.vault, '.gc-lock'), 'true'])).code;
  for (let tries = 0; tries < 40 && (await free()) !== 0; tries++) await new Promise((resolve) => setTimeout(resolve, 50));
  expect(await free()).toBe(0);
});

test('what is damaged, or cleaned up just now, is said and not made up; what is whole is answered for', async () => {
  const lock = spawn('flock', ['-x', join(box.vault, '.gc-lock'), 'cat'], { stdio: ['pipe', 'ignore', 'ignore'] });
  try {
    await new Promise((resolve) => setTimeout(resolve, 200));
    const busy = await server.ask(`/api/v1/snapshots/${ids[0]}/text?path=src/deep/f001.ts`);
    expect([busy.status, busy.json()['code']]).toEqual([409, 'locked']);
  } finally {
    const gone = once(lock, 'exit');
    lock.stdin.end();
    await gone;
  }
  const save = join(box.vault, 'progress', ...[[0, 4], [4, 6], [6, 8], [9]].map(([from, to]) => (ids[1] ?? '').slice(from, to)));
  const pack = join(save, 'objects.tar.zst');
  const whole = readFileSync(pack);
  writeFileSync(pack, Buffer.alloc(whole.length));
  for (const what of ['content', 'text']) {
    const answer = await server.ask(`/api/v1/snapshots/${ids[1]}/${what}?path=notes.md`);
    expect([what, answer.status, answer.json()['code']]).toEqual([what, 422, 'damaged']);
  }
  expect((await server.ask(`/api/v1/snapshots/${ids[0]}/text?path=notes.md`)).status).toBe(200);
  writeFileSync(pack, whole);
  expect(await server.get(`/api/v1/snapshots/${ids[1]}/text?path=notes.md`)).toMatchObject({ size: 17 });
});

test('a backup of another tool is listed, verified by its name, and elsewhere told what it is and how it comes back', async () => {
  const old = join(box.root, 'old');
  mkdirSync(old);
  writeFileSync(join(old, 'notes.md'), 'of another tool\n');
  expect((await execute('tar', ['-czf', join(old, 'cortex-20260101-120000.tar.gz'), '-C', old, 'notes.md'])).code).toBe(0);
  expect((await box.cora(['adopt', old])).code).toBe(0);
  const id = 'cortex-20260101-120000';
  expect(rows((await server.get('/api/v1/snapshots?kind=adopted'))['snapshots'])).toMatchObject([{ snapshot_id: id, kinds: ['adopted'] }]);
  for (const path of ['', '/tree', '/text?path=notes.md', '/content?path=notes.md', '/changes']) {
    const answer = await server.ask(`/api/v1/snapshots/${id}${path}`);
    expect([path, answer.status, answer.json()]).toMatchObject([path, 409, { code: 'refused', next: `cora restore ${id} --to DIR` }]);
  }
  expect((await server.post('/api/v1/verify', { snapshot: id })).status).toBe(200);
});

type Schema = Parameters<typeof z.fromJSONSchema>[0];
type Described = { readonly responses: Readonly<Record<string, { readonly content: Readonly<Record<string, { readonly schema: Schema }>> }>> };
type OpenApi = { readonly paths: Readonly<Record<string, { readonly get?: Described }>> };

/** What an answer has that its description does not allow, or lacks. */
function differences(api: OpenApi, asked: string, { status, headers, text }: Answer): unknown[] {
  if (status !== 200) return [`${status} ${text}`];
  const path = `/api/v1${asked.replace(/\?.*/, '').replace(/^\/snapshots\/[^/]+/, '/snapshots/{id}')}`;
  const content = api.paths[path]?.get?.responses['200']?.content ?? {};
  const type = String(headers['content-type']).replace(/;.*/, '');
  const schema = content[type]?.schema;
  if (schema === undefined) return [`${path} does not describe ${type}`];
  const result = type === 'application/json' ? z.fromJSONSchema(schema).safeParse(JSON.parse(text)) : undefined;
  return result?.error?.issues ?? [];
}

/** An answer once its index is read. */
async function ready(path: string): Promise<Row> {
  for (let tries = 0; tries < 100; tries++) {
    const answer = await server.get(path);
    if (answer['ready'] === true && answer['indexing'] === null) return answer;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${path} is never ready`);
}

async function raw(path: string, headers: Record<string, string> = {}) {
  const answer = await fetch(`${server.url.replace(/\/$/, '')}${path}`, { headers: { Authorization: `Bearer ${server.token}`, ...headers } });
  return { status: answer.status, headers: answer.headers, body: Buffer.from(await answer.arrayBuffer()) };
}
