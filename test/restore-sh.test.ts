// restore.sh alone: vaults written by hand (test/helpers/vault-writer.ts), restored by every POSIX shell
// that is here with an empty environment, and compared with the tree as it was.

import { type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EMPTY_SHA256 } from '../src/format/file-list.ts';
import { findProgram, runSync } from '../src/os/run.ts';
import { compareTrees, readTree } from './helpers/compare-trees.ts';
import { sha256, VaultWriter } from './helpers/vault-writer.ts';

const RUNS = process.env['CORA_TEST_SLOW'] === '1' ? 300 : 30;
const ROOT = process.getuid?.() === 0;
const NOBODY = 65_534;
const SHELLS = [['dash'], ['bash', '--posix'], ['busybox', 'sh']].filter(([name]) => findProgram(name ?? '') !== undefined);
const FIRST = '20261121-010203-1a2b3c4';
const SECOND = '20261121-010204-1a2b3c4';
/** Everything that restore.sh may use: coreutils, tar, gzip and, for saves, zstd. */
const ALLOWED =
  'cat chmod chown comm cut date head id join mkdir mknod mktemp mv paste readlink rm rmdir sha256sum sort split tac tail touch tr wc yes tar gzip zstd';

let root = '';
let source = '';
let vault = '';
let out = '';

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'cora-restore-sh-'));
  source = join(root, 'source');
  vault = join(root, 'vault');
  out = join(root, 'out');
  mkdirSync(source);
});

afterEach(() => {
  runSync('/bin/chmod', ['-R', 'u+rwx', root]);
  rmSync(root, { recursive: true, force: true });
});

type Result = { readonly code: number | null; readonly out: string; readonly err: string };

function result(child: SpawnSyncReturns<string>): Result {
  return { code: child.status, out: child.stdout, err: child.stderr };
}

/** Runs the vault's restore.sh under dash (or another shell) with an empty environment. */
function restore(args: readonly string[], shell: readonly string[] = SHELLS[0] ?? ['sh'], script = join(vault, 'restore.sh')): Result {
  const program = findProgram(shell[0] ?? 'sh') ?? '/bin/sh';
  return result(spawnSync('/usr/bin/env', ['-i', program, ...shell.slice(1), script, ...args], { cwd: root, encoding: 'utf8' }));
}

function file(path: string | Buffer, content: string | Uint8Array = 'content\n'): void {
  writeFileSync(typeof path === 'string' ? join(source, path) : Buffer.concat([Buffer.from(`${source}/`), path]), content);
}

/** Bytes that differ from piece to piece. */
function noise(size: number, seed = 1): Buffer {
  const content = Buffer.alloc(size);
  let state = seed;
  for (let i = 0; i < size; i++) {
    state = (state * 1_103_515_245 + 12_345) & 0x7fffffff;
    content[i] = state >> 16;
  }
  return content;
}

/** A file of `size` bytes that is a hole but for five bytes at `at`. */
function sparse(path: string, size: number, at?: number): void {
  const handle = openSync(join(source, path), 'w');
  if (at !== undefined) writeSync(handle, 'hello', at);
  closeSync(handle);
  truncateSync(join(source, path), size);
}

function touch(path: string, time: string): void {
  expect(runSync('/usr/bin/touch', ['-h', '-d', time, '--', join(source, path)]).exitCode).toBe(0);
}

