// Saves that expire go, and every other one stays whole: what it shares with them is gathered into progress/packs.

import { createCipheriv, createHash } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { compareTrees, readTree, type TreeEntry } from './helpers/compare-trees.ts';
import { execute, Sandbox } from './support/sandbox.ts';

const SLOW = process.env['CORA_TEST_SLOW'] === '1';
const DRIVER = join(import.meta.dirname, 'support/compact-driver.ts');

type Tree = Map<string, TreeEntry>;
type Saved = { readonly id: string; readonly path: string; readonly tree: Tree };

let sandbox: Sandbox;
beforeEach(() => {
  sandbox = new Sandbox({ fast: true });
});
afterEach(() => sandbox.remove());

const packs = (): string => join(sandbox.vault, 'progress/packs');
const inPacks = (ending: string): string[] => (existsSync(packs()) ? readdirSync(packs()).filter((name) => name.endsWith(ending)) : []);
const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

/** A small generator of numbers: the same history in each run. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Bytes that do not compress. */
function noise(next: () => number, bytes: number): Buffer {
  const key = Buffer.alloc(16);
  key.writeDoubleLE(next(), 0);
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(bytes));
}

/** Changes a project as people do: some files, a part of a large one, old content that comes back. */
function change(next: () => number, round: number): void {
  const file = (n: number): string => join(sandbox.project, `d${n % 7}`, `f${n}`);
  for (let i = 0; i < 6; i++) {
    const n = Math.floor(next() * 60);
    mkdirSync(join(file(n), '..'), { recursive: true });
    if (next() < 0.2) rmSync(file(n), { force: true });
    else writeFileSync(file(n), noise(next, 200 + Math.floor(next() * 3000)));
  }
  writeFileSync(join(sandbox.project, 'returns'), `old content ${round % 5}\n`.repeat(50));
  const large = join(sandbox.project, 'large.bin');
  if (!existsSync(large)) writeFileSync(large, noise(next, 24 * 65_536));
  else if (round % 3 === 0) appendFileSync(large, noise(next, 40_000));
}

async function history(count: number, seed = 1): Promise<Saved[]> {
  const next = random(seed);
  const saves: Saved[] = [];
  for (let round = 0; round < count; round++) {
    change(next, round);
    const tree = readTree(sandbox.project);
    saves.push({ ...(await sandbox.snapshot(['save', '-m', `round ${round}`])), tree });
  }
  return saves;
}

async function drop(saves: readonly Saved[]): Promise<{ objects: number; keyframes: number; written: number; dead: string[]; deadBytes: number }> {
  const run = await execute(process.execPath, [DRIVER, sandbox.vault, ...saves.map(({ id }) => id)]);
  if (run.code !== 0) throw new Error(`the driver ended with ${run.code}: ${run.stderr}`);
  return JSON.parse(run.stdout);
}

async function expectWhole(saves: readonly Saved[], byScript: readonly Saved[] = saves): Promise<void> {
  for (const [i, { id, tree }] of saves.entries()) {
    const to = join(sandbox.root, 'restored');
    expect(await sandbox.cora(['restore', id, '--to', to]), id).toMatchObject({ code: 0 });
    expect(compareTrees(tree, readTree(to)).slice(0, 5), `${i} ${id}`).toEqual([]);
    rmSync(to, { recursive: true });
  }
  for (const { id, tree } of byScript) {
    const to = join(sandbox.root, 'by-script');
    expect(await sandbox.restoreScript([id, to]), id).toMatchObject({ code: 0 });
    expect(compareTrees(tree, readTree(to)).slice(0, 5), id).toEqual([]);
    rmSync(to, { recursive: true });
  }
}

const halves = (saves: readonly Saved[]): [gone: Saved[], left: Saved[]] => [
  saves.filter((_, i) => i % 2 === 0 && i < saves.length - 1),
  saves.filter((_, i) => i % 2 === 1 || i === saves.length - 1),
];

test('half of the saves go, the keyframe too: the others restore byte for byte, by Cora and by restore.sh', async () => {
  const saves = await history(SLOW ? 200 : 30);
  const [gone, left] = halves(saves);
  const done = await drop(gone);
  expect(done.objects).toBeGreaterThan(0);
  expect(done.keyframes).toBeGreaterThan(0);
  expect([inPacks('.tar.zst').length, inPacks('.FILES.tsv.zst').length]).toEqual([1, done.keyframes]);
  for (const name of inPacks('.tar.zst')) expect(name).toBe(`${sha256(join(packs(), name))}.tar.zst`);
  expect(await execute('sha256sum', ['-c', '--quiet', '--strict', 'SHA256SUMS.txt'], { cwd: packs() })).toMatchObject({ code: 0 });
  await expectWhole(SLOW ? left : left.filter((_, i) => i % 3 === 0), SLOW ? left : left.slice(1, 3));
  expect(await sandbox.cora(['verify', '--all', '--deep'])).toMatchObject({ code: 0 });
  // Without its caches, too.
  rmSync(join(sandbox.vault, '.cache'), { recursive: true });
  expect(await sandbox.cora(['verify', '--all'])).toMatchObject({ code: 0 });
}, 3_600_000);
