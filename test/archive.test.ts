// A backup's archive, unpacked by the tools that people have, is the tree it was made from.

import { createHash, randomBytes } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  closeSync,
  existsSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { list } from 'tar';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Bytes, bytes, fromBuffer, fsPath, joinBytes } from '../src/base/bytes.ts';
import { CoraError } from '../src/base/errors.ts';
import type { Entry } from '../src/format/file-list.ts';
import { findProgram, requireProgram, runSync } from '../src/os/run.ts';
import { type ArchiveOptions, type ArchiveResult, writeArchive } from '../src/store/archive.ts';
import { openPool, type PackedTree, packTree } from './support/pack-tree.ts';

const MIB = 1 << 20;
let directory = '';
let source = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cora-archive-'));
  source = join(directory, 'source');
  mkdirSync(source);
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const target = (): string => join(directory, 'full.tar.gz');

async function archive(tree: PackedTree, options: Partial<ArchiveOptions> = {}, threads = 0): Promise<ArchiveResult> {
  const pool = openPool(tree, threads);
  try {
    return await writeArchive(tree.entries, { target: target(), pool, ...options });
  } finally {
    await pool.close();
  }
}

function unpack(program: string, ...args: string[]): string {
  const into = join(directory, `out-${program}`);
  mkdirSync(into);
  const result = runSync(findProgram(program) ?? '', [...args, '-xzpf', target(), '-C', into]);
  expect(result).toMatchObject({ exitCode: 0, stderr: '' });
  return into;
}

/** `linkTimes`: busybox sets no times of symbolic links, and makes links last of all, so that their directory's time is that moment. */
type Detail = { readonly exact: boolean; readonly sparse: boolean; readonly linkTimes: boolean };

/** One line an entry; what has no type in tar is left out. */
function describe(root: string, detail: Detail): string[] {
  const lines: string[] = [];
  const inodes = new Map<bigint, string>();
  const visit = (path: Bytes): void => {
    const full = fsPath(joinBytes(bytes(root), path));
    const stat = lstatSync(full, { bigint: true });
    if (stat.isSocket() || (!detail.sparse && path.includes('sparse'))) return;
    const time = detail.exact ? stat.mtimeNs : stat.mtimeNs / 10n ** 9n;
    const first = inodes.get(stat.ino) ?? path;
    inodes.set(stat.ino, first);
    const link = stat.isSymbolicLink() ? fromBuffer(readlinkSync(full, { encoding: 'buffer' })) : '';
    const content = stat.isFile() ? createHash('sha256').update(readFileSync(full)).digest('hex') : '';
    const shownTime = detail.linkTimes || !(stat.isSymbolicLink() || path === 'links') ? time : '-';
    const blocks = stat.isFile() && path.includes('sparse') && detail.exact ? stat.blocks : '';
    lines.push(
      [path, stat.mode.toString(8), stat.uid, stat.gid, shownTime, stat.isFile() ? stat.size : 0, first, link, stat.rdev, content, blocks].join('|'),
    );
    if (!stat.isDirectory()) return;
    for (const name of readdirSync(full, { encoding: 'buffer' })) visit(path === '.' ? fromBuffer(name) : joinBytes(path, fromBuffer(name)));
  };
  visit(bytes('.'));
  return lines.sort();
}

async function makeHardTree(): Promise<void> {
  const at = (name: string): string => join(source, name);
  mkdirSync(at('dir/deep/empty'), { recursive: true });
  mkdirSync(at('readonly'));
  mkdirSync(at('links'));
  writeFileSync(at('readonly/inside'), 'x');
  for (const size of [0, 1, 511, 512, 513, MIB - 1, MIB, MIB + 1])
    writeFileSync(at(`dir/size-${size}`), Buffer.alloc(size, `${size} bytes of text\n`));
  writeFileSync(at('dir/random'), randomBytes(3 * MIB + 12_345));
  writeFileSync(at('dir/random-small'), randomBytes(20_000));
  for (let i = 0; i < 300; i++) writeFileSync(at(`dir/deep/small-${i}`), `content ${i}\n`.repeat(i));
  linkSync(at('dir/random'), at('links/hard'));
  linkSync(at('dir/random'), at('links/hard-2'));
  symlinkSync('/absolute/target', at('links/symbolic'));
  symlinkSync('t'.repeat(300), at('links/long'));
  let deep = bytes(source);
  for (let i = 0; i < 6; i++) {
    deep = joinBytes(deep, bytes('e'.repeat(200)));
    mkdirSync(fsPath(deep));
  }
  writeFileSync(fsPath(joinBytes(deep, bytes('\xff\xfe'))), 'raw');
  for (const name of ['\xc3\xa9t\xc3\xa9', 'raw\xff', 'new\nline', '-rf', '@x', 'back\\slash', 'n'.repeat(255)]) {
    writeFileSync(fsPath(joinBytes(bytes(source), bytes(name))), name, 'latin1');
  }
  for (const [name, size] of [
    ['sparse-end', 2 * MIB],
    ['sparse-middle', 5 * MIB + 7],
    ['sparse-empty', 3 * MIB + 1],
  ] as const) {
    const fd = openSync(at(name), 'w');
    if (name !== 'sparse-empty') writeSync(fd, randomBytes(65_536), 0, 65_536, name === 'sparse-end' ? 0 : 3 * MIB);
    ftruncateSync(fd, size);
    closeSync(fd);
  }
  runSync(requireProgram('mkfifo', 'coreutils'), ['--', at('fifo')]);
  chmodSync(at('dir/size-1'), 0o4751);
  chmodSync(at('dir'), 0o2755);
  chmodSync(at('readonly'), 0o555);
  if (process.getuid?.() === 0) {
    runSync(requireProgram('mknod', 'coreutils'), ['--', at('device'), 'c', '1', '3']);
    runSync(requireProgram('chown', 'coreutils'), ['--', '1234:4000000000', at('dir/size-513')]);
  }
  const socket = createServer();
  await new Promise<void>((resolve) => socket.listen(at('socket'), resolve));
  await new Promise((resolve) => socket.close(resolve));
  const touch = requireProgram('touch', 'coreutils');
  runSync(touch, ['-d', '2001-02-03 04:05:06.123456789', '--', at('dir/deep/empty'), at('dir/deep'), at('dir'), at('readonly'), source]);
}

