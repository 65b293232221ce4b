// Saves that expire go, and every other one stays whole: what it shares with them is gathered into progress/packs.

import { createCipheriv, createHash } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { contentOf } from '../src/actions/contents.ts';
import { save } from '../src/actions/save.ts';
import { fromText } from '../src/base/bytes.ts';
import { defaultConfig } from '../src/base/config.ts';
import { SILENT } from '../src/base/context.ts';
import { findProgram } from '../src/os/run.ts';
import { openIndex } from '../src/store/object-index.ts';
import { ObjectReader } from '../src/store/object-reader.ts';
import { listPacks, listSnapshots } from '../src/vault/catalog.ts';
import { eachRow, loadEntries } from '../src/vault/listing.ts';
import { openVault } from '../src/vault/vault.ts';
import { compareTrees, readTree, type TreeEntry } from './helpers/compare-trees.ts';
import { execute, Sandbox } from './support/sandbox.ts';

const SLOW = process.env['CORA_TEST_SLOW'] === '1';
/** Everything that changes the disk. */
const CALLS = 'write,pwrite64,rename,unlink,unlinkat,rmdir,mkdir,ftruncate,fsync';
const DRIVER = join(import.meta.dirname, 'support/compact-driver.ts');

const CTX = { monitor: SILENT, now: Date.now, signal: new AbortController().signal, workers: 0, lockWait: 10_000, version: 'test' };

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

/** Saves of a project that changes; all but the first are made in this process, which takes a tenth of the time. */
async function history(count: number, seed = 1, first = 0): Promise<Saved[]> {
  const next = random(seed);
  const saves: Saved[] = [];
  const project = { root: fromText(sandbox.project), name: 'project', config: defaultConfig };
  const location = { path: sandbox.vault, source: 'explicit', expectedId: undefined, memory: undefined } as const;
  for (let round = first; round < first + count; round++) {
    change(next, round);
    const tree = readTree(sandbox.project);
    if (round === 0) saves.push({ ...(await sandbox.snapshot(['save'])), tree });
    else {
      const { id, path, outcome } = await save(project, location, { trigger: 'manual' }, CTX);
      expect(outcome).toBe('saved');
      saves.push({ id, path, tree });
    }
  }
  return saves;
}

/** What each listed save holds, read from the vault as it lies there: its rows, and the content of every file. */
function contents(path: string): Map<string, string> {
  const vault = openVault(path);
  const index = openIndex(vault.root, listPacks(vault), 0, false);
  const reader = new ObjectReader(index.table, index.packs);
  const found = new Map<string, string>();
  for (const ref of listSnapshots(vault)) {
    const whole = createHash('sha256');
    for (const row of [...eachRow(vault, ref)].sort()) whole.update(`${row}\n`);
    for (const entry of loadEntries(vault, ref)) {
      if (entry.type !== 'f' && entry.type !== 'S') continue;
      const { hashes } = contentOf(entry);
      for (let at = 0; at < hashes.length; at += 32) whole.update(reader.read(hashes.subarray(at, at + 32)));
    }
    found.set(ref.id, whole.digest('hex'));
  }
  reader.close();
  return found;
}

/** The driver under strace with a fault in its nth call of those that change the disk; without one only counted. */
async function killed(vault: string, ids: readonly string[], when?: number): Promise<number> {
  const trace = `${vault}.trace`;
  const inject = when === undefined ? [] : ['-e', `inject=${CALLS}:signal=KILL:when=${when}`];
  const run = await execute('strace', ['-f', '-qq', '-o', trace, '-e', `trace=${CALLS}`, ...inject, process.execPath, DRIVER, vault, ...ids]);
  const calls = readFileSync(trace, 'utf8').split('\n');
  // strace dies by the signal that it gave; a later run has fewer calls to make.
  expect([0, null]).toContain(run.code);
  const main = /^\d+/.exec(calls[0] ?? '')?.[0] ?? '';
  return calls.filter((call) => call.startsWith(`${main} `) && !call.includes('+++')).length;
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

test.skipIf(findProgram('strace') === undefined)(
  'killed anywhere (needs strace), every listed save is what it was, and the next run finishes',
  async () => {
    const saves = await history(SLOW ? 40 : 6, 7);
    const [gone, left] = halves(saves);
    const ids = gone.map(({ id }) => id);
    const before = contents(sandbox.vault);
    const copy = async (): Promise<string> => {
      const vault = join(sandbox.root, 'copy');
      rmSync(vault, { recursive: true, force: true });
      await execute('cp', ['-a', '--reflink=auto', sandbox.vault, vault]);
      return vault;
    };
    const expectKept = (vault: string, when: string): void => {
      const now = contents(vault);
      for (const [id, content] of now) expect(content, `${when} ${id}`).toBe(before.get(id));
      for (const { id } of left) expect(now.has(id), `${when} ${id}`).toBe(true);
    };
    const calls = await killed(await copy(), ids);
    expect(calls).toBeGreaterThan(50);
    const next = random(11);
    const times = SLOW ? 100 : 8;
    for (let i = 0; i < times; i++) {
      const vault = await copy();
      const when = 1 + Math.floor(((i + next()) * calls) / times);
      await killed(vault, ids, when);
      expectKept(vault, `killed at ${when} of ${calls}`);
      const again = 1 + Math.floor(next() * calls);
      if (SLOW || i % 4 === 0) {
        // The next run is killed, too.
        await killed(vault, ids, again);
        expectKept(vault, `killed at ${when}, then at ${again}`);
      }
      const last = await execute(process.execPath, [DRIVER, vault, ...ids]);
      expect(last, `after ${when}, ${again}`).toMatchObject({ code: 0 });
      expectKept(vault, `finished after ${when}, ${again}`);
      expect(listSnapshots(openVault(vault)).map(({ id }) => id)).toEqual(left.map(({ id }) => id));
      const packs = join(vault, 'progress/packs');
      const sums = readFileSync(join(packs, 'SHA256SUMS.txt'), 'utf8');
      expect(readdirSync(packs).filter((name) => name !== 'SHA256SUMS.txt' && !sums.includes(name))).toEqual([]);
      expect([readdirSync(join(vault, '.stage')).filter((name) => name.startsWith('run-')), readdirSync(join(vault, '.trash'))]).toEqual([[], []]);
      if (i % 10 > 0) continue;
      expect(await sandbox.cora(['verify', '--all', '--vault', vault])).toMatchObject({ code: 0 });
    }
  },
  7_200_000,
);
