// `cora hooks` in real repositories with real hook managers, and real pushes through what it installs.

import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findProgram } from '../src/os/run.ts';
import { execute, type Run, Sandbox } from './support/sandbox.ts';

const repository = join(import.meta.dirname, '..');
const CORA = join(repository, 'bin/cora');
const modules = join(repository, 'node_modules');
const lfs = findProgram('git-lfs');
const preCommit = findProgram('pre-commit');

let sandbox: Sandbox;
let env: NodeJS.ProcessEnv;
beforeEach(async () => {
  sandbox = new Sandbox({ fast: true });
  env = {
    PATH: `${join(modules, '.bin')}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin`,
    HOME: sandbox.home,
    CORA_VAULT: sandbox.vault,
    CORA_LOG: join(sandbox.root, 'cora.log'),
    GIT_CONFIG_NOSYSTEM: '1',
  };
  await shell('git init -q --bare ../remote.git && git init -q -b main . && git config user.email t@example.org && git config user.name t');
  await shell('git remote add origin ../remote.git && echo a > a.txt && git add a.txt && git commit -qm first');
});
afterEach(() => sandbox.remove());

const at = (path: string) => join(sandbox.project, path);
const hook = () => at('.git/hooks/pre-push');
const cora = (args: readonly string[], cwd = sandbox.project) => execute(CORA, args, { cwd, env });
const push = (args = 'origin main', cwd = sandbox.project): Promise<Run> => execute('/bin/sh', ['-c', `git push ${args}`], { cwd, env });

async function shell(command: string, cwd = sandbox.project): Promise<string> {
  const run = await execute('/bin/sh', ['-c', command], { cwd, env });
  if (run.code !== 0) throw new Error(`${command}: ${run.stderr}${run.stdout}`);
  return run.stdout;
}

async function saves(): Promise<number> {
  const { result } = await sandbox.json(['list']);
  return Number(result['total']);
}

/** A push goes through and leaves a save; `own` is what the hook that was there got on its input. */
async function expectSavedPush(cwd = sandbox.project): Promise<Run> {
  const run = await push('origin HEAD', cwd);
  expect([run.code, run.stderr]).toEqual([0, expect.stringMatching(/cora: (Saved|Backup|Nothing changed|the save goes on)/)]);
  return run;
}

async function status(cwd = sandbox.project): Promise<{ installed: boolean; runs: boolean; reason?: string }> {
  const run = await execute(CORA, ['hooks', 'status', '--json'], { cwd, env });
  return (
    (JSON.parse(run.stdout) as { result: { hooks: { installed: boolean; runs: boolean; reason?: string }[] } }).result.hooks[0] ?? {
      installed: false,
      runs: false,
    }
  );
}

test('a repository without hooks: install, push, again, and remove leaves no file', async () => {
  expect((await status()).installed).toBe(false);
  expect((await cora(['hooks', 'install'])).code).toBe(0);
  const text = readFileSync(hook(), 'utf8');
  expect(statSync(hook()).mode & 0o777).toBe(0o755);
  expect((await cora(['hooks', 'install'])).stdout).toContain('is installed already');
  expect(readFileSync(hook(), 'utf8')).toBe(text);
  expect(await status()).toMatchObject({ installed: true, runs: true });
  await expectSavedPush();
  expect(await saves()).toBe(1);
  expect((await cora(['hooks', 'remove'])).code).toBe(0);
  expect(existsSync(hook())).toBe(false);
});

test('a hook that was there gets the same input, also an empty one, and its bytes and mode back', async () => {
  const own = `#!/bin/bash\ncat > ${sandbox.root}/own.txt; echo "$@" >> ${sandbox.root}/own.txt\nexit \${OWN:-0}`;
  for (const before of [own, `${own}\n`, 'cat > ../own.txt\n']) {
    writeFileSync(hook(), before);
    chmodSync(hook(), 0o755);
    await cora(['hooks', 'install']);
    await cora(['hooks', 'install']);
    await shell('echo x >> a.txt && git commit -qam more');
    const head = (await shell('git rev-parse HEAD')).trim();
    await expectSavedPush();
    expect(readFileSync(join(sandbox.root, 'own.txt'), 'utf8')).toMatch(new RegExp(`^refs/heads/main ${head} |^HEAD ${head} `));
    await push();
    expect(readFileSync(join(sandbox.root, 'own.txt'), 'utf8')).toBe(before.includes('$@') ? 'origin ../remote.git\n' : '');
    await cora(['hooks', 'remove']);
    expect(readFileSync(hook(), 'utf8')).toBe(before);
    expect(statSync(hook()).mode & 0o777).toBe(0o755);
  }
  writeFileSync(hook(), `${own}\n`);
  await cora(['hooks', 'install']);
  env['OWN'] = '1';
  await shell('echo y >> a.txt && git commit -qam more');
  expect((await push()).code).toBe(1);
});

