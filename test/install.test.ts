// Installing, upgrading and removing a release, and cora doctor: a new release proves itself before a link
// leads to it, and no removal touches a vault.

import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { stableLauncher } from '../src/os/launcher.ts';
import { findProgram } from '../src/os/run.ts';
import { execute, Sandbox } from './support/sandbox.ts';

const repository = join(import.meta.dirname, '..');
let sandbox: Sandbox;
let prefix: string;
let bin: string;
beforeEach(() => {
  sandbox = new Sandbox();
  prefix = join(sandbox.root, 'opt/cora');
  bin = join(sandbox.root, 'bin');
});
afterEach(() => sandbox.remove());

/** No Node in it: what is installed carries its own. */
const PATH = '/usr/bin:/bin';
const env = () => ({ PATH, HOME: sandbox.home, CORA_VAULT: sandbox.vault, CORA_LOG: join(sandbox.root, 'cora.log') });
const install = (clone = repository, ...args: string[]) =>
  execute('/bin/sh', [join(clone, 'scripts/install.sh'), '--prefix', prefix, '--bin', bin, ...args], { env: env() });
const installed = (...args: string[]) => execute(join(bin, 'cora'), args, { cwd: sandbox.project, env: env() });

/** A clone of another version; its node_modules are those of this one. */
function cloneOf(version: string): string {
  const clone = join(sandbox.root, `clone-${version}`);
  mkdirSync(clone);
  for (const part of ['bin', 'dist', 'hooks', 'scripts', 'systemd', 'docs', 'LICENSE', 'README.md', 'CHANGELOG.md'])
    cpSync(join(repository, part), join(clone, part), { recursive: true });
  symlinkSync(join(repository, 'node_modules'), join(clone, 'node_modules'));
  writeFileSync(
    join(clone, 'package.json'),
    readFileSync(join(repository, 'package.json'), 'utf8').replace(/"version": "[^"]*"/, `"version": "${version}"`),
  );
  for (const name of readdirSync(join(clone, 'dist'))) {
    const file = join(clone, 'dist', name);
    if (name.endsWith('.js')) writeFileSync(file, readFileSync(file, 'utf8').replaceAll('"0.1.0"', `"${version}"`));
  }
  return clone;
}

test('installed, it works without the clone and without Node in PATH; an upgrade keeps the one before; removal leaves the vault', async () => {
  const first = await install();
  expect([first.code, first.stderr]).toEqual([0, '']);
  expect(first.stdout).toContain('Cora works here');
  expect([readlinkSync(join(bin, 'cora')), readlinkSync(join(prefix, 'current'))]).toEqual([join(prefix, 'current/bin/cora'), '0.1.0']);
  const manual = join(sandbox.root, 'share/man/man1/cora.1');
  expect(readFileSync(manual, 'utf8')).toContain('.TH CORA 1');
  writeFileSync(join(sandbox.project, 'a.txt'), 'a\n');
  expect((await installed('backup', 'now')).code).toBe(0);
  // What hooks and timers are told to call survives the next upgrade.
  const doctor = await installed('doctor', '--json');
  expect((JSON.parse(doctor.stdout) as { result: { launcher: string } }).result.launcher).toBe(join(prefix, 'current/bin/cora'));

  const second = await install(cloneOf('0.2.0'));
  expect([second.code, second.stdout]).toEqual([0, expect.stringContaining('(before: 0.1.0)')]);
  expect((await installed('--version')).stdout).toBe('cora 0.2.0\n');
  expect((await install(cloneOf('0.3.0'))).code).toBe(0);
  expect(readdirSync(prefix).toSorted()).toEqual(['0.2.0', '0.3.0', 'current']);
  expect((await installed('verify', '--all')).code).toBe(0);

  const removed = await install(repository, '--remove');
  expect([removed.code, existsSync(prefix), existsSync(join(bin, 'cora'))]).toEqual([0, false, false]);
  expect(lstatSync(manual, { throwIfNoEntry: false })).toBeUndefined();
  expect((await sandbox.cora(['verify', '--all', '--deep'])).code).toBe(0);
});

