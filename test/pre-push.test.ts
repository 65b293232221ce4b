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
  sandbox = new Sandbox({ fast: true });
  env = {
    PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin',
    HOME: sandbox.home,
    CORA_VAULT: sandbox.vault,
    CORA_LOG: join(sandbox.root, 'cora.log'),
    TMPDIR: join(sandbox.root, 'tmp'),
  };
  mkdirSync(join(sandbox.root, 'tmp'));
  await shell(
    'git init -q --bare ../remote.git && git init -q -b main . && git config core.compression 1 && git config user.email t@example.org && git config user.name t',
  );
  await shell('git remote add origin ../remote.git && echo a > a.txt && git add a.txt && git commit -qm first');
  // How long a push waits is one test's business; the others must not depend on how busy the machine is.
  await shell('git config cora.budget 60s');
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

/** A remote that the hook sees as github.com, and that is the bare repository here: what ssh would start there runs here. */
async function atGithub(): Promise<NodeJS.ProcessEnv> {
  const ssh = join(sandbox.root, 'ssh');
  writeFileSync(ssh, '#!/bin/sh\nfor last; do :; done\nexec sh -c "$last"\n', { mode: 0o755 });
  await shell(`git remote set-url origin 'git@github.com:${sandbox.root}/remote.git'`);
  return { GIT_SSH_COMMAND: ssh };
}

