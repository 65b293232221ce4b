// The repository of a project that came back: its branches, tags, stashes and index out of the backup's bundle, as a `.git` of the
// restored tree. Nothing of the project is changed, no hook and no setting that runs a program comes back, and the network is not
// asked. Invariant: `.git` is there whole or not at all.

import { chownSync, copyFileSync, existsSync, lchownSync, lstatSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { type Bytes, bytes, fromText, fsPath, isText, joinBytes, toText } from '../base/bytes.ts';
import type { Context, Problem } from '../base/context.ts';
import { CoraError, messageOf } from '../base/errors.ts';
import type { Report } from '../format/report.ts';
import { tryRemove } from '../os/files.ts';
import { findRepository, type GitCall, gitIn, gitOwn, OBJECT_ID } from '../os/git.ts';
import type { RunResult } from '../os/run.ts';
import { setExactTimes } from '../os/times.ts';
import { readReport, type SnapshotRef } from '../vault/catalog.ts';
import type { Vault } from '../vault/vault.ts';
import { filesBelow } from './recover-fetch.ts';

export type RecoveredGit = {
  /**
   * `restored`; `remote`: the bundle needs the commits of a remote, or there is none because a remote has them all; `outside`: the
   * project was a directory of a larger repository; `kept`: a `.git` is there already; `failed`.
   */
  readonly state: 'restored' | 'remote' | 'outside' | 'kept' | 'failed';
  /** The backup whose bundle it is. */
  readonly from: string;
  readonly sha: string;
  readonly branch: string | null;
  readonly branches: number;
  readonly stashes: number;
  /** Commands that a person types to have the rest, or where it is; empty where nothing is left. */
  readonly next: readonly string[];
  readonly problems: readonly Problem[];
};

type GitRef = { readonly sha: string; readonly name: string };

const MINUTE = 60_000;
/** Settings that say where things are and run nothing. */
const HARMLESS = /^(?:remote\..+\.(?:url|pushurl|fetch)|branch\..+\.(?:remote|merge)|user\.(?:name|email))$/;

/**
 * @param ref the backup that has the bundle
 * @param root the restored project
 * @returns undefined where the project was in no repository, or in one without a commit
 */
export async function recoverGit(vault: Vault, ref: SnapshotRef, root: Bytes, ctx: Context): Promise<RecoveredGit | undefined> {
  const snapshot = `${vault.root}/${ref.directory}`;
  const report = readReport(vault, ref);
  const { git } = report;
  if (git === null || git.sha === '') return undefined;
  const base = { from: ref.id, sha: git.sha, branch: git.branch, branches: 0, stashes: 0, problems: [] };
  const bundle = git.bundle === undefined || git.bundle === null ? undefined : `${snapshot}/git/${git.bundle}`;
  if (lstatSync(fsPath(joinBytes(root, '.git')), { throwIfNoEntry: false }) !== undefined) return { ...base, state: 'kept', next: [] };
  if (bundle === undefined || !existsSync(bundle) || !isText(root)) return { ...base, state: 'remote', next: fromRemote(git, root, bundle) };
  const directory = `${toText(root)}/.git-cora-recover`;
  // Before anything is made in it.
  const { mtimeNs } = statSync(fsPath(root), { bigint: true });
  const call: GitCall = { signal: ctx.signal, timeout: 30 * MINUTE, maxBuffer: 512 << 20 };
  try {
    rmSync(directory, { recursive: true, force: true });
    const found = await buildRepository(directory, bundle, snapshot, root, report, call);
    if (typeof found === 'string') {
      tryRemove(directory);
      return { ...base, state: found, next: found === 'remote' ? fromRemote(git, root, bundle) : [`git clone ${quoted(bundle)} DIR`] };
    }
    await takePlace(directory, root, call);
    return { ...base, ...found, state: 'restored', next: leftOut(snapshot) };
  } catch (error) {
    tryRemove(directory);
    if (ctx.signal.aborted) throw new CoraError('interrupted', 'Interrupted', { cause: error });
    const message = `The repository could not be made again: ${messageOf(error)}`;
    const problem: Problem = { code: 'git_failed', path: '.git', message, severity: 'error' };
    ctx.monitor.problem(problem);
    return { ...base, state: 'failed', next: [`git clone ${quoted(bundle)} DIR`], problems: [problem] };
  } finally {
    setExactTimes([{ path: root, mtime: mtimeNs }]);
  }
}

/** What is in the backup and did not come back by itself. */
function leftOut(snapshot: string): string[] {
  return [
    ...(existsSync(`${snapshot}/git/hooks`) ? [`its hooks run programs and were left in ${snapshot}/git/hooks`] : []),
    ...(existsSync(`${snapshot}/git/submodules`) ? [`repositories of submodules: git clone the bundles in ${snapshot}/git/submodules`] : []),
  ];
}

function fromRemote(git: NonNullable<Report['git']>, root: Bytes, bundle: string | undefined): string[] {
  const url = (git.remotes[0]?.split(/\s+/).at(-1) ?? 'URL').replace(REMOVED, '');
  const place = quoted(toText(root));
  const clone = `git clone --no-checkout -- ${quoted(url)} CLONE && mv CLONE/.git ${place}/ && git -C ${place} reset`;
  return bundle === undefined ? [clone] : [clone, `git -C ${place} fetch ${quoted(bundle)} 'refs/heads/*:refs/saved/*'`];
}

/** What stands for a password that the backup does not have. */
const REMOVED = '<removed>@';

function quoted(text: string): string {
  return /^[A-Za-z0-9/:@][\w./:@+~-]*$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

type Built = Pick<RecoveredGit, 'branches' | 'stashes'>;

async function buildRepository(
  directory: string,
  bundle: string,
  snapshot: string,
  root: Bytes,
  report: Report,
  call: GitCall,
): Promise<Built | 'remote' | 'outside'> {
  mkdirSync(directory, { mode: 0o700 });
  const git = async (args: readonly string[], more: GitCall = {}) => requireOk(args, await gitOwn(directory, args, { ...call, ...more }));
  const sha256 = report.git?.sha.length === 64;
  await git(['init', '--quiet', '--template=', ...(sha256 ? ['--object-format=sha256'] : []), directory], { env: { GIT_DIR: directory } });
  await git(['config', 'core.bare', 'false']);
  const shallow = bundle.replace(/\.bundle$/, '.shallow');
  if (existsSync(shallow)) copyFileSync(shallow, `${directory}/shallow`);
  const verified = await gitOwn(directory, ['bundle', 'verify', bundle], call);
  if (verified.exitCode !== 0) {
    if (/prerequisite/.test(verified.stderr)) return 'remote';
    requireOk(['bundle', 'verify'], verified);
  }
  const refs = parseRefs((await git(['bundle', 'unbundle', bundle])).stdout);
  const index = refs.find(({ name }) => name === 'refs/cora/index')?.sha ?? refs.find(({ name }) => name === 'HEAD')?.sha ?? report.git?.sha ?? '';
  const tops = (await git(['ls-tree', '-z', '--name-only', index])).stdout
    .toString('latin1')
    .split('\0')
    .filter((name) => name !== '');
  const isHere = (name: string) => lstatSync(fsPath(joinBytes(root, name)), { throwIfNoEntry: false }) !== undefined;
  if (tops.length > 0 && !tops.some(isHere)) return 'outside';
  const carried = refs.filter(({ name }) => name.startsWith('refs/') && !name.startsWith('refs/cora/') && name !== 'refs/stash');
  const input = Buffer.from(carried.map(({ name, sha }) => `create ${name}\0${sha}\0`).join(''), 'latin1');
  if (carried.length > 0) await git(['update-ref', '-z', '--stdin'], { input });
  const stashes = stashesOf(refs);
  // What `git stash list` shows is the reflog: the oldest first.
  for (const { sha } of stashes) {
    const subject = (await git(['log', '-1', '--format=%s', sha])).stdout.toString().trim();
    await git(['update-ref', '--create-reflog', '-m', subject === '' ? 'restored' : subject, 'refs/stash', sha]);
  }
  await setHead(refs, report, git);
  await git(['read-tree', index], { env: { GIT_INDEX_FILE: `${directory}/index` } });
  await takeSettings(directory, snapshot, git);
  return { branches: carried.filter(({ name }) => name.startsWith('refs/heads/')).length, stashes: stashes.length };
}

type Git = (args: readonly string[], more?: GitCall) => Promise<RunResult>;

async function setHead(refs: readonly GitRef[], { git: report }: Report, git: Git): Promise<void> {
  const branch = report?.branch === null || report === null ? undefined : `refs/heads/${report.branch}`;
  if (branch !== undefined && refs.some(({ name }) => name === fromText(branch))) await git(['symbolic-ref', 'HEAD', branch]);
  else if (report !== null) await git(['update-ref', '--no-deref', 'HEAD', report.sha]);
}

/** Newest last. */
function stashesOf(refs: readonly GitRef[]): GitRef[] {
  const older = refs.filter(({ name }) => /^refs\/cora\/stash\/\d+$/.test(name));
  const number = ({ name }: GitRef) => Number(name.slice(name.lastIndexOf('/') + 1));
  return [...older.sort((a, b) => number(b) - number(a)), ...refs.filter(({ name }) => name === 'refs/stash')];
}

/** Remotes, upstreams and the author come back; a setting that could run a program does not. */
async function takeSettings(directory: string, snapshot: string, git: Git): Promise<void> {
  const config = `${snapshot}/git/config`;
  if (existsSync(config)) {
    const listed = (await git(['config', '--file', config, '--list', '-z'])).stdout.toString();
    for (const entry of listed.split('\0')) {
      const at = entry.indexOf('\n');
      if (at > 0 && HARMLESS.test(entry.slice(0, at))) await git(['config', '--add', entry.slice(0, at), entry.slice(at + 1).replace(REMOVED, '')]);
    }
  }
  const exclude = `${snapshot}/git/info-exclude`;
  if (!existsSync(exclude)) return;
  mkdirSync(`${directory}/info`, { recursive: true });
  copyFileSync(exclude, `${directory}/info/exclude`);
}

function parseRefs(output: Buffer): GitRef[] {
  return output
    .toString('latin1')
    .split('\n')
    .flatMap((line) => {
      const [sha = '', name = ''] = [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)];
      return OBJECT_ID.test(sha) ? [{ sha, name }] : [];
    });
}

function requireOk(args: readonly string[], result: RunResult): RunResult {
  if (result.exitCode === 0) return result;
  throw new Error(`git ${args[0] ?? ''} ${result.timedOut ? 'took too long' : result.stderr.trim().split('\n')[0]}`);
}

/** The project's owner owns it; the index knows the files, so that `git status` is quick. */
async function takePlace(directory: string, root: Bytes, call: GitCall): Promise<void> {
  const { uid, gid } = statSync(fsPath(root));
  if (process.geteuid?.() === 0 && uid !== 0) giveTo(directory, uid, gid);
  renameSync(directory, fsPath(joinBytes(root, '.git')));
  const place = findRepository(root);
  if (place !== undefined) await gitIn(place, root, ['update-index', '-q', '--refresh'], call);
}

function giveTo(directory: string, uid: number, gid: number): void {
  const root = fromText(directory);
  for (const path of filesBelow(root, '')) lchownSync(fsPath(bytes(`${root}/${path}`)), uid, gid);
  for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true })) {
    if (entry.isDirectory()) chownSync(`${entry.parentPath}/${entry.name}`, uid, gid);
  }
  chownSync(directory, uid, gid);
}