/** One of everything that a tree can hold. */
function oddTree(): void {
  mkdirSync(join(source, 'a/b/c'), { recursive: true });
  mkdirSync(join(source, 'empty'));
  for (let byte = 1; byte < 256; byte++) {
    if (byte === 0x2f) continue;
    file(Buffer.concat([Buffer.from('a/x'), Buffer.from([byte])]), String(byte));
    if (byte !== 0x2e && byte !== 0x63) file(Buffer.concat([Buffer.from('a/b/'), Buffer.from([byte])]), String(byte));
    symlinkSync(Buffer.from([byte, byte, 0x5c, 0x6e, byte]), Buffer.concat([Buffer.from(`${source}/a/b/c/L`), Buffer.from([byte])]));
  }
  for (const name of [
    '-rf',
    '--help',
    '@x',
    'new\nline',
    '\n',
    'end\n',
    'tab\t',
    'back\\slash\\n',
    ' space ',
    '*',
    '$(x)',
    '%s%b',
    'a:b',
    'n'.repeat(255),
  ]) {
    file(name, `content of ${name}`);
  }
  file('nothing', '');
  file('big', noise(300_000));
  file('big-b', noise(131_072, 2));
  file('big.c', 'small, between big and its pieces');
  file('big x', noise(100_001, 3));
  linkSync(join(source, 'big'), join(source, 'z-hard'));
  linkSync(join(source, 'big.c'), join(source, 'a/hard\n'));
  sparse('holes', 5_000_000);
  sparse('sparse-middle', 1_000_001, 200_000);
  sparse('sparse-end', 1_000_000, 999_995);
  sparse('sparse-start', 1_000_000, 0);
  symlinkSync('/etc', join(source, 'absolute'));
  symlinkSync('../../..', join(source, 'up'));
  symlinkSync('nowhere', join(source, 'dangling'));
  expect(runSync('/usr/bin/mkfifo', ['-m', '640', join(source, 'fifo')]).exitCode).toBe(0);
  if (ROOT) {
    runSync('/usr/bin/mknod', [join(source, 'null'), 'c', '1', '3']);
    file('owned');
    chownSync(join(source, 'owned'), 1234, 56_789);
    chownSync(join(source, 'empty'), 4321, 8);
    file('program');
    chownSync(join(source, 'program'), 1234, 56_789);
    chmodSync(join(source, 'program'), 0o6755);
  }
  chmodSync(join(source, '-rf'), 0o000);
  touch('big.c', '@-1.5');
  touch('nothing', '@0.000000001');
  touch('dangling', '@1234567890.123456789');
  touch('empty', '@4070908800.5');
  touch('a/b/c', '@-100000000.000000001');
  chmodSync(join(source, 'a/b'), 0o555);
  chmodSync(join(source, 'a'), 0o1777);
  chmodSync(source, 0o750);
  touch('.', '@1600000000.123');
}

function expectEqual(target = out, moreBlocks?: number): void {
  expect(compareTrees(readTree(source), readTree(target), moreBlocks === undefined ? {} : { moreBlocks })).toEqual([]);
}

function expectNothingLeft(): void {
  expect(readdirSync(root).sort()).toEqual(['source', 'vault']);
}

const writer = (): VaultWriter => new VaultWriter(vault, { cutBytes: 100_000, pieceBytes: 16_384 });

for (const shell of SHELLS) {
  test(`a save and a backup of every odd thing come back equal under ${shell[0]}, without any environment`, () => {
    oddTree();
    const write = writer();
    write.save(FIRST, source);
    write.backup(SECOND, source);
    const save = restore([FIRST, out], shell);
    expect(save).toEqual({ code: 0, out: `Restored ${FIRST} (save) into ${out}\n`, err: '' });
    expectEqual(out, 64);
    const backup = restore([SECOND, 'relative/backup'], shell);
    expect(backup).toMatchObject({ code: 0, err: '' });
    expectEqual(join(root, 'relative/backup'), 64);
  });
}

test('zero pieces of a sparse file that have no object are holes', () => {
  sparse('holes', 5_000_000);
  sparse('sparse', 1_000_001, 200_000);
  new VaultWriter(vault, { dropZeroObjects: true }).save(FIRST, source);
  expect(restore(['latest', out]).code).toBe(0);
  expectEqual(out, 128);
});

