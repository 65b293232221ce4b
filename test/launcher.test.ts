// bin/cora and scripts/prepare.sh on a small copy of the tree, with programs that only say they ran.

import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readlinkSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

const repository = join(import.meta.dirname, '..');
const here = process.arch === 'arm64' ? 'arm64' : 'x64';
let root = '';

/** A program of one shell line. */
function program(path: string, line: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `#!/bin/sh\n${line}\n`);
  chmodSync(path, 0o755);
}

type Result = { readonly code: number | null; readonly out: string; readonly err: string };

function cora(args: readonly string[] = [], path = '/usr/bin:/bin', start = join(root, 'bin', 'cora'), cwd = root): Result {
  const child = spawnSync(start, args, { cwd, env: { PATH: path }, encoding: 'utf8' });
  return { code: child.status, out: child.stdout, err: child.stderr };
}

/** A PATH with the launcher's own needs and no Node but the given one. */
function pathWith(version?: string): string {
  const directory = join(root, 'path');
  mkdirSync(directory);
  for (const name of ['sh', 'readlink']) symlinkSync(realpathSync(`/usr/bin/${name}`), join(directory, name));
  if (version !== undefined) program(join(directory, 'node'), `[ "$1" = --version ] && echo ${version} || echo from PATH "$@"`);
  return directory;
}

beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'cora-launcher-')));
  mkdirSync(join(root, 'bin'));
  copyFileSync(join(repository, 'bin', 'cora'), join(root, 'bin', 'cora'));
  mkdirSync(join(root, 'dist'));
  writeFileSync(join(root, 'dist', 'main.js'), '');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function carry(line = 'echo carried "$@"'): void {
  program(join(root, 'node_modules', `node-linux-${here}`, 'bin', 'node'), line);
}

test('the carried Node is used, and the arguments arrive as they were', () => {
  carry('while :; do case $1 in --*) shift ;; *) break ;; esac; done; for a in "$@"; do echo "<$a>"; done');
  const result = cora(['save', '-m', 'two words', '', '*']);
  expect(result.code).toBe(0);
  expect(result.out).toBe(`<${root}/dist/main.js>\n<save>\n<-m>\n<two words>\n<>\n<*>\n`);
});

test('it starts through links, from its own directory, by sh, and with a space in the path', () => {
  carry();
  symlinkSync('bin/cora', join(root, 'one'));
  symlinkSync(join(root, 'one'), join(root, 'two links'));
  mkdirSync(join(root, 'node_modules', '.bin'));
  symlinkSync('../../bin/cora', join(root, 'node_modules', '.bin', 'cora'));
  for (const start of ['one', 'two links', 'node_modules/.bin/cora']) {
    expect(cora(['x'], undefined, join(root, start), '/').out).toContain(`${root}/dist/main.js x`);
  }
  expect(cora(['x'], undefined, './cora', join(root, 'bin')).code).toBe(0);
  expect(spawnSync('/bin/sh', ['cora', 'x'], { cwd: join(root, 'bin'), encoding: 'utf8' }).stdout).toContain('main.js x');
  expect(spawnSync('/bin/sh', ['bin/cora', 'x'], { cwd: root, encoding: 'utf8' }).stdout).toContain('main.js x');
});

test.each(['v22.15.0', 'v22.99.1', 'v24.0.0', 'v100.1.2'])('without a carried Node, %s in PATH is used', (version) => {
  expect(cora(['x'], pathWith(version)).out).toMatch(/^from PATH .*main\.js x\n$/);
});

test.each(['v20.20.2', 'v22.14.9', 'v8.0.0', 'nonsense'])('%s in PATH is refused in one sentence', (version) => {
  const result = cora(['x'], pathWith(version));
  expect(result).toMatchObject({ code: 70, out: '' });
  expect(result.err).toBe(`cora: Node ${version} is too old and none came with Cora: run \`npm ci\` in ${root}, or install Node 22.15 or newer\n`);
});

test('no Node at all is one sentence', () => {
  const result = cora(['x'], pathWith());
  expect(result).toEqual({ code: 70, out: '', err: `cora: no Node was found: run \`npm ci\` in ${root}, or install Node 22.15 or newer\n` });
});

test('a missing bundle is one sentence', () => {
  carry();
  rmSync(join(root, 'dist'), { recursive: true });
  const result = cora(['x']);
  expect(result).toEqual({ code: 70, out: '', err: `cora: ${root}/dist/main.js is missing: run \`npm ci\` or \`npm run build\` there\n` });
});

test('the launcher becomes the program: a signal reaches it', async () => {
  carry('echo $$; exec sleep 20');
  const child = spawn(join(root, 'bin', 'cora'), [], { stdio: ['ignore', 'pipe', 'inherit'] });
  const pid = await new Promise<string>((resolve) => child.stdout.once('data', (data: Buffer) => resolve(data.toString().trim())));
  expect(Number(pid)).toBe(child.pid);
  const ended = new Promise((resolve) => child.once('exit', (_code, signal) => resolve(signal)));
  child.kill('SIGTERM');
  expect(await ended).toBe('SIGTERM');
});

function prepare(): Result {
  const child = spawnSync('/bin/sh', [join(root, 'scripts', 'prepare.sh')], {
    cwd: '/',
    env: { PATH: process.env['PATH'], CI: 'true' },
    encoding: 'utf8',
  });
  return { code: child.status, out: child.stdout, err: child.stderr };
}

test('prepare links npx cora, says what it cannot build, and never fails', () => {
  mkdirSync(join(root, 'scripts'));
  copyFileSync(join(repository, 'scripts', 'prepare.sh'), join(root, 'scripts', 'prepare.sh'));
  const withoutTools = prepare();
  expect(withoutTools).toMatchObject({
    code: 0,
    err: 'cora: not built: the build tools are not installed (npm ci without --omit=dev installs them)\n',
  });
  const link = join(root, 'node_modules', '.bin', 'cora');
  expect(readlinkSync(link)).toBe('../../bin/cora');
  expect(existsSync(link)).toBe(true);

  mkdirSync(join(root, 'node_modules', 'esbuild'));
  writeFileSync(join(root, 'scripts', 'build.mjs'), "throw new Error('broken');");
  const broken = prepare();
  expect(broken.code).toBe(0);
  expect(broken.err).toContain('cora: not built: scripts/build.mjs failed');

  carry('echo built by the carried Node');
  expect(prepare()).toMatchObject({ code: 0, err: 'built by the carried Node\n' });
  expect(lstatSync(link).isSymbolicLink()).toBe(true);
});
