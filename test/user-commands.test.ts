// The user's own commands: which may run (`cora trust`, owners), how they run, and checks with HTTP probes.

import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CommandHost, requireTrusted, trusted, trustState } from '../src/actions/trust.ts';
import { runChecks, runUserCommand, whatIsMissing } from '../src/actions/user-commands.ts';
import { fromText } from '../src/base/bytes.ts';
import { CoraError } from '../src/base/errors.ts';
import type { UserCommand } from '../src/base/user-command.ts';
import { findProject, type Project } from '../src/vault/project.ts';
import { execute, isRoot, Sandbox, whyNotNobody } from './support/sandbox.ts';

const me = process.getuid?.() ?? 0;
let root: string;
let server: Server;
let port: number;
const seen: string[] = [];

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'cora-commands-'));
  server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on('end', () => {
      seen.push(`${request.method} ${request.url} ${request.headers['x-key'] ?? '-'} ${body}`);
      if (request.url === '/never') return;
      if (request.url === '/moved') response.writeHead(302, { location: 'http://elsewhere.example/' });
      else if (request.url === '/flaky') response.writeHead(seen.filter((line) => line.includes('/flaky')).length < 3 ? 503 : 200);
      response.end(request.url === '/text' ? 'hello' : JSON.stringify({ status: 'ok', items: [{ count: 3000 }], nothing: null }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  port = (server.address() as AddressInfo).port;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
  rmSync(root, { recursive: true, force: true });
});

let made = 0;

/** A project with this cora.toml, or with a machine's file in its home; a state directory; and who runs. */
async function project(toml: string, where: 'project' | 'home' = 'project', env: Readonly<Record<string, string>> = {}) {
  const place = join(root, String(++made));
  const home = join(place, 'home');
  mkdirSync(join(home, '.config/cora'), { recursive: true });
  mkdirSync(join(place, 'app'));
  const file = where === 'project' ? join(place, 'app/cora.toml') : join(home, '.config/cora/app.toml');
  writeFileSync(file, toml, { mode: 0o644 });
  const host: CommandHost = { uid: me, state: join(place, 'state'), env: (name) => ({ PATH: process.env['PATH'], HOME: home, ...env })[name] };
  const read = () => findProject(fromText(join(place, 'app')), fromText(home));
  return { place, file, host, found: await read(), read };
}

function refusal(use: () => unknown): string {
  try {
    use();
  } catch (error) {
    if (error instanceof CoraError) return `${error.code}: ${error.message}; ${error.hint ?? ''}`;
    throw error;
  }
  return 'allowed';
}

const stopOf = (found: Project): UserCommand => {
  const { stop } = found.config.restore;
  if (stop === undefined) throw new Error('no stop command');
  return stop;
};

test("a repository's command is refused until it is trusted; a machine's own runs", async () => {
  const own = await project('[restore]\nstop = "true"');
  expect(refusal(() => trusted(own.found, stopOf(own.found), own.host))).toBe(
    'refused: restore.stop in cora.toml names a command that nobody has allowed on this machine; look at it and allow it with: cora trust',
  );
  const machine = await project('[restore]\nstop = "true"', 'home');
  expect(refusal(() => trusted(machine.found, stopOf(machine.found), machine.host))).toBe('allowed');
});

test("a machine's file that others may write runs nothing", async () => {
  const { file, host, read } = await project('[restore]\nstop = "true"', 'home');
  for (const mode of [0o666, 0o664]) {
    chmodSync(file, mode);
    const found = await read();
    expect(refusal(() => trusted(found, stopOf(found), host))).toMatch(
      /^refused: The commands in .*app.toml do not run.*others may write it; chmod go-w/,
    );
  }
});

test('a file of another owner runs nothing, as root or not', async () => {
  const { found, host } = await project('[restore]\nstop = "true"', 'home');
  const [name, owner] = Object.entries(found.owners ?? {})[0] ?? ['', undefined];
  if (owner === undefined) throw new Error('no owner');
  for (const uid of [0, 1000]) {
    const foreign = { ...found, owners: { [name]: { ...owner, uid: 4321 } } };
    expect(trustState(foreign, stopOf(found), { ...host, uid })).toBe('owner');
  }
  expect(trustState({ ...found, owners: {} }, stopOf(found), host)).toBe('owner');
});

test.skipIf(!isRoot)("as root a repository's file that root does not own runs nothing, trusted or not", async () => {
  const { found, file, host, read } = await project('[restore]\nstop = "true"');
  const { allow } = await import('../src/actions/trust.ts');
  allow(found, host, 0);
  expect(trustState(found, stopOf(found), host)).toBe('trusted');
  const { chownSync } = await import('node:fs');
  chownSync(file, 1000, 1000);
  expect(trustState(await read(), stopOf(found), host)).toBe('owner');
  chownSync(file, 0, 0);
  chmodSync(file, 0o666);
  expect(trustState(await read(), stopOf(found), host)).toBe('owner');
});

test.skipIf(whyNotNobody() !== undefined)('cora trust shows the commands, asks a person, and is undone by a change', async () => {
  const sandbox = new Sandbox({ nobody: true });
  try {
    const toml = join(sandbox.project, 'cora.toml');
    const write = (text: string) => {
      writeFileSync(toml, text);
      sandbox.own(toml);
    };
    expect((await sandbox.cora(['trust'])).stdout).toBe('cora.toml asks for no command\n');
    write('[restore]\nstop = "systemctl stop app"\n[[checks]]\nname = "up"\nurl = "http://127.0.0.1:1/\\u001b[2J"\n');
    const alone = await sandbox.cora(['trust', '--yes']);
    expect([alone.code, alone.stdout]).toEqual([20, '']);
    expect(alone.stderr).toContain('restore.stop:\n    systemctl stop app\n');
    expect(alone.stderr).not.toContain('\u001b');
    const state = async () => (await sandbox.json(['trust', '--revoke'])).result['commands'];
    const inTerminal = (answer: string, args = 'trust') => {
      const vault = `HOME=${sandbox.home} CORA_VAULT=${sandbox.vault} CORA_LOG=`;
      const cora = join(import.meta.dirname, '../bin/cora');
      const line = `cd ${sandbox.project} && ${vault} setpriv --reuid 65534 --regid 65534 --clear-groups ${cora} ${args}`;
      return execute('/bin/sh', [
        '-c',
        `(sleep 1; echo ${answer}; sleep 1) | script -qec '${isRoot ? line : line.replace(/setpriv .*groups/, '')}' /dev/null`,
      ]);
    };
    expect((await inTerminal('n')).stdout).toContain('Nothing was trusted');
    expect((await inTerminal('y')).stdout).toContain('Trusted: 2 commands');
    expect((await sandbox.cora(['trust'])).stdout).toBe('Trusted already: 2 commands\n');
    write(readFileSync(toml, 'utf8').replace('stop app', 'stop other'));
    const changed = await sandbox.json(['trust']);
    expect([changed.code, changed.error.code]).toEqual([20, 'refused']);
    expect(changed.stderr).toContain('checks.up (trusted):');
    expect(changed.stderr).toContain('restore.stop:\n');
    expect(await state()).toMatchObject([
      { key: 'restore.stop', source: 'cora.toml', state: 'untrusted', command: 'systemctl stop other' },
      { key: 'checks.up', state: 'untrusted', request: { method: 'GET' } },
    ]);
  } finally {
    await sandbox.remove();
  }
});

/** Runs one command of a machine's file. */
async function runs(command: string, options: { readonly env?: Record<string, string>; readonly timeout?: number } = {}) {
  const { found, host } = await project(`[restore]\nstop = ${command}`, 'home', options.env);
  return runUserCommand(trusted(found, stopOf(found), host), {
    cwd: found.root,
    host,
    facts: { CORA_ID: '20261121-031500-nogit' },
    timeout: options.timeout ?? 10_000,
  });
}

test('a command gets the project, the facts and the language, and no secret of ours', async () => {
  const env = {
    LANG: 'de_DE.UTF-8',
    PGHOST: '/run/pg',
    CORA_PASSPHRASE: 'canary',
    RCLONE_CONFIG_PASS: 'canary',
    LD_PRELOAD: '/canary',
    GIT_DIR: 'canary',
  };
  const result = await runs('"pwd; env; exit 7"', { env });
  expect(result).toMatchObject({ ok: false, exitCode: 7, message: 'ended with 7' });
  expect(result.output).toMatch(/\/app\n/);
  for (const part of ['CORA_ID=20261121-031500-nogit', 'LANG=de_DE.UTF-8', 'PGHOST=/run/pg']) expect(result.output).toContain(part);
  expect(result.output).not.toContain('canary');
});

test('a list is run as it is, without a shell', async () => {
  expect((await runs('["printf", "%s|", "a b", "$HOME", ";id"]')).output).toBe('a b|$HOME|;id|');
  expect(await runs('["no-such-program-here"]')).toMatchObject({
    ok: false,
    exitCode: null,
    message: expect.stringContaining('could not be started'),
  });
});

test('a command that hangs is ended with everything that it started, one that floods too', async () => {
  const mark = join(root, 'hanging');
  const began = Date.now();
  expect(await runs(`"(sleep 3; touch ${mark}) & sleep 60"`, { timeout: 300 })).toMatchObject({ ok: false, message: 'did not end within 0.3 s' });
  expect(Date.now() - began).toBeLessThan(3000);
  expect(await runs('"yes"')).toMatchObject({ ok: false, exitCode: null, message: 'printed without end and was ended' });
  await pause(Math.max(0, 3500 - (Date.now() - began)));
  expect(existsSync(mark)).toBe(false);
});

test('a server that a command leaves behind goes on, and can still write', async () => {
  const mark = join(root, 'served');
  const began = Date.now();
  expect(await runs(`"(sleep 1; echo still here; touch ${mark}) & echo started"`)).toMatchObject({ ok: true, output: 'started', message: 'ok' });
  expect(Date.now() - began).toBeLessThan(900);
  await expect.poll(() => existsSync(mark), { timeout: 5000 }).toBe(true);
});

async function check(rest: string, env?: Record<string, string>) {
  const { found, host } = await project(`[[checks]]\nname = "c"\nwait = "20ms"\n${rest.replaceAll('HOST', `http://127.0.0.1:${port}`)}`, 'home', env);
  const [result] = await runChecks(found, found.config.checks, { cwd: found.root, host });
  return result;
}

test.each([
  ['url = "HOST/"', true, 'status 200'],
  ['url = "HOST/"\nstatus = [204, 404]\nretries = 0', false, 'status 200'],
  ['url = "HOST/"\njson = { path = "status", equals = "ok" }', true, 'status 200'],
  ['url = "HOST/"\nretries = 0\njson = { path = "status", equals = "bad" }', false, 'status is "ok", not "bad"'],
  ['url = "HOST/"\njson = { path = "items.0.count", at_least = 3000 }', true, 'status 200'],
  ['url = "HOST/"\nretries = 0\njson = { path = "items.0.count", at_least = 3001 }', false, 'items.0.count is 3000, not at least 3001'],
  ['url = "HOST/"\nretries = 0\njson = { path = "__proto__.x" }', false, 'the answer has no __proto__.x'],
  ['url = "HOST/text"\nretries = 0\njson = { path = "status" }', false, 'status 200, but its body is not JSON'],
  ['url = "HOST/moved"\nretries = 0', false, 'status 302, which points to http://elsewhere.example/ and is not followed'],
  ['url = "HOST/moved"\nstatus = 302', true, 'status 302'],
  ['url = "HOST/never"\nretries = 0\ntimeout = "100ms"', false, 'no answer within 0.1 s'],
  ['url = "http://127.0.0.1:6000/"\nretries = 0', false, 'nobody answers there (connection refused)'],
  ['command = "echo fine"', true, 'fine'],
  ['command = "echo wrong >&2; exit 4"', false, 'ended with 4: wrong'],
])('the check %j', async (rest, ok, message) => {
  expect(await check(rest)).toMatchObject({ name: 'c', ok, message });
});

test('a probe sends its method, headers and body, and asks again while a service comes up', async () => {
  expect(await check('url = "HOST/post"\nheaders = { "x-key" = "k" }\nbody = "{\\"a\\":1}"')).toMatchObject({ ok: true, tries: 1 });
  expect(seen.at(-1)).toBe('POST /post k {"a":1}');
  expect(await check('url = "HOST/flaky"')).toMatchObject({ ok: true, tries: 3 });
});

test('checks that may not run are refused before the first one runs', async () => {
  const mark = join(root, 'ran');
  const { found, host } = await project(`[[checks]]\nname = "a"\ncommand = "touch ${mark}"`);
  await expect(runChecks(found, found.config.checks, { cwd: found.root, host })).rejects.toMatchObject({ code: 'refused' });
  expect(existsSync(mark)).toBe(false);
  expect(refusal(() => requireTrusted(found, [], host))).toBe('allowed');
});

test('a condition that only names a place asks that something is there', () => {
  expect(whatIsMissing({ path: 'a' }, { a: null })).toBeUndefined();
  expect(whatIsMissing({ path: 'a.b' }, { a: 'text' })).toBe('the answer has no a.b');
});
