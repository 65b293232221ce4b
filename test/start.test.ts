// src/main.ts with a small cli.ts beside it: what holds before any command runs.

import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const CLI = `
import { writeFileSync } from 'node:fs';
export async function main(argv, env) {
  if (argv[0] === 'throw') throw new Error('planted');
  if (argv[0] === 'later') setTimeout(() => { throw new Error('planted'); }, 1);
  if (argv[0] === 'lost') await new Promise(() => {});
  if (argv[0] === 'umask') console.log(process.umask().toString(8));
  if (argv[0] === 'lines') for (let line = 0; line < 100_000; line++) process.stdout.write('a line of the list\\n');
  if (argv[0] === 'lines') await new Promise((resolve) => setTimeout(resolve, 300));
  if (argv[1] !== undefined) writeFileSync(argv[1], 'the end was reached');
  return argv[0] === 'three' ? 3 : 0;
}
`;

let work = '';
let program = '';
beforeAll(() => {
  work = mkdtempSync(join(tmpdir(), 'cora-start-'));
  chmodSync(work, 0o755);
  cpSync(join(import.meta.dirname, '..', 'src', 'base'), join(work, 'base'), { recursive: true });
  cpSync(join(import.meta.dirname, '..', 'src', 'main.ts'), join(work, 'main.ts'));
  writeFileSync(join(work, 'cli.ts'), CLI);
  writeFileSync(join(work, 'package.json'), '{"type":"module"}');
  program = join(work, 'main.ts');
});
afterAll(() => rmSync(work, { recursive: true, force: true }));

const run = (...args: string[]) => spawnSync(process.execPath, [program, ...args], { encoding: 'utf8' });

test('the exit code is what the command returned', () => {
  expect(run('fine').status).toBe(0);
  expect(run('three').status).toBe(3);
});

test.each(['throw', 'later', 'lost'])('a command that ends by "%s" is 70, never success', (how) => {
  expect(run(how).status).toBe(70);
});

test('an error nobody caught is shown with its stack', () => {
  expect(run('throw').stderr).toMatch(/^cora: internal error, please report it\nError: planted\n {4}at /);
});

test('files are made for the owner alone', () => {
  expect(run('umask').stdout.trim()).toBe('77');
});

test('a reader that leaves does not end the run', () => {
  const marker = join(work, 'reached');
  const shell = spawnSync('/bin/sh', ['-c', '"$0" "$1" lines "$2" | head -n 1', process.execPath, program, marker], { encoding: 'utf8' });
  expect(shell.stdout).toBe('a line of the list\n');
  expect(shell.stderr).toBe('');
  expect(statSync(marker).size).toBeGreaterThan(0);
});

test.skipIf(process.getuid?.() !== 0)('as another user the compile cache is private, optional, and never in a place that others own', () => {
  const home = join(work, 'home');
  mkdirSync(home);
  chmodSync(home, 0o777);
  const asNobody = (env: Record<string, string>) => spawnSync(process.execPath, [program, 'fine'], { env, uid: 65534, gid: 65534, encoding: 'utf8' });

  expect(asNobody({}).status).toBe(0);
  expect(asNobody({ HOME: '/nonexistent' }).status).toBe(0);
  expect(asNobody({ HOME: home }).status).toBe(0);
  const cache = join(home, '.cache', 'cora');
  expect(statSync(cache)).toMatchObject({ uid: 65534 });
  expect(statSync(cache).mode & 0o777).toBe(0o700);
  expect(readdirSync(cache)).toHaveLength(1);
  expect(readdirSync(join(cache, readdirSync(cache)[0]!)).length).toBeGreaterThan(0);

  const foreign = join(work, 'foreign');
  mkdirSync(join(foreign, 'cora'), { recursive: true });
  chmodSync(join(foreign, 'cora'), 0o777);
  expect(asNobody({ XDG_CACHE_HOME: foreign }).status).toBe(0);
  expect(readdirSync(join(foreign, 'cora'))).toEqual([]);

  const linked = join(work, 'linked');
  mkdirSync(linked);
  symlinkSync(cache, join(linked, 'cora'));
  expect(asNobody({ XDG_CACHE_HOME: linked }).status).toBe(0);
});
