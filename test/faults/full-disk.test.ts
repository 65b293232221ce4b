// Disks that are full, read-only, limited or gone, clocks that jump, runs that meet: each ends with its
// exit code and one sentence, nothing half made is listed, and the next run works without help.

import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findProgram } from '../../src/os/run.ts';
import { execute, isRoot, type Run, Sandbox } from '../support/sandbox.ts';

let sandbox: Sandbox;
const mounts: string[] = [];
beforeEach(() => {
  sandbox = new Sandbox();
});
afterEach(async () => {
  for (const mount of mounts.splice(0).reverse()) await execute('/bin/umount', ['--', mount]);
  await sandbox.remove();
});

const at = (path: string) => join(sandbox.project, path);
const faketime = findProgram('faketime');

/** A file system in memory at the vault's parent, so that the vault itself is made by Cora. */
async function mountVault(options: string): Promise<string> {
  const mount = join(sandbox.root, 'disk');
  mkdirSync(mount);
  const run = await execute('/bin/mount', ['-t', 'tmpfs', '-o', options, 'none', mount]);
  if (run.code !== 0) throw new Error(run.stderr);
  mounts.push(mount);
  return mount;
}

/** One sentence for people, no stack, and the code. */
function expectSentence(run: Run, code: number, words: RegExp): void {
  expect([run.code, run.stderr]).toEqual([code, expect.stringMatching(words)]);
  const lines = run.stderr.trim().split('\n');
  expect(lines.filter((line) => line.startsWith('cora: '))).toHaveLength(1);
  expect(run.stderr).not.toMatch(/\n\s+at /);
}

async function ids(env: NodeJS.ProcessEnv): Promise<string[]> {
  const { result } = await sandbox.json(['list'], { env });
  return (result['snapshots'] as { snapshot_id: string }[]).map(({ snapshot_id: id }) => id);
}

async function expectSound(env: NodeJS.ProcessEnv): Promise<void> {
  expect((await sandbox.cora(['verify', '--all', '--deep'], { env })).code).toBe(0);
}

test.skipIf(!isRoot)(
  'a vault that is full or has no inodes left: exit 1, nothing new is listed, and with room the next run works (needs root)',
  async () => {
    for (const [options, more] of [
      ['size=3m', 'size=64m'],
      ['nr_inodes=30', 'nr_inodes=10000'],
    ] as const) {
      const env = { CORA_VAULT: join(await mountVault(options), 'vault') };
      writeFileSync(at('small.txt'), 'small\n');
      expect((await sandbox.cora(['save'], { env })).code).toBe(0);
      const before = await ids(env);
      writeFileSync(at('large.bin'), randomBytes(6_000_000));
      for (let n = 0; n < 40; n++) {
        mkdirSync(at(`d${n}`), { recursive: true });
        writeFileSync(at(`d${n}/AI_WORK_LOG.md`), `log ${n}\n`);
      }
      const failed = options.startsWith('size') ? ['save'] : ['backup', 'now'];
      expectSentence(await sandbox.cora(failed, { env }), 1, /No space left|has \d+ bytes left/);
      const after = await ids(env);
      expect(after.slice(0, before.length)).toEqual(before);
      await expectSound(env);
      const mount = mounts.at(-1) ?? '';
      await execute('/bin/mount', ['-o', `remount,${more}`, 'none', mount]);
      expect((await sandbox.cora(['backup', 'now'], { env })).code).toBe(0);
      await expectSound(env);
      await execute('/bin/umount', ['--', mount]);
      mounts.pop();
      await execute('/bin/rmdir', ['--', mount]);
    }
  },
);

test.skipIf(!isRoot)('a read-only vault cannot take a save and still gives everything back (needs root)', async () => {
  const mount = await mountVault('size=64m');
  const env = { CORA_VAULT: join(mount, 'vault') };
  writeFileSync(at('a.txt'), 'one\n');
  expect((await sandbox.cora(['backup', 'now'], { env })).code).toBe(0);
  writeFileSync(at('a.txt'), 'two\n');
  await execute('/bin/mount', ['-o', 'remount,ro', 'none', mount]);
  for (const command of [['save'], ['backup', 'now']]) expectSentence(await sandbox.cora(command, { env }), 1, /read-only/);
  expect(await ids(env)).toHaveLength(1);
  expect((await sandbox.cora(['restore', 'latest', '--to', join(sandbox.root, 'out')], { env })).code).toBe(0);
  expect(readFileSync(join(sandbox.root, 'out/a.txt'), 'utf8')).toBe('one\n');
  await execute('/bin/mount', ['-o', 'remount,rw', 'none', mount]);
  expect((await sandbox.cora(['save'], { env })).code).toBe(0);
  await expectSound(env);
});

test('a limit on the size of files ends a save with a sentence and leaves nothing listed', async () => {
  writeFileSync(at('a.txt'), 'one\n');
  const { id } = await sandbox.snapshot(['save']);
  writeFileSync(at('large.bin'), randomBytes(3_000_000));
  const limited = await execute('/bin/sh', ['-c', 'ulimit -f 1000; cd "$1" && exec "$2" save', 'sh', sandbox.project, cora()], {
    env: environment(),
  });
  expectSentence(limited, 1, /file size limit/);
  expect(await ids({})).toEqual([id]);
  expect((await sandbox.cora(['save'])).code).toBe(0);
  await expectSound({});
});