test('a release that does not prove itself changes nothing', async () => {
  expect((await install()).code).toBe(0);
  const broken = cloneOf('0.9.0');
  rmSync(join(broken, 'dist/cli.js'));
  const run = await install(broken);
  expect([run.code, run.stderr]).toEqual([1, expect.stringContaining('0.9.0 did not prove itself, so nothing was changed; 0.1.0 stays')]);
  expect(readdirSync(prefix).toSorted()).toEqual(['0.1.0', 'current']);
  expect((await installed('--version')).stdout).toBe('cora 0.1.0\n');
});

test('the same version again, and places that are somebody else’s', async () => {
  for (let n = 0; n < 2; n++) expect((await install()).code).toBe(0);
  expect(readdirSync(prefix).toSorted()).toEqual(['0.1.0', 'current']);
  rmSync(join(bin, 'cora'));
  writeFileSync(join(bin, 'cora'), 'mine');
  const run = await install();
  expect([run.code, run.stderr, readFileSync(join(bin, 'cora'), 'utf8')]).toEqual([1, expect.stringContaining('not ours'), 'mine']);
  expect((await install(repository, '--remove')).stdout).toContain('is not ours and stays');
  expect(existsSync(join(bin, 'cora'))).toBe(true);
  expect((await install(repository, '--nonsense')).code).toBe(2);
});

test('the path for hooks and timers is the link that an upgrade switches, only where there is one', () => {
  const release = join(sandbox.root, 'opt/1.0.0');
  mkdirSync(join(release, 'bin'), { recursive: true });
  writeFileSync(join(release, 'bin/cora'), '');
  const launcher = join(release, 'bin/cora');
  expect(stableLauncher(launcher)).toBe(launcher);
  symlinkSync('1.0.0', join(sandbox.root, 'opt/current'));
  expect(stableLauncher(launcher)).toBe(join(sandbox.root, 'opt/current/bin/cora'));
  rmSync(join(sandbox.root, 'opt/current'));
  symlinkSync('2.0.0', join(sandbox.root, 'opt/current'));
  expect(stableLauncher(launcher)).toBe(launcher);
});

test('doctor tries a whole round, leaves nothing behind, and tells of a vault that cannot be written', async () => {
  writeFileSync(join(sandbox.project, 'a.txt'), 'a\n');
  const before = readdirSync(tmpdir()).filter((name) => name.startsWith('cora-doctor-'));
  const { code, result } = await sandbox.json(['doctor']);
  const checks = result['checks'] as { name: string; state: string; message: string }[];
  expect([0, 3]).toContain(code);
  expect(checks.find(({ name }) => name === 'probe')).toMatchObject({ state: 'ok', message: expect.stringMatching(/restored and compared in/) });
  expect(readdirSync(tmpdir()).filter((name) => name.startsWith('cora-doctor-'))).toEqual(before);
  await sandbox.cora(['save']);
  expect((await sandbox.json(['doctor'])).result['checks']).toEqual(
    expect.arrayContaining([expect.objectContaining({ name: 'vault', state: 'ok' })]),
  );
  rmSync(join(sandbox.vault, '.cache'), { recursive: true });
  writeFileSync(join(sandbox.vault, '.cache'), '');
  const broken = await sandbox.json(['doctor']);
  expect([broken.code, broken.result['checks']]).toEqual([1, expect.arrayContaining([expect.objectContaining({ name: 'vault', state: 'fail' })])]);
  expect(lstatSync(sandbox.vault).isDirectory()).toBe(true);
});

test.skipIf(findProgram('setpriv') === undefined)(
  'doctor outside any project, as nobody with a read-only home, still tries the machine',
  async () => {
    const user = new Sandbox({ nobody: true });
    try {
      chmodSync(user.home, 0o500);
      const run = await user.cora(['doctor'], { cwd: '/', env: { CORA_VAULT: undefined, CORA_LOG: '' } });
      expect([[0, 3].includes(run.code ?? -1), run.stdout]).toEqual([true, expect.stringMatching(/^ok +probe +saved and backed up/m)]);
    } finally {
      await user.remove();
    }
  },
);