test('a hook in another language, a link, and one that was not executable come back as they were', async () => {
  writeFileSync(hook(), `#!/usr/bin/env python3\nimport sys\nopen('${sandbox.root}/own.txt', 'w').write(sys.stdin.read())\n`);
  chmodSync(hook(), 0o755);
  const python = readFileSync(hook());
  await cora(['hooks', 'install']);
  await expectSavedPush();
  expect(readFileSync(join(sandbox.root, 'own.txt'), 'utf8')).toMatch(/^HEAD [0-9a-f]{40} refs\/heads\/main 0{40}\n$/);
  await cora(['hooks', 'remove']);
  expect(readFileSync(hook()).equals(python)).toBe(true);
  expect(existsSync(`${hook()}.before-cora`)).toBe(false);
  rmSync(hook());
  writeFileSync(at('real-hook'), '#!/bin/sh\ncat > /dev/null\n', { mode: 0o755 });
  symlinkSync('../../real-hook', hook());
  await cora(['hooks', 'install']);
  expect(readFileSync(at('real-hook'), 'utf8')).toBe('#!/bin/sh\ncat > /dev/null\n');
  await cora(['hooks', 'remove']);
  expect(statSync(hook()).ino).toBe(statSync(at('real-hook')).ino);
  rmSync(hook());
  writeFileSync(hook(), '#!/bin/sh\nexit 1\n', { mode: 0o644 });
  await cora(['hooks', 'install']);
  expect(await status()).toMatchObject({ runs: true });
  await cora(['hooks', 'remove']);
  expect(statSync(hook()).mode & 0o777).toBe(0o644);
});

test('a block that somebody edited is kept and told; one that is cut off is refused', async () => {
  await cora(['hooks', 'install']);
  const edited = readFileSync(hook(), 'utf8').replace('hook pre-push', 'hook pre-push # mine');
  writeFileSync(hook(), edited);
  for (const command of ['install', 'remove']) {
    const run = await cora(['hooks', command]);
    expect([run.code, run.stdout]).toEqual([3, expect.stringContaining('somebody edited the block')]);
    expect(readFileSync(hook(), 'utf8')).toBe(edited);
  }
  writeFileSync(hook(), edited.replace('# <<< cora <<<', ''));
  expect((await cora(['hooks', 'install'])).code).toBe(20);
});

test('husky 9: its own file gets the block, a shadowed hook still runs, and a work tree without husky is seen', async () => {
  writeFileSync(hook(), `#!/bin/sh\ncat > ${sandbox.root}/shadowed.txt\n`, { mode: 0o755 });
  await execute(join(modules, '.bin/node'), [join(modules, 'husky/bin.js')], { cwd: sandbox.project, env });
  mkdirSync(at('.husky'), { recursive: true });
  const own = `cat > ${sandbox.root}/own.txt\n`;
  writeFileSync(at('.husky/pre-push'), own);
  expect((await cora(['hooks', 'install'])).stdout).toContain('husky');
  expect(await status()).toMatchObject({ installed: true, runs: true });
  await expectSavedPush();
  for (const name of ['own', 'shadowed']) expect(readFileSync(join(sandbox.root, `${name}.txt`), 'utf8')).toMatch(/^HEAD [0-9a-f]{40}/);
  await shell('git add -A . && git commit -qm husky && git worktree add -q ../tree');
  const tree = join(sandbox.root, 'tree');
  const state = await status(tree);
  expect([state.installed, state.runs, state.reason]).toEqual([true, false, expect.stringContaining('git runs no hook at all here until husky')]);
  await cora(['hooks', 'remove']);
  expect(readFileSync(at('.husky/pre-push'), 'utf8')).toBe(own);
});

