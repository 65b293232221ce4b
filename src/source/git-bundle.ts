// One repository's commits, stashes and index as a git bundle, made in a scratch repository and checked.
// Invariant: a bundle that is left behind passed `git bundle verify` and its pack's own checksum;
// one that did not is removed and told as a problem.

import { createHash } from 'node:crypto';
import { chmodSync, closeSync, copyFileSync, fstatSync, openSync, readSync, rmSync } from 'node:fs';
import { type Bytes, bytes, fromBuffer, isAscii, printable, toBuffer } from '../base/bytes.ts';
import { messageOf } from '../base/errors.ts';
import { syncFile } from '../os/files.ts';
import { type GitCall, type GitPlace, gitOwn } from '../os/git.ts';
import { GitFailure, type GitRef, type GitScratch, openScratch, succeeded, writeRefs } from './git-scratch.ts';

export type BundleOptions = {
  /** Bytes of object store below which everything is bundled, remotes or not. */
  readonly fullBelow: number;
  /** Objects may be missing on purpose: then never everything. */
  readonly partialClone: boolean;
  readonly signal: AbortSignal;
};

export type Bundle = {
  /** `complete` needs nothing else; `unpushed` needs commits that a remote has; `none`: nothing to bundle, no file. */
  readonly kind: 'complete' | 'unpushed' | 'none';
  readonly heads: readonly GitRef[];
  /** Commits that the reader must have, `<sha> <subject>`. */
  readonly prerequisites: readonly Bytes[];
  /** The clone had no more history than this; `<name>.shallow` lies beside the bundle. */
  readonly shallow: boolean;
  /** Paths of submodules in the index, with the commit recorded for each. */
  readonly submodules: readonly { readonly path: Bytes; readonly sha: string }[];
  /** The index is in the bundle as refs/cora/index. */
  readonly index: boolean;
  /** Sentences for problems. */
  readonly notes: readonly string[];
};

const MINUTE = 60_000;
const INDEX_REF = bytes('refs/cora/index');
const LARGE_OUTPUT = 512 << 20;

// The index is bundled as a commit, and the same index must give the same commit.
const IDENTITY = {
  GIT_AUTHOR_NAME: 'Cora',
  GIT_AUTHOR_EMAIL: 'cora@localhost',
  GIT_AUTHOR_DATE: '@0 +0000',
  GIT_COMMITTER_NAME: 'Cora',
  GIT_COMMITTER_EMAIL: 'cora@localhost',
  GIT_COMMITTER_DATE: '@0 +0000',
};

/**
 * Writes `<base>.bundle` (and `<base>.shallow` of a shallow clone), mode 0600, synced.
 * @param base absolute path without the ending
 * @param scratch an empty directory of ours, which the caller removes
 * @throws GitFailure where the repository cannot be read at all or no bundle could be made
 */
export async function writeBundle(place: GitPlace, base: string, scratch: string, options: BundleOptions): Promise<Bundle> {
  const call: GitCall = { signal: options.signal, timeout: 2 * MINUTE, maxBuffer: LARGE_OUTPUT };
  const opened = await openScratch(place, scratch, options.fullBelow, call);
  const notes = opened.broken.map(({ name, sha }) => `${printable(name)} names ${sha}, which is not in the repository`);
  const index = await commitIndex(opened, call, notes);
  const refs = index === undefined ? opened.refs : [...opened.refs, { name: INDEX_REF, sha: index.commit }];
  const submodules = index?.submodules ?? [];
  const none: Bundle = { kind: 'none', heads: [], prerequisites: [], shallow: opened.shallow, submodules, index: false, notes };
  if (refs.length === 0 && opened.head.sha === undefined) return none;

  const path = `${base}.bundle`;
  const wantsAll = opened.remoteRefs.length === 0 || (!options.partialClone && opened.objectBytes < options.fullBelow);
  let failure: unknown;
  for (const all of wantsAll && opened.remoteRefs.length > 0 ? [true, false] : [wantsAll]) {
    // What no remote has: the index only where it differs from HEAD, which the remote may have.
    const carried = all || index === undefined || index.differs ? refs : opened.refs;
    try {
      const written = await createBundle(opened, path, carried, all, call);
      if (failure !== undefined) notes.push(`Not everything could be bundled, so only what no remote has is (${messageOf(failure)})`);
      if (!written) return none;
      return { ...none, ...(await finishBundle(opened, path, base, call)) };
    } catch (error) {
      if (options.signal.aborted || (error instanceof GitFailure && error.outOfSpace)) throw error;
      rmSync(path, { force: true });
      failure ??= error;
    }
  }
  const sound = await soundRefs(opened, path, refs, call);
  if (sound.length === 0) throw failure;
  notes.push(
    `${messageOf(failure)}; left out: ${
      refs
        .filter((ref) => !sound.includes(ref))
        .map(({ name }) => printable(name))
        .join(', ') || 'HEAD'
    }`,
  );
  const detached = { ...opened, head: { ...opened.head, sha: undefined } };
  // A detached HEAD that could not be read must not be asked for again.
  if (opened.head.ref === undefined && !sound.some(({ sha }) => sha === opened.head.sha))
    await gitOwn(scratch, ['symbolic-ref', 'HEAD', 'refs/heads/cora-none'], call);
  await createBundle(detached, path, sound, true, call);
  return { ...none, ...(await finishBundle(opened, path, base, call)) };
}

