// Saves that expire go, and every other one stays whole: what it shares with them is gathered into progress/packs.

import { createCipheriv, createHash } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Compaction, compactSaves } from '../../src/actions/compact.ts';
import { contentOf } from '../../src/actions/contents.ts';
import { bytesBelow } from '../../src/actions/list.ts';
import { save } from '../../src/actions/save.ts';
import { fromText } from '../../src/base/bytes.ts';
import { defaultConfig } from '../../src/base/config.ts';
import { findProgram } from '../../src/os/run.ts';
import { appendSegment, openIndex } from '../../src/store/object-index.ts';
import { ObjectReader } from '../../src/store/object-reader.ts';
import { listPacks, listSnapshots } from '../../src/vault/catalog.ts';
import { eachRow, loadEntries } from '../../src/vault/listing.ts';
import { lockForReading, lockForWriting, openVault } from '../../src/vault/vault.ts';
import { compareTrees, readTree, type TreeEntry } from '../helpers/compare-trees.ts';
import { CTX, dropSaves } from '../support/compact-driver.ts';
import { execute, Sandbox } from '../support/sandbox.ts';

const SLOW = process.env['CORA_TEST_SLOW'] === '1';
/** Everything that changes the disk. */
const CALLS = 'write,pwrite64,rename,unlink,unlinkat,rmdir,mkdir,ftruncate,fsync';
/** Writes that are not made (test/support/lying-write.cjs). */
const LIES = join(import.meta.dirname, '../support/lying-write.cjs');
const DRIVER = join(import.meta.dirname, '../support/compact-driver.ts');

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

/** A call of the driver: its name, and that it is the nth of that name (strace counts each name apart). */
type Call = { readonly name: string; readonly nth: number };

