// A temporary bare repository of ours that borrows the objects of a user's repository. Bundles are made in
// it, so nothing is ever written into `.git`, and the user's configuration is never read where packing is done.
// Invariant: only refs, `shallow` and a copy of the index are taken over; all else in it is written here.

import { chmodSync, copyFileSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { type Bytes, bytes, fromBuffer, fsPath, joinBytes, toBuffer } from '../base/bytes.ts';
import { type GitCall, type GitPlace, gitIn, gitOwn, OBJECT_ID, readHead, resolveRef } from '../os/git.ts';
import type { RunResult } from '../os/run.ts';

export type GitRef = { readonly name: Bytes; readonly sha: string };

export type GitScratch = {
  /** The bare repository. */
  readonly directory: string;
  /** A copy of the index; undefined where the repository has none. */
  readonly index: string | undefined;
  readonly head: { readonly ref: Bytes | undefined; readonly sha: string | undefined };
  /** What the bundle carries, HEAD left out. */
  readonly refs: readonly GitRef[];
  /** Remote-tracking branches: what the remotes have. */
  readonly remoteRefs: readonly GitRef[];
  /** Refs whose object is not there. */
  readonly broken: readonly GitRef[];
  readonly shallow: boolean;
  /** Bytes of the object store, counted up to the limit only. */
  readonly objectBytes: number;
};

/** A git call that did not end well, as one line without the paths of this machine. */
export class GitFailure extends Error {
  /** The vault's disk is full: everything that our git calls write is there. */
  readonly outOfSpace: boolean;

  constructor(what: string, result: RunResult) {
    const said = result.stderr
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('hint:'))
      .slice(0, 3)
      .join('; ');
    super(`${what}: ${result.timedOut ? 'it took too long' : said === '' ? `exit ${result.exitCode ?? result.signal ?? 'unknown'}` : said}`);
    this.name = 'GitFailure';
    this.outOfSpace = /No space left on device|Disk quota exceeded/.test(result.stderr);
  }
}

/** @throws GitFailure unless the call ended with 0 */
export function succeeded(what: string, result: RunResult): RunResult {
  if (result.exitCode !== 0) throw new GitFailure(what, result);
  return result;
}

const MAX_ALTERNATES = 20;
const CARRIED = /^refs\/(?:heads|tags|notes|replace)\/|^refs\/stash$/;

// Commits that only these files name: a merge or rebase under way and the stash it made by itself.
const STATE_FILES = [
  'MERGE_HEAD',
  'MERGE_AUTOSTASH',
  'CHERRY_PICK_HEAD',
  'REVERT_HEAD',
  'REBASE_HEAD',
  'rebase-merge/autostash',
  'rebase-apply/autostash',
];

/**
 * Makes the scratch repository in an empty directory of ours; removing the directory is the caller's.
 * @param countUpTo where counting the object store's size may stop
 * @throws GitFailure where git cannot read the repository
 */
