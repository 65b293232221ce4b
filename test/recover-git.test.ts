// The repository of a recovered project out of each kind of bundle that a backup can have, and what is said where it cannot come back.

import { chownSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RecoveredGit, recoverGit } from '../src/actions/recover-git.ts';
import { bytes } from '../src/base/bytes.ts';
import { SILENT } from '../src/base/context.ts';
import { findProgram } from '../src/os/run.ts';
import { parseId } from '../src/vault/layout.ts';
import { execute, isRoot, Sandbox } from './support/sandbox.ts';

const ctx = { monitor: SILENT, now: Date.now, signal: new AbortController().signal, workers: 0, lockWait: 0, version: '0' };
let sandbox: Sandbox;
let count = 0;

async function must(script: string, cwd: string): Promise<string> {
  const env = { PATH: '/usr/bin:/bin', HOME: sandbox.home, GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'safe.directory', GIT_CONFIG_VALUE_0: '*' };
  const run = await execute('/bin/sh', ['-euc', script], { cwd, env });
  if (run.code !== 0) throw new Error(`${script}\n${run.stdout}${run.stderr}`);
  return run.stdout.trim();
}

beforeAll(async () => {
  sandbox = new Sandbox({ fast: true });
  await must(
    'git init -q -b main && git config user.name a && git config user.email a@b.c && mkdir sub && echo 1 > a && echo 1 > sub/b && git add . && git commit -q -m one && echo 2 > a && git commit -q -am two',
    sandbox.project,
  );
});
afterAll(() => sandbox.remove());

type Case = { readonly branch?: string | null; readonly bundle?: string; readonly tree?: string; readonly owner?: number };

/** @param bundle a script in the repository that writes `$OUT.bundle` */
async function recovered({ branch = 'main', bundle, tree = 'cp -r ../project/a ../project/sub .', owner }: Case) {
  const id = parseId(`20261121-1000${String(++count).padStart(2, '0')}-nogit`);
  if (id === undefined) throw new Error('no id');
  const [snapshot, to] = [join(sandbox.vault, id), join(sandbox.root, `to${count}`)];
  mkdirSync(join(snapshot, 'git'), { recursive: true });
  mkdirSync(to);
  await must(tree, to);
  if (owner !== undefined)
    for (const path of ['.', ...readdirSync(to, { recursive: true, encoding: 'utf8' })]) chownSync(join(to, path), owner, owner);
  if (bundle !== undefined) await must(`OUT=${snapshot}/git/x; ${bundle}`, sandbox.project);
  const sha = await must('git rev-parse HEAD', sandbox.project);
  const git = {
    sha,
    branch,
    detached: branch === null,
    remotes: ['origin https://<removed>@example.org/x.git'],
    bundle: bundle === undefined ? null : 'x.bundle',
  };
  writeFileSync(join(snapshot, 'REPORT.json'), JSON.stringify({ snapshot_id: id, kind: 'backup', git }));
  const vault = { root: sandbox.vault, info: { format: 1, vault_id: 'v', name: 'x', root: '/', created_at: '' } };
  const before = await must('stat -c %y .', to);
  const result = await recoverGit(vault, { id, kind: 'backup', directory: id, sequence: 1 }, bytes(to), ctx);
  expect(await must('stat -c %y .', to)).toBe(before);
  expect(readdirSync(to).filter((name) => name.startsWith('.git-'))).toEqual([]);
  return { to, ...(result as RecoveredGit) };
}

test.skipIf(findProgram('git') === undefined)(
  'a repository comes back from a whole, a detached and a shallow bundle, for the owner of the project',
  async () => {
    const whole = await recovered({ bundle: 'git bundle create -q $OUT.bundle HEAD main', ...(isRoot ? { owner: 65_534 } : {}) });
    expect(whole).toMatchObject({ state: 'restored', branches: 1, next: [] });
    if (isRoot) expect(await must('find .git ! -uid 65534 | wc -l', whole.to)).toBe('0');
    expect(await must('git status --porcelain --branch; git log --format=%s', whole.to)).toBe('## main\ntwo\none');
    const detached = await recovered({ branch: null, bundle: 'git bundle create -q $OUT.bundle HEAD' });
    expect(detached.state).toBe('restored');
    expect(await must('git status --porcelain --branch; git log --format=%s', detached.to)).toBe('## HEAD (no branch)\ntwo\none');
    const clone =
      'git clone -q --depth 1 file://$PWD ../shallow; cd ../shallow; git bundle create -q $OUT.bundle HEAD main; cp .git/shallow $OUT.shallow';
    const shallow = await recovered({ bundle: clone });
    expect(shallow.state).toBe('restored');
    expect(await must('git status --porcelain --branch; git log --format=%s', shallow.to)).toBe('## main\ntwo');
  },
);

test.skipIf(findProgram('git') === undefined)('what a bundle alone does not give back is said, with the commands, and no .git is made', async () => {
  const clone = expect.stringContaining('git clone --no-checkout -- https://example.org/x.git');
  const unpushed = await recovered({ bundle: 'git bundle create -q $OUT.bundle main ^HEAD~1' });
  expect(unpushed).toMatchObject({ state: 'remote', next: [clone, expect.stringContaining('refs/heads/*:refs/saved/*')] });
  expect(await recovered({})).toMatchObject({ state: 'remote', next: [clone] });
  const part = await recovered({ bundle: 'git bundle create -q $OUT.bundle HEAD main', tree: 'cp ../project/sub/b .' });
  expect(part).toMatchObject({ state: 'outside', next: [expect.stringContaining('x.bundle')] });
  const broken = await recovered({ bundle: 'git bundle create -q $OUT.bundle HEAD main; truncate -s -10 $OUT.bundle' });
  expect(broken).toMatchObject({ state: 'failed', problems: [{ code: 'git_failed', severity: 'error' }] });
  for (const { to } of [unpushed, part, broken]) expect(existsSync(join(to, '.git'))).toBe(false);
  expect(await recovered({ bundle: 'git bundle create -q $OUT.bundle HEAD main', tree: 'mkdir .git' })).toMatchObject({ state: 'kept' });
});