/** @returns false where there is nothing that the remotes have not */
async function createBundle(scratch: GitScratch, path: string, refs: readonly GitRef[], all: boolean, call: GitCall): Promise<boolean> {
  writeRefs(scratch.directory, refs, all ? [] : scratch.remoteRefs);
  // Clone looks for HEAD's branch among the branches at its commit and takes the first: it must be listed first.
  const branch =
    scratch.head.ref !== undefined && isAscii(scratch.head.ref) && refs.some(({ name }) => name === scratch.head.ref) ? [scratch.head.ref] : [];
  const first = scratch.head.sha === undefined ? [] : ['HEAD', ...branch];
  const selection = all ? ['--all'] : ['--exclude=refs/remotes/*', '--all', '--not', '--remotes'];
  const result = await gitOwn(scratch.directory, ['bundle', 'create', '-q', path, ...first, ...selection], { ...call, timeout: 30 * MINUTE });
  if (result.exitCode !== 0 && /empty bundle/.test(result.stderr)) return false;
  succeeded('Writing the bundle', result);
  return true;
}

async function finishBundle(
  scratch: GitScratch,
  path: string,
  base: string,
  call: GitCall,
): Promise<Pick<Bundle, 'kind' | 'heads' | 'prerequisites' | 'index'>> {
  chmodSync(path, 0o600);
  succeeded('Verifying the bundle', await gitOwn(scratch.directory, ['bundle', 'verify', '-q', path], { ...call, timeout: 10 * MINUTE }));
  const { heads, prerequisites } = readBundle(path);
  syncFile(path);
  if (scratch.shallow) {
    copyFileSync(`${scratch.directory}/shallow`, `${base}.shallow`);
    chmodSync(`${base}.shallow`, 0o600);
    syncFile(`${base}.shallow`);
  }
  const index = heads.some(({ name }) => name === INDEX_REF);
  return { kind: prerequisites.length === 0 ? 'complete' : 'unpushed', heads, prerequisites, index };
}

/** The refs that pack on their own; asked only where packing them together failed. */
async function soundRefs(scratch: GitScratch, path: string, refs: readonly GitRef[], call: GitCall): Promise<GitRef[]> {
  const deadline = performance.now() + 2 * MINUTE;
  const probe = `${path}.probe`;
  const order = [INDEX_REF, 'refs/stash', scratch.head.ref];
  const rank = ({ name }: GitRef): number => (order.includes(name) ? 0 : name.startsWith('refs/cora/') ? 1 : name.startsWith('refs/heads/') ? 2 : 3);
  const sound: GitRef[] = [];
  const verdicts = new Map<string, boolean>();
  writeRefs(scratch.directory, refs, []);
  for (const ref of refs.toSorted((a, b) => rank(a) - rank(b))) {
    if (performance.now() > deadline || !isAscii(ref.name)) continue;
    let good = verdicts.get(ref.sha);
    if (good === undefined) {
      const result = await gitOwn(scratch.directory, ['bundle', 'create', '-q', probe, ref.name], call);
      good = result.exitCode === 0;
      verdicts.set(ref.sha, good);
    }
    if (good) sound.push(ref);
  }
  rmSync(probe, { force: true });
  return sound;
}

type IndexCommit = { readonly commit: string; readonly differs: boolean; readonly submodules: { path: Bytes; sha: string }[] };

