// `cora serve`: who is let in, what is refused and how, and the clean end.

import { chmodSync, existsSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Sandbox } from './support/sandbox.ts';
import { type Asked, type Server, startServer } from './support/serve.ts';

let sandbox: Sandbox;
const servers: Server[] = [];
beforeEach(async () => {
  sandbox = new Sandbox({ fast: true });
  writeFileSync(join(sandbox.project, 'a.txt'), 'one\n');
});
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop('SIGKILL');
  await sandbox.remove();
});

async function start(args?: readonly string[], env?: NodeJS.ProcessEnv): Promise<Server> {
  const server = await startServer(sandbox, args, env);
  servers.push(server);
  return server;
}

type Problem = { readonly status: number; readonly code: string; readonly next: string | null; readonly detail: string };

async function refused(server: Server, path: string, asked: Asked = {}): Promise<string> {
  const answer = await server.ask(path, asked);
  expect(answer.headers['content-type']).toBe('application/problem+json');
  const problem = answer.json<Problem>();
  expect(problem.status).toBe(answer.status);
  expect(problem.detail).toBeTruthy();
  expect(answer.headers['access-control-allow-origin']).toBeUndefined();
  return `${answer.status} ${problem.code}`;
}

test('health is told to who has the token, and nobody else learns anything', async () => {
  const server = await start();
  expect(server.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/);
  expect(server.tokenFile).toBe(join(sandbox.vault, 'ledger/http-token'));
  expect(server.token).toMatch(/^[A-Za-z0-9_-]{43}$/);
  expect(statSync(server.tokenFile).mode & 0o777).toBe(0o600);
  const health = await server.get<{ level: string; project: string }>('/api/v1/health');
  expect(health).toMatchObject({ level: 'critical', project: 'project' });

  const health401 = { token: false } as const;
  expect(await refused(server, '/api/v1/health', health401)).toBe('401 http_unauthorized');
  const wrong = server.token.replace(/^./, (first) => (first === 'A' ? 'B' : 'A'));
  for (const Authorization of [`Bearer ${wrong}`, `Bearer ${server.token}x`, `Basic ${server.token}`, server.token, 'Bearer'])
    expect(await refused(server, '/api/v1/health', { ...health401, headers: { Authorization } }), Authorization).toBe('401 http_unauthorized');
  expect(await refused(server, `/api/v1/health?token=${server.token}`, health401)).toBe('401 http_unauthorized');
  expect(await refused(server, '/nothing', health401)).toBe('401 http_unauthorized');
  expect(await refused(server, '/nothing')).toBe('404 http_not_found');

  const ended = await server.stop();
  expect(ended.code).toBe(0);
  expect(ended.seconds).toBeLessThan(5);
  expect(ended.stderr).not.toContain(server.token);
});

test('it listens on loopback alone', async () => {
  const server = await start();
  const port = Number(new URL(server.url).port).toString(16).toUpperCase().padStart(4, '0');
  const listening = ['/proc/net/tcp', '/proc/net/tcp6']
    .filter((file) => existsSync(file))
    .flatMap((file) => readFileSync(file, 'utf8').split('\n'))
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local, , state]) => state === '0A' && local?.endsWith(`:${port}`) === true)
    .map(([, local]) => local);
  expect(listening).toEqual([`0100007F:${port}`]);
});

test('another name, another origin and another site are refused before the token is looked at', async () => {
  const server = await start();
  const { host } = new URL(server.url);
  const port = host.split(':')[1];
  const ask = (headers: Readonly<Record<string, string>>, path = '/api/v1/health') => refused(server, path, { headers, token: false });
  for (const Host of [
    'evil.example',
    `evil.example:${port}`,
    `127.0.0.1.evil.example:${port}`,
    '127.0.0.2',
    '0.0.0.0',
    'localhost.',
    '[::ffff:127.0.0.1]',
    `x@127.0.0.1`,
  ])
    expect(await ask({ Host }), Host).toBe('403 http_forbidden');
  for (const Origin of [
    'http://evil.example',
    'null',
    `https://${host}`,
    'http://127.0.0.1:1',
    `http://localhost:${port}`,
    `http://${host}.evil.example`,
  ])
    expect(await ask({ Origin }), Origin).toBe('403 http_forbidden');
  for (const site of ['cross-site', 'same-site']) expect(await ask({ 'Sec-Fetch-Site': site }), site).toBe('403 http_forbidden');
  expect(await ask({ Host: 'evil.example' }, '/')).toBe('403 http_forbidden');
  for (const headers of [
    { Origin: `http://${host}` },
    { Host: 'localhost:9000', Origin: 'http://localhost:9000' },
    { Host: `[::1]:${port}` },
    { 'Sec-Fetch-Site': 'same-origin' },
  ]) {
    expect(await ask(headers), JSON.stringify(headers)).toBe('401 http_unauthorized');
    expect((await server.ask('/api/v1/health', { headers })).status, JSON.stringify(headers)).toBe(200);
  }
});

