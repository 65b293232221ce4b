// A backup made by the real program, opened by other people's tools: GNU tar in full; bsdtar, busybox
// and node-tar to the second and without sparse files; gzip -t and sha256sum -c over all of it.

import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import { list } from 'tar';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Bytes, toText } from '../src/base/bytes.ts';
import { findProgram } from '../src/os/run.ts';
import { type CompareTreesOptions, compareTrees, readTree, type TreeEntry } from './helpers/compare-trees.ts';
import { makeTree, randomTree, SPARSE_SLACK_BLOCKS } from './support/random-tree.ts';
import { unseal } from './support/run-cora.ts';
import { execute, isRoot, Sandbox } from './support/sandbox.ts';

type Tree = Map<string, TreeEntry>;
/** One backed-up project: everything, or all but sparse files. */
type Made = { readonly sandbox: Sandbox; readonly before: Tree; readonly backup: string; readonly archive: string };

const SEED = 20_261_121;
const sandboxes: Sandbox[] = [];
let full: Made;
let plain: Made;

async function make(sparse: boolean): Promise<Made> {
  const sandbox = new Sandbox({ fast: true });
  sandboxes.push(sandbox);
  // Three trees in one, so that each kind of entry is surely there.
  fc.sample(randomTree({ large: true }), { numRuns: 3, seed: SEED }).forEach((tree, index) => {
    const directory = join(sandbox.project, `tree-${index}`);
    mkdirSync(directory);
    makeTree(directory, { ...tree, items: tree.items.filter(({ node }) => sparse || node.kind !== 'sparse') });
  });
  const database = new Database(join(sandbox.project, 'live.db'));
  database.pragma('journal_mode = wal');
  database.exec('CREATE TABLE note (text TEXT)');
  for (let i = 0; i < 100; i++) database.prepare('INSERT INTO note VALUES (?)').run(`note ${i}`);
  try {
    const { path } = await sandbox.snapshot(['backup', 'now']);
    return { sandbox, before: readTree(sandbox.project, { skip: isDatabase }), backup: path, archive: join(path, 'project-full.tar.gz') };
  } finally {
    database.close();
  }
}

const isDatabase = (path: string): boolean => path.startsWith('live.db');

beforeAll(async () => {
  [full, plain] = await Promise.all([make(true), make(false)]);
});
afterAll(async () => {
  for (const sandbox of sandboxes) await sandbox.remove();
});

/** Unpacks by this tool into a new directory, and expects what was there. `adapt` hides what the tool cannot keep. */
async function unpack({ sandbox, before, archive }: Made, tool: readonly string[], options: CompareTreesOptions, adapt = (tree: Tree) => tree) {
  const [name = '', ...args] = tool;
  const into = join(sandbox.root, `by-${name}`);
  mkdirSync(into);
  expect(await execute(name, [...args, '-xzpf', archive, '-C', into])).toMatchObject({ code: 0, stderr: '' });
  const after = readTree(into, { skip: isDatabase });
  // The project's own directory changed its time when the database was closed.
  for (const tree of [before, after]) tree.delete('.');
  expect(compareTrees(adapt(before), adapt(after), options).slice(0, 20)).toEqual([]);
  const database = new Database(join(into, 'live.db'), { readonly: true });
  expect(database.pragma('integrity_check', { simple: true })).toBe('ok');
  expect(database.prepare('SELECT count(*), max(rowid) FROM note').raw().get()).toEqual([100, 100]);
  database.close();
}

test('GNU tar gives everything back', () => unpack(full, ['tar', '--warning=no-timestamp'], { moreBlocks: SPARSE_SLACK_BLOCKS }));

test.skipIf(findProgram('bsdtar') === undefined)('bsdtar gives everything back to the second (needs bsdtar)', () =>
  unpack(plain, ['bsdtar'], { wholeSeconds: true }, withoutOldTimes),
);

test.skipIf(findProgram('busybox') === undefined)('busybox gives everything back to the second (needs busybox)', () =>
  // Run by a user, it takes the umask off the modes.
  unpack(plain, ['busybox', 'tar'], { wholeSeconds: true, ignore: isRoot ? [] : ['mode'] }, withoutLinkTimes),
);

/** bsdtar takes the fraction of a time before 1970 the wrong way round. */
function withoutOldTimes(tree: Tree): Tree {
  return new Map([...tree].map(([path, entry]) => [path, entry.mtime < 0n ? { ...entry, mtime: 0n } : entry]));
}

/** busybox sets no times (and of some, no owners) of symbolic links, and makes links last of all, which changes their directories' times. */
function withoutLinkTimes(tree: Tree): Tree {
  const holders = new Set<string>();
  for (const [path, entry] of tree) {
    if (entry.type === 'symlink' || entry.sameAs !== path) holders.add(path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '.');
  }
  const adapted = ([path, entry]: [string, TreeEntry]): [string, TreeEntry] => {
    if (entry.type === 'symlink') return [path, { ...entry, mtime: 0n, uid: 0, gid: 0 }];
    return [path, holders.has(path) ? { ...entry, mtime: 0n } : entry];
  };
  return new Map([...tree].map(adapted));
}

test('node-tar reads every entry and its content', async () => {
  const found: string[] = [];
  await list({
    file: plain.archive,
    onReadEntry: (entry) => {
      const hash = createHash('sha256');
      entry.on('data', (chunk: Buffer) => hash.update(chunk));
      entry.on('end', () => {
        const path = entry.path.replace(/^\.\//, '').replace(/\/$/, '');
        if (path === '' || isDatabase(path)) return;
        const content = entry.type === 'File' ? `${entry.size} ${hash.digest('hex')}` : entry.type === 'SymbolicLink' ? (entry.linkpath ?? '') : '';
        found.push(`${path} ${entry.type} ${entry.mode?.toString(8)} ${content}`);
      });
    },
  });
  const types = { directory: 'Directory', file: 'File', symlink: 'SymbolicLink', fifo: 'FIFO', character: 'CharacterDevice', block: 'BlockDevice' };
  const wanted: string[] = [];
  for (const [path, entry] of plain.before) {
    if (entry.type === 'socket' || path === '.') continue;
    const hardLink = entry.type === 'file' && entry.sameAs !== path;
    const content = entry.type === 'file' && !hardLink ? `${entry.size} ${entry.hash}` : toText(entry.target);
    wanted.push(`${toText(path as Bytes)} ${hardLink ? 'Link' : types[entry.type]} ${entry.mode.toString(8)} ${content}`);
  }
  expect(found.sort()).toEqual(wanted.sort());
});

test('gzip and sha256sum find the backup whole, and a changed byte', async () => {
  for (const { archive, backup } of [full, plain]) {
    expect(await execute('gzip', ['-t', '--', archive])).toMatchObject({ code: 0, stderr: '' });
    expect(await execute('sha256sum', ['-c', '--quiet', '--strict', 'SHA256SUMS.txt'], { cwd: backup })).toMatchObject({ code: 0, stderr: '' });
    expect(await execute('gzip', ['-t', 'FILES.tsv.gz'], { cwd: backup })).toMatchObject({ code: 0, stderr: '' });
  }
  unseal(plain.backup);
  writeFileSync(plain.archive, 'x', { flag: 'r+' });
  expect((await execute('sha256sum', ['-c', '--quiet', '--strict', 'SHA256SUMS.txt'], { cwd: plain.backup })).code).toBe(1);
});