test('GNU tar gives the whole tree back: types, modes, owners, times, links, holes', async () => {
  await makeHardTree();
  const tree = packTree(source, directory);
  const result = await archive(tree, {}, 2);
  expect(describe(unpack('tar'), { exact: true, sparse: true, linkTimes: true })).toEqual(
    describe(source, { exact: true, sparse: true, linkTimes: true }),
  );
  const file = readFileSync(target());
  expect(result).toMatchObject({ size: file.length, sha256: createHash('sha256').update(file).digest('hex'), capped: [] });
  const gzip = requireProgram('gzip', 'gzip');
  expect(runSync(gzip, ['-t', target()])).toMatchObject({ exitCode: 0, stderr: '' });
  const plain = runSync(gzip, ['-dc', target()]).stdout;
  expect(plain.length).toBe(result.rawBytes);
  expect(plain.subarray(-1024).equals(Buffer.alloc(1024))).toBe(true);
});

test.skipIf(findProgram('bsdtar') === undefined)('bsdtar gives the tree back to the second', async () => {
  await makeHardTree();
  await archive(packTree(source, directory));
  const detail = { exact: false, sparse: true, linkTimes: true };
  expect(describe(unpack('bsdtar'), detail)).toEqual(describe(source, detail));
});

test.skipIf(findProgram('busybox') === undefined)('busybox gives the tree back to the second, but for sparse files', async () => {
  await makeHardTree();
  // busybox knows no sparse files and leaves their parts in directories of their own.
  for (const name of readdirSync(source)) if (name.startsWith('sparse')) rmSync(join(source, name));
  runSync(requireProgram('touch', 'coreutils'), ['-d', '2001-02-03 04:05:06', '--', source]);
  await archive(packTree(source, directory));
  const detail = { exact: false, sparse: false, linkTimes: false };
  expect(describe(unpack('busybox', 'tar'), detail)).toEqual(describe(source, detail));
});

test('node-tar lists directories after what they hold and hard links after their target', async () => {
  mkdirSync(join(source, 'b/c'), { recursive: true });
  writeFileSync(join(source, 'b/c/file'), 'x');
  linkSync(join(source, 'b/c/file'), join(source, 'z'));
  await archive(packTree(source, directory));
  const seen: string[] = [];
  await list({ file: target(), strict: true, onReadEntry: (entry) => void seen.push(`${entry.type} ${entry.path}`) });
  expect(seen).toEqual(['File ./b/c/file', 'Link ./z', 'Directory ./b/c/', 'Directory ./b/', 'Directory ./']);
});

test('an empty project is an archive of its directory', async () => {
  const result = await archive(packTree(source, directory));
  expect(result).toMatchObject({ members: 1, rawBytes: 512 + 1024 + 1024 });
  expect(runSync(requireProgram('tar', 'tar'), ['-tzf', target()]).stdout.toString()).toBe('./\n');
});

const isLog = ({ path }: Entry): boolean => path.endsWith('.log');

