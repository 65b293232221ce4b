// `cora torture` for real, as a user runs it: what it tries, what it keeps, and that nothing of it stays behind, whatever ends it.

import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Certificate } from '../../src/actions/torture-result.ts';
import { execute, isRoot, PATH, Sandbox, whyNotNobody } from '../support/sandbox.ts';

const CORA = join(import.meta.dirname, '../../bin/cora');
const SLOW = process.env['CORA_TEST_SLOW'] === '1';

let sandbox: Sandbox;
const start = async (options: { readonly nobody?: boolean } = {}) => {
  sandbox = new Sandbox(options);
  mkdirSync(join(sandbox.root, 'disk'));
  sandbox.own(join(sandbox.root, 'disk'));
  writeFileSync(join(sandbox.project, 'a.txt'), 'one\n');
  sandbox.own(join(sandbox.project, 'a.txt'));
  await sandbox.snapshot(['save']);
};
beforeEach(() => start());
afterEach(() => sandbox.remove());

const disk = () => join(sandbox.root, 'disk');
const mounts = () =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(sandbox.root));
const chain = () => readFileSync(join(sandbox.vault, 'ledger/chain.log'), 'utf8');

test('it tries what there is, keeps a certificate that status and health show, and leaves nothing behind', { timeout: 600_000 }, async () => {
  const before = chain();
  const run = await sandbox.json(['torture', disk(), '--minutes', SLOW ? '20' : '0.2', '--seed', '7']);
  const made = run.result as unknown as Certificate & { readonly certificate: string };
  expect([run.code, made.outcome, made.losses]).toEqual([0, 'ok', []]);
  // Four runs without a fault come first.
  expect(made.points).toBeGreaterThan(4);
  expect(made.points).toBe(made.parts.reduce((sum, { tried }) => sum + tried, 0));
  expect(made.parts).toHaveLength(13);
  for (const { tried, skipped, losses } of made.parts) expect([losses, skipped === undefined || (tried === 0 && skipped !== '')]).toEqual([0, true]);
  expect([readdirSync(disk()), mounts()]).toEqual([[], []]);
  // The vault of the project has a line and two files more, and is as whole as before.
  expect(chain().startsWith(before)).toBe(true);
  expect(chain()).toMatch(new RegExp(` torture ${made.id} \\S+ [0-9a-f]{64} [0-9a-f]{64} ok,${made.points},0,[a-z0-9]+\n$`));
  const { certificate, ...rest } = made;
  expect(JSON.parse(readFileSync(join(sandbox.vault, certificate), 'utf8'))).toEqual(rest);
  expect(readFileSync(join(sandbox.vault, certificate.replace('.json', '.txt')), 'utf8')).toContain(`${made.points} points tried, nothing was lost`);
  expect((await sandbox.json(['verify', '--all', '--chain'])).code).toBe(0);
  expect((await sandbox.json(['status'])).result['last_torture']).toMatchObject({ id: made.id, ok: true, points: made.points, losses: 0 });
  expect((await sandbox.cora(['status'])).stdout).toMatch(/^Tortured {2}.*nothing lost$/m);
  expect((await sandbox.cora(['health'])).stdout).toMatch(/^well .*\btorture\b/m);
});

