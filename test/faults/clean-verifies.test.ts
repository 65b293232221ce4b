// No false alarm: a sound vault is verified again and again, in process and by the command, alone and while saves, backups and
// clean-up work in it, and no run ever says a word. CORA_TEST_SLOW=1: 10,000 times (CORA_TEST_VERIFIES, CORA_TEST_SEED).

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { jsonHere } from '../support/in-process.ts';
import { changeTree, makeTree, randomTree } from '../support/random-tree.ts';
import { type Document, Sandbox } from '../support/sandbox.ts';
import { keepFigures } from './harness/results.ts';
import { openFilesOf } from './harness/watch.ts';

const SLOW = process.env['CORA_TEST_SLOW'] === '1';
const VERIFIES = Number(process.env['CORA_TEST_VERIFIES'] ?? (SLOW ? 10_000 : 100));
const SEED = Number(process.env['CORA_TEST_SEED'] ?? 7);
/** Each vault is verified this often, a twentieth of it by the command, and half of that while others write to the vault. */
const EACH = SLOW ? 200 : 50;
const MEBIBYTE = 1 << 20;

type Verified = Document & { readonly code: number | null };

const figures = { in_process: 0, by_command: 0, beside_writers: 0, snapshots: 0, vaults: 0 };
const alarms: unknown[] = [];

/** Counts a verify, which must have nothing to say. */
function count(how: 'in_process' | 'by_command' | 'beside_writers', args: readonly string[], seed: number, run: Verified): void {
  figures[how] += 1;
  const snapshots = (run.result?.['snapshots'] ?? []) as { readonly damaged: readonly unknown[]; readonly seal_missing?: boolean }[];
  figures.snapshots += snapshots.length;
  const quiet = run.code === 0 && run.ok && run.problems.length === 0 && snapshots.every(({ damaged }) => damaged.length === 0);
  if (!quiet || snapshots.length === 0) alarms.push({ how, args, seed, run });
}

/** A vault of a random tree: three saves, two backups, a database, and a clean-up that gathered packs. */
async function fill(sandbox: Sandbox, seed: number): Promise<void> {
  const [tree] = fc.sample(randomTree({ large: false }), { seed, numRuns: 1 });
  if (tree === undefined) throw new Error('fast-check gave no tree');
  makeTree(sandbox.project, tree);
  await sandbox.snapshot(['save'], 0, 3);
  await sandbox.snapshot(['backup', 'now'], 0, 3);
  changeTree(sandbox.project, tree);
  const database = new Database(join(sandbox.project, `notes-${seed}.db`));
  database.exec('CREATE TABLE t (n INTEGER PRIMARY KEY, pad TEXT)');
  const insert = database.prepare('INSERT INTO t (pad) VALUES (hex(randomblob(200)))');
  for (const args of [['save'], ['backup', 'now'], ['save', '-m', 'a point']]) {
    for (let row = 0; row < 50; row++) insert.run();
    await sandbox.snapshot(args, 0, 3);
  }
  database.close();
  await sandbox.json(['prune', '--keep-last', '2', '--confirm']);
}

async function idsOf(sandbox: Sandbox): Promise<string[]> {
  const listed = (await sandbox.json(['list'])).result['snapshots'] as { readonly snapshot_id: string }[];
  return listed.map(({ snapshot_id: id }) => id);
}

function argumentsOf(ids: readonly string[], turn: number): string[] {
  const id = ids[turn % ids.length] ?? '';
  const ways = [['--all'], [id], ['--all', '--deep', '--chain'], [id, '--deep'], ['--all', '--deep'], [id, '--chain']];
  return ['verify', ...(ways[turn % ways.length] ?? [])];
}

test('a sound vault is never called damaged', { timeout: 14_400_000 }, async () => {
  let [memory, files] = [0, 0];
  const began = performance.now();
  for (let seed = SEED; figures.in_process + figures.by_command + figures.beside_writers < VERIFIES; seed++) {
    const sandbox = new Sandbox({ fast: seed % 4 !== 0 });
    try {
      await fill(sandbox, seed);
      let ids = await idsOf(sandbox);
      figures.vaults += 1;
      for (let turn = 0; turn < EACH; turn++) {
        const args = argumentsOf(ids, turn);
        if (turn % 40 === 0) count('by_command', args, seed, await sandbox.json(args));
        else if (turn % 40 !== 20) count('in_process', args, seed, await jsonHere(sandbox, args));
        else {
          writeFileSync(join(sandbox.project, 'beside.txt'), `${turn}\n`);
          const writers = [['save'], ['backup', 'now'], ['prune', '--keep-last', '3', '--confirm']];
          const writer = sandbox.json(writers[Math.floor(turn / 40) % 3] ?? ['save']);
          count('beside_writers', ['verify', '--all', '--deep', '--chain'], seed, await sandbox.json(['verify', '--all', '--deep', '--chain']));
          expect([0, 3]).toContain((await writer).code);
          ids = await idsOf(sandbox);
        }
      }
    } finally {
      await sandbox.remove();
    }
    // A line for each vault, so that a run that is stopped has counted what it did.
    keepFigures('verifies', { part: 'long', run: 'verifies', seed, so_far: figures, alarms });
    // The first vault's turn has loaded all there is to load.
    if (seed === SEED) [memory, files] = [process.memoryUsage().rss, openFilesOf(process.pid)];
  }
  const growth = { memory_mib: Math.round((process.memoryUsage().rss - memory) / MEBIBYTE), open_files: openFilesOf(process.pid) - files };
  const report = { part: 'long', run: 'verifies', seed: SEED, ...figures, alarms, growth, seconds: Math.round((performance.now() - began) / 1000) };
  keepFigures('verifies-run', report);
  console.log(JSON.stringify(report));
  expect(alarms).toEqual([]);
  expect(growth.open_files).toBeLessThanOrEqual(0);
  expect(growth.memory_mib).toBeLessThan(100);
});