test.each([
  ['at a line start near the cap', 'x'.repeat(99), 250_000],
  ['of a file in one object', 'x'.repeat(99), 200_000],
  ['of a file in pieces', 'y'.repeat(999), 2 * MIB],
])('a log over the cap keeps its newest part, %s', async (_, line, size) => {
  const content = `${line}\n`.repeat(Math.ceil(size / (line.length + 1)));
  writeFileSync(join(source, 'a.log'), content);
  const cap = 100_050;
  const result = await archive(packTree(source, directory), { capOf: (entry) => (isLog(entry) ? cap : undefined) });
  const kept = readFileSync(join(unpack('tar'), 'a.log.tail'), 'latin1');
  expect(kept.length).toBeLessThanOrEqual(cap);
  expect(kept.length).toBeGreaterThan(cap - line.length - 1);
  expect(content.endsWith(kept)).toBe(true);
  expect(kept.startsWith(line)).toBe(true);
  expect(existsSync(join(directory, 'out-tar/a.log'))).toBe(false);
  expect(result.capped).toEqual([{ path: 'a.log', size: content.length, stored: kept.length }]);
});

test.each([
  ['a cap that falls on a line start keeps exactly the cap', 'ab\ncd\nef\n', 6, 'cd\nef\n'],
  ['a cap one byte below a line start keeps a line less', 'ab\ncd\nef\n', 5, 'ef\n'],
  ['a cap one byte over a line start keeps that line', 'ab\ncd\nef\n', 7, 'cd\nef\n'],
  ['a last line alone is never cut away', 'ab\ncdefgh\n', 4, 'fgh\n'],
  ['content without lines is cut at the byte', 'abcdefgh', 3, 'fgh'],
])('%s', async (_, content, cap, kept) => {
  writeFileSync(join(source, 'a.log'), content);
  await archive(packTree(source, directory), { capOf: () => cap });
  expect(readFileSync(join(unpack('tar'), 'a.log.tail'), 'latin1')).toBe(kept);
});

test('a line start beyond 64 KiB is not looked for', async () => {
  writeFileSync(join(source, 'a.log'), `${'x'.repeat(300_000)}\nend\n`);
  const { capped } = await archive(packTree(source, directory), { capOf: () => 200_000 });
  expect(capped).toMatchObject([{ stored: 200_000 }]);
});

test('a log of exactly the cap is whole; one whose tail or whose link is in the way is too', async () => {
  const content = 'line\n'.repeat(100);
  for (const name of ['exact.log', 'taken.log', 'linked.log', 'both.log']) writeFileSync(join(source, name), content);
  writeFileSync(join(source, 'taken.log.tail'), "the user's own");
  linkSync(join(source, 'linked.log'), join(source, 'linked-critical'));
  linkSync(join(source, 'both.log'), join(source, 'both-2.log'));
  appendFileSync(join(source, 'both.log'), content);
  const capOf = (entry: Entry): number | undefined => (isLog(entry) ? (entry.path === 'exact.log' ? 500 : 100) : undefined);
  const { capped } = await archive(packTree(source, directory), { capOf });
  const out = unpack('tar');
  expect(capped.map(({ path }) => path)).toEqual(['both-2.log', 'both.log']);
  expect(readdirSync(out).sort()).toEqual([
    'both-2.log.tail',
    'both.log.tail',
    'exact.log',
    'linked-critical',
    'linked.log',
    'taken.log',
    'taken.log.tail',
  ]);
  expect(readFileSync(join(out, 'taken.log'), 'latin1')).toBe(content);
  expect(lstatSync(join(out, 'both.log.tail')).ino).toBe(lstatSync(join(out, 'both-2.log.tail')).ino);
});

test('an object that is missing or of another size ends the archive with an error', async () => {
  writeFileSync(join(source, 'a'), 'content');
  writeFileSync(join(source, 'b'), randomBytes(2 * MIB));
  const tree = packTree(source, directory);
  const change = (path: string, entry: Partial<Entry>): PackedTree => ({
    ...tree,
    entries: tree.entries.map((one) => (one.path === path ? { ...one, ...entry } : one)),
  });
  const bad = [
    change('a', { sha256: 'f'.repeat(64) }),
    change('a', { size: 6 }),
    change('a', { size: 8 }),
    change('a', { sha256: undefined }),
    change('b', { size: 2 * MIB - 5 }),
  ];
  for (const one of bad) {
    await expect(archive(one)).rejects.toMatchObject({ code: 'damaged' });
    rmSync(target(), { force: true });
  }
});

test('an interrupted archive says so, and an existing file is never written over', async () => {
  writeFileSync(join(source, 'a'), 'content');
  const tree = packTree(source, directory);
  await expect(archive(tree, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'interrupted' });
  const before = readFileSync(target());
  await expect(archive(tree)).rejects.toBeInstanceOf(CoraError);
  expect(readFileSync(target()).equals(before)).toBe(true);
});

test('progress ends at the bytes of the content', async () => {
  writeFileSync(join(source, 'a'), randomBytes(3 * MIB + 1));
  writeFileSync(join(source, 'b'), 'four');
  const seen: number[] = [];
  await archive(packTree(source, directory), { onProgress: (count) => seen.push(count) });
  expect(seen.at(-1)).toBe(3 * MIB + 5);
  expect(seen).toEqual(seen.toSorted((a, b) => a - b));
});