test('a signal ends it with 130 and leaves nothing; what a kill leaves is gone with the next run', { timeout: 120_000 }, async () => {
  const env = { PATH, HOME: sandbox.home, CORA_VAULT: sandbox.vault, CORA_LOG: join(sandbox.root, 'cora.log') };
  for (const [signal, ends] of [
    ['SIGINT', 130],
    ['SIGKILL', null],
  ] as const) {
    const child = spawn(CORA, ['torture', disk(), '--minutes', '5'], { cwd: sandbox.project, env, stdio: 'ignore' });
    const ended = new Promise((resolve) => child.once('exit', resolve));
    while (readdirSync(disk()).filter((name) => !name.endsWith('.lock')).length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    await new Promise((resolve) => setTimeout(resolve, 1500));
    child.kill(signal);
    expect(await ended).toBe(ends);
    expect([readdirSync(disk()).length > 0, mounts()]).toEqual([ends === null, []]);
  }
  // What it had started may still write there for a while.
  const [scratch = ''] = readdirSync(disk()).filter((name) => !name.endsWith('.lock'));
  const writes = 'while echo x >"$0/$((n += 1))"; do /bin/true; done';
  const writer = execute('timeout', ['2', 'sh', '-c', writes, join(disk(), scratch)]);
  // Too little room is found after the dead one was cleared away.
  expect(await sandbox.json(['torture', disk(), '--space', '4000TB'])).toMatchObject({ code: 1, error: { code: 'no_space' } });
  await writer;
  expect(readdirSync(disk())).toEqual([]);
  expect(chain()).not.toContain(' torture ');
});

test('it is not held in the project, in a vault, or in no directory', async () => {
  const other = join(sandbox.root, 'other-vault');
  expect((await sandbox.cora(['save'], { env: { CORA_VAULT: other } })).code).toBe(0);
  for (const [directory, code, word] of [
    [sandbox.project, 20, 'refused'],
    [join(sandbox.vault, 'progress'), 20, 'refused'],
    [join(other, 'progress'), 20, 'refused'],
    [join(sandbox.root, 'none'), 2, 'usage'],
    [join(sandbox.project, 'a.txt'), 2, 'usage'],
  ] as const)
    expect(await sandbox.json(['torture', directory])).toMatchObject({ code, error: { code: word } });
  for (const wrong of [
    ['--minutes', '0'],
    ['--minutes', 'many'],
    ['--space', '1MB'],
  ])
    expect((await sandbox.json(['torture', disk(), ...wrong])).code).toBe(2);
  expect((await execute('ls', ['-A', disk()])).stdout).toBe('');
});

test('a fault is armed for a vault beside its file alone', async () => {
  const file = join(sandbox.root, 'elsewhere', 'failpoint.json');
  mkdirSync(join(sandbox.root, 'elsewhere'));
  const runs: (number | null)[] = [];
  for (const [path, root] of [
    [file, sandbox.root],
    [join(sandbox.root, 'failpoint.json'), '/'],
    [join(sandbox.root, 'failpoint.json'), sandbox.root],
  ] as const) {
    writeFileSync(path, JSON.stringify({ action: 'kill-before', at: 1, root }));
    runs.push((await sandbox.cora(['save', '-m', 'again'], { env: { CORA_FAILPOINT: path } })).code);
  }
  expect(runs).toEqual([0, 0, null]);
});

const reason = isRoot ? whyNotNobody() : undefined;
test.skipIf(reason !== undefined)(
  `an ordinary user tries all but what needs root${reason === undefined ? '' : ` (${reason})`}`,
  { timeout: 300_000 },
  async () => {
    await sandbox.remove();
    await start({ nobody: true });
    const run = await sandbox.json(['torture', disk(), '--minutes', '0.02', '--seed', '3']);
    const made = run.result as unknown as Certificate;
    expect([run.code, made.losses]).toEqual([0, []]);
    expect(made.parts.filter(({ skipped }) => skipped === 'only root may mount a disk image').map(({ kind }) => kind)).toEqual([
      'full-disk',
      'power-cut',
    ]);
    expect(readdirSync(disk())).toEqual([]);
  },
);

test('of a disk that lost something status and health warn', async () => {
  const { recordTorture } = await import('../../src/actions/torture-ledger.ts');
  const { openVault } = await import('../../src/vault/vault.ts');
  const place = { directory: disk(), file_system: 'ext4', mount_point: '/', mount_options: '', source: '', kernel: '', device: null };
  const loss = { kind: 'kill', point: 'save, killed', violations: [{ rule: 'lost', sentence: 'gone' }] } as const;
  const parts = [{ kind: 'kill', tried: 9, missed: 0, losses: 1, all: false, skipped: undefined }] as const;
  const certificate: Certificate = {
    schema: 1,
    id: '20261121-000000',
    began: '',
    seconds: 1,
    cora: '',
    seed: 1,
    place,
    parts,
    points: 9,
    losses: [loss],
    outcome: 'lost',
  };
  const monitor = { phase: () => undefined, progress: () => undefined, problem: () => undefined, note: () => undefined };
  const ctx = { monitor, now: Date.now, signal: new AbortController().signal, workers: 0, lockWait: 1000, version: '' };
  expect(recordTorture(openVault(sandbox.vault), certificate, ['LOST'], ctx)).toBe('ledger/torture/20261121-000000.json');
  expect((await sandbox.cora(['status'])).stdout).toMatch(/^warning: The last torture of the disk .* lost something\. see ledger/m);
  expect((await sandbox.cora(['health'])).stdout).toMatch(/^warning +torture: Of 9 faults on ext4 .*, 1 lost something\./m);
});
