// The push hook with real pushes: what the guard sees, what is said, what it never stops, and how long
// a push waits. The hook file is the smallest that calls it.

import { randomBytes } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findProgram } from '../src/os/run.ts';
import { execute, isRoot, type Run, Sandbox } from './support/sandbox.ts';

const repository = join(import.meta.dirname, '..');
let sandbox: Sandbox;
let env: NodeJS.ProcessEnv;

beforeEach(async () => {
  sandbox = new Sandbox();
  env = {
    PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin',
    HOME: sandbox.home,
    CORA_VAULT: sandbox.vault,
    CORA_LOG: join(sandbox.root, 'cora.log'),
    TMPDIR: join(sandbox.root, 'tmp'),
  };
  mkdirSync(join(sandbox.root, 'tmp'));
  await shell('git init -q --bare ../remote.git && git init -q -b main . && git config user.email t@example.org && git config user.name t');
  await shell('git remote add origin ../remote.git && echo a > a.txt && git add a.txt && git commit -qm first');
  useLauncher(join(repository, 'bin/cora'));
});
afterEach(() => sandbox.remove());

const at = (path: string) => join(sandbox.project, path);

function useLauncher(launcher: string): void {
  writeFileSync(at('.git/hooks/pre-push'), `#!/bin/sh\nexec '${launcher}' hook pre-push "$@"\n`, { mode: 0o755 });
}

async function shell(command: string, cwd = sandbox.project): Promise<string> {
  const run = await execute('/bin/sh', ['-c', command], { cwd, env });
  if (run.code !== 0) throw new Error(`${command}: ${run.stderr}${run.stdout}`);
  return run.stdout;
}

const push = (args = '-q origin main', extra: NodeJS.ProcessEnv = {}): Promise<Run> =>
  execute('/bin/sh', ['-c', `git push ${args}`], { cwd: sandbox.project, env: { ...env, ...extra } });

/** Commits a file of zeros, which costs nothing. */
async function commitLarge(name: string, size: number): Promise<string> {
  writeFileSync(at(name), '');
  truncateSync(at(name), size);
  await execute('git', ['add', '--', name], { cwd: sandbox.project, env });
  await shell('git commit -qm large');
  return (await shell('git rev-parse --short HEAD')).trim();
}

const logLines = () =>
  existsSync(env['CORA_LOG'] ?? '')
    ? readFileSync(env['CORA_LOG'] ?? '', 'utf8')
        .trim()
        .split('\n')
    : [];

/** What git would write to the hook for a push of HEAD to a new branch. */
const inputLine = async () => `refs/heads/main ${(await shell('git rev-parse HEAD')).trim()} refs/heads/main ${'0'.repeat(40)}`;

async function waitFor(done: () => Promise<boolean> | boolean): Promise<void> {
  for (let wait = 0; wait < 100 && !(await done()); wait++) await new Promise((resolve) => setTimeout(resolve, 100));
}

test('a new branch, a force push, a deleted tag, nothing to push: each is saved and goes through', async () => {
  const first = await push();
  expect([first.code, first.stderr]).toEqual([0, expect.stringMatching(/^cora: Backup \d{8}-\d{6}-[0-9a-f]{7}\n$/)]);
  await shell('echo b > a.txt && git commit -qam second');
  expect(await push()).toMatchObject({ code: 0, stderr: expect.stringMatching(/^cora: Saved /) });
  await shell('git commit -q --amend -m amended && git tag v1 && git branch topic');
  for (const args of ['-q --force origin main', '-q origin topic v1', '-q origin :refs/tags/v1', '-q origin main']) {
    expect([args, await push(args)]).toEqual([args, { code: 0, stdout: '', stderr: expect.stringMatching(/^cora: Nothing changed since /) }]);
  }
  expect((await shell('git ls-remote origin')).split('\n').filter((line) => line.includes('refs/'))).toHaveLength(2);
});

test('a large file that was added and removed inside the pushed commits is found, and the line for .gitignore works', async () => {
  await commitLarge('big file [1].bin', 120_000_000);
  await shell("git rm -q 'big file [1].bin' && git commit -qm gone");
  const { code, stderr } = await push();
  expect(code).toBe(0);
  const line = stderr.split('\n').find((text) => text.includes('large for git')) ?? '';
  expect(line).toMatch(/^cora: big file \[1\]\.bin \(120 MB\) is large for git; to keep it out: /);
  await shell(line.replace(/^.*to keep it out: /, ''));
  expect((await shell("git check-ignore 'big file [1].bin'")).trim()).toBe('big file [1].bin');
  // It is out now, so it is old news.
  await shell('echo c > a.txt && git commit -qam third');
  expect((await push()).stderr).not.toContain('large for git');
});

