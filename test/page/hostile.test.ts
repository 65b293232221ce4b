// `cora serve` among clients that mean no good: those that drip, fill all places or read nothing, ways out of the vault, pages
// elsewhere. Each is refused or served without harm, which is: the next honest request is answered, nothing was written, and memory
// stays where it was. (Many and greedy ones: test/http-limits.test.ts.)

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Sandbox } from '../support/sandbox.ts';
import { type Server, startServer } from '../support/serve.ts';

let sandbox: Sandbox;
let server: Server;
let id: string;
beforeEach(async () => {
  sandbox = new Sandbox({ fast: true });
  mkdirSync(join(sandbox.project, 'src'));
  writeFileSync(join(sandbox.project, 'src/a.txt'), 'one\n');
  id = (await sandbox.snapshot(['save'])).id;
  server = await startServer(sandbox);
});
afterEach(async () => {
  await server.stop('SIGKILL');
  await sandbox.remove();
});

const port = () => Number(new URL(server.url).port);
const memory = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.process.pid}/status`, 'utf8'))?.[1]) * 1024;
const MOST_MORE = 100_000_000;

/** How long until an honest request is answered. */
async function answersWithin(milliseconds: number): Promise<void> {
  const until = performance.now() + milliseconds;
  let last = '';
  while (performance.now() < until) {
    try {
      const answer = await server.ask('/api/v1/status');
      if (answer.status === 200) return;
      last = `${answer.status} ${answer.text}`;
    } catch (error) {
      last = String(error);
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`no honest request was answered within ${milliseconds} ms: ${last}`);
}

function slow(head: string, every: () => string): { readonly socket: Socket; readonly ended: Promise<{ seconds: number; said: string }> } {
  const socket = connect(port(), '127.0.0.1');
  const begun = performance.now();
  let said = '';
  socket.on('data', (chunk) => {
    said += chunk.toString();
  });
  socket.on('error', () => undefined);
  socket.write(head);
  const drip = setInterval(() => socket.writable && socket.write(every()), 500);
  const ended = new Promise<{ seconds: number; said: string }>((resolve) =>
    socket.on('close', () => {
      clearInterval(drip);
      resolve({ seconds: (performance.now() - begun) / 1000, said });
    }),
  );
  return { socket, ended };
}

test('clients that drip their headers or bodies are cut off, and those who come meanwhile are served', { timeout: 90_000 }, async () => {
  const authorized = `Authorization: Bearer ${server.token}\r\n`;
  let count = 0;
  const headers = Array.from({ length: 40 }, () => slow('GET /api/v1/snapshots HTTP/1.1\r\nHost: 127.0.0.1\r\n', () => `X-${count++}: 1\r\n`));
  const body = slow(
    `POST /api/v1/save HTTP/1.1\r\nHost: 127.0.0.1\r\n${authorized}Content-Type: application/json\r\nContent-Length: 900\r\n\r\n`,
    () => ' ',
  );
  await answersWithin(3000);
  const all = await Promise.all(headers.map(({ ended }) => ended));
  for (const { seconds } of all) expect(seconds).toBeLessThan(15);
  expect(all[0]?.said).toMatch(/^HTTP\/1\.1 408 /);
  // With as many as it takes at all, who comes is turned away; not for longer than they may take.
  const full = Array.from({ length: 100 }, () => slow('GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n', () => `X-${count++}: 1\r\n`));
  await answersWithin(20_000);
  const late = await body.ended;
  expect(late.seconds).toBeLessThan(30);
  for (const { socket } of full) socket.destroy();
  await answersWithin(3000);
  expect((await sandbox.json(['list'])).result['total']).toBe(1);
});

test('a client that reads nothing of what it asked for is not waited for', { timeout: 120_000 }, async () => {
  const before = memory();
  writeFileSync(join(sandbox.project, 'big.bin'), Buffer.alloc(60_000_000, 7));
  await sandbox.snapshot(['save']);
  const path = '/api/v1/snapshots/latest/content?path=big.bin';
  const sockets = Array.from({ length: 8 }, () => {
    const socket = connect(port(), '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${server.token}\r\n\r\n`);
    socket.pause();
    return socket;
  });
  await new Promise((resolve) => setTimeout(resolve, 1000));
  await answersWithin(10_000);
  expect(memory() - before).toBeLessThan(2 * MOST_MORE);
  for (const socket of sockets) socket.destroy();
  await answersWithin(5000);
});

