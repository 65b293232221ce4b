// The git state of a backup, on real repositories: what git would lose comes back by git's own commands,
// `.git` is not touched, nothing of the repository runs, and odd repositories are problems, not failures.

import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { bytes, fromText, fsPath, joinBytes } from '../src/base/bytes.ts';
import { findWorkTree, headCommit } from '../src/os/git.ts';
import { withoutCredentials } from '../src/source/git-config.ts';
import { captureGitState, type GitState } from '../src/source/git-state.ts';

const base = mkdtempSync(join(tmpdir(), 'cora-git-state-'));
chmodSync(base, 0o755);
afterAll(() => rmSync(base, { recursive: true, force: true }));

let count = 0;
let root = '';
let target = '';
beforeEach(() => {
  const directory = join(base, String(++count));
  mkdirSync(directory, { mode: 0o755 });
  root = join(directory, 'project');
  target = join(directory, 'stage', 'git');
  mkdirSync(target, { recursive: true, mode: 0o700 });
});

const ENV = {
  PATH: '/usr/local/bin:/usr/bin:/bin',
  HOME: '/nonexistent',
  LC_ALL: 'C',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_AUTHOR_NAME: 'A',
  GIT_AUTHOR_EMAIL: 'a@example.org',
  GIT_COMMITTER_NAME: 'A',
  GIT_COMMITTER_EMAIL: 'a@example.org',
};
const isRoot = process.geteuid?.() === 0;