test('lefthook: its configuration of this machine gets the command, and its own commands run too', async () => {
  writeFileSync(at('lefthook.yml'), `pre-push:\n  commands:\n    own:\n      run: cat > ${sandbox.root}/own.txt\n      use_stdin: true\n`);
  await shell('lefthook install');
  const generated = readFileSync(hook(), 'utf8');
  await cora(['hooks', 'install']);
  const local = readFileSync(at('lefthook-local.yml'), 'utf8');
  await cora(['hooks', 'install']);
  expect(readFileSync(at('lefthook-local.yml'), 'utf8')).toBe(local);
  expect(await status()).toMatchObject({ installed: true, runs: true });
  const run = await push('origin HEAD');
  expect([run.code, `${run.stdout}${run.stderr}`]).toEqual([0, expect.stringMatching(/cora: (Saved|Backup|the save goes on)/)]);
  expect(readFileSync(join(sandbox.root, 'own.txt'), 'utf8')).toMatch(/^HEAD [0-9a-f]{40}/);
  expect(await saves()).toBe(1);
  expect(readFileSync(hook(), 'utf8')).toBe(generated);
  await cora(['hooks', 'remove']);
  expect(existsSync(at('lefthook-local.yml'))).toBe(false);
  writeFileSync(at('lefthook-local.yml'), 'pre-push:\n  parallel: true\n');
  const kept = await cora(['hooks', 'install']);
  expect([kept.code, kept.stdout]).toEqual([3, expect.stringContaining('add to the commands of its pre-push')]);
  expect(readFileSync(at('lefthook-local.yml'), 'utf8')).toBe('pre-push:\n  parallel: true\n');
});

test.skipIf(preCommit === undefined)('pre-commit: the block goes before its script (needs pre-commit)', async () => {
  writeFileSync(
    at('.pre-commit-config.yaml'),
    `repos:\n- repo: local\n  hooks:\n  - id: own\n    name: own\n    language: system\n    entry: sh -c 'echo ran > ${sandbox.root}/own.txt'\n    stages: [push]\n    always_run: true\n    pass_filenames: false\n`,
  );
  await shell('git add -A . && git commit -qm config && pre-commit install -t pre-push');
  const before = readFileSync(hook());
  expect((await cora(['hooks', 'install'])).stdout).toContain('pre-commit');
  await expectSavedPush();
  expect(readFileSync(join(sandbox.root, 'own.txt'), 'utf8')).toBe('ran\n');
  await cora(['hooks', 'remove']);
  expect(readFileSync(hook()).equals(before)).toBe(true);
});

test.skipIf(lfs === undefined)('git-lfs: its hook gets the lines, and where nobody calls it, the block does (needs git-lfs)', async () => {
  await shell("git lfs install --local && git lfs track '*.bin' && git config lfs.locksverify false");
  const uploaded = async () => (await shell('find ../remote.git/lfs/objects -type f 2>/dev/null | wc -l')).trim();
  await cora(['hooks', 'install']);
  expect(readFileSync(hook(), 'utf8')).not.toContain('_cora_replay git lfs');
  await shell('head -c 1000 /dev/urandom > a.bin && git add -A . && git commit -qm lfs');
  await expectSavedPush();
  expect(await uploaded()).toBe('1');
  await cora(['hooks', 'remove']);
  rmSync(hook());
  await cora(['hooks', 'install']);
  expect(readFileSync(hook(), 'utf8')).toContain('_cora_replay git lfs');
  await shell('head -c 1000 /dev/urandom > b.bin && git add -A . && git commit -qm lfs');
  await expectSavedPush();
  expect(await uploaded()).toBe('2');
  expect((await push()).code).toBe(0);
});

test('a linked work tree and a submodule: the hook that git runs there is the one that gets the block', async () => {
  await shell('git worktree add -q ../tree');
  const tree = join(sandbox.root, 'tree');
  expect((await cora(['hooks', 'install'], tree)).code).toBe(0);
  expect(existsSync(hook())).toBe(true);
  await shell('echo t > t.txt && git add t.txt && git commit -qm t', tree);
  env['CORA_VAULT'] = join(sandbox.root, 'vault-of-the-tree');
  await expectSavedPush(tree);
  const report = await execute(CORA, ['show', '--json'], { cwd: tree, env });
  expect(report.stdout).toContain(`"root":"${tree}"`);
  await shell(
    'git init -q --bare ../inner.git && git clone -q ../inner.git ../inner && cd ../inner && git config user.email t@example.org && git config user.name t && echo i > i && git add i && git commit -qm i && git push -q',
  );
  await shell('git -c protocol.file.allow=always submodule --quiet add ../inner.git inner');
  expect((await cora(['hooks', 'install'], at('inner'))).code).toBe(0);
  expect(existsSync(at('.git/modules/inner/hooks/pre-push'))).toBe(true);
});

