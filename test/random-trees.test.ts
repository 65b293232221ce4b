// Random trees come back as they were: by Cora, by the vault's restore.sh alone, and from a backup's
// archive by GNU tar. Types, modes, owners, times to the nanosecond, contents, link targets, hard-link
// groups and holes are compared. A failure prints fast-check's seed and path.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compareTrees, readTree, type TreeEntry } from './helpers/compare-trees.ts';
import { changeTree, makeTree, type RandomTree, randomTree, SPARSE_SLACK_BLOCKS } from './support/random-tree.ts';
import { execute, isRoot, Sandbox } from './support/sandbox.ts';

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
  const two = await sandbox.snapshot(['save']);
  await expectBoth(sandbox, one.id, 'first save', first);
  await expectBoth(sandbox, two.id, 'second save', second);
  expect(await sandbox.cora(['verify', '--all'])).toMatchObject({ code: 0 });
}

async function backUp(sandbox: Sandbox, tree: RandomTree): Promise<void> {
  makeTree(sandbox.project, tree);
  const before = readTree(sandbox.project);
  const backup = await sandbox.snapshot(['backup', 'now']);
  const unpacked = join(sandbox.root, 'unpacked');
  mkdirSync(unpacked);
  const owners = isRoot ? ['--same-owner'] : [];
  const tar = await execute('tar', ['-xzpf', join(backup.path, 'project-full.tar.gz'), ...owners, '-C', unpacked]);
  expect(tar).toMatchObject({ code: 0, stderr: '' });
  expectEqual('unpacked by GNU tar', before, unpacked);
  await expectBoth(sandbox, backup.id, 'backup', before);
}

test('random trees and their changes come back from saves', { timeout: LIMIT }, async () => {
  await fc.assert(
    fc.asyncProperty(randomTree({ large: !SLOW }), (tree) => inSandbox((sandbox) => saveTwice(sandbox, tree))),
    runs(12),
  );
});

test('random trees come back from backups', { timeout: LIMIT }, async () => {
  await fc.assert(
    fc.asyncProperty(randomTree({ large: !SLOW }), (tree) => inSandbox((sandbox) => backUp(sandbox, tree))),
    runs(18),
  );
});
