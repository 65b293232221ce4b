// Random trees come back as they were: by Cora, by the vault's restore.sh alone, and from a backup's
// archive by GNU tar. Types, modes, owners, times to the nanosecond, contents, link targets, hard-link
// groups and holes are compared. A failure prints fast-check's seed and path.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compareTrees, readTree, type TreeEntry } from '../helpers/compare-trees.ts';
import { changeTree, makeTree, type RandomTree, randomTree, SPARSE_SLACK_BLOCKS } from '../support/random-tree.ts';
import { execute, isRoot, Sandbox } from '../support/sandbox.ts';

const SLOW = process.env['CORA_TEST_SLOW'] === '1';
const LIMIT = SLOW ? 2 * 3_600_000 : 120_000;
const runs = (count: number) => ({ numRuns: SLOW ? 500 : count, endOnFailure: process.env['CORA_TEST_SHRINK'] !== '1' });

type Tree = Map<string, TreeEntry>;

async function inSandbox(work: (sandbox: Sandbox) => Promise<void>): Promise<void> {
  const sandbox = new Sandbox({ fast: true });
  try {
    await work(sandbox);
  } finally {
    await sandbox.remove();
  }
}

function expectEqual(how: string, before: Tree, directory: string): void {
  const differences = compareTrees(before, readTree(directory), { moreBlocks: SPARSE_SLACK_BLOCKS });
  expect(differences.slice(0, 20), how).toEqual([]);
}

/** Restores one snapshot by Cora and by restore.sh, at the same time, and compares both. */
async function expectBoth(sandbox: Sandbox, id: string, kind: string, before: Tree): Promise<void> {
  const [byCora, byScript] = [join(sandbox.root, `cora-${kind}`), join(sandbox.root, `script-${kind}`)];
  const [cora, script] = await Promise.all([sandbox.cora(['restore', id, '--to', byCora]), sandbox.restoreScript([id, byScript])]);
  expect(cora, `restore ${kind}`).toMatchObject({ code: 0 });
  expect(script, `restore.sh ${kind}`).toMatchObject({ code: 0 });
  expectEqual(`restored by Cora, ${kind}`, before, byCora);
  expectEqual(`restored by restore.sh, ${kind}`, before, byScript);
}

async function saveTwice(sandbox: Sandbox, tree: RandomTree): Promise<void> {
  makeTree(sandbox.project, tree);
  const first = readTree(sandbox.project);
  const one = await sandbox.snapshot(['save']);
  changeTree(sandbox.project, tree);
  const second = readTree(sandbox.project);
  // A change may take a critical file away: then the save is suspect, and holds what is there.
  const two = await sandbox.snapshot(['save'], 0, 3);
  await Promise.all([expectBoth(sandbox, one.id, 'first save', first), expectBoth(sandbox, two.id, 'second save', second)]);
  expect(await sandbox.cora(['verify', '--all'])).toMatchObject({ code: 0 });
}

async function backUp(sandbox: Sandbox, tree: RandomTree): Promise<void> {
  makeTree(sandbox.project, tree);
  const before = readTree(sandbox.project);
  const backup = await sandbox.snapshot(['backup', 'now']);
  const unpacked = join(sandbox.root, 'unpacked');
  mkdirSync(unpacked);
  const owners = isRoot ? ['--same-owner'] : [];
  const tar = await execute('tar', ['--warning=no-timestamp', '-xzpf', join(backup.path, 'project-full.tar.gz'), ...owners, '-C', unpacked]);
  expect(tar).toMatchObject({ code: 0, stderr: '' });
  expectEqual('unpacked by GNU tar', before, unpacked);
  await expectBoth(sandbox, backup.id, 'backup', before);
}

test('random trees and their changes come back from saves', { timeout: LIMIT }, async () => {
  await fc.assert(
    fc.asyncProperty(randomTree({ large: !SLOW }), (tree) => inSandbox((sandbox) => saveTwice(sandbox, tree))),
    runs(6),
  );
});

test('random trees come back from backups', { timeout: LIMIT }, async () => {
  await fc.assert(
    fc.asyncProperty(randomTree({ large: !SLOW }), (tree) => inSandbox((sandbox) => backUp(sandbox, tree))),
    runs(10),
  );
});

/** Directories of 200 bytes each, down to 6,000 bytes of path, with one entry of each kind in every one. */
const DEEP = `
  use POSIX; chdir $ARGV[0] or die; my $name = "d" x 200;
  for my $level (1..30) {
    open(my $f, ">", "file") or die $!; print $f "content of level $level\\n" x $level; close $f;
    link("file", "same") or die $!; symlink("../file", "up") or die $!; mkfifo("fifo", 0640) or die $!;
    open(my $big, ">", "big") or die $!; print $big "line $level\\n" x 150000 if $level > 28; close $big;
    utime($level, $level * 1000, "file", "fifo", "big"); chmod(0600 | $level, "file");
    open(my $critical, ">", "CLAUDE.md") or die $!; print $critical "memory of level $level\n"; close $critical;
    mkdir($name, 0755) or die $!; chdir $name or die $!;
  }
  mkdir "empty" or die $!; chmod(01777, ".") or die $!;`;

/** What GNU find and GNU tar say of a tree; both take paths of any length. */
async function described(directory: string): Promise<readonly string[]> {
  const facts = await execute('find', ['.', '-printf', '%y %m %U:%G %T@ %n %l %P\\n'], { cwd: directory });
  const sums = await execute('find', ['.', '-type', 'f', '-execdir', 'sha256sum', '--', '{}', ';'], { cwd: directory });
  expect([facts.code, facts.stderr, sums.code, sums.stderr]).toEqual([0, '', 0, '']);
  return [...facts.stdout.split('\n').sort(), ...sums.stdout.split('\n').sort()];
}

test('paths over 4,096 bytes come back from saves and backups', { timeout: LIMIT }, async () => {
  await inSandbox(async (sandbox) => {
    expect(await execute('perl', ['-e', DEEP, sandbox.project])).toMatchObject({ code: 0, stderr: '' });
    const before = await described(sandbox.project);
    const save = await sandbox.snapshot(['save']);
    const backup = await sandbox.snapshot(['backup', 'now']);
    for (const { id } of [save, backup]) {
      const [byCora, byScript] = [join(sandbox.root, `cora-${id}`), join(sandbox.root, `script-${id}`)];
      expect(await sandbox.json(['restore', id, '--to', byCora])).toMatchObject({ code: 0, problems: [] });
      expect(await described(byCora), `restored by Cora, ${id}`).toEqual(before);
      // Beyond GNU tar, and so beyond restore.sh: it must say so, and bring back the rest.
      const script = await sandbox.restoreScript([id, byScript]);
      expect(script.code).toBe(1);
      expect(script.stderr).toContain('File name too long');
      const rest = (await described(byScript)).filter((line) => /^f .*\/file$/.test(line));
      expect(rest).toEqual(before.filter((line) => /^f .*\/file$/.test(line) && line.length < 4096));
    }
    expect(await sandbox.cora(['verify', '--all'])).toMatchObject({ code: 0 });
  });
});