test('a disk that is gone is not taken for a new vault: exit 10, and nothing is made in its place', async () => {
  // The usual place of an ordinary user, remembered in the state directory.
  const env = { CORA_VAULT: undefined, XDG_STATE_HOME: join(sandbox.root, 'state') };
  if (isRoot) return expectGoneByConfiguration();
  writeFileSync(at('a.txt'), 'one\n');
  expect((await sandbox.cora(['save'], { env })).code).toBe(0);
  const vault = join(sandbox.root, 'state/cora/project');
  renameSync(vault, `${vault}.away`);
  expectSentence(await sandbox.cora(['save'], { env }), 10, /vault/);
  renameSync(`${vault}.away`, vault);
  expect((await sandbox.cora(['save'], { env })).code).toBe(0);
});

/** As root the usual place is the machine's own, so an empty directory in the vault's place is what is tried. */
async function expectGoneByConfiguration(): Promise<void> {
  writeFileSync(at('a.txt'), 'one\n');
  expect((await sandbox.cora(['save'])).code).toBe(0);
  renameSync(sandbox.vault, `${sandbox.vault}.away`);
  mkdirSync(sandbox.vault);
  expectSentence(await sandbox.cora(['save']), 10, /vault/i);
  expect(await execute('/bin/ls', ['-A', sandbox.vault])).toMatchObject({ stdout: '' });
}

test('first runs at once make one vault between them', async () => {
  writeFileSync(at('a.txt'), 'one\n');
  for (let round = 0; round < 3; round++) {
    const env = { CORA_VAULT: join(sandbox.root, `first-${round}`) };
    const runs = await Promise.all([1, 2, 3, 4].map((n) => sandbox.cora(['save', '-m', `run ${n}`], { env })));
    expect(runs.map(({ code, stderr }) => [code, stderr])).toEqual(runs.map(() => [0, '']));
    expect(await ids(env)).toHaveLength(4);
  }
  expect((await execute('/bin/ls', ['-A', sandbox.root])).stdout).not.toContain('.new-');
});

test('a backup is not hurt by saves that clean up while it begins its export', async () => {
  writeFileSync(at('a.txt'), 'one\n');
  await sandbox.cora(['save']);
  for (let round = 0; round < 2; round++) {
    const runs = await Promise.all([1, 2, 3, 4, 5, 6].map((n) => sandbox.cora(n % 2 === 0 ? ['backup', 'now'] : ['save', '-m', `${round}.${n}`])));
    expect(runs.map(({ code, stderr }) => [code, stderr])).toEqual(runs.map(() => [0, '']));
  }
  await expectSound({});
});

test('five saves at once: all end well, the ledger is whole, and what they saved is there', async () => {
  writeFileSync(at('a.txt'), 'one\n');
  await sandbox.cora(['save']);
  const runs = await Promise.all(
    [1, 2, 3, 4, 5].map((n) => {
      writeFileSync(at(`f${n}.txt`), `${n}\n`);
      return sandbox.cora(n === 5 ? ['backup', 'now'] : ['save', '-m', `run ${n}`]);
    }),
  );
  expect(runs.map(({ code }) => code)).toEqual([0, 0, 0, 0, 0]);
  await expectSound({});
  const sequences = readFileSync(join(sandbox.vault, 'ledger/chain.log'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => Number(line.split(' ')[0]));
  expect(sequences).toEqual(sequences.map((_, index) => index + 1));
});

test('a signal in the middle of a save or backup: exit 130, nothing half made, and the next run works', async () => {
  for (let n = 0; n < 60; n++) writeFileSync(at(`f${n}.bin`), randomBytes(400_000));
  for (const [command, wait] of [
    ['save', 0],
    ['backup now', 0.2],
    ['backup now', 0.6],
  ] as const) {
    // From when it works: a signal that comes before Node has started ends it as any program.
    const begun = `until ls "$3"/.stage/run-* >/dev/null 2>&1 || ! kill -0 "$pid" 2>/dev/null; do sleep 0.01; done`;
    const script = `cd "$1" && { "$2" ${command} & pid=$!; ${begun}; sleep ${wait}; kill -TERM "$pid" 2>/dev/null; wait "$pid"; }`;
    const run = await execute('/bin/sh', ['-c', script, 'sh', sandbox.project, cora(), sandbox.vault], { env: environment() });
    expect([0, 130]).toContain(run.code);
    if (run.code === 130) expectSentence(run, 130, /Interrupted by SIGTERM/);
    writeFileSync(at('f0.bin'), randomBytes(400_000));
  }
  expect((await sandbox.cora(['backup', 'now'])).code).toBe(0);
  await expectSound({});
});

test.skipIf(faketime === undefined)('clocks that jump back and forth leave the order to the ledger (needs faketime)', async () => {
  const save = async (offset: string, text: string) => {
    writeFileSync(at('a.txt'), `${text}\n`);
    const run = await execute(faketime ?? '', ['-f', offset, cora(), 'save', '--json'], { cwd: sandbox.project, env: environment() });
    expect([run.code, run.stderr]).toEqual([0, '']);
    return (JSON.parse(run.stdout) as { result: { snapshot_id: string } }).result.snapshot_id;
  };
  const made = [await save('+0d', 'now'), await save('-3d', 'back'), await save('+2d', 'ahead'), await save('+0d', 'again')];
  expect(await ids({})).toEqual(made);
  await expectSound({});
  const to = join(sandbox.root, 'out');
  // A snapshot dated in the future is not taken for the latest.
  expect((await sandbox.cora(['restore', 'latest', '--to', to])).code).toBe(0);
  expect(readFileSync(join(to, 'a.txt'), 'utf8')).toBe('again\n');
});

function cora(): string {
  return join(import.meta.dirname, '../../bin/cora');
}

function environment(): NodeJS.ProcessEnv {
  return {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: sandbox.home,
    CORA_VAULT: sandbox.vault,
    CORA_LOG: join(sandbox.root, 'cora.log'),
  };
}