test('methods, types and bodies that are not served are named for what they are', async () => {
  const server = await start();
  expect(await refused(server, '/api/v1/health', { method: 'POST' })).toBe('405 http_method');
  for (const method of ['OPTIONS', 'PUT', 'DELETE', 'PATCH', 'TRACE', 'PROPFIND'])
    expect(await refused(server, '/api/v1/health', { method }), method).toBe('405 http_method');
  expect(await refused(server, '/api/v1/health?x=1')).toBe('400 usage');
  const login = (body: string | Buffer, type = 'application/json') =>
    refused(server, '/api/v1/login', { method: 'POST', body, headers: { 'Content-Type': type } });
  expect(await login('{"code":"x"}', 'text/plain')).toBe('415 http_media_type');
  for (const body of ['{', '[]', '"x"', 'null', Buffer.from([0x22, 0xff, 0x22])])
    expect(await login(body), String(body)).toBe('400 http_bad_request');
  for (const body of ['{}', '{"code":1}', '{"code":"x","more":1}']) expect(await login(body), body).toBe('400 usage');
  expect(await login('{"code":"x"}')).toBe('401 http_unauthorized');
  expect(await login(`{"code":"${'x'.repeat(1_000_001)}"}`)).toBe('413 http_too_large');
});

test('a token that others may read, that is a link or is none is refused, and nothing is served', async () => {
  const server = await start();
  await server.stop();
  const failure = async () => {
    const { code, error } = await sandbox.json(['serve', '--port', '0']);
    return `${code} ${error.code}`;
  };
  chmodSync(server.tokenFile, 0o640);
  expect(await failure()).toBe('20 refused');
  chmodSync(server.tokenFile, 0o600);
  writeFileSync(server.tokenFile, 'x\n');
  expect(await failure()).toBe('20 refused');
  await sandbox.remove();
  sandbox = new Sandbox({ fast: true });
  await sandbox.snapshot(['save']);
  writeFileSync(join(sandbox.root, 'token'), `${server.token}\n`, { mode: 0o600 });
  symlinkSync(join(sandbox.root, 'token'), join(sandbox.vault, 'ledger/http-token'));
  expect(await failure()).toBe('20 refused');
});

test('a second start takes the same token, and a unix socket is for its owner alone', async () => {
  const server = await start();
  await server.stop();
  const path = join(sandbox.root, 'cora.sock');
  const again = await start(['--socket', path]);
  expect(again.token).toBe(server.token);
  expect([again.url, again.socket]).toEqual(['', path]);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect((await again.ask('/api/v1/health')).status).toBe(200);
  expect((await sandbox.json(['serve', '--socket', path])).error.code).toBe('refused');
  const long = await sandbox.json(['serve', '--socket', join(sandbox.root, 'x'.repeat(120))]);
  expect({ code: long.code, error: long.error }).toMatchObject({
    code: 2,
    error: { code: 'usage', message: expect.stringContaining('the system takes 107') },
  });
  await again.stop();
  expect(existsSync(path)).toBe(false);
  expect(readFileSync(server.tokenFile, 'utf8')).toBe(`${server.token}\n`);
});

test('a client that is slow with its request is told so and cut off', async () => {
  const server = await start();
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
  socket.write('GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n');
  const said = await new Promise<string>((resolve) => {
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString();
    });
    socket.on('close', () => resolve(text));
  });
  expect(said).toMatch(/^HTTP\/1\.1 408 /);
  expect(JSON.parse(said.slice(said.indexOf('\r\n\r\n')))).toMatchObject({ status: 408, code: 'http_timeout' });
});
