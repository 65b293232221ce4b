// Data set A: a source tree of many small files, gathered from what a Debian machine has and filled
// with generated text where that is not enough. Two invariants: about the wanted number of files
// AND of bytes; and no name in it is one that Cora leaves out by default, so all tools save the same.

import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { phrase, proseWords, seededRandom } from './seeded.ts';

type Candidate = { readonly source: string; readonly target: string; readonly size: number; readonly mtime: number };

const BINARY = /\.(?:pyc|so|so\.[\d.]+|a|dll|exe|node|db|sqlite3?)$/u;
const LIBRARY = /\.so(?:\.[\d.]+)?$/u;
/** Names that Cora excludes by default (CORA-6) and their stand-ins. */
const RENAMED: Readonly<Record<string, string>> = {
  node_modules: 'modules',
  venv: 'virtualenv',
  '.venv': 'dot-virtualenv',
  __pycache__: 'pycache',
  '.git': 'dot-git',
};

/** Fills `directory` with about `files` files of `bytes` bytes together; `checkout` is a tree whose node_modules may serve. */
export function makeSmallFiles(directory: string, files: number, bytes: number, checkout: string): void {
  mkdirSync(directory, { recursive: true });
  let count = 0;
  let total = 0;
  const take = (candidate: Candidate): void => {
    const path = join(directory, candidate.target);
    mkdirSync(dirname(path), { recursive: true });
    copyFileSync(candidate.source, path);
    utimesSync(path, candidate.mtime, candidate.mtime);
    count += 1;
    total += candidate.size;
  };
  for (const [root, name] of sourceRoots(checkout)) {
    for (const candidate of candidates(root, name, (path, size) => !BINARY.test(path) && size < 1024 * 1024)) {
      if (count >= files) break;
      // Keeps pace with the wanted mean size, so that neither limit is reached long before the other.
      if (total + candidate.size <= (bytes * (count + 1)) / files + bytes / 16) take(candidate);
    }
  }
  for (const candidate of count === 0 ? [] : candidates('/usr/lib', 'libraries', (path, size) => LIBRARY.test(path) && size < 3_000_000)) {
    if (total + candidate.size <= bytes) take(candidate);
    if (total > bytes * 0.995) break;
  }
  generateText(directory, files - count, bytes - total);
  addOddities(directory);
}

function sourceRoots(checkout: string): readonly (readonly [string, string])[] {
  const python = spawnSync('python3', ['-c', 'import sys; print(sys.prefix)'], { encoding: 'utf8' });
  const prefix = python.status === 0 ? python.stdout.trim() : '/usr';
  return [
    ...(prefix === '/usr' ? [] : [[`${prefix}/lib`, 'python-own'] as const]),
    ...readdirSync('/usr/lib')
      .filter((name) => /^python3/u.test(name))
      .sort()
      .map((name) => [`/usr/lib/${name}`, name] as const),
    ['/usr/include', 'include'],
    ['/usr/lib/node_modules', 'node'],
    ['/usr/share/doc', 'doc'],
    ['/usr/share/zoneinfo', 'zoneinfo'],
    [`${checkout}/node_modules`, 'packages'],
    ['/usr/share/perl', 'perl'],
    ['/usr/share/man', 'man'],
    ['/usr/share/locale', 'locale'],
  ];
}

function* candidates(root: string, name: string, wanted: (path: string, size: number) => boolean): Generator<Candidate> {
  let entries: string[];
  try {
    entries = readdirSync(root, { encoding: 'utf8' }).sort();
  } catch {
    return; // this machine does not have it: later roots or generated text take its place
  }
  for (const entry of entries) {
    if (entry.includes('\ufffd')) continue; // not UTF-8; hard names are the business of the tests
    const path = `${root}/${entry}`;
    const target = `${name}/${RENAMED[entry] ?? entry}`;
    const stats = lstatSync(path, { throwIfNoEntry: false });
    if (stats?.isDirectory()) yield* candidates(path, target, wanted);
    else if (stats?.isFile() && wanted(path, stats.size)) yield { source: path, target, size: stats.size, mtime: stats.mtimeMs / 1000 };
  }
}

function generateText(directory: string, files: number, bytes: number): void {
  if (files <= 0) return;
  const random = seededRandom(5);
  const words = proseWords(200_000);
  const mean = Math.max(64, bytes / files);
  for (let index = 0; index < files; index += 1) {
    const folder = join(directory, 'text', String(Math.floor(index / 100)));
    if (index % 100 === 0) mkdirSync(folder, { recursive: true });
    const size = Math.ceil(mean * 2 * random.unit());
    let text = '';
    while (text.length < size) text += `${phrase(random, words, 12)}\n`;
    writeFileSync(join(folder, `note-${index}.txt`), text.slice(0, size));
  }
}

/** A link, a hard link, an empty file and a long path: every tool must keep them. */
function addOddities(directory: string): void {
  writeFileSync(join(directory, 'first.txt'), 'the target of two links\n');
  symlinkSync('first.txt', join(directory, 'link'));
  linkSync(join(directory, 'first.txt'), join(directory, 'hard-link.txt'));
  writeFileSync(join(directory, 'empty.txt'), '');
  const deep = join(directory, ...Array.from({ length: 12 }, (_, index) => `a-rather-long-directory-name-${index + 1}`));
  mkdirSync(deep, { recursive: true });
  writeFileSync(join(deep, 'deep.txt'), 'deep\n');
}

/** Changes about `fraction` of the files: 80 % edited in the middle, 10 % new, 10 % deleted. */
export function changeSmallFiles(directory: string, fraction: number, seed: number): void {
  const random = seededRandom(seed);
  const paths = plainFiles(directory).filter((path) => !basename(path).startsWith('new-'));
  const wanted = Math.max(10, Math.floor(paths.length * fraction));
  const drawn = [...new Set(Array.from({ length: wanted }, () => random.pick(paths)))];
  for (const [index, path] of drawn.entries()) {
    const content = readFileSync(path);
    if (index % 10 === 8) {
      writeFileSync(join(dirname(path), `new-${seed}-${index}.txt`), Buffer.concat([content, Buffer.from(random.hex16())]));
    } else if (index % 10 === 9) {
      rmSync(path);
    } else {
      const middle = random.between(0, content.length + 1);
      const edit = Buffer.from(`# edited ${random.hex16()}\n`);
      writeFileSync(path, Buffer.concat([content.subarray(0, middle), edit, content.subarray(middle)]));
    }
  }
}

/** The path (relative) of a file of middling size that the restore of one file asks for. */
export function chooseOneFile(directory: string): string {
  const paths = plainFiles(directory).filter((path) => {
    const size = statSync(path).size;
    return size > 4000 && size < 40_000;
  });
  return (paths[Math.floor(paths.length / 2)] as string).slice(directory.length + 1);
}

function plainFiles(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true, encoding: 'utf8' })
    .filter((entry) => entry.isFile() && /^[\w.-]+$/u.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => /^[\w./@+-]+$/u.test(path.slice(directory.length)))
    .sort();
}
