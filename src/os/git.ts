// Git: where a repository is, what HEAD names, and calls of git that run nothing of the repository's own.
// Invariants: `headCommit` starts no process (it is on the path of every save); every call has an
// environment built from nothing, no network, no hooks, no fsmonitor, no optional writes, and where we
// are root and the repository belongs to another user it runs as that user.

import { closeSync, constants, lstatSync, openSync, readFileSync, readlinkSync, realpathSync, type Stats, statSync } from 'node:fs';
import { type Bytes, bytes, dirnameBytes, fromBuffer, fsPath, isText, joinBytes, toText } from '../base/bytes.ts';
import { type RunOptions, type RunResult, requireProgram, run, runSync } from './run.ts';

/** A repository with a work tree. */
export type GitPlace = {
  readonly workTree: Bytes;
  /** Where HEAD and the index are; for a linked worktree or a submodule not `<workTree>/.git`. */
  readonly gitDir: Bytes;
  /** Where objects and branches are; `gitDir` except in a linked worktree. */
  readonly commonDir: Bytes;
};

export type GitHead = GitPlace & {
  /** 40 hex digits, 64 in a sha256 repository. */
  readonly sha: string;
  /** Without `refs/heads/`; null where HEAD names no branch. UTF-8 text. */
  readonly branch: string | null;
  readonly detached: boolean;
};

/** What a call may set; the rest is fixed. */
export type GitCall = Pick<RunOptions, 'input' | 'timeout' | 'maxBuffer' | 'signal'> & {
  readonly env?: Readonly<Record<string, string>>;
};