export async function openScratch(place: GitPlace, directory: string, countUpTo: number, call: GitCall): Promise<GitScratch> {
  const listed = await gitIn(place, place.workTree, ['for-each-ref', '--format=%(objectname) %(refname)'], call);
  // A configuration that git refuses (or may not read) must not keep the commits out: then the files are read.
  const all = listed.exitCode === 0 ? fromBuffer(listed.stdout).split('\n').flatMap(parseRef) : refFiles(place);
  if (listed.exitCode !== 0 && all.length === 0) throw new GitFailure('Listing the refs', listed);
  const remoteRefs = all.filter(({ name }) => name.startsWith('refs/remotes/'));
  const refs = all.filter(({ name }) => CARRIED.test(name));
  if (refs.some(({ name }) => name === 'refs/stash')) refs.push(...(await olderStashes(place, call)));
  refs.push(...statesOf(place), ...otherWorktrees(place));
  const head = readHead(place);

  const stores = objectStores(joinBytes(place.commonDir, 'objects'));
  const sha256 = [head.sha, ...all.map(({ sha }) => sha)].some((sha) => sha?.length === 64) || declaresSha256(place.commonDir);
  for (const part of ['', '/objects/info', '/objects/pack', '/refs/heads', '/info']) mkdirSync(directory + part, { recursive: true, mode: 0o700 });
  const format = sha256
    ? '\trepositoryformatversion = 1\n\tbare = true\n[extensions]\n\tobjectformat = sha256\n'
    : '\trepositoryformatversion = 0\n\tbare = true\n';
  writeFileSync(`${directory}/config`, `[core]\n${format}`);
  writeFileSync(`${directory}/objects/info/alternates`, toBuffer(bytes(stores.map((path) => `${alternateLine(path)}\n`).join(''))));
  writeFileSync(`${directory}/HEAD`, 'ref: refs/heads/cora-none\n');
  const shallow = copyIfFile(joinBytes(place.commonDir, 'shallow'), `${directory}/shallow`);
  const index = copyIfFile(joinBytes(place.gitDir, 'index'), `${directory}/index`) ? `${directory}/index` : undefined;
  if (index !== undefined) {
    // A split index names its other half by hash, and git looks for it in the git directory.
    for (const name of namesIn(place.gitDir)) {
      if (/^sharedindex\.[0-9a-f]+$/.test(name)) copyIfFile(joinBytes(place.gitDir, name), `${directory}/${name}`);
    }
  }

  const missing = await missingObjects(
    directory,
    [...refs, ...remoteRefs, ...(head.sha === undefined ? [] : [{ name: bytes('HEAD'), sha: head.sha }])],
    call,
  );
  const sound = refs.filter(({ sha }) => !missing.has(sha));
  const headSound = head.sha !== undefined && !missing.has(head.sha);
  writeRefs(directory, sound, []);
  if (head.ref !== undefined) writeFileSync(`${directory}/HEAD`, toBuffer(bytes(`ref: ${head.ref}\n`)));
  else if (headSound) writeFileSync(`${directory}/HEAD`, `${head.sha}\n`);
  const broken = refs.filter(({ sha }) => missing.has(sha));
  if (head.sha !== undefined && !headSound && head.ref === undefined) broken.push({ name: bytes('HEAD'), sha: head.sha });
  return {
    directory,
    index,
    head: { ref: head.ref, sha: headSound ? head.sha : undefined },
    refs: sound,
    remoteRefs: remoteRefs.filter(({ sha }) => !missing.has(sha)),
    broken,
    shallow,
    objectBytes: storeBytes(stores, countUpTo),
  };
}

/** Sets the refs of a scratch repository; remote-tracking ones only where the bundle is to leave out what they have. */
export function writeRefs(directory: string, refs: readonly GitRef[], remoteRefs: readonly GitRef[]): void {
  const rows = [...refs, ...remoteRefs].map(({ sha, name }) => `${sha} ${name}\n`);
  writeFileSync(`${directory}/packed-refs`, toBuffer(bytes(rows.join(''))));
}

function parseRef(line: string): GitRef[] {
  const space = line.indexOf(' ');
  const sha = line.slice(0, space);
  return OBJECT_ID.test(sha) ? [{ sha, name: bytes(line.slice(space + 1)) }] : [];
}

/** Every ref of the files format, loose ones first. */
function refFiles(place: GitPlace): GitRef[] {
  const found = new Map<Bytes, string>();
  const visit = (directory: string): void => {
    for (const name of namesIn(joinBytes(place.commonDir, directory))) {
      const path = bytes(`${directory}/${name}`);
      const sha = resolveRef(place, path);
      if (sha !== undefined) found.set(path, sha);
      else visit(path);
    }
  };
  visit('refs');
  for (const { name, sha } of (textOf(joinBytes(place.commonDir, 'packed-refs')) ?? '').split('\n').flatMap(parseRef)) {
    if (!found.has(name)) found.set(name, sha);
  }
  return [...found].map(([name, sha]) => ({ name, sha }));
}

/** Stashes but the newest are only in the log of refs/stash. */
async function olderStashes(place: GitPlace, call: GitCall): Promise<GitRef[]> {
  let entries: string[];
  try {
    const log = readFileSync(fsPath(joinBytes(place.commonDir, 'logs/refs/stash')), 'latin1');
    entries = log
      .split('\n')
      .map((line) => line.split(' ')[1] ?? '')
      .reverse();
  } catch {
    entries = fromBuffer((await gitIn(place, place.workTree, ['rev-list', '-g', 'refs/stash'], call)).stdout).split('\n');
  }
  return entries
    .filter((sha) => OBJECT_ID.test(sha))
    .flatMap((sha, index) => (index === 0 ? [] : [{ name: bytes(`refs/cora/stash/${index}`), sha }]));
}