/** The command of a way out, as it was printed. */
const command = (stderr: string, start: string): string =>
  stderr
    .split('\n')
    .flatMap((line) => (line.includes(start) ? [line.slice(line.indexOf(start)).replace(/ {5}\(.*/, '')] : []))
    .at(0) ?? `no ${start} in ${stderr}`;

const backups = async () => ((await sandbox.json(['backup', 'list'])).result as { total: number }).total;

test('120 MB, added and removed inside what goes to github.com: stopped, in the vault, and the way out works', async () => {
  const github = await atGithub();
  expect((await push('-q origin main', github)).code).toBe(0);
  const commit = await commitLarge('big file [1].bin', 120_000_000);
  await shell("git rm -q 'big file [1].bin' && echo b > b.txt && git add b.txt && git commit -qm gone");
  const stopped = await push('-q origin main', github);
  expect([stopped.code, stopped.stderr]).toEqual([
    1,
    expect.stringContaining(`BLOCKED: big file [1].bin (120 MB, commit ${commit}): github.com refuses files over 100 MiB`),
  ]);
  const backup = /nothing is lost: backup (\S+) has it, in its git bundle/.exec(stopped.stderr)?.[1] ?? 'none';
  await shell('git init -q ../again');
  const again = join(sandbox.root, 'again');
  await shell(`git fetch -q '${sandbox.vault}/${backup}/git/project.bundle' '+refs/heads/*:refs/heads/b/*'`, again);
  expect((await shell(`git cat-file -s '${commit}:big file [1].bin'`, again)).trim()).toBe('120000000');
  // Pushed again: it is in the vault already, and no further backup is made of it.
  const made = await backups();
  expect((await push('-q origin main', github)).stderr).toContain(`backup ${backup} has it`);
  expect(await backups()).toBe(made);
  await shell(`${command(stopped.stderr, 'git reset --soft')} -qm squashed`);
  expect(await push('-q origin main', github)).toMatchObject({ code: 0, stderr: expect.not.stringContaining('BLOCKED') });
  expect(await shell('git ls-tree --name-only origin/main')).toBe('.gitignore\na.txt\nb.txt\n');
});

const ODD = Buffer.from('x \x1b[31m "q" \\ \u00fc$\n.bin ', 'utf8');
test.each([
  ['a name of every kind', Buffer.concat([ODD, Buffer.from([0xff, 0x20])])],
  ['a leading dash', Buffer.from('-rf')],
  ['the magic of a pathspec', Buffer.from(':!a*')],
])('%s is safe on the terminal, and the commands mean that file alone', async (_title, name) => {
  await shell('git config cora.blockSize 1m && git config cora.budget 30s && printf no-newline > .gitignore && git add . && git commit -qm ignore');
  await shell('git push -q --no-verify origin main && mkdir sub');
  writeFileSync(Buffer.concat([Buffer.from(`${at('sub')}/`), name]), Buffer.alloc(2_000_000));
  writeFileSync(at('sub/other.bin'), 'x');
  await shell('git add -A && git commit -qm big');
  const stopped = await execute('/bin/sh', ['-c', 'git push -q origin main'], { cwd: at('sub'), env });
  expect([stopped.code, /[^\x20-\x7e\n]/.test(stopped.stderr)]).toEqual([1, false]);
  expect(stopped.stderr).toContain('nothing is lost: backup ');
  const lfs = command(stopped.stderr, 'git lfs migrate');
  await shell(command(stopped.stderr, 'cd '), at('sub'));
  expect(await shell('git ls-tree -r --name-only HEAD')).toBe('.gitignore\na.txt\nsub/other.bin\n');
  expect((await shell('git status --porcelain --ignored')).trim()).toMatch(/^!! \S.*$/);
  expect(readFileSync(at('.gitignore'), 'utf8')).toMatch(/^no-newline\n\/sub\/.*\n$/);
  expect(statSync(Buffer.concat([Buffer.from(`${at('sub')}/`), name])).size).toBe(2_000_000);
  expect((await push()).code).toBe(0);
  expect(lfs).toMatch(/^git lfs migrate import --yes --include=/);
});

test('what is said to be safe was looked for: a file that saves leave out, and one that no backup could take', async () => {
  await shell('git config cora.blockSize 1m && git config cora.budget 30s');
  mkdirSync(at('node_modules'));
  writeFileSync(at('node_modules/big'), Buffer.alloc(2_000_000));
  await shell('git add -f . && git commit -qm big');
  const lost = (await shell('git rev-parse HEAD')).trim();
  // No branch and no tag reaches this commit any more: no bundle has it.
  await shell('git reset -q --hard HEAD^');
  const orphan = await push(`-q origin ${lost}:refs/heads/o`);
  expect([orphan.code, orphan.stderr]).toEqual([1, expect.stringContaining('its content is in .git only: do not delete this clone')]);
  await shell(`git reset -q --hard ${lost}`);
  expect((await push()).stderr).toMatch(/nothing is lost: backup \S+ has it, in its git bundle\n/);
});

test('an older commit of several: each can be kept, or the file goes to LFS', async () => {
  await shell('git config cora.blockSize 1m && git config cora.budget 30s');
  await commitLarge('first.bin', 2_000_000);
  await commitLarge('second.bin', 3_000_000);
  const { stderr } = await push();
  expect(stderr.split('\n').filter((line) => line.includes('BLOCKED'))).toHaveLength(2);
  if (findProgram('git-lfs') !== undefined) {
    await shell('cp -r . ../lfs && cd ../lfs && git lfs install --local --skip-repo >/dev/null');
    await shell(command(stderr, 'git lfs migrate'), join(sandbox.root, 'lfs'));
    expect(await shell('git lfs ls-files -n', join(sandbox.root, 'lfs'))).toBe('first.bin\nsecond.bin\n');
  }
  await shell(`FILTER_BRANCH_SQUELCH_WARNING=1 ${command(stderr, 'git filter-branch')} 2>&1`);
  expect(await shell('git log --format=%s && git ls-tree -r --name-only HEAD')).toBe('large\nlarge\nfirst\na.txt\n');
  expect((await push()).code).toBe(0);
});

test('a URL without a name: what a remote of that address has is old, what another one has is not', async () => {
  await shell('git config cora.warnSize 1m');
  await commitLarge('big.bin', 2_000_000);
  expect((await push()).stderr).toContain('big.bin (2 MB) is large for git');
  await shell('echo c > a.txt && git commit -qam third && git init -q --bare ../other.git');
  expect((await push('-q ../remote.git main:new')).stderr).not.toContain('large for git');
  expect((await push('-q ../other.git main', { CORA_GUARD: '0' })).stderr).not.toContain('large for git');
  await shell('echo d > a.txt && git commit -qam fourth');
  // What it has under this name is known by git's own line.
  expect((await push('-q ../other.git main')).stderr).not.toContain('large for git');
  expect((await push('-q ../other.git main:new')).stderr).toContain('large for git');
});

test('[hook] is read in every form that Cora takes, the file of the machine first', async () => {
  await commitLarge('big.bin', 2_000_000);
  mkdirSync(join(sandbox.home, '.config/cora'), { recursive: true });
  const machine = join(sandbox.home, '.config/cora/an_other.toml');
  const line = await inputLine();
  const run = (variables = {}) =>
    execute('/bin/sh', ['-c', `echo '${line}' | '${repository}/bin/cora' hook pre-push origin ../remote.git`], {
      cwd: sandbox.project,
      env: { ...env, CORA_LOG: '', ...variables },
    });
  for (const [text, code, said] of [
    ['[hook]\nblock_size = 1_000_000\n', 1, 'hook.block_size is 1000000'],
    ['hook.block_size = 1000000 # bytes', 1, 'BLOCKED'],
    ["[ hook ] # x\r\n  block_size='1 MB' # y\r\n", 1, 'BLOCKED'],
    ['[hook]\nwarn_size = "1MB"\n[hook.other]\nblock_size = 1', 0, 'is large for git'],
    ['[hook]\nskip_branches = [\n  "wip#[1]", # ] [\n  \'ma*\', ]\n', 0, ''],
    ['[scan]\nblock_size = 1000\n', 0, ''],
  ] as const) {
    writeFileSync(at('cora.toml'), text);
    const { code: got, stderr } = await run({ CI: '1' });
    expect([text, got, stderr]).toEqual([text, code, said === '' ? '' : expect.stringContaining(said)]);
  }
  writeFileSync(at('cora.toml'), 'name = "an_other" # the project x\n[hook]\nskip_branches = [\n"x", "ma*"\n]\nblock_size = "1MB"\n');
  writeFileSync(machine, '[hook]\nblock_size = "off"\n');
  expect(await run()).toMatchObject({ code: 0, stderr: 'cora: this push is not saved: the branch is in hook.skip_branches\n' });
  // What the reader would overlook, Cora refuses: at the same push.
  rmSync(machine);
  writeFileSync(at('cora.toml'), 'hook = { block_size = "1MB" }\n');
  expect((await run()).stderr).toMatch(/^cora: NOT saved: cora\.toml: hook\.block_size is written in a way that the push hook cannot read/);
});

test('a loss is told by the push that finds it', async () => {
  writeFileSync(at('AI_WORK_LOG.md'), 'a line\n'.repeat(20));
  await push();
  rmSync(at('AI_WORK_LOG.md'));
  await shell('echo b > a.txt && git commit -qam second');
  const run = await push();
  expect(run.code).toBe(0);
  expect(run.stderr.split('\n')).toEqual([
    expect.stringMatching(/^cora: (Backup|Saved) /),
    expect.stringMatching(/^cora: AI_WORK_LOG\.md: LOST: .*cora restore .* -- AI_WORK_LOG\.md/),
    expect.stringMatching(/^cora: SUSPECT: /),
    '',
  ]);
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
  expect([blocked.code, blocked.stderr]).toEqual([1, expect.stringContaining('its content is in .git only: do not delete this clone')]);
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
    expect(logLines().at(-1)).toMatch(/level=warn command="hook pre-push".* message="not saved: .*" exit=1$/);
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
  await shell('git config --unset cora.budget');
  // What Cora waits for is the lock of the vault, held here by somebody else.
  const holder = execute('/bin/sh', ['-c', `exec flock '${sandbox.vault}/.lock' sleep 4`]);
  await shell('echo b > a.txt && git commit -qam second');
  const started = Date.now();
  // The shell's own pipe, under other numbers too: a child that kept it would hold the push.
  const output = await shell('out=$( { git push -q origin main 2>&1; } 3>&1 4>&1 ); echo "$out"');
  const seconds = (Date.now() - started) / 1000;
  expect(output).toMatch(/^cora: the save goes on in the background \(process \d+\); cora status shows how it ended\n$/);
  expect([seconds, seconds < 4]).toEqual([seconds, true]);
  await holder;
  await waitFor(() => logLines().length >= 2);
  expect(logLines().at(-1)).toMatch(/level=info command="backup auto" trigger="hook".* exit=0/);
  await waitFor(async () => (await shell('ls "$TMPDIR"')) === '');
  expect(await shell('ls "$TMPDIR"')).toBe('');
});

const LONG = process.env['CORA_TEST_SLOW'] === '1' ? 60 : 4;
test(`a save that takes ${LONG} s: the push returns, and the save ends well, or its failure is counted`, async () => {
  await shell('git config --unset cora.budget');
  const slow = join(sandbox.root, 'slow');
  writeFileSync(slow, `#!/bin/sh\nsleep ${LONG}\n[ ! -e ../broken ] || exit 70\nexec '${repository}/bin/cora' "$@"\n`, { mode: 0o755 });
  writeFileSync(at('.git/hooks/pre-push'), `#!/bin/sh\nCORA_LAUNCHER='${slow}' exec sh '${repository}/hooks/pre-push' "$@"\n`, { mode: 0o755 });
  const started = Date.now();
  expect((await push()).stderr).toContain('the save goes on in the background');
  writeFileSync(join(sandbox.root, 'broken'), '');
  await shell('git config cora.budget 100ms && git commit -q --allow-empty -m second');
  expect((await push()).stderr).toContain('the save goes on in the background');
  expect(Date.now() - started).toBeLessThan(3900);
  rmSync(join(sandbox.root, 'broken'));
  await new Promise((resolve) => setTimeout(resolve, (LONG - 4) * 1000));
  await waitFor(async () => (await shell('ls "$TMPDIR"')) === '');
  expect(logLines().join('\n')).toMatch(/level=info command="backup auto" trigger="hook"/);
}, 150_000);

test('what ends badly after the push is counted too', async () => {
  const broken = join(sandbox.root, 'broken');
  writeFileSync(broken, '#!/bin/sh\nsleep 1\necho "cora: no Node was found: run npm ci" >&2\nexit 70\n', { mode: 0o755 });
  writeFileSync(at('.git/hooks/pre-push'), `#!/bin/sh\nCORA_LAUNCHER='${broken}' exec sh '${repository}/hooks/pre-push' "$@"\n`, { mode: 0o755 });
  await shell('git config cora.budget 100ms');
  expect((await push()).stderr).toContain('the save goes on in the background');
  await waitFor(() => logLines().length > 0);
  expect(logLines()).toEqual([expect.stringMatching(/level=error command="hook pre-push".*message="no Node was found: run npm ci" exit=70$/)]);
  await waitFor(async () => (await shell('ls "$TMPDIR"')) === '');
  expect(await shell('ls "$TMPDIR"')).toBe('');
});

test.skipIf(!isRoot)('a temporary directory that is full, or is not there: one line, and the push goes on (needs root)', async () => {
  const disk = join(sandbox.root, 'disk');
  mkdirSync(disk);
  expect((await execute('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', disk])).code).toBe(0);
  try {
    await execute('/bin/sh', ['-c', `cat /dev/zero > '${disk}/fill' 2>/dev/null`]);
    const full = await push('-q origin main', { TMPDIR: disk });
    expect([full.code, full.stderr]).toEqual([
      0,
      expect.stringMatching(/^cora: NOT saved: its result could not be kept: is the disk of \S+ full\ncora: the push goes on/),
    ]);
  } finally {
    await waitFor(async () => (await execute('umount', [disk])).code === 0);
  }
  const gone = await push('-q origin main:new', { TMPDIR: '/nonexistent' });
  expect(gone).toMatchObject({ code: 0, stderr: 'cora: this push is not saved: no temporary directory could be made\n' });
});