export const OBJECT_ID = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;
const REF_NAME = /^refs\/(?!.*(?:\.\.|\/\/|@\{))[^\x00-\x20\x7f~^:?*[\\]+$/;
const MAX_SYMREFS = 5;

// GIT_ALLOW_PROTOCOL and not only protocol.allow: a repository's `protocol.ext.allow=always` wins over the latter.
const ENVIRONMENT: Readonly<Record<string, string>> = {
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_ATTR_NOSYSTEM: '1',
  GIT_TERMINAL_PROMPT: '0',
  GIT_OPTIONAL_LOCKS: '0',
  GIT_NO_LAZY_FETCH: '1',
  GIT_NO_REPLACE_OBJECTS: '1',
  GIT_ALLOW_PROTOCOL: 'none',
  GIT_ADVICE: '0',
};

const OVERRIDES = [
  'core.fsmonitor=false',
  'core.hooksPath=/dev/null',
  'core.sshCommand=false',
  'core.askPass=',
  'core.alternateRefsCommand=',
  'core.attributesFile=/dev/null',
  'credential.helper=',
  'protocol.allow=never',
  'gc.auto=0',
  'maintenance.auto=false',
].flatMap((setting) => ['-c', setting]);

function statOf(path: Bytes): Stats | undefined {
  try {
    return statSync(fsPath(path), { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

function readIfThere(path: Bytes): Bytes | undefined {
  try {
    return fromBuffer(readFileSync(fsPath(path)));
  } catch {
    return undefined;
  }
}

function real(path: Bytes): Bytes {
  try {
    return fromBuffer(realpathSync.native(fsPath(path), { encoding: 'buffer' }));
  } catch {
    return path;
  }
}

function resolveFrom(directory: Bytes, path: string): Bytes {
  return real(path.startsWith('/') ? bytes(path) : joinBytes(directory, path));
}

/** The git directory that `<directory>/.git` is or names; undefined where there is none or it is no git directory. */
export function gitDirectoryOf(directory: Bytes): Bytes | undefined {
  const dotGit = joinBytes(directory, '.git');
  const stat = statOf(dotGit);
  let gitDir: Bytes | undefined;
  if (stat?.isDirectory() === true) gitDir = dotGit;
  else if (stat?.isFile() === true && stat.size < 65_536) {
    const target = /^gitdir: ([^\n]+?)\r?\n*$/s.exec(readIfThere(dotGit) ?? '')?.[1];
    if (target !== undefined) gitDir = resolveFrom(directory, target);
  }
  return gitDir !== undefined && lstatSync(fsPath(joinBytes(gitDir, 'HEAD')), { throwIfNoEntry: false }) !== undefined ? gitDir : undefined;
}

/**
 * The work tree around a directory, as git finds it: the nearest one at or above it on the same file system.
 * @param start an absolute path
 * @returns undefined outside a work tree (in a bare repository too)
 */
export function findWorkTree(start: Bytes): { workTree: Bytes; gitDir: Bytes } | undefined {
  const device = statOf(start)?.dev;
  for (let workTree = start; ; workTree = dirnameBytes(workTree)) {
    let gitDir: Bytes | undefined;
    try {
      gitDir = gitDirectoryOf(workTree);
    } catch {
      gitDir = undefined; // HEAD of a directory that we may not enter
    }
    if (gitDir !== undefined) return { workTree, gitDir };
    if (workTree === '/' || workTree === '.') return undefined;
    if (statOf(dirnameBytes(workTree))?.dev !== device) return undefined;
  }
}

/** `findWorkTree` and the directory that holds the objects. */
export function findRepository(start: Bytes): GitPlace | undefined {
  const found = findWorkTree(start);
  if (found === undefined) return undefined;
  const common = readIfThere(joinBytes(found.gitDir, 'commondir'))?.trimEnd();
  return { ...found, commonDir: common === undefined || common === '' ? found.gitDir : resolveFrom(found.gitDir, common) };
}

/** Where HEAD points: `ref` of a symbolic HEAD (the branch may have no commit yet), `sha` where it has one. */
export function readHead(place: GitPlace): { readonly ref: Bytes | undefined; readonly sha: string | undefined } {
  let text = readIfThere(joinBytes(place.gitDir, 'HEAD'))?.trimEnd();
  // HEAD as a symbolic link: git before 2006, and core.preferSymlinkRefs.
  const link = linkOf(joinBytes(place.gitDir, 'HEAD'));
  if (link?.startsWith('refs/') === true) text = `ref: ${link}`;
  if (text === undefined) return { ref: undefined, sha: undefined };
  const ref = /^ref:\s*(.+)$/s.exec(text)?.[1];
  if (ref === undefined) return { ref: undefined, sha: OBJECT_ID.test(text) ? text : undefined };
  if (ref === 'refs/heads/.invalid') return askForHead(place);
  return { ref: bytes(ref), sha: resolveRef(place, ref) };
}

function linkOf(path: Bytes): string | undefined {
  try {
    return readlinkSync(fsPath(path), 'latin1');
  } catch {
    return undefined;
  }
}

/** The commit or object that a ref names, symbolic refs followed; undefined where it names nothing. */
export function resolveRef(place: GitPlace, name: string): string | undefined {
  let ref = name;
  for (let depth = 0; depth < MAX_SYMREFS; depth++) {
    if (!REF_NAME.test(ref)) return undefined;
    const own = /^refs\/(?:bisect|worktree|rewritten)\//.test(ref);
    const loose = readIfThere(joinBytes(own ? place.gitDir : place.commonDir, ref))?.trimEnd();
    if (loose === undefined || loose === '') return packedRef(place.commonDir, ref);
    if (OBJECT_ID.test(loose)) return loose;
    const next = /^ref:\s*(.+)$/s.exec(loose)?.[1];
    if (next === undefined) return undefined;
    ref = next;
  }
  return undefined;
}

function packedRef(commonDir: Bytes, ref: string): string | undefined {
  const text = `\n${readIfThere(joinBytes(commonDir, 'packed-refs')) ?? ''}\n`;
  const at = text.indexOf(` ${ref}\n`);
  if (at < 0) return undefined;
  const sha = text.slice(text.lastIndexOf('\n', at) + 1, at);
  return OBJECT_ID.test(sha) ? sha : undefined;
}

/** The reftable format keeps its refs in files that git alone reads. */
function askForHead(place: GitPlace): { ref: Bytes | undefined; sha: string | undefined } {
  try {
    const ask = (...args: string[]): Bytes => bytes(fromBuffer(gitSync(place, args, { timeout: 10_000 }).stdout).trimEnd());
    const ref = ask('symbolic-ref', '-q', 'HEAD');
    const sha = ask('rev-parse', '-q', '--verify', 'HEAD');
    return { ref: ref === '' ? undefined : ref, sha: OBJECT_ID.test(sha) ? sha : undefined };
  } catch {
    return { ref: undefined, sha: undefined };
  }
}

/**
 * HEAD of the repository around a directory, from its files alone (a reftable repository: by git).
 * @param root an absolute path
 * @returns undefined outside a repository and before its first commit; `findWorkTree` tells the two apart
 */
export function headCommit(root: Bytes): GitHead | undefined {
  const place = findRepository(root);
  if (place === undefined) return undefined;
  const { ref, sha } = readHead(place);
  if (sha === undefined) return undefined;
  const branch = ref?.startsWith('refs/heads/') === true ? toText(bytes(ref.slice('refs/heads/'.length))) : null;
  return { ...place, sha, branch, detached: ref === undefined };
}

type Prepared = { readonly program: string; readonly args: readonly string[]; readonly options: RunOptions; readonly close: () => void };

/**
 * Git in a user's repository. GIT_DIR is given, so git never asks whose the directory is ("dubious
 * ownership") and needs no `safe.directory`; the user's configuration then applies with the owner's rights only.
 */
function prepareIn(place: GitPlace, directory: Bytes, args: readonly string[], call: GitCall): Prepared {
  const below = directory === place.workTree ? '' : directory.slice(place.workTree === '/' ? 1 : place.workTree.length + 1);
  const up = below === '' ? '' : '../'.repeat(below.split('/').length);
  // Relative names only: the child changes its directory before it gives up our rights, and ASCII is all that arguments can carry.
  const env = { ...ENVIRONMENT, GIT_DIR: `${up}.git`, GIT_WORK_TREE: up === '' ? '.' : up, ...call.env };
  const { cwd, close } = directoryForChild(directory);
  return { program: requireProgram('git', 'git'), args: [...OVERRIDES, ...args], options: { ...call, env, cwd, ...ownerOf(place.gitDir) }, close };
}

/** A directory as a child's `cwd`, which can only be text: a name that is not UTF-8 goes by a descriptor of ours. */
function directoryForChild(directory: Bytes): { cwd: string; close: () => void } {
  if (isText(directory)) return { cwd: toText(directory), close: () => {} };
  const fd = openSync(fsPath(directory), constants.O_RDONLY | constants.O_DIRECTORY);
  return { cwd: `/proc/${process.pid}/fd/${fd}`, close: () => closeSync(fd) };
}

function ownerOf(path: Bytes): { uid: number; gid: number } | Record<string, never> {
  if (process.geteuid?.() !== 0) return {};
  const { uid, gid } = statSync(fsPath(path));
  return uid === 0 ? {} : { uid, gid };
}

/** Runs git in a user's repository and waits; for one short question. Never throws for an exit code. */
function gitSync(place: GitPlace, args: readonly string[], call: GitCall = {}): RunResult {
  const prepared = prepareIn(place, place.workTree, args, call);
  try {
    return runSync(prepared.program, prepared.args, prepared.options);
  } finally {
    prepared.close();
  }
}

/**
 * Runs git in a user's repository. Only commands that read (`ls-files`, `for-each-ref`, `rev-list`):
 * `status`, `add` and `diff` run the repository's filters.
 * @param directory the work tree or a directory in it; paths in the output are relative to it
 * @throws CoraError tool_missing; never for an exit code
 */
export async function gitIn(place: GitPlace, directory: Bytes, args: readonly string[], call: GitCall = {}): Promise<RunResult> {
  const prepared = prepareIn(place, directory, args, call);
  try {
    return await run(prepared.program, prepared.args, prepared.options);
  } finally {
    prepared.close();
  }
}

/**
 * Runs git in a bare repository that we made ourselves: its configuration is ours, so it runs with our rights.
 * @param gitDir absolute path; for `git config --file -` any directory will do
 */
export async function gitOwn(gitDir: string, args: readonly string[], call: GitCall = {}): Promise<RunResult> {
  const env = { ...ENVIRONMENT, GIT_DIR: gitDir, ...call.env };
  return run(requireProgram('git', 'git'), [...OVERRIDES, ...args], { ...call, env, cwd: gitDir });
}