test('no path leads out of the vault or the snapshot, by whatever spelling', async () => {
  writeFileSync(join(sandbox.root, 'secret.txt'), 'a secret beside the project\n');
  const ways = [
    '../secret.txt',
    'src/../../secret.txt',
    '..%2fsecret.txt',
    '..%252fsecret.txt',
    '%2e%2e/secret.txt',
    '%2e%2e%2fsecret.txt',
    `${sandbox.root}/secret.txt`,
    `//${sandbox.root}/secret.txt`,
    '..\\secret.txt',
    'src/a.txt%00../secret.txt',
    `file://${sandbox.root}/secret.txt`,
    server.tokenFile,
    '../vault/ledger/http-token',
  ];
  const seen: string[] = [];
  for (const way of ways) {
    for (const [route, field] of [
      ['snapshots/latest/content', 'path'],
      ['snapshots/latest/text', 'path'],
      ['snapshots/latest/tree', 'path'],
      ['versions', 'path'],
    ] as const) {
      for (const value of [way, encodeURIComponent(way)]) {
        const answer = await server.ask(`/api/v1/${route}?${field}=${value}`);
        expect([400, 404], `${route} ${value}: ${answer.status}`).toContain(answer.status);
        seen.push(answer.text);
      }
    }
    const base64 = encodeURIComponent(Buffer.from(way).toString('base64'));
    const exact = await server.ask(`/api/v1/snapshots/latest/content?path_base64=${base64}`);
    expect([400, 404], way).toContain(exact.status);
    for (const raw of [
      `/${way}`,
      `/api/v1/snapshots/${encodeURIComponent(way)}`,
      `/api/v1/snapshots/${encodeURIComponent(way)}/tree`,
      `/admin/backup/${encodeURIComponent(way)}/validate`,
    ]) {
      const answer = await server.ask(raw.replace(/[\0 ]/g, ''));
      expect([400, 404, 405], `${raw}: ${answer.status}`).toContain(answer.status);
      seen.push(answer.text);
    }
  }
  for (const text of seen) {
    expect(text).not.toContain('a secret beside');
    expect(text).not.toContain(server.token);
  }
  expect((await server.ask(`/api/v1/snapshots/${id}/content?path=src/a.txt`)).text).toBe('one\n');
});

test('a page elsewhere may not ask, not even for what changes nothing, and learns nothing of the answer', async () => {
  const { host } = new URL(server.url);
  const paths = ['/', '/api/v1/health', '/api/v1/snapshots', '/metrics', '/openapi.json', '/admin/backup'];
  const foreign = [
    { Origin: 'https://evil.example' },
    { Origin: 'null' },
    { Origin: 'http://127.0.0.1:1' },
    { Host: 'evil.example' },
    { Host: `127.0.0.1.nip.example:${port()}` },
  ];
  for (const path of paths)
    for (const headers of foreign) {
      const answer = await server.ask(path, { headers });
      expect(answer.status, `${path} ${JSON.stringify(headers)}`).toBe(403);
      expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
      expect(answer.text).not.toContain(sandbox.project);
    }
  const forms = ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x'];
  for (const type of forms) {
    const answer = await server.ask('/api/v1/save', { method: 'POST', body: '{}', headers: { 'Content-Type': type, Origin: `http://${host}` } });
    expect(answer.status, type).toBe(415);
  }
  for (const path of ['/api/v1/save', '/api/v1/backup', '/api/v1/verify', '/api/v1/restore/apply', '/api/v1/restore/undo'])
    for (const method of ['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS'])
      expect((await server.ask(path, { method })).status, `${method} ${path}`).toBe(405);
  expect((await sandbox.json(['list'])).result['total']).toBe(1);
  expect(existsSync(join(sandbox.project, '.cora-restore'))).toBe(false);
  expect(readdirSync(sandbox.project)).toEqual(['src']);
});