test('what the remote would refuse is stopped, once it is safe: from the work tree, or with its commit', async () => {
  await shell('git config cora.blockSize 1m');
  const odd = await commitLarge("it's $big\n.bin", 2_000_000);
  const stopped = await push();
  expect(stopped.code).toBe(1);
  expect(stopped.stderr).toMatch(new RegExp(`BLOCKED: it's \\$big.* \\(2 MB, commit ${odd}\\): the remote refuses files over 1 MiB`));
  const commit = await commitLarge('plain.bin', 3_000_000);
  const id = /nothing is lost: the file is safe in the vault \(save (\S+)\)/.exec((await push()).stderr)?.[1] ?? 'none';
  const out = join(sandbox.root, 'out');
  expect((await sandbox.cora(['restore', id, '--to', out, '--', 'plain.bin'])).code).toBe(0);
  expect(statSync(join(out, 'plain.bin')).size).toBe(3_000_000);
  await shell('git rm -q plain.bin && git commit -qm gone');
  const gone = await push();
  const backup = /its commit is safe in the git bundle of backup (\S+)/.exec(gone.stderr)?.[1] ?? 'none';
  expect([gone.code, gone.stderr]).toEqual([1, expect.stringContaining('git lfs migrate import --include=plain.bin')]);
  await shell('git init -q ../again');
  await shell(
    `git fetch -q '${sandbox.vault}/${backup}/git/project.bundle' '+refs/heads/*:refs/heads/b/*' && git cat-file -e ${commit}:plain.bin`,
    join(sandbox.root, 'again'),
  );
  expect((await push('-q origin main', { CORA_GUARD: '0' })).code).toBe(0);
});

test('only a host that is known to refuse large files stops a push, and only over its limit', async () => {
  await commitLarge('big.bin', 104_857_601);
  const line = await inputLine();
  for (const [url, code] of [
    ['git@github.com:a/b.git', 1],
    ['https://user@gitlab.com/a/b.git', 1],
    ['ssh://git@github.com:22/a/b.git', 1],
    ['https://example.org/github.com.git', 0],
    ['/srv/github.com/b.git', 0],
    ['file:///github.com/b.git', 0],
  ] as const) {
    const script = `echo '${line}' | '${repository}/bin/cora' hook pre-push origin '${url}'`;
    const run = await execute('/bin/sh', ['-c', script], { cwd: sandbox.project, env: { ...env, CI: '1' } });
    expect([url, run.code]).toEqual([url, code]);
  }
});

test('without Node the guard looks, the push goes on, and the failure is counted', async () => {
  const bare = join(sandbox.root, 'bare');
  for (const part of ['bin', 'hooks']) cpSync(join(repository, part), join(bare, part), { recursive: true });
  const programs = join(sandbox.root, 'programs');
  mkdirSync(programs);
  const names = 'sh git cat awk sed sort head tail date id mktemp mkfifo rm sleep setsid readlink tr env mkdir tar gzip sha256sum find sync flock';
  for (const name of names.split(' ')) {
    const program = findProgram(name);
    if (program !== undefined) symlinkSync(program, join(programs, name));
  }
  useLauncher(join(bare, 'bin/cora'));
  await commitLarge('big.bin', 60_000_000);
  const run = await push('-q origin main', { PATH: programs });
  expect(run.code).toBe(0);
  expect(run.stderr).toMatch(
    /^cora: big\.bin \(60 MB\) is large for git.*\ncora: NOT saved: no Node was found.*The guard did look\ncora: the push goes on; cora status shows what is wrong\n$/,
  );
  await shell('git config cora.blockSize 1m');
  await commitLarge('other.bin', 2_000_000);
  const blocked = await push('-q origin main', { PATH: programs });
  expect([blocked.code, blocked.stderr]).toEqual([1, expect.stringContaining('the content is in .git only: do not delete this clone')]);
  const { failures } = (await sandbox.json(['status'])).result as { failures: { count: number; pushes_without_save: number } };
  expect([failures.count >= 2, failures.pushes_without_save >= 2]).toEqual([true, true]);
});

test.skipIf(!isRoot)('a full vault: said in one line, the push goes on, unless it was asked to stop (needs root)', async () => {
  const disk = join(sandbox.root, 'disk');
  mkdirSync(disk);
  expect((await execute('mount', ['-t', 'tmpfs', '-o', 'size=400k', 'none', disk])).code).toBe(0);
  try {
    writeFileSync(at('random.bin'), randomBytes(2_000_000));
    const full = { CORA_VAULT: join(disk, 'vault') };
    const run = await push('-q origin main', full);
    expect([run.code, run.stderr]).toEqual([0, expect.stringMatching(/^cora: NOT saved: .*(No space left|bytes left).*\ncora: the push goes on/)]);
    writeFileSync(at('cora.toml'), '# with a comment\n[hook] # here\non_failure = "block" # stop it\n');
    await shell('echo b > a.txt && git commit -qam second');
    const stopped = await push('-q origin main', full);
    expect([stopped.code, stopped.stderr]).toEqual([1, expect.stringContaining('hook.on_failure is "block"')]);
  } finally {
    await execute('umount', [disk]);
  }
});