function statesOf(place: GitPlace): GitRef[] {
  return STATE_FILES.flatMap((file) => {
    const shas = (textOf(joinBytes(place.gitDir, file)) ?? '').split('\n').filter((line) => OBJECT_ID.test(line));
    return shas.map((sha, index) => ({ name: bytes(`refs/cora/state/${file.replace('/', '-')}${index === 0 ? '' : `-${index}`}`), sha }));
  });
}

/** Commits that only a detached HEAD of another linked worktree names. */
function otherWorktrees(place: GitPlace): GitRef[] {
  const refs: GitRef[] = [];
  const add = (gitDir: Bytes, name: string): void => {
    const sha = gitDir === place.gitDir ? undefined : textOf(joinBytes(gitDir, 'HEAD'))?.trimEnd();
    if (sha !== undefined && OBJECT_ID.test(sha)) refs.push({ name: bytes(`refs/cora/worktree/${name}`), sha });
  };
  add(place.commonDir, 'main');
  for (const [index, name] of namesIn(joinBytes(place.commonDir, 'worktrees')).sort().entries()) {
    // The name of a linked worktree's directory need not be one that a ref may have.
    add(joinBytes(place.commonDir, `worktrees/${name}`), /^[A-Za-z0-9][A-Za-z0-9_-]*$/.test(name) && name !== 'main' ? name : `number-${index}`);
  }
  return refs;
}

/** An object store and those that it borrows from, each an absolute path. */
function objectStores(first: Bytes): Bytes[] {
  const stores = [first];
  for (let at = 0; at < stores.length && stores.length < MAX_ALTERNATES; at++) {
    const store = stores[at] ?? first;
    for (const line of (textOf(joinBytes(store, 'info/alternates')) ?? '').split('\n')) {
      if (line === '' || line.startsWith('#')) continue;
      const path = bytes(line.startsWith('/') ? line : `${store}/${line}`);
      if (!stores.includes(path)) stores.push(path);
    }
  }
  return stores;
}

function alternateLine(path: Bytes): string {
  return path.includes('\n') ? `"${path.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n')}"` : path;
}

/** Without commits no object tells the hash; the configuration does. */
function declaresSha256(commonDir: Bytes): boolean {
  return /^\s*objectformat\s*=\s*"?sha256/im.test(textOf(joinBytes(commonDir, 'config')) ?? '');
}

function storeBytes(stores: readonly Bytes[], limit: number): number {
  let total = 0;
  for (const store of stores) {
    for (const directory of namesIn(store)) {
      if (directory !== 'pack' && !/^[0-9a-f]{2}$/.test(directory)) continue;
      const path = joinBytes(store, directory);
      for (const name of namesIn(path)) {
        if (total >= limit) return total;
        if (directory === 'pack' && !name.endsWith('.pack')) continue;
        total += lstatSync(fsPath(joinBytes(path, name)), { throwIfNoEntry: false })?.size ?? 0;
      }
    }
  }
  return total;
}

async function missingObjects(directory: string, refs: readonly GitRef[], call: GitCall): Promise<Set<string>> {
  const wanted = [...new Set(refs.map(({ sha }) => sha))];
  if (wanted.length === 0) return new Set();
  const result = await gitOwn(directory, ['cat-file', '--batch-check=%(objectname)'], { ...call, input: `${wanted.join('\n')}\n` });
  const rows = succeeded('Looking for the objects of the refs', result).stdout.toString('latin1').split('\n');
  return new Set(rows.filter((row) => row.endsWith(' missing')).map((row) => row.slice(0, row.indexOf(' '))));
}

function copyIfFile(from: Bytes, to: string): boolean {
  const stat = lstatSync(fsPath(from), { throwIfNoEntry: false });
  if (stat?.isFile() !== true) return false;
  copyFileSync(fsPath(from), to);
  chmodSync(to, 0o600);
  return true;
}

function textOf(path: Bytes): string | undefined {
  try {
    return readFileSync(fsPath(path), 'latin1');
  } catch {
    return undefined;
  }
}

function namesIn(path: Bytes): string[] {
  try {
    return readdirSync(fsPath(path), 'latin1');
  } catch {
    return [];
  }
}

/** An empty directory of ours beside a target, for a scratch repository. */
export function scratchBeside(target: string, label: string): string {
  const directory = `${dirname(target)}/.${basename(target)}-work-${label}`;
  mkdirSync(directory, { mode: 0o700 });
  return directory;
}