/** The driver under strace, killed at a call of those that change the disk; without one only watched. */
async function killed(vault: string, ids: readonly string[], at?: Call): Promise<{ readonly calls: readonly Call[]; readonly died: boolean }> {
  const trace = `${vault}.trace`;
  const inject = at === undefined ? [] : ['-e', `inject=${at.name}:signal=KILL:when=${at.nth}`];
  const run = await execute('strace', ['-f', '-qq', '-o', trace, '-e', `trace=${CALLS}`, ...inject, process.execPath, DRIVER, vault, ...ids]);
  // strace dies by the signal that it gave.
  expect([0, null]).toContain(run.code);
  const lines = readFileSync(trace, 'utf8').split('\n');
  const main = lines[0]?.split(' ', 1)[0] ?? '';
  const counts = new Map<string, number>();
  const calls = lines.flatMap((line): Call[] => {
    const [, pid, name] = /^(\d+)\s+(\w+)\(/.exec(line) ?? [];
    if (pid !== main || name === undefined) return [];
    counts.set(name, (counts.get(name) ?? 0) + 1);
    return [{ name, nth: counts.get(name) ?? 0 }];
  });
  return { calls, died: run.code === null };
}

const drop = (saves: readonly Saved[]): Promise<Compaction> =>
  dropSaves(
    sandbox.vault,
    saves.map(({ id }) => id),
  );

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
  const saves = await history(SLOW ? 200 : 18);
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

test('saved into again and compacted again, all restores, and what is dead goes', async () => {
  const first = await history(10, 3);
  const [, left] = halves(first);
  await drop(first.filter((one) => !left.includes(one)));
  const second = await history(20, 4, 10);
  const all = [...left, ...second];
  const staying = all.filter((_, i) => i % 4 === 3);
  const before = contents(sandbox.vault);
  await drop(all.filter((one) => !staying.includes(one)));
  const now = contents(sandbox.vault);
  expect([...now.keys()]).toEqual(staying.map(({ id }) => id));
  for (const [id, content] of now) expect(content, id).toBe(before.get(id));
  await expectWhole(staying.slice(-1));
  // The last one alone: what was gathered is at least half of it needed.
  const { tree, ...last } = staying.at(-1)!;
  await drop(staying.slice(0, -1));
  const objects = [...tree.values()].reduce((sum, { size }) => sum + size + 1024, 0);
  const stored = [join(last.path, 'objects.tar.zst'), ...inPacks('.tar.zst').map((name) => join(packs(), name))];
  const bytes = stored.map((path) => statSync(path).size);
  expect(
    bytes.reduce((sum, size) => sum + size, 0),
    `${bytes} of ${objects}`,
  ).toBeLessThan(objects * 2.1);
  expect(await sandbox.cora(['verify', '--all', '--deep'])).toMatchObject({ code: 0 });
});

test.runIf(SLOW)('many small packs become one', async () => {
  const saves = await history(36, 5);
  const keyframe = saves[0]!;
  const before = contents(sandbox.vault);
  let most = 0;
  for (const one of saves.slice(1, -1)) {
    await drop([one]);
    most = Math.max(most, inPacks('.tar.zst').length);
  }
  expect(most).toBeLessThanOrEqual(33);
  const left = [keyframe.id, saves.at(-1)!.id];
  expect([...contents(sandbox.vault)]).toEqual(left.map((id) => [id, before.get(id)]));
});

test('an index that is wrong is made again, and nothing is dropped for its sake', async () => {
  const saves = await history(6, 12);
  const before = contents(sandbox.vault);
  // It knows every pack, but of the first one nothing.
  const index = join(sandbox.vault, '.cache/objects.idx');
  rmSync(index);
  const [first, ...others] = listPacks(openVault(sandbox.vault));
  openIndex(sandbox.vault, others, 0, true);
  appendSegment(sandbox.vault, first!, Buffer.alloc(0));
  await drop(saves.slice(1, 3));
  expect([...contents(sandbox.vault)]).toEqual([...before].filter(([id]) => id !== saves[1]!.id && id !== saves[2]!.id));
});

test('the newest save goes: the next one holds everything', async () => {
  const saves = await history(4, 6);
  await drop(saves.slice(1));
  const again = await sandbox.snapshot(['save']);
  await expectWhole([{ ...again, tree: readTree(sandbox.project) }]);
  expect(await sandbox.cora(['verify', '--all', '--deep'])).toMatchObject({ code: 0 });
});

test('cora prune does it, says before what it frees, waits for readers, and removes nothing where something is missing', async () => {
  const saves = await history(12, 8);
  const before = contents(sandbox.vault);
  const size = (): number => bytesBelow(sandbox.vault) - bytesBelow(join(sandbox.vault, '.cache')) - bytesBelow(join(sandbox.vault, 'ledger'));
  const whole = size();
  const rules = ['prune', '--keep-last', '5'];
  const planned = await sandbox.json(rules);
  expect(planned).toMatchObject({ code: 0, result: { dry_run: true } });
  expect(size()).toBe(whole);
  // A reader stands in the way: what is needed is copied, nothing goes.
  const reader = lockForReading(openVault(sandbox.vault));
  expect((await sandbox.cora([...rules, '--confirm', '--lock-wait', '1s'])).code).toBe(11);
  expect([...contents(sandbox.vault)]).toEqual([...before]);
  reader?.release();
  // Something that a save names is nowhere.
  const pack = join(saves[9]!.path, 'objects.tar.zst');
  renameSync(pack, join(sandbox.root, 'aside'));
  const refused = await sandbox.json([...rules, '--confirm']);
  expect([refused.code, refused.result['deleted']]).toEqual([3, []]);
  expect(refused.result['errors']).toContainEqual(expect.objectContaining({ message: expect.stringContaining('is in no pack') }));
  renameSync(join(sandbox.root, 'aside'), pack);
  expect([...contents(sandbox.vault)]).toEqual([...before]);
  const done = await sandbox.json([...rules, '--confirm']);
  expect(done).toMatchObject({ code: 0 });
  expect([...contents(sandbox.vault)]).toEqual([...before].slice(-5));
  const freed = whole - size();
  expect(Math.abs(Number(planned.result['freed']) - freed) / freed).toBeLessThan(0.1);
  expect(await sandbox.cora(['verify', '--all', '--deep'])).toMatchObject({ code: 0 });
});

test('damage in what was gathered is named, also where the sums beside it were made to fit', async () => {
  const saves = await history(8, 9);
  await drop(saves.slice(0, 5));
  const [pack, keyframe] = [inPacks('.tar.zst')[0]!, inPacks('.FILES.tsv.zst')[0]!];
  const flip = (name: string): Buffer => {
    const content = readFileSync(join(packs(), name));
    const flipped = Buffer.from(content);
    flipped[flipped.length >> 1]! ^= 1;
    writeFileSync(join(packs(), name), flipped);
    return content;
  };
  const good = flip(pack);
  const damaged = await sandbox.cora(['verify', saves.at(-1)!.id]);
  expect([damaged.code, damaged.stdout]).toEqual([21, expect.stringContaining(`progress/packs/${pack}`)]);
  expect((await sandbox.cora(['verify', '--all'])).stdout).toContain(`progress/packs/${pack}`);
  // Compaction reads what it copies, and leaves what it does not.
  writeFileSync(join(packs(), pack), good);
  const listing = join(packs(), keyframe);
  const forged = zstdCompressSync(
    Buffer.from(zstdDecompressSync(readFileSync(listing)).toString('latin1').replace('\t0644\t', '\t4777\t'), 'latin1'),
  );
  const sums = readFileSync(join(packs(), 'SHA256SUMS.txt'), 'utf8').replace(sha256(listing), createHash('sha256').update(forged).digest('hex'));
  writeFileSync(listing, forged);
  writeFileSync(join(packs(), 'SHA256SUMS.txt'), sums);
  const found = await sandbox.cora(['verify', saves.at(-1)!.id]);
  expect([found.code, found.stdout]).toEqual([21, expect.stringContaining(`progress/packs/${keyframe}`)]);
});

test('a keyframe that was gathered and damaged since is gathered again while its save is still there; one written anew is not', async () => {
  const saves = await history(8, 11);
  const before = contents(sandbox.vault);
  const doomed = saves.slice(0, 5);
  // A run that was stopped after it had gathered, before any save went.
  const vault = openVault(sandbox.vault);
  const lock = lockForWriting(vault, 10_000);
  await compactSaves(
    vault,
    listSnapshots(vault).filter(({ id }) => doomed.some((one) => one.id === id)),
    CTX,
  );
  lock.release();
  const keyframe = join(packs(), inPacks('.FILES.tsv.zst')[0]!);
  const good = readFileSync(keyframe);
  const flipped = Buffer.from(good);
  flipped[flipped.length >> 1]! ^= 1;
  writeFileSync(keyframe, flipped);
  // The same listing in other bytes is not the one that was written.
  const own = join(saves[0]!.path, 'FILES.tsv.zst');
  writeFileSync(own, zstdCompressSync(Buffer.concat([zstdDecompressSync(good)]), { params: { [constants.ZSTD_c_compressionLevel]: 1 } }));
  expect(readFileSync(own).equals(good)).toBe(false);
  await expect(drop(doomed)).rejects.toMatchObject({ code: 'damaged', message: expect.stringContaining('is not what was written') });
  expect([...contents(sandbox.vault)]).toEqual([...before]);
  writeFileSync(own, good);
  await drop(doomed);
  expect(readFileSync(keyframe).equals(good)).toBe(true);
  expect([...contents(sandbox.vault)]).toEqual([...before].slice(5));
  expect(await sandbox.cora(['verify', '--all'])).toMatchObject({ code: 0 });
});

test('an object that was damaged in a save that goes stops the removal; a copy that is whole elsewhere is taken', async () => {
  const saves = await history(6, 10);
  const pack = join(saves[0]!.path, 'objects.tar.zst');
  const content = readFileSync(pack);
  const flipped = Buffer.from(content);
  for (let at = 5000; at < flipped.length; at += 20_000) flipped[at]! ^= 1;
  writeFileSync(pack, flipped);
  await expect(drop(saves.slice(0, 3))).rejects.toMatchObject({ code: 'damaged' });
  expect(listSnapshots(openVault(sandbox.vault))).toHaveLength(6);
  expect(inPacks('')).toEqual([]);
  // A save that finds the pack damaged stores everything again; its copies are what stays.
  rmSync(join(sandbox.vault, '.cache'), { recursive: true });
  const healed = await sandbox.snapshot(['save', '-m', 'again']);
  await drop(saves);
  await expectWhole([{ ...healed, tree: saves.at(-1)!.tree }]);
});

test('a disk that takes a gathered keyframe and stores nothing of it is found out, and no save goes', async () => {
  const saves = await history(6, 13);
  const before = contents(sandbox.vault);
  const ids = saves.slice(0, 3).map(({ id }) => id);
  const env = { ...process.env, CORA_TEST_LIES: '.FILES.tsv.zst' };
  const run = await execute(process.execPath, ['--require', LIES, DRIVER, sandbox.vault, ...ids], { env });
  expect([run.code, run.stderr]).toEqual([1, expect.stringContaining('The disk does not hold what was written to')]);
  expect([...contents(sandbox.vault)]).toEqual([...before]);
});

test.skipIf(findProgram('strace') === undefined)(
  'killed anywhere (needs strace), every listed save is what it was, and the next run finishes',
  async () => {
    const saves = await history(SLOW ? 40 : 6, 7);
    const [gone, left] = halves(saves);
    const ids = gone.map(({ id }) => id);
    const before = contents(sandbox.vault);
    const copy = async (): Promise<string> => {
      const vault = join(sandbox.root, 'cöpy');
      rmSync(vault, { recursive: true, force: true });
      await execute('cp', ['-a', '--reflink=auto', sandbox.vault, vault]);
      return vault;
    };
    const expectKept = (vault: string, when: string): void => {
      const now = contents(vault);
      for (const [id, content] of now) expect(content, `${when} ${id}`).toBe(before.get(id));
      for (const { id } of left) expect(now.has(id), `${when} ${id}`).toBe(true);
    };
    const { calls } = await killed(await copy(), ids);
    expect(calls.length).toBeGreaterThan(50);
    const next = random(11);
    const times = SLOW ? 100 : 8;
    for (let i = 0; i < times; i++) {
      const vault = await copy();
      const at = calls[Math.floor(((i + next()) * calls.length) / times)]!;
      const when = `killed at ${at.name} ${at.nth}`;
      expect((await killed(vault, ids, at)).died, when).toBe(true);
      expectKept(vault, when);
      const again = calls[Math.floor(next() * calls.length)]!;
      if (SLOW) {
        // The next run is killed, too, if it makes so many calls.
        await killed(vault, ids, again);
        expectKept(vault, `${when}, then at ${again.name} ${again.nth}`);
      }
      await dropSaves(vault, ids);
      expectKept(vault, `${when}, finished`);
      expect(listSnapshots(openVault(vault)).map(({ id }) => id)).toEqual(left.map(({ id }) => id));
      const packs = join(vault, 'progress/packs');
      const sums = readFileSync(join(packs, 'SHA256SUMS.txt'), 'utf8');
      expect(readdirSync(packs).filter((name) => name !== 'SHA256SUMS.txt' && !sums.includes(name))).toEqual([]);
      expect([readdirSync(join(vault, '.stage')).filter((name) => name.startsWith('run-')), readdirSync(join(vault, '.trash'))]).toEqual([[], []]);
      if (i % 20 > 0) continue;
      expect(await sandbox.cora(['verify', '--all', '--vault', vault])).toMatchObject({ code: 0 });
    }
  },
  7_200_000,
);