function git(cwd: string, ...args: string[]): string {
  const more = ['-c', 'protocol.file.allow=always', '-c', 'init.defaultBranch=main', '-c', 'safe.directory=*', '-c', 'advice.detachedHead=false'];
  return execFileSync('git', [...more, ...args], { cwd, env: ENV, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trimEnd();
}

function commit(cwd: string, file: string, text: string): string {
  writeFileSync(join(cwd, file), text);
  git(cwd, 'add', '--', file);
  git(cwd, 'commit', '-q', '-m', `change ${file}`);
  return git(cwd, 'rev-parse', 'HEAD');
}

function makeRepository(at = root, ...options: string[]): string {
  mkdirSync(at, { recursive: true });
  git(at, 'init', '-q', ...options);
  return commit(at, 'a.txt', 'one\n');
}

async function capture(fullBelow = 200_000_000, from = root): Promise<GitState> {
  const state = await captureGitState(fromText(from), target, 'project', { fullBelow, signal: new AbortController().signal });
  expect(readdirSync(join(target, '..'))).toEqual(['git']);
  return state!;
}

function cloneOf(bundle = join(target, 'project.bundle')): string {
  const directory = join(target, '..', '..', 'clone');
  git(base, 'clone', '-q', bundle, directory);
  return directory;
}

function read(file: string): string {
  return readFileSync(join(target, file), 'utf8');
}

/** Names, types, sizes, times and bytes of a tree. */
function fingerprint(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((name) => {
      const stat = lstatSync(join(directory, name), { bigint: true });
      const content = stat.isFile() ? readFileSync(join(directory, name), 'base64') : '';
      return `${name} ${stat.mode} ${stat.uid} ${stat.size} ${stat.mtimeNs} ${stat.ctimeNs} ${content}`;
    });
}

test('headCommit reads loose, packed, detached and linked HEADs without git', () => {
  const first = makeRepository();
  expect(headCommit(fromText(root))).toEqual({
    sha: first,
    branch: 'main',
    detached: false,
    workTree: root,
    gitDir: `${root}/.git`,
    commonDir: `${root}/.git`,
  });
  mkdirSync(join(root, 'deep/er'), { recursive: true });
  expect(headCommit(fromText(join(root, 'deep/er')))).toMatchObject({ sha: first, workTree: root });

  git(root, 'checkout', '-q', '-b', 'feature/x');
  git(root, 'pack-refs', '--all');
  expect(headCommit(fromText(root))).toMatchObject({ sha: first, branch: 'feature/x' });
  const second = commit(root, 'a.txt', 'two\n');
  expect(headCommit(fromText(root))).toMatchObject({ sha: second });

  const linked = `${root}-linked`;
  git(root, 'worktree', 'add', '-q', linked, 'main');
  expect(headCommit(fromText(linked))).toEqual({
    sha: first,
    branch: 'main',
    detached: false,
    workTree: linked,
    gitDir: `${root}/.git/worktrees/project-linked`,
    commonDir: `${root}/.git`,
  });

  git(root, 'checkout', '-q', '--detach');
  expect(headCommit(fromText(root))).toMatchObject({ sha: second, branch: null, detached: true });
  unlinkSync(join(root, '.git/HEAD'));
  symlinkSync('refs/heads/main', join(root, '.git/HEAD'));
  expect(headCommit(fromText(root))).toMatchObject({ sha: first, branch: 'main', detached: false });
});

test('headCommit is undefined without a commit, outside a repository, and for a HEAD that leads outside', () => {
  mkdirSync(root);
  expect(headCommit(fromText(root))).toBeUndefined();
  expect(findWorkTree(fromText(root))).toBeUndefined();
  mkdirSync(join(root, '.git'));
  expect(findWorkTree(fromText(root))).toBeUndefined();
  git(root, 'init', '-q');
  expect(headCommit(fromText(root))).toBeUndefined();
  expect(findWorkTree(fromText(root))).toEqual({ workTree: root, gitDir: `${root}/.git` });
  writeFileSync(join(root, 'secret'), `${'a'.repeat(40)}\n`);
  writeFileSync(join(root, '.git/HEAD'), 'ref: refs/../../secret\n');
  expect(headCommit(fromText(root))).toBeUndefined();
});

test('without a remote the bundle is complete: branches, tags, notes, every stash and the index come back', async () => {
  makeRepository();
  git(root, 'branch', 'other');
  git(root, 'tag', '-a', 'v1', '-m', 'one');
  git(root, 'notes', 'add', '-m', 'a note');
  git(root, 'checkout', '-q', '-b', 'topic');
  const head = commit(root, 'a.txt', 'topic\n');
  for (const text of ['stash old\n', 'stash middle\n', 'stash new\n']) {
    writeFileSync(join(root, 'a.txt'), text);
    git(root, 'stash', '-q', '-u');
  }
  writeFileSync(join(root, 'a.txt'), 'staged\n');
  git(root, 'add', 'a.txt');
  writeFileSync(join(root, 'a.txt'), 'not staged\n');

  const { report, problems } = await capture();
  expect(problems).toEqual([]);
  expect(report).toMatchObject({ sha: head, branch: 'topic', detached: false, remotes: [], bundle: 'project.bundle' });
  const clone = cloneOf();
  expect(git(clone, 'symbolic-ref', 'HEAD')).toBe('refs/heads/topic');
  expect(git(clone, 'rev-parse', 'HEAD')).toBe(head);
  expect(readFileSync(join(clone, 'a.txt'), 'utf8')).toBe('topic\n');
  expect(git(clone, 'branch', '-r')).toContain('origin/other');
  expect(git(clone, 'tag')).toBe('v1');

  const bundle = join(target, 'project.bundle');
  git(clone, 'fetch', '-q', bundle, 'refs/stash');
  expect(git(clone, 'show', 'FETCH_HEAD:a.txt')).toBe('stash new');
  git(clone, 'stash', 'store', '-m', 'restored', 'FETCH_HEAD');
  git(clone, 'stash', 'apply', '-q');
  expect(readFileSync(join(clone, 'a.txt'), 'utf8')).toBe('stash new\n');
  git(clone, 'fetch', '-q', bundle, 'refs/cora/*:refs/cora/*', 'refs/notes/*:refs/notes/*');
  expect(git(clone, 'show', 'refs/cora/stash/1:a.txt')).toBe('stash middle');
  expect(git(clone, 'show', 'refs/cora/stash/2:a.txt')).toBe('stash old');
  expect(git(clone, 'show', 'refs/cora/index:a.txt')).toBe('staged');
  expect(git(clone, 'rev-parse', 'refs/cora/index^')).toBe(head);
  expect(git(clone, 'notes', 'show', 'v1^{commit}')).toBe('a note');
  git(clone, 'bundle', 'verify', '-q', bundle);
  expect(read('bundle.txt')).toContain('kind: complete');
  expect(read('bundle.txt')).toContain('git clone -b topic project.bundle');
});

test('a capture changes nothing below .git, and makes files of mode 0600 and directories of 0700', async () => {
  makeRepository();
  mkdirSync(join(root, 'new'));
  writeFileSync(join(root, 'new/file'), 'x');
  writeFileSync(join(root, 'a.txt'), 'touched, and the index does not know it');
  writeFileSync(join(root, '.git/hooks/pre-commit'), '#!/bin/sh\n', { mode: 0o755 });
  git(root, 'update-index', '--untracked-cache');
  const before = fingerprint(join(root, '.git'));
  const { problems } = await capture();
  expect(problems).toEqual([]);
  expect(fingerprint(join(root, '.git'))).toEqual(before);
  expect(readdirSync(join(target, 'hooks'))).toEqual(['pre-commit']);
  for (const name of readdirSync(target, { recursive: true, encoding: 'utf8' })) {
    const stat = statSync(join(target, name));
    expect([name, stat.mode & 0o777]).toEqual([name, stat.isDirectory() || name === 'hooks/pre-commit' ? 0o700 : 0o600]);
  }
});

test('nothing of the repository runs: no fsmonitor, hook, filter, textconv, ssh command or remote helper', async () => {
  const first = makeRepository();
  const marker = join(root, '..', 'MARKER');
  const script = join(root, 'evil.sh');
  writeFileSync(script, `#!/bin/sh\necho "$0 $*" >> ${marker}\ncat\n`, { mode: 0o755 });
  writeFileSync(join(root, '.gitattributes'), '* filter=evil diff=evil merge=evil\n');
  git(root, 'add', '-f', 'evil.sh');
  git(root, 'commit', '-q', '-m', 'evil');
  for (const hook of ['post-index-change', 'reference-transaction', 'pre-auto-gc', 'post-checkout', 'fsmonitor-watchman']) {
    writeFileSync(join(root, '.git/hooks', hook), readFileSync(script), { mode: 0o755 });
  }
  const settings = `[core]
\tfsmonitor = ${script}
\thooksPath = ${join(root, '.git/hooks')}
\tsshCommand = ${script}
\tgitProxy = ${script}
\talternateRefsCommand = ${script}
\tpager = ${script}
\teditor = ${script}
\taskPass = ${script}
\tattributesFile = ${join(root, '.gitattributes')}
[filter "evil"]
\tclean = ${script}
\tsmudge = ${script}
\tprocess = ${script}
\trequired = true
[diff "evil"]
\ttextconv = ${script}
\tcommand = ${script}
[diff]
\texternal = ${script}
[merge "evil"]
\tdriver = ${script}
[gpg]
\tprogram = ${script}
[commit]
\tgpgSign = true
[credential]
\thelper = !${script}
[protocol]
\tallow = always
[protocol "ext"]
\tallow = always
[remote "origin"]
\turl = ext::${script} x
\tfetch = +refs/heads/*:refs/remotes/origin/*
\tpromisor = true
\tuploadpack = ${script}
[uploadpack]
\tpackObjectsHook = ${script}
[extensions]
\tpartialClone = origin
[alias]
\tls-files = !${script}
`;
  appendFileSync(join(root, '.git/config'), settings);
  // A missing object makes git want to fetch it from the promisor.
  mkdirSync(join(root, '.git/refs/remotes/origin'), { recursive: true });
  writeFileSync(join(root, '.git/refs/remotes/origin/main'), `${first}\n`);
  writeFileSync(join(root, '.git/refs/heads/gone'), `${'1'.repeat(40)}\n`);
  writeFileSync(join(root, 'a.txt'), 'changed\n');
  rmSync(marker, { force: true });
  const { report } = await capture();
  expect(report).toMatchObject({ untracked: 1, bundle: 'project.bundle' });
  expect(existsSync(marker)).toBe(false);
  // The trap is armed: an ordinary status springs it.
  try {
    git(root, 'status');
  } catch {}
  expect(existsSync(marker)).toBe(true);
});

test('with remotes and a large store the bundle holds only what no remote has', async () => {
  const upstream = `${root}-upstream`;
  mkdirSync(upstream);
  git(upstream, 'init', '-q', '--bare');
  const first = makeRepository();
  git(root, 'remote', 'add', 'origin', upstream);
  git(root, 'push', '-q', '-u', 'origin', 'main');

  const pushed = await capture(0);
  expect(pushed).toMatchObject({ problems: [], report: { bundle: null } });
  expect(read('bundle.txt')).toContain('kind: none');
  expect(existsSync(join(target, 'project.bundle'))).toBe(false);
  rmSync(target, { recursive: true });
  mkdirSync(target, { mode: 0o700 });

  const second = commit(root, 'b.txt', 'local\n');
  git(root, 'branch', 'local-only', first);
  writeFileSync(join(root, 'b.txt'), 'stashed\n');
  git(root, 'stash', '-q');
  const { report, problems } = await capture(0);
  expect(problems).toEqual([]);
  expect(report.bundle).toBe('project.bundle');
  expect(report.remotes).toEqual([`origin ${upstream}`]);
  const text = read('bundle.txt');
  expect(text).toContain('kind: unpushed');
  expect(text).toContain(`\n${first} `);
  expect(read('status.txt')).toContain(`${second} refs/heads/main [ahead 1] refs/remotes/origin/main`);
  expect(read('status.txt')).toContain(`${first} refs/heads/local-only`);

  const clone = cloneOf(upstream);
  git(clone, 'fetch', '-q', join(target, 'project.bundle'), 'refs/heads/main:refs/heads/saved', 'refs/stash:refs/cora/stash');
  expect(git(clone, 'rev-parse', 'saved')).toBe(second);
  expect(git(clone, 'show', 'refs/cora/stash:b.txt')).toBe('stashed');
  rmSync(target, { recursive: true });
  mkdirSync(target, { mode: 0o700 });
  await capture();
  expect(read('bundle.txt')).toContain('kind: complete');
});

test('a repository without commits has no bundle and no problem; what is staged there is kept', async () => {
  mkdirSync(root);
  git(root, 'init', '-q');
  writeFileSync(join(root, 'x'), 'x');
  expect(await capture()).toMatchObject({ problems: [], report: { sha: '', branch: 'main', detached: false, bundle: null, untracked: 1 } });
  rmSync(target, { recursive: true });
  mkdirSync(target, { mode: 0o700 });
  git(root, 'add', 'x');
  writeFileSync(join(root, 'x'), 'later');
  expect(await capture()).toMatchObject({ problems: [], report: { sha: '', bundle: 'project.bundle' } });
  const other = join(root, '..', 'other');
  mkdirSync(other);
  git(other, 'init', '-q');
  git(other, 'fetch', '-q', join(target, 'project.bundle'), 'refs/cora/index');
  expect(git(other, 'show', 'FETCH_HEAD:x')).toBe('x');
});

test('outside a work tree there is no git state', async () => {
  mkdirSync(root);
  git(root, 'init', '-q', '--bare');
  expect(await captureGitState(fromText(root), target, 'project', { fullBelow: 1, signal: new AbortController().signal })).toBeUndefined();
  expect(readdirSync(target)).toEqual([]);
});

test('a detached HEAD with commits that no branch has comes back', async () => {
  makeRepository();
  git(root, 'checkout', '-q', '--detach');
  const lone = commit(root, 'a.txt', 'detached\n');
  const { report, problems } = await capture();
  expect(problems).toEqual([]);
  expect(report).toMatchObject({ sha: lone, branch: null, detached: true });
  expect(git(cloneOf(), 'rev-parse', 'HEAD')).toBe(lone);
});

test("a linked worktree: its own index and HEAD, the shared branches and stashes, the others' detached HEADs", async () => {
  makeRepository();
  const linked = `${root}-linked`;
  git(root, 'worktree', 'add', '-q', '-b', 'side', linked);
  git(root, 'checkout', '-q', '--detach');
  const lone = commit(root, 'a.txt', 'main worktree, detached\n');
  const side = commit(linked, 'side.txt', 'side\n');
  writeFileSync(join(linked, 'side.txt'), 'staged\n');
  git(linked, 'add', 'side.txt');
  const before = fingerprint(join(root, '.git'));
  const { report, problems } = await capture(200_000_000, linked);
  expect(problems).toEqual([]);
  expect(fingerprint(join(root, '.git'))).toEqual(before);
  expect(report).toMatchObject({ sha: side, branch: 'side' });
  const clone = cloneOf();
  expect(git(clone, 'rev-parse', 'HEAD')).toBe(side);
  git(clone, 'fetch', '-q', join(target, 'project.bundle'), 'refs/cora/*:refs/cora/*');
  expect(git(clone, 'show', 'refs/cora/index:side.txt')).toBe('staged');
  expect(git(clone, 'rev-parse', 'refs/cora/worktree/main')).toBe(lone);
  expect(existsSync(join(target, 'config'))).toBe(true);
});

test('a shallow clone comes back with its .shallow file', async () => {
  const origin = `${root}-origin`;
  makeRepository(origin);
  for (const text of ['2', '3', '4']) commit(origin, 'a.txt', text);
  git(base, 'clone', '-q', '--depth', '2', `file://${origin}`, root);
  const head = commit(root, 'a.txt', 'local');
  const { problems } = await capture();
  expect(problems).toEqual([]);
  expect(read('bundle.txt')).toContain('shallow');
  const back = join(root, '..', 'back');
  mkdirSync(back);
  git(back, 'init', '-q');
  writeFileSync(join(back, '.git/shallow'), readFileSync(join(target, 'project.shallow')));
  git(back, 'fetch', '-q', join(target, 'project.bundle'), 'refs/heads/*:refs/back/*');
  expect(git(back, 'rev-parse', 'refs/back/main')).toBe(head);
  git(back, 'fsck', '--no-dangling');
});

test('a partial clone bundles what no remote has, and fetches nothing', async () => {
  const origin = `${root}-origin`;
  makeRepository(origin);
  for (const text of ['2', '3']) commit(origin, 'a.txt', text);
  git(origin, 'config', 'uploadpack.allowFilter', 'true');
  git(base, 'clone', '-q', '--filter=blob:none', `file://${origin}`, root);
  const head = commit(root, 'a.txt', 'local\n');
  const missing = (): string => git(root, 'rev-list', '--objects', '--all', '--missing=print').replace(/^[^?].*\n?/gm, '');
  const before = missing();
  expect(before).toMatch(/^\?/);
  const { problems } = await capture();
  expect(problems).toEqual([]);
  expect(missing()).toBe(before);
  expect(read('bundle.txt')).toContain('kind: unpushed');
  const clone = cloneOf(origin);
  git(clone, 'fetch', '-q', join(target, 'project.bundle'), 'refs/heads/*:refs/saved/*');
  expect(git(clone, 'rev-parse', 'refs/saved/main')).toBe(head);
});

test('objects borrowed through alternates, relative and nested, are in the bundle', async () => {
  const first = `${root}-first`;
  makeRepository(first);
  git(base, 'clone', '-q', '--shared', first, `${root}-second`);
  commit(`${root}-second`, 'b.txt', 'second\n');
  git(base, 'clone', '-q', '--shared', `${root}-second`, root);
  git(root, 'remote', 'remove', 'origin');
  writeFileSync(join(`${root}-second`, '.git/objects/info/alternates'), '../../../project-first/.git/objects\n');
  writeFileSync(join(root, '.git/objects/info/alternates'), '../../../project-second/.git/objects\n');
  expect((await capture()).problems).toEqual([]);
  rmSync(first, { recursive: true });
  expect(git(cloneOf(), 'log', '--format=%s')).toBe('change b.txt\nchange a.txt');
});

test('a sha256 repository', async () => {
  const sha = makeRepository(root, '--object-format=sha256');
  expect(sha).toHaveLength(64);
  expect(headCommit(fromText(root))?.sha).toBe(sha);
  const { report, problems } = await capture();
  expect(problems).toEqual([]);
  expect(report.sha).toBe(sha);
  expect(git(cloneOf(), 'rev-parse', 'HEAD')).toBe(sha);
});

test('an unmerged index keeps every version, and a merge under way keeps its commit', async () => {
  makeRepository();
  git(root, 'checkout', '-q', '-b', 'theirs');
  const theirs = commit(root, 'a.txt', 'theirs\n');
  git(root, 'checkout', '-q', 'main');
  commit(root, 'a.txt', 'ours\n');
  expect(() => git(root, 'merge', 'theirs')).toThrow();
  git(root, 'branch', '-D', 'theirs');
  const { problems } = await capture();
  expect(problems).toMatchObject([{ code: 'git_failed', severity: 'warning', message: expect.stringContaining('unmerged') }]);
  const clone = cloneOf();
  git(clone, 'fetch', '-q', join(target, 'project.bundle'), 'refs/cora/*:refs/cora/*');
  expect(git(clone, 'ls-tree', '--name-only', 'refs/cora/index')).toBe('a.txt.base\na.txt.ours\na.txt.theirs');
  expect(git(clone, 'show', 'refs/cora/index:a.txt.theirs')).toBe('theirs');
  expect(git(clone, 'rev-parse', 'refs/cora/state/MERGE_HEAD')).toBe(theirs);
  expect(read('status.txt')).toContain('in progress: merge');
});

test('a split index and a sparse index are read', async () => {
  makeRepository();
  for (const directory of ['in', 'out']) {
    mkdirSync(join(root, directory));
    commit(root, `${directory}/f`, directory);
  }
  git(root, 'update-index', '--split-index');
  writeFileSync(join(root, 'a.txt'), 'staged\n');
  git(root, 'add', 'a.txt');
  expect(readdirSync(join(root, '.git')).some((name) => name.startsWith('sharedindex.'))).toBe(true);
  expect((await capture()).problems).toEqual([]);
  git(root, 'fetch', '-q', join(target, 'project.bundle'), 'refs/cora/index');
  expect(git(root, 'show', 'FETCH_HEAD:a.txt')).toBe('staged');
  rmSync(target, { recursive: true });
  mkdirSync(target, { mode: 0o700 });

  git(root, 'update-index', '--no-split-index');
  git(root, 'sparse-checkout', 'set', '--cone', '--sparse-index', 'in');
  expect(git(root, 'ls-files', '--sparse')).toContain('out/');
  expect((await capture()).problems).toEqual([]);
  git(root, 'fetch', '-q', join(target, 'project.bundle'), 'refs/cora/index');
  expect(git(root, 'ls-tree', '-r', '--name-only', 'FETCH_HEAD')).toBe('a.txt\nin/f\nout/f');
});

test('submodules have a bundle each; those not initialised have none; an embedded repository has one', async () => {
  const library = `${root}-library`;
  const libraryHead = makeRepository(library);
  makeRepository();
  git(root, 'submodule', '--quiet', 'add', library, 'libs/one');
  git(root, 'submodule', '--quiet', 'add', library, 'two');
  git(root, 'commit', '-q', '-m', 'submodules');
  git(root, 'submodule', '--quiet', 'deinit', '-f', 'two');
  const local = commit(join(root, 'libs/one'), 'local.txt', 'not pushed\n');
  const embedded = makeRepository(join(root, 'nested'));
  const { report, problems } = await capture();
  expect(problems).toEqual([]);
  expect(report.untracked).toBe(1);
  expect(readdirSync(join(target, 'submodules')).sort()).toEqual([
    'libs__one',
    'libs__one.bundle',
    'libs__one.txt',
    'nested',
    'nested.bundle',
    'nested.txt',
  ]);
  expect(read('submodules/libs__one.txt')).toContain(`libs/one: recorded commit ${libraryHead}`);
  expect(read('submodules/libs__one.txt')).toContain(`${local} refs/heads/main`);
  expect(git(cloneOf(join(target, 'submodules/libs__one.bundle')), 'rev-parse', 'HEAD')).toBe(local);
  expect(git(base, 'bundle', 'list-heads', join(target, 'submodules/nested.bundle'), 'HEAD')).toBe(`${embedded} HEAD`);
});

test('credentials are in none of the files', async () => {
  makeRepository();
  const config = `[remote "origin"]
\turl = https://user:pa@ss-SECRET@example.org/x.git
\tpushurl = "https://SECRET\\
TOKEN@example.org/x.git?private_token=SECRET"
[remote "ssh"]
\turl = ssh://git@example.org/y.git
[http "https://SECRET:SECRET@example.org/"]
\textraHeader = "Authorization: Basic SECRET"
[http]
\tproxy = http://proxy:SECRET@proxy.example.org:3128
[url "https://x-access-token:SECRET@example.org/"]
\tinsteadOf = https://example.org/
[credential]
\thelper = "!f() { echo username=u; echo password=SECRET; }; f"
[sendemail]
\tsmtpPass = SECRET # SECRET
[github]
\ttoken = SECRET
[user]
\tname = "Quote \\" and \\\\ back"
[core]
\tlogAllRefUpdates
`;
  appendFileSync(join(root, '.git/config'), config);
  const { report, problems } = await capture();
  expect(problems).toEqual([]);
  for (const file of ['config', 'status.txt', 'bundle.txt']) expect(read(file)).not.toMatch(/SECRET|TOKEN/);
  expect(report.remotes).toEqual([
    'origin https://<removed>@example.org/x.git',
    'origin https://<removed>@example.org/x.git?private_token=<removed>',
    'ssh ssh://git@example.org/y.git',
  ]);
  expect(git(base, 'config', '--file', join(target, 'config'), 'user.name')).toBe('Quote " and \\ back');
  expect(git(base, 'config', '--file', join(target, 'config'), 'remote.ssh.url')).toBe('ssh://git@example.org/y.git');
  expect(withoutCredentials('https://github.com/a/b.git')).toBe('https://github.com/a/b.git');
});

test('the lists name untracked and ignored files, one escaped path a line, relative to the project', async () => {
  makeRepository();
  writeFileSync(join(root, '.gitignore'), 'build/\n*.log\n');
  git(root, 'add', '.gitignore');
  git(root, 'commit', '-q', '-m', 'ignore');
  writeFileSync(join(root, '.git/info/exclude'), 'private\n');
  mkdirSync(join(root, 'build/deep'), { recursive: true });
  mkdirSync(join(root, 'part'));
  for (const name of ['build/deep/x', 'part/a\nb\\c\td', 'part/y.log', 'private', 'plain']) writeFileSync(join(root, name), '');
  writeFileSync(fsPath(joinBytes(fromText(root), bytes('part/\xff'))), '');
  const { report, problems } = await capture();
  expect(problems).toEqual([]);
  expect(report).toMatchObject({ untracked: 3, ignored: 3 });
  expect(readFileSync(join(target, 'untracked.txt'), 'latin1')).toBe('part/a\\nb\\\\c\\td\npart/\xff\nplain\n');
  expect(read('ignored.txt')).toBe('build/\npart/y.log\nprivate\n');
  expect(read('info-exclude')).toBe('private\n');
  rmSync(target, { recursive: true });
  mkdirSync(target, { mode: 0o700 });
  await capture(200_000_000, join(root, 'part'));
  expect(read('ignored.txt')).toBe('y.log\n');
});

test('links in place of configuration and hooks are not followed', async () => {
  makeRepository();
  const secret = join(root, '..', 'secret');
  writeFileSync(secret, 'TOP\n');
  rmSync(join(root, '.git/info'), { recursive: true, force: true });
  mkdirSync(join(root, '.git/info'));
  symlinkSync(secret, join(root, '.git/info/exclude'));
  symlinkSync(secret, join(root, '.git/hooks/pre-push'));
  execFileSync('sh', ['-c', 'mkfifo "$1"', 'sh', join(root, '.git/hooks/pre-commit')]);
  const { problems } = await capture();
  expect(problems).toEqual([]);
  expect(existsSync(join(target, 'info-exclude'))).toBe(false);
  expect(readdirSync(join(target, 'hooks'))).toEqual(['pre-push.link']);
  expect(read('hooks/pre-push.link')).toBe(`# a symbolic link to ${secret}\n`);
});

test('a damaged branch is a problem with its name, and the sound ones are bundled', async () => {
  const head = makeRepository();
  git(root, 'checkout', '-q', '--orphan', 'bad');
  commit(root, 'bad.txt', 'will be damaged\n');
  const blob = git(root, 'rev-parse', 'HEAD:bad.txt');
  git(root, 'checkout', '-q', 'main');
  const object = join(root, '.git/objects', blob.slice(0, 2), blob.slice(2));
  chmodSync(object, 0o600);
  truncateSync(object, 5);
  writeFileSync(join(root, '.git/refs/heads/lost'), `${'2'.repeat(40)}\n`);
  const { report, problems } = await capture();
  expect(report).toMatchObject({ sha: head, bundle: 'project.bundle' });
  const messages = problems.map(({ message }) => message).join('\n');
  expect(messages).toContain('refs/heads/bad');
  expect(messages).toContain('refs/heads/lost');
  expect(problems.every(({ code, severity }) => code === 'git_failed' && severity === 'warning')).toBe(true);
  const clone = cloneOf();
  expect(git(clone, 'rev-parse', 'HEAD')).toBe(head);
  expect(git(clone, 'branch', '-r')).not.toContain('bad');
});

test('a configuration that git refuses does not keep the commits out of the backup', async () => {
  makeRepository();
  git(root, 'branch', 'packed');
  git(root, 'pack-refs', '--all');
  git(root, 'branch', 'deep/loose');
  const head = commit(root, 'a.txt', 'two\n');
  writeFileSync(join(root, 'a.txt'), 'stashed\n');
  git(root, 'stash', '-q');
  writeFileSync(join(root, '.git/config'), '[core\nbroken');
  const { report, problems } = await capture();
  expect(report.bundle).toBe('project.bundle');
  expect(problems.length).toBeGreaterThan(0);
  expect(git(base, 'bundle', 'list-heads', join(target, 'project.bundle')).replace(/^\w+ /gm, '')).toBe(
    'HEAD\nrefs/heads/main\nrefs/cora/index\nrefs/heads/deep/loose\nrefs/heads/packed\nrefs/stash',
  );
  expect(git(cloneOf(), 'rev-parse', 'HEAD')).toBe(head);
});

test('a repository that git cannot read at all is a problem and no failure', async () => {
  makeRepository();
  rmSync(join(root, '.git/objects'), { recursive: true });
  writeFileSync(join(root, '.git/config'), '[core\nbroken');
  const { report, problems } = await capture();
  expect(report).toMatchObject({ branch: 'main', bundle: null });
  expect(problems.length).toBeGreaterThan(0);
  expect(problems.every(({ code, severity }) => code === 'git_failed' && severity === 'warning')).toBe(true);
});

test.skipIf(!isRoot)("root reads another user's repository as that user, without dubious ownership", async () => {
  const head = makeRepository();
  const probe = join(root, '..', 'who');
  writeFileSync(join(root, 'note'), 'x');
  for (const name of ['.', ...readdirSync(root, { recursive: true, encoding: 'utf8' })]) chownSync(join(root, name), 65534, 65534);
  // Readable by root alone: git would stop at a configuration that it may not read, so it is not root that reads it.
  writeFileSync(probe, '[user]\n\tname = x\n', { mode: 0o600 });
  const before = fingerprint(join(root, '.git'));
  const { report, problems } = await capture();
  expect(problems).toEqual([]);
  expect(report).toMatchObject({ sha: head, untracked: 1 });
  expect(fingerprint(join(root, '.git'))).toEqual(before);
  expect(git(cloneOf(), 'rev-parse', 'HEAD')).toBe(head);

  appendFileSync(join(root, '.git/config'), `[include]\n\tpath = ${probe}\n`);
  rmSync(target, { recursive: true });
  mkdirSync(target, { mode: 0o700 });
  const refused = await capture();
  expect(refused.problems.map(({ message }) => message).join('\n')).toMatch(/permission denied/i);
  expect(refused.report.bundle).toBe('project.bundle');
});

test('a project whose path is not UTF-8', async () => {
  const odd = joinBytes(fromText(join(root, '..')), bytes('caf\xe9'));
  makeRepository();
  execFileSync('sh', ['-c', 'mv "$1" "$(printf "$2/caf\\351")"', 'sh', root, join(root, '..')]);
  const state = await captureGitState(odd, target, 'project', { fullBelow: 1e9, signal: new AbortController().signal });
  expect(state).toMatchObject({ problems: [], report: { branch: 'main', bundle: 'project.bundle' } });
  expect(git(cloneOf(), 'log', '--format=%s')).toBe('change a.txt');
});

test('an interrupted capture ends with the code for it and leaves no scratch', async () => {
  makeRepository();
  const controller = new AbortController();
  controller.abort();
  const running = captureGitState(fromText(root), target, 'project', { fullBelow: 1, signal: controller.signal });
  await expect(running).rejects.toMatchObject({ code: 'interrupted' });
  expect(readdirSync(join(target, '..'))).toEqual(['git']);
});