/** The index as a commit on HEAD, written into the scratch repository; undefined without an index or with an empty one on no commit. */
async function commitIndex(scratch: GitScratch, call: GitCall, notes: string[]): Promise<IndexCommit | undefined> {
  if (scratch.index === undefined) return undefined;
  try {
    const ask = async (what: string, args: readonly string[], more: GitCall = {}): Promise<Bytes> => {
      const env = { ...IDENTITY, GIT_INDEX_FILE: scratch.index ?? '', ...more.env };
      return fromBuffer(succeeded(what, await gitOwn(scratch.directory, args, { ...call, ...more, env })).stdout);
    };
    const rows = (await ask('Reading the index', ['ls-files', '-s', '-z'])).split('\0').filter((row) => row !== '');
    if (rows.length === 0 && scratch.head.sha === undefined) return undefined;
    const submodules = rows.flatMap((row) =>
      row.startsWith('160000 ') ? [{ path: bytes(row.slice(row.indexOf('\t') + 1)), sha: row.split(' ')[1] ?? '' }] : [],
    );
    let env: Readonly<Record<string, string>> = {};
    if (rows.some((row) => /^\d+ [0-9a-f]+ [123]\t/.test(row))) {
      // An unmerged index has no tree. Every version goes in under a name of its own.
      env = { GIT_INDEX_FILE: `${scratch.index}-merged` };
      await ask('Copying the unmerged index', ['update-index', '-z', '--index-info'], {
        input: toBuffer(bytes(rows.map(separateStage).join('\0').concat('\0'))),
        env,
      });
      notes.push('The index has unmerged paths: in refs/cora/index each version is a file of its own, with the ending .base, .ours or .theirs');
    }
    const tree = (await ask('Writing the tree of the index', ['write-tree', '--missing-ok'], { env })).trimEnd();
    const parent = scratch.head.sha;
    const headTree = parent === undefined ? '' : (await ask('Reading the tree of HEAD', ['rev-parse', '--verify', `${parent}^{tree}`])).trimEnd();
    const commit = await ask('Writing the commit of the index', ['commit-tree', tree, ...(parent === undefined ? [] : ['-p', parent])], {
      input: 'The index, as cora found it\n',
    });
    return { commit: commit.trimEnd(), differs: tree !== headTree, submodules };
  } catch (error) {
    if (!(error instanceof GitFailure) || call.signal?.aborted === true) throw error;
    notes.push(`The index is not in the bundle: ${error.message}`);
    return undefined;
  }
}

function separateStage(row: string): string {
  const ending = { '1': '.base', '2': '.ours', '3': '.theirs' }[/^\d+ [0-9a-f]+ ([123])\t/.exec(row)?.[1] ?? ''];
  return ending === undefined ? row : `${row.replace(/ [123]\t/, ' 0\t')}${ending}`;
}

const HEADER_LIMIT = 64 << 20;

/**
 * The header of a bundle, once its pack is what its own checksum says.
 * @throws GitFailure for a file that is no sound bundle
 */
function readBundle(path: string): { heads: GitRef[]; prerequisites: Bytes[] } {
  const fd = openSync(path, 'r');
  try {
    const size = fstatSync(fd).size;
    const chunk = Buffer.allocUnsafe(1 << 20);
    let header = '';
    let at = 0;
    while (!header.includes('\n\n') && at < Math.min(size, HEADER_LIMIT)) {
      const count = readSync(fd, chunk, 0, chunk.length, at);
      if (count === 0) break;
      header += chunk.toString('latin1', 0, count);
      at += count;
    }
    const end = header.indexOf('\n\n');
    if (end < 0) throw damaged('it has no end of its header');
    const lines = header.slice(0, end).split('\n').slice(1);
    const algorithm = lines.includes('@object-format=sha256') ? 'sha256' : 'sha1';
    checkPack(fd, end + 2, size, algorithm, chunk);
    const heads: GitRef[] = [];
    const prerequisites: Bytes[] = [];
    for (const line of lines) {
      if (line.startsWith('-')) prerequisites.push(bytes(line.slice(1)));
      else if (!line.startsWith('@')) heads.push({ sha: line.slice(0, line.indexOf(' ')), name: bytes(line.slice(line.indexOf(' ') + 1)) });
    }
    return { heads, prerequisites };
  } finally {
    closeSync(fd);
  }
}

function checkPack(fd: number, start: number, size: number, algorithm: 'sha1' | 'sha256', chunk: Buffer): void {
  const trailer = algorithm === 'sha1' ? 20 : 32;
  const hash = createHash(algorithm);
  let at = start;
  while (at < size - trailer) {
    const count = readSync(fd, chunk, 0, Math.min(chunk.length, size - trailer - at), at);
    if (count === 0) break;
    hash.update(chunk.subarray(0, count));
    at += count;
  }
  const stored = Buffer.alloc(trailer);
  if (readSync(fd, stored, 0, trailer, at) !== trailer || !hash.digest().equals(stored)) throw damaged('its pack does not match its checksum');
}

function damaged(what: string): GitFailure {
  return new GitFailure('The bundle as written is damaged', { exitCode: 1, signal: null, stdout: Buffer.alloc(0), stderr: what, timedOut: false });
}