test('a vault that another run holds: the push returns within its budget, and the save is made when it can be', async () => {
  await push();
  // What Cora waits for is the lock of the vault, held here by somebody else.
  const holder = execute('/bin/sh', ['-c', `exec flock '${sandbox.vault}/.lock' sleep 8`]);
  await shell('echo b > a.txt && git commit -qam second');
  const started = Date.now();
  // The shell's own pipe: a child that kept it would hold the push.
  const output = await shell('out=$(git push -q origin main 2>&1); echo "$out"');
  const seconds = (Date.now() - started) / 1000;
  expect(output).toMatch(/^cora: the save goes on in the background \(process \d+\); cora status shows how it ended\n$/);
  expect([seconds, seconds < 4]).toEqual([seconds, true]);
  await holder;
  await waitFor(() => logLines().length >= 2);
  expect(logLines().at(-1)).toMatch(/level=info command="backup auto" trigger="hook".* exit=0/);
  await waitFor(async () => (await shell('ls "$TMPDIR"')) === '');
  expect(await shell('ls "$TMPDIR"')).toBe('');
});

test('a vault that stays locked: told and counted, and the push goes on', async () => {
  await push();
  const holder = execute('/bin/sh', ['-c', `exec flock '${sandbox.vault}/.lock' sleep 3`]);
  await shell('echo b > a.txt && git commit -qam second');
  const run = await push('-q origin main', { CORA_LOCK_WAIT: '100ms' });
  expect(run).toMatchObject({ code: 0, stderr: 'cora: another save is running in this vault; this push made none of its own\n' });
  await holder;
});

test('each way to switch it off is told and logged; in CI the guard alone runs', async () => {
  await commitLarge('big.bin', 60_000_000);
  expect((await push('-q origin main:a', { CORA: '0' })).stderr).toBe('cora: this push is not saved: CORA=0 is set\n');
  expect((await execute('/bin/sh', ['-c', 'git -c cora.hook=off push -q origin main:b'], { cwd: sandbox.project, env })).stderr).toContain(
    'not saved',
  );
  const ci = await push('-q origin main:c', { CI: 'true' });
  expect(ci.code).toBe(0);
  writeFileSync(at('cora.toml'), '[hook]\nskip_branches = ["wip/*", "main"]\n');
  expect((await push('-q origin main:d')).stderr).toContain('the branch is in hook.skip_branches');
  writeFileSync(at('cora.toml'), '[hook]\nenabled = false\n');
  expect((await push('-q origin main:e')).stderr).toContain('this push is not saved');
  rmSync(at('cora.toml'));
  mkdirSync(at('.git/rebase-merge'));
  expect((await push('-q origin main:f')).stderr).toContain('a rebase is under way');
  expect(existsSync(sandbox.vault)).toBe(false);
  expect(logLines().map((line) => /message="([^"]*)"/.exec(line)?.[1])).toEqual([
    'skipped: CORA=0 is set',
    'skipped: the setting cora.hook of git is off',
    'skipped: CI is set: the guard alone ran',
    'skipped: the branch is in hook.skip_branches',
    'skipped: the setting cora.hook of git is off',
    'skipped: a rebase is under way',
  ]);
});

test('a linked work tree saves itself, not the main one', async () => {
  await shell('git worktree add -q ../tree && cd ../tree && echo t > t.txt && git add . && git commit -qm t');
  const run = await execute('/bin/sh', ['-c', 'git push -q origin HEAD'], { cwd: join(sandbox.root, 'tree'), env });
  expect([run.code, run.stderr]).toEqual([0, expect.stringMatching(/^cora: Backup /)]);
  expect(readFileSync(join(sandbox.vault, 'VAULT.json'), 'utf8')).toContain(join(sandbox.root, 'tree'));
});

test('the script is the same under dash, bash and busybox', async () => {
  await commitLarge('big.bin', 60_000_000);
  await shell('git config cora.budget 30s');
  const line = await inputLine();
  const outputs: string[] = [];
  for (const name of ['dash', 'bash', 'busybox sh']) {
    if (findProgram(name.split(' ')[0] ?? '') === undefined) continue;
    const launcher = { CORA_LAUNCHER: join(repository, 'bin/cora') };
    const script = `echo '${line}' | ${name} '${repository}/hooks/pre-push' origin ../remote.git`;
    const run = await execute('/bin/sh', ['-c', script], { cwd: sandbox.project, env: { ...env, ...launcher } });
    expect(run.code).toBe(0);
    outputs.push(run.stderr.replace(/Backup .*|Nothing changed.*/, 'done'));
  }
  expect(new Set(outputs).size).toBe(1);
  expect(outputs[0]).toMatch(/^cora: big\.bin .*\ncora: done\n$/);
});