test('an installation that lost its hook stops no push; a bare repository is not saved', async () => {
  const bare = join(sandbox.root, 'bare');
  cpSync(join(repository, 'bin'), join(bare, 'bin'), { recursive: true });
  useLauncher(join(bare, 'bin/cora'));
  expect(await push()).toEqual({ code: 0, stdout: '', stderr: 'cora: hooks/pre-push is missing from this installation: this push is not saved\n' });
  useLauncher(join(repository, 'bin/cora'));
  await shell('git clone -q --bare . ../mirror.git && cp .git/hooks/pre-push ../mirror.git/hooks/ && git init -q --bare ../third.git');
  const run = await execute('/bin/sh', ['-c', 'git push -q ../third.git main'], { cwd: join(sandbox.root, 'mirror.git'), env });
  expect(run).toMatchObject({ code: 0, stderr: 'cora: this push is not saved: a repository without a work tree\n' });
  expect(existsSync(sandbox.vault)).toBe(false);
});

test('a vault that stays locked: told and counted, and the push goes on', async () => {
  await push();
  const holder = execute('/bin/sh', ['-c', `exec flock '${sandbox.vault}/.lock' sleep 2`]);
  await shell('echo b > a.txt && git commit -qam second');
  const run = await push('-q origin main', { CORA_LOCK_WAIT: '100ms' });
  expect(run).toMatchObject({ code: 0, stderr: 'cora: another save is running in this vault; this push made none of its own\n' });
  await holder;
});

test('each way to switch it off is told and logged; in CI the guard alone runs', async () => {
  await commitLarge('big.bin', 2_000_000);
  await shell('git config cora.warnSize 1m');
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
  await commitLarge('big.bin', 2_000_000);
  await shell('git config cora.warnSize 1m');
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