test('hooks that other repositories share are not touched, and the two ways out are named', async () => {
  const shared = join(sandbox.home, 'hooks');
  mkdirSync(shared);
  await shell(`git config --global core.hooksPath ${shared}`);
  const run = await cora(['hooks', 'install']);
  expect([run.code, run.stderr]).toEqual([
    20,
    expect.stringMatching(/core\.hooksPath \(global\).*either give this repository its own hooks: git config --local .*; or add to /),
  ]);
  expect(existsSync(join(shared, 'pre-push'))).toBe(false);
  await shell('git config --local core.hooksPath .githooks && mkdir .githooks');
  expect((await cora(['hooks', 'install'])).code).toBe(0);
  expect(existsSync(at('.githooks/pre-push'))).toBe(true);
  await expectSavedPush();
});

test('a path of Cora with blanks and quotes works; when it is gone the push goes on and says so', async () => {
  const odd = join(sandbox.root, "it's a $place");
  mkdirSync(dirname(join(odd, 'bin/cora')), { recursive: true });
  await shell(
    `cp -r '${repository}/bin' '${repository}/hooks' '${repository}/dist' "${odd.replace('$', '\\$')}/" && ln -s '${modules}' "${odd.replace('$', '\\$')}/"`,
  );
  expect((await execute(join(odd, 'bin/cora'), ['hooks', 'install'], { cwd: sandbox.project, env })).code).toBe(0);
  await expectSavedPush();
  rmSync(odd, { recursive: true });
  env['PATH'] = '/usr/bin:/bin';
  const run = await push('origin HEAD:other', sandbox.project);
  expect([run.code, run.stderr]).toEqual([0, expect.stringContaining('it is not where it was installed, so this push is not saved')]);
});

test('other hooks save too, when they are asked for, and stop nothing', async () => {
  expect((await cora(['hooks', 'install', '--also', 'pre-commit,post-checkout'])).code).toBe(0);
  await shell('echo b > b.txt && git add b.txt && git commit -qm b');
  expect(await saves()).toBe(1);
  expect((await cora(['hooks', 'install', '--also', 'pre-nothing'])).code).toBe(2);
  await cora(['hooks', 'remove']);
  expect((await shell('ls .git/hooks')).split('\n').filter((name) => name !== '' && !name.endsWith('.sample'))).toEqual([]);
});

test('where there is no git there is no hook, and it is said', async () => {
  rmSync(at('.git'), { recursive: true });
  for (const command of ['install', 'status', 'remove']) expect((await cora(['hooks', command])).code).toBe(20);
});

test('blocks from the time of another manager are taken out, and the hook that runs now gets one', async () => {
  await cora(['hooks', 'install']);
  await execute(join(modules, '.bin/node'), [join(modules, 'husky/bin.js')], { cwd: sandbox.project, env });
  expect((await cora(['hooks', 'install'])).code).toBe(0);
  expect(existsSync(hook())).toBe(false);
  expect(readFileSync(at('.husky/pre-push'), 'utf8')).toContain('# >>> cora');
  await expectSavedPush();
  expect(await saves()).toBe(1);
  await cora(['hooks', 'remove']);
  expect(existsSync(at('.husky/pre-push'))).toBe(false);
});

test('a hook that a person wrote is not called a second time, and one that is switched off is told', async () => {
  writeFileSync(hook(), `#!/bin/sh\n${CORA} hook pre-push "$@"\n`, { mode: 0o755 });
  const own = readFileSync(hook(), 'utf8');
  expect((await cora(['hooks', 'install'])).code).toBe(0);
  expect(readFileSync(hook(), 'utf8')).toBe(own);
  expect(await status()).toMatchObject({ installed: true, runs: true });
  await expectSavedPush();
  await shell('git config cora.hook off');
  expect(await status()).toMatchObject({ installed: true, runs: false, reason: expect.stringContaining('switches it off') });
});

test('below the top of the work tree it is the same hook', async () => {
  mkdirSync(at('packages/app'), { recursive: true });
  await cora(['hooks', 'install'], at('packages/app'));
  expect(readFileSync(hook(), 'utf8')).toContain('# >>> cora');
  expect(await status(at('packages/app'))).toMatchObject({ installed: true, runs: true });
});
