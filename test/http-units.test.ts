// `cora serve` by systemd: the units that it installs, and a socket that somebody else opened for it.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, expect, test } from 'vitest';
import { findProgram } from '../src/os/run.ts';
import { execute, isRoot, PATH, Sandbox } from './support/sandbox.ts';

const analyze = findProgram('systemd-analyze');
const whyNoAnalyze = analyze === undefined ? ' (not verified: systemd-analyze is missing)' : '';
const python = findProgram('python3');
const whyNoPython = python === undefined ? ' (skipped: python3 is missing)' : '';
const CORA = join(import.meta.dirname, '..', 'bin', 'cora');

const boxes: Sandbox[] = [];
afterEach(async () => {
  for (const box of boxes.splice(0)) await box.remove();
});

function sandbox(): Sandbox & { units: string } {
  const box = new Sandbox({ fast: true });
  boxes.push(box);
  return Object.assign(box, { units: join(box.root, 'units') });
}

test.skipIf(!isRoot)(
  `units of the system carry the project, the vault and the place, and go again${isRoot ? '' : ' (skipped: not root)'}${whyNoAnalyze}`,
  async () => {
    const box = sandbox();
    const install = (...args: string[]) => box.json(['serve', '--install', '--unit-dir', box.units, ...args]);
    const printed = await install('--print');
    expect(printed).toMatchObject({ code: 0, result: { token_file: null, listen: '127.0.0.1:2672' } });
    expect(existsSync(box.units)).toBe(false);
    const made = await install('--port', '4711');
    const tokenFile = join(box.vault, 'ledger/http-token');
    expect(made).toMatchObject({
      code: 0,
      result: { scope: 'system', timers: ['cora-serve.socket'], listen: '127.0.0.1:4711', token_file: tokenFile },
    });
    expect(existsSync(tokenFile)).toBe(true);
    expect(JSON.stringify(made)).not.toContain(readFileSync(tokenFile, 'utf8').trim());
    const read = (name: string) => readFileSync(join(box.units, name), 'utf8');
    expect(read('cora-serve.socket.d/50-cora.conf')).toMatch(/\nListenStream=\nListenStream=127\.0\.0\.1:4711\n/);
    const dropIn = read('cora-serve.service.d/50-cora.conf');
    expect(dropIn).toMatch(/^ExecStart=":.*\/bin\/cora" serve --idle 15m --quiet$/m);
    expect(dropIn).toContain(`Environment="CORA_VAULT=${box.vault}"`);
    expect(dropIn).toContain(`WorkingDirectory=${box.project}/`);
    expect(((await install('--port', '4711')).result['files'] as { change: string }[]).every(({ change }) => change === 'same')).toBe(true);
    const moved = await install('--socket', join(box.root, 'a b%.sock'));
    expect(moved.code).toBe(0);
    expect(read('cora-serve.socket.d/50-cora.conf')).toContain(`ListenStream=${box.root}/a b%%.sock\n`);
    // The timers of the same project are another matter.
    await box.cora(['timers', 'install', '--unit-dir', box.units]);
    await box.cora(['timers', 'remove', '--unit-dir', box.units]);
    expect(readdirSync(box.units).toSorted()).toEqual(['cora-serve.service', 'cora-serve.service.d', 'cora-serve.socket', 'cora-serve.socket.d']);
    // Another project has names of its own.
    const other = join(box.root, 'other');
    await execute('mkdir', [other]);
    const second = await box.json(['serve', '--install', '--unit-dir', box.units, '--port', '4712'], {
      cwd: other,
      env: { CORA_VAULT: join(box.root, 'vault2') },
    });
    expect(second.result['timers']).toEqual(['cora-serve@other.socket']);
    if (analyze !== undefined) {
      const names = ['cora-serve.socket', 'cora-serve.service', 'cora-serve@other.socket', 'cora-serve@other.service'];
      const copies = names.map((name) => `./${name}`);
      const run = await execute(analyze, ['verify', '--man=no', ...copies], { cwd: box.units });
      expect(run.stderr).not.toMatch(/cora-|Unknown|Failed to parse/);
      expect(run.code, run.stderr).toBe(0);
    }
    expect((await box.json(['serve', '--remove', '--unit-dir', box.units])).result['files']).toHaveLength(4);
    await box.json(['serve', '--remove', '--unit-dir', box.units], { cwd: other, env: { CORA_VAULT: join(box.root, 'vault2') } });
    expect(readdirSync(box.units)).toEqual([]);
    expect((await box.json(['serve', '--install', '--remove'])).code).toBe(2);
    expect((await box.json(['serve', '--install', '--port', '0', '--unit-dir', box.units])).code).toBe(2);
  },
);

/** Opens a socket as systemd does (sd_listen_fds(3)) and becomes the command. */
const ACTIVATE = `
import os, socket, sys
kind, count, command = sys.argv[1], sys.argv[2], sys.argv[3:]
if kind.startswith('/'):
    s = socket.socket(socket.AF_UNIX); s.bind(kind)
else:
    s = socket.socket(); s.bind((kind, 0))
s.listen(16)
print(s.getsockname() if kind.startswith('/') else s.getsockname()[1], flush=True)
fd = s.detach()
if fd != 3: os.dup2(fd, 3); os.close(fd)
os.set_inheritable(3, True)
os.environ['LISTEN_FDS'] = count; os.environ['LISTEN_PID'] = str(os.getpid())
os.execv(command[0], command)
`;

async function activated(box: Sandbox, where: string, args: readonly string[], count = '1') {
  const child = spawn(python!, ['-c', ACTIVATE, where, count, CORA, 'serve', ...args], {
    cwd: box.project,
    env: { PATH, HOME: box.home, CORA_VAULT: box.vault, CORA_LOG: join(box.root, 'cora.log') },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'exit').then(([code]) => code as number | null);
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const place = String((await lines.next()).value);
  return { child, ended, lines, place, said: () => stderr };
}

const status = (options: { readonly port?: number; readonly socketPath?: string }) =>
  new Promise<number>((resolve, reject) => {
    const asked = request({ ...options, host: '127.0.0.1', path: '/api/v1/health', headers: { Host: 'localhost' }, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    asked.on('error', reject);
    asked.end();
  });

test.skipIf(python === undefined)(`a socket that systemd opened is served, and idleness ends it cleanly${whyNoPython}`, async () => {
  const box = sandbox();
  writeFileSync(join(box.project, 'a.txt'), 'one\n');
  const { ended, lines, place, said } = await activated(box, '127.0.0.1', ['--json', '--idle', '1s', '--port', '1']);
  const document = JSON.parse(String((await lines.next()).value)) as { result: { url: string } };
  expect(document.result.url).toBe(`http://127.0.0.1:${place}/`);
  expect(await status({ port: Number(place) })).toBe(401);
  expect(await ended, said()).toBe(0);

  const path = join(box.root, 's.sock');
  const unix = await activated(box, path, ['--json', '--idle', '60s']);
  expect(JSON.parse(String((await unix.lines.next()).value))).toMatchObject({ result: { url: null, socket: path } });
  expect(await status({ socketPath: path })).toBe(401);
  unix.child.kill('SIGTERM');
  expect(await unix.ended, unix.said()).toBe(0);
});

test.skipIf(python === undefined)(`a socket that others can reach, and more than one, are refused${whyNoPython}`, async () => {
  const box = sandbox();
  const open = await activated(box, '0.0.0.0', []);
  expect(await open.ended).toBe(20);
  expect(open.said()).toContain('which others can reach');
  const two = await activated(box, '127.0.0.1', [], '2');
  expect(await two.ended).toBe(2);
});