test('nothing but coreutils, tar, gzip and zstd is used', () => {
  oddTree();
  const write = writer();
  write.save(FIRST, source);
  file('changed');
  write.save(SECOND, source, FIRST);
  write.backup('20261121-010205-nogit', source);
  const bin = join(root, 'bin');
  mkdirSync(bin);
  for (const name of ALLOWED.split(' ')) symlinkSync(findProgram(name) ?? name, join(bin, name));
  for (const id of [SECOND, '20261121-010205']) {
    const args = ['-i', `PATH=${bin}`, findProgram('dash') ?? '/bin/sh', join(vault, 'restore.sh')];
    expect(result(spawnSync('/usr/bin/env', [...args, id, `${out}/${id}`], { encoding: 'utf8' }))).toMatchObject({ code: 0, err: '' });
    expectEqual(`${out}/${id}`);
    expect(spawnSync('/usr/bin/env', args, { encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' });
  }
});

test('a program that is missing is named before anything is claimed', () => {
  file('a');
  writer().save(FIRST, source);
  const bin = join(root, 'bin');
  mkdirSync(bin);
  const run = (): Result =>
    result(
      spawnSync('/usr/bin/env', ['-i', `PATH=${bin}`, findProgram('dash') ?? '/bin/sh', join(vault, 'restore.sh'), FIRST, out], { encoding: 'utf8' }),
    );
  const names = ALLOWED.split(' ').filter((name) => name !== 'zstd');
  for (const name of names) symlinkSync(findProgram(name) ?? name, join(bin, name));
  expect(run()).toMatchObject({ code: 1, err: expect.stringContaining('zstd') });
  rmSync(join(bin, 'comm'));
  expect(run()).toMatchObject({ code: 1, err: 'restore.sh: The program comm is missing\n' });
  expect(existsSync(out)).toBe(false);
});

test('a delta replaces, adds and removes rows of its keyframe, before and after clean-up', () => {
  mkdirSync(join(source, 'gone'));
  file('gone/a');
  file('shrinks', noise(200_000));
  file('grows', 'small');
  file('same', noise(150_000, 5));
  file('becomes-directory');
  const write = writer();
  write.save(FIRST, source);
  rmSync(join(source, 'gone'), { recursive: true });
  file('shrinks', noise(120_000));
  file('grows', noise(200_000, 9));
  rmSync(join(source, 'becomes-directory'));
  mkdirSync(join(source, 'becomes-directory'));
  file('becomes-directory/new');
  write.save(SECOND, source, FIRST);
  expect(restore([SECOND, out])).toMatchObject({ code: 0, err: '' });
  expectEqual();
  write.expire(FIRST);
  rmSync(out, { recursive: true });
  expect(restore([SECOND, out])).toMatchObject({ code: 0, err: '' });
  expectEqual();
});

test('random trees come back equal from a keyframe and from a delta', { timeout: RUNS * 20_000 }, () => {
  const name = fc
    .oneof(
      fc.constantFrom('a', 'b', 'a-b', 'a.b', 'a b', '-rf', '@x', 'x\n', 'y\\n', '\t', '*', 'n'.repeat(255)),
      fc.uint8Array({ minLength: 1, maxLength: 6 }).map((found) => Buffer.from(found).toString('latin1')),
    )
    .map((text) => Buffer.from(text.replace(/[/\0]/g, '_'), 'latin1'))
    .filter((found) => !['.', '..'].includes(found.toString('latin1')));
  const step = fc.record({
    path: fc.array(name, { minLength: 1, maxLength: 4 }),
    kind: fc.constantFrom('file', 'file', 'file', 'cut', 'sparse', 'directory', 'symlink', 'hard', 'remove'),
    size: fc.integer({ min: 0, max: 9000 }),
    mode: fc.integer({ min: 0, max: 0o777 }),
    seconds: fc.option(fc.double({ min: -2e9, max: 4e9, noNaN: true })),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), fc.array(step, { maxLength: 6 }), (first, second) => {
      for (const path of [source, vault, out]) rmSync(path, { recursive: true, force: true });
      mkdirSync(source);
      const write = new VaultWriter(vault, { cutBytes: 5000, pieceBytes: 4096 });
      applySteps(first);
      write.save(FIRST, source);
      applySteps(second);
      write.save(SECOND, source, FIRST);
      expect(restore([SECOND, out])).toMatchObject({ code: 0, err: '' });
      expectEqual();
    }),
    { numRuns: RUNS },
  );
});

type Step = {
  readonly path: readonly Buffer[];
  readonly kind: string;
  readonly size: number;
  readonly mode: number;
  readonly seconds: number | null;
};

/** Applies each step that the tree allows; one that does not fit (a file on the way) is skipped. */
function applySteps(steps: readonly Step[]): void {
  const made: Buffer[] = [];
  for (const step of steps) {
    const slash = Buffer.from('/');
    const parent = Buffer.concat([Buffer.from(source), ...step.path.slice(0, -1).flatMap((part) => [slash, part])]);
    const path = Buffer.concat([parent, slash, step.path.at(-1) ?? Buffer.from('x')]);
    try {
      mkdirSync(parent, { recursive: true });
      if (step.kind === 'remove') rmSync(path, { recursive: true, force: true });
      else if (step.kind === 'directory') mkdirSync(path);
      else if (step.kind === 'symlink') symlinkSync(Buffer.concat([Buffer.from('../t'), step.path[0] ?? slash]), path);
      else if (step.kind === 'hard') linkSync(made.at(-1) ?? path, path);
      else {
        if (existsSync(path)) chmodSync(path, 0o600);
        writeFileSync(path, noise(step.kind === 'cut' ? step.size * 3 : step.kind === 'file' ? step.size : 0, step.size));
        if (step.kind === 'sparse') truncateSync(path, step.size * 7);
        made.push(path);
      }
      if (step.kind === 'remove') continue;
      if (step.kind === 'file' || step.kind === 'cut' || step.kind === 'directory') chmodSync(path, step.mode);
      if (step.seconds !== null) lutimesSync(path, step.seconds, step.seconds);
    } catch (error) {
      if (!(error instanceof Error && 'syscall' in error)) throw error;
    }
  }
}

test('without arguments the snapshots are listed in the order of the ledger', () => {
  file('a');
  const write = writer();
  write.save(SECOND, source);
  write.save(FIRST, source);
  write.backup(FIRST, source, { total_files_processed: 7, total_bytes_processed: 1234, status: 'partial' });
  const lines = restore([]).out.split('\n');
  expect(lines.length).toBe(4);
  expect(lines[0]).toMatch(/^ID +KIND +TIME +FILES +BYTES$/);
  expect(lines[1]).toMatch(new RegExp(`^${SECOND} +save +2026-11-21 01:02:04 UTC +2 +-$`));
  expect(lines[2]).toMatch(new RegExp(`^${FIRST} +backup\\+save +2026-11-21 01:02:03 UTC +7 +1234 +incomplete`));
  rmSync(join(vault, 'ledger'), { recursive: true });
  expect(restore([]).out.split('\n')[1]).toContain(FIRST);
});

test('an id may be a unique beginning or latest, the backup is taken before the save, and --save turns that round', () => {
  file('a');
  const write = writer();
  write.save(FIRST, source);
  write.backup(FIRST, source);
  write.save('20251121-000000-nogit', source);
  write.save('29991231-000000-nogit', source);
  expect(restore(['2026', out]).out).toContain(`Restored ${FIRST} (backup)`);
  expect(restore(['--save', FIRST, `${out}2`]).out).toContain(`Restored ${FIRST} (save)`);
  // The newest of the ledger that is not dated in the future.
  expect(restore(['latest', `${out}3`]).out).toContain('Restored 20251121-000000-nogit (save)');
  expectEqual(`${out}3`);
});

test('wrong arguments end with 2 and make nothing', () => {
  file('a');
  const write = writer();
  write.backup(FIRST, source);
  write.save(SECOND, source);
  expect(restore(['2020', out])).toMatchObject({ code: 2, err: expect.stringContaining(`  ${FIRST}\n  ${SECOND}\n`) });
  expect(restore(['2026', out])).toMatchObject({ code: 2, err: expect.stringContaining('More than one') });
  expect(restore([FIRST])).toMatchObject({ code: 2, err: expect.stringContaining('missing') });
  expect(restore(['--frob', FIRST, out]).code).toBe(2);
  expect(restore(['--save', FIRST, out])).toMatchObject({ code: 2, err: expect.stringContaining('only a backup') });
  expect(restore([FIRST, out, '../x']).code).toBe(2);
  expect(restore([FIRST, '']).code).toBe(2);
  expect(restore(['--help'])).toMatchObject({ code: 0, err: '', out: expect.stringMatching(/^Usage: restore\.sh/) });
  rmSync(join(vault, 'VAULT.json'));
  expect(restore([]).code).toBe(10);
  expectNothingLeft();
});

test('a directory that is not empty, or lies in the vault, is refused with 20 and left as it is', () => {
  file('a');
  writer().save(FIRST, source);
  for (const name of ['x', '.hidden', '..x']) {
    mkdirSync(out);
    writeFileSync(join(out, name), 'mine');
    expect(restore([FIRST, out]).code).toBe(20);
    expect(readdirSync(out)).toEqual([name]);
    rmSync(out, { recursive: true });
  }
  writeFileSync(out, 'a file');
  expect(restore([FIRST, out]).code).toBe(20);
  rmSync(out);
  expect(restore([FIRST, join(vault, 'new')]).code).toBe(20);
  expectNothingLeft();
  expect(existsSync(join(vault, 'new'))).toBe(false);
  mkdirSync(out);
  expect(restore([FIRST, 'out']).code).toBe(0);
  expectEqual();
});

test('a changed file of the snapshot is named, ends with 21, and --force goes on', () => {
  file('a');
  const write = writer();
  appendFileSync(join(write.save(FIRST, source), 'MANIFEST.txt'), 'x');
  appendFileSync(join(write.backup(SECOND, source), 'REPORT.json'), ' ');
  expect(restore([FIRST, out])).toMatchObject({ code: 21, out: '', err: expect.stringContaining('MANIFEST.txt: FAILED') });
  expect(restore([SECOND, out])).toMatchObject({ code: 21, out: '', err: expect.stringContaining('REPORT.json: FAILED') });
  expectNothingLeft();
  expect(restore(['--force', FIRST, out]).code).toBe(3);
  expectEqual();
  expect(restore([SECOND, `${out}2`, '--force']).code).toBe(3);
  expectEqual(`${out}2`);
});

test('the sum of a keyframe in another save is checked too', () => {
  file('a');
  const write = writer();
  const keyframe = join(write.save(FIRST, source), 'FILES.tsv.zst');
  file('b');
  write.save(SECOND, source, FIRST);
  writeFileSync(
    keyframe,
    runSync(findProgram('zstd') ?? '', ['-19', '-qc'], { input: runSync(findProgram('zstd') ?? '', ['-dqc', keyframe]).stdout }).stdout,
  );
  expect(restore([SECOND, out])).toMatchObject({ code: 21, err: expect.stringContaining('FILES.tsv.zst: FAILED') });
  expectNothingLeft();
});

test('a missing object and a damaged pack are told by the paths that need them; --force restores the rest', () => {
  mkdirSync(join(source, 'd'));
  file('d/lost\n', 'lost');
  linkSync(join(source, 'd/lost\n'), join(source, 'd/lost-too'));
  file('cut', noise(200_000));
  file('later', 'in the second save');
  const write = writer();
  const first = write.save(FIRST, source);
  file('kept', 'kept');
  write.save(SECOND, source, FIRST);
  // The pack of the first save loses the object of one file and has wrong bytes in a piece of another.
  const scratch = join(root, 'scratch');
  mkdirSync(scratch);
  runSync('/bin/tar', ['-C', scratch, '--zstd', '-xf', join(first, 'objects.tar.zst')]);
  rmSync(join(scratch, 'objects', sha256('lost')));
  writeFileSync(join(scratch, 'objects', sha256(noise(200_000).subarray(16_384, 32_768))), 'wrong');
  runSync('/bin/tar', ['-C', scratch, '--zstd', '-cf', join(first, 'objects.tar.zst'), 'objects']);
  rmSync(scratch, { recursive: true });
  const refused = restore([SECOND, out]);
  expect(refused.code).toBe(21);
  expect(refused.err).toContain('restore.sh: Damaged or missing in this snapshot:\ncut\nd/lost-too\nd/lost\\n\n');
  expectNothingLeft();
  expect(restore(['--force', SECOND, out]).code).toBe(3);
  const before = readTree(source);
  for (const path of ['d/lost\n', 'd/lost-too', 'cut']) before.delete(path);
  expect(compareTrees(before, readTree(out))).toEqual([]);
  // Cut off in the middle, the pack gives what lies before the cut.
  truncateSync(join(first, 'objects.tar.zst'), 150_000);
  expect(restore([SECOND, `${out}2`])).toMatchObject({ code: 21, err: expect.stringContaining(`This pack is damaged: ${first}`) });
  expect(existsSync(`${out}2`)).toBe(false);
});

test('only the given paths come back, with a hard link the file that holds its content', () => {
  mkdirSync(join(source, 'src/deep'), { recursive: true });
  file('src/deep/a');
  file('src/-x\ty');
  file('src-other');
  file('cut', noise(200_000));
  linkSync(join(source, 'cut'), join(source, 'zz'));
  chmodSync(join(source, 'src'), 0o705);
  const write = writer();
  write.save(FIRST, source);
  write.backup(SECOND, source);
  const names = (id: string, ...paths: string[]): string[] => {
    rmSync(out, { recursive: true, force: true });
    expect(restore([id, out, ...paths])).toMatchObject({ code: 0, err: '' });
    const restored = readTree(out);
    expect(
      compareTrees(new Map([...readTree(source)].filter(([path]) => path !== '.' && restored.has(path))), restored, { ignore: ['mtime', 'mode'] }),
    ).toEqual(['.: was not there']);
    return [...restored.keys()].slice(1);
  };
  for (const id of [FIRST, SECOND]) {
    expect(names(id, 'src/deep/', './src/-x\ty')).toEqual(['src', 'src/-x\ty', 'src/deep', 'src/deep/a']);
    expect(names(id, 'src-other')).toEqual(['src-other']);
  }
  expect(names(FIRST, 'zz')).toEqual(['cut', 'zz']);
  rmSync(out, { recursive: true });
  expect(restore([FIRST, out, 'nowhere']).code).toBe(1);
  expectNothingLeft();
});

test('the script finds its vault through a symbolic link, in a directory of any name, and writes nothing there', () => {
  file('a');
  const write = writer();
  write.save(FIRST, source);
  file('b');
  write.save(SECOND, source, FIRST);
  const moved = join(root, '-v a\n');
  renameSync(vault, moved);
  const before = readTree(moved);
  symlinkSync(join(moved, 'restore.sh'), join(root, 'link'));
  if (ROOT && runSync('/usr/bin/chattr', ['-R', '+i', moved]).exitCode === 0) {
    try {
      expect(restore(['latest', '--', '-out'], ['dash'], 'link')).toMatchObject({ code: 0, err: '' });
    } finally {
      runSync('/usr/bin/chattr', ['-R', '-i', moved]);
    }
  } else expect(restore(['latest', '--', '-out'], ['dash'], 'link').code).toBe(0);
  expect(compareTrees(before, readTree(moved))).toEqual([]);
  expectEqual(join(root, '-out'));
});

test('a socket is skipped with a note', async () => {
  const server = createServer().listen(join(source, 'socket'));
  await once(server, 'listening');
  writer().save(FIRST, source);
  expect(restore([FIRST, out])).toMatchObject({ code: 0, err: '1 socket(s) skipped: their programs make them again\n' });
  expectEqual();
  server.close();
});

test.runIf(ROOT)('a user gets the tree as its own, read-only directories included, and devices are left out with a warning', () => {
  mkdirSync(join(source, 'fixed/inside'), { recursive: true });
  file('fixed/inside/a');
  file('private');
  chownSync(join(source, 'private'), 1234, 1234);
  runSync('/usr/bin/mknod', [join(source, 'null'), 'c', '1', '3']);
  chmodSync(join(source, 'fixed/inside'), 0o500);
  chmodSync(join(source, 'fixed'), 0o555);
  chmodSync(source, 0o555);
  writer().save(FIRST, source);
  runSync('/bin/chmod', ['-R', 'a+rX', root]);
  chmodSync(root, 0o777);
  const child = spawnSync('/usr/bin/env', ['-i', findProgram('dash') ?? 'sh', join(vault, 'restore.sh'), 'latest', out], {
    uid: NOBODY,
    gid: NOBODY,
    encoding: 'utf8',
  });
  expect(child).toMatchObject({ status: 0, stderr: expect.stringContaining('Devices left out (only root can make them):\nnull\n') });
  const before = readTree(source);
  before.delete('null');
  chmodSync(source, 0o555);
  const after = readTree(out);
  expect(compareTrees(before, after, { ignore: ['uid', 'gid', 'mode'] })).toEqual([]);
  expect(after.get('private')).toMatchObject({ uid: NOBODY, gid: NOBODY });
  expect(after.get('fixed')?.mode).toBe(0o555);
  expect(after.get('fixed/inside')?.mode).toBe(0o500);
  expect(after.get('.')?.mode).toBe(0o555);
});

test('a listing with paths that lead out of the directory restores nothing outside', () => {
  file('a', '');
  const write = writer();
  const directory = write.save(FIRST, source);
  const outside = join(root, 'outside');
  mkdirSync(outside);
  const row = (type: string, path: string, link = '-'): string =>
    `${type}\t0644\t0\t0\t0.000000000\t0\t${type === 'f' ? EMPTY_SHA256 : '-'}\t${path}\t${link}\n`;
  const cases = [
    row('f', '../outside/x'),
    row('f', '/../outside/x'),
    row('f', 'a/../../outside/x'),
    row('h', 'x', '../outside/x'),
    row('l', 'a', outside) + row('f', 'a/x'),
    row('l', 'a', outside) + row('d', 'a/x'),
    row('f', 'a\\x'),
    row('f', 'a').replace('0644', '$(x)'),
  ];
  for (const text of cases) {
    const listing = runSync(findProgram('zstd') ?? '', ['-qc'], { input: `#cora-files 1\n${text}` }).stdout;
    writeFileSync(join(directory, 'FILES.tsv.zst'), listing);
    write.sum(directory);
    const { code } = restore([FIRST, out]);
    expect(code === 21 || code === 1, `${text} ended with ${code}`).toBe(true);
    expect(readdirSync(outside)).toEqual([]);
    rmSync(out, { recursive: true, force: true });
  }
});

test('what a backup leaves out or changed is said: capped logs, WAL databases', () => {
  file('app.log.tail');
  const capped = [{ path: 'app.log', size: 9, stored: 5, sha256: EMPTY_SHA256 }];
  const databases = [{ path: 'app.db', journal_mode: 'wal' }];
  const write = writer();
  write.backup(FIRST, source, { databases, capped, not_covered: [{ path: 'other', reason: 'excluded' }] });
  write.save(FIRST, source);
  const { code, err } = restore([FIRST, out]);
  expect(code).toBe(0);
  expect(err).toContain('"app.log".tail');
  expect(err).not.toContain('other');
  expect(err).toContain(`restore.sh --save ${FIRST}`);
  expect(err).toContain('1 SQLite database(s) ran in WAL mode');
});

test('interrupted, it removes its work directory and ends with 130', async () => {
  for (let i = 0; i < 3000; i++) file(`file-${i}`, `content ${i}`);
  writer().save(FIRST, source);
  const child = spawn(findProgram('dash') ?? 'sh', [join(vault, 'restore.sh'), FIRST, out], { stdio: 'ignore', detached: true });
  const end = new Promise<number | null>((resolve) => child.on('exit', resolve));
  while (!existsSync(out) || readdirSync(out).length < 1) await sleep(5);
  await sleep(100);
  process.kill(-(child.pid ?? 0), 'SIGTERM');
  expect(await end).toBe(130);
  expect(existsSync(out) ? readdirSync(out).filter((name) => name.startsWith('.cora')) : []).toEqual([]);
});

test('another variable of the environment does not change what tar does', () => {
  file('a');
  writer().backup(FIRST, source);
  const env = { PATH: '/usr/bin:/bin', TAR_OPTIONS: '--exclude=a', IFS: 'a/', CDPATH: '/', POSIXLY_CORRECT: '1', LC_ALL: 'C.UTF-8' };
  expect(spawnSync(findProgram('dash') ?? 'sh', [join(vault, 'restore.sh'), FIRST, out], { env, encoding: 'utf8' })).toMatchObject({ status: 0 });
  expectEqual();
  expect(readFileSync(join(out, 'a'), 'utf8')).toBe('content\n');
});
