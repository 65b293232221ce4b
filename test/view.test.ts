// What `cora serve` keeps of a vault, against a naive reading of every snapshot: the order of snapshots, names, directories, every path there
// ever was, and what only one save needs; step by step, after clean-up, and with caches that are gone or torn.

import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import { findPaths } from '../src/actions/path-history.ts';
import { VaultView } from '../src/actions/view.ts';
import { compileSearch } from '../src/actions/view-paths.ts';
import type { SnapshotTree } from '../src/actions/view-tree.ts';
import { type Bytes, bytes, dirnameBytes, fromText } from '../src/base/bytes.ts';
import { type Context, SILENT } from '../src/base/context.ts';
import { CoraError } from '../src/base/errors.ts';
import { EMPTY_SHA256 } from '../src/format/file-list.ts';
import { openIndex } from '../src/store/object-index.ts';
import { listPacks, listSnapshots, resolveSnapshot } from '../src/vault/catalog.ts';
import { loadEntries } from '../src/vault/listing.ts';
import { openLocated, type VaultLocation } from '../src/vault/locate.ts';
import { changeTree, makeTree, randomTree } from './support/random-tree.ts';
import { Sandbox } from './support/sandbox.ts';

const isSlow = process.env['CORA_TEST_SLOW'] === '1';
const ctx: Context = { monitor: SILENT, now: Date.now, signal: new AbortController().signal, workers: 0, lockWait: 30_000, version: 'test' };
const boxes: Sandbox[] = [];
afterEach(async () => {
  for (const box of boxes.splice(0)) await box.remove();
});
function sandbox(): Sandbox {
  const box = new Sandbox({ fast: true });
  boxes.push(box);
  return box;
}

const locationOf = (box: Sandbox): VaultLocation => ({ path: box.vault, source: 'explicit', expectedId: undefined, memory: undefined });
const newView = (box: Sandbox): VaultView => new VaultView(openLocated(locationOf(box)), locationOf(box));

async function check(view: VaultView): Promise<void> {
  const { vault } = view;
  await view.refresh(ctx);
  expect(view.refs).toEqual(listSnapshots(vault));
  expect(view.packs()).toEqual(listPacks(vault));
  checkNames(view);
  for (const ref of listSnapshots(vault).slice(-2)) checkTree(await view.tree(ref), vault, view.quickest(ref));
  const past = await view.past(60_000);
  const index = past?.paths;
  const all = findPaths(past?.history as NonNullable<typeof past>['history'], () => true).filter(({ path }) => path !== '.');
  const found = index?.matching(() => true, false).map((at) => index.at(at));
  expect(found?.map((one) => ({ path: one?.path, lastSeen: one?.lastSeen, entry: one?.entry, isGone: one?.isGone }))).toEqual(all);
  await view.counted(60_000);
  expect(view.storage.figures?.saves).toEqual(naiveCosts(view));
}

function checkNames(view: VaultView): void {
  const refs = listSnapshots(view.vault);
  const names = refs.flatMap(({ id }) => [id, id.slice(0, 8), id.slice(0, 15), `${id}-9`]);
  for (const name of [...names, 'latest', 'latest~1', 'latest~99', '0', 'nothing', 'number 2', '']) {
    const answer = (resolve: () => unknown) => {
      try {
        return resolve();
      } catch (error) {
        return error instanceof CoraError ? error.code : error;
      }
    };
    const now = Date.now();
    expect([name, answer(() => view.resolve(name, now))]).toEqual([name, answer(() => resolveSnapshot(view.vault, name, now))]);
  }
}

function checkTree(tree: SnapshotTree, vault: VaultView['vault'], ref: ReturnType<typeof listSnapshots>[number]): void {
  const entries = new Map(loadEntries(vault, ref).map((entry) => [entry.path as string, { ...entry, pieces: undefined }]));
  const seen = new Map<string, unknown>();
  const visit = (directory: Bytes): void => {
    const children = tree.childrenOf(directory, 'name', false).map((row) => tree.at(row));
    expect(tree.countIn(directory)).toBe(children.length);
    for (const entry of children) {
      expect(dirnameBytes(entry.path)).toBe(directory);
      seen.set(entry.path, entry);
      if (entry.type === 'd') visit(entry.path);
    }
  };
  visit(bytes('.'));
  const expected = new Map([...entries].filter(([path]) => path !== '.'));
  expect(new Map([...seen].sort())).toEqual(new Map([...expected].sort()));
  const files = [...expected.values()].filter(({ type }) => type !== 'd');
  const part = files[0]?.path.slice(-3) ?? 'x';
  const accepts = compileSearch(bytes(part));
  const wanted = files.filter(({ path }) => accepts(path)).map(({ path }) => path);
  expect(
    tree
      .search(bytes('.'), accepts, 'file')
      .map((row) => tree.at(row).path)
      .sort(),
  ).toEqual(wanted.sort());
}

/** Reads every listing whole, and asks of each object which saves name it. */
function naiveCosts({ vault }: VaultView): Record<string, { unique: number; shared: number }> {
  const saves = listSnapshots(vault).filter(({ kind }) => kind === 'save');
  const objectsOf = saves.map((ref) => {
    const objects = new Set<string>();
    for (const { type, size, sha256, pieces } of loadEntries(vault, ref)) {
      if ((type !== 'f' && type !== 'S') || size === 0) continue;
      if (pieces !== undefined) for (let at = 0; at < pieces.length; at += 32) objects.add(Buffer.from(pieces.subarray(at, at + 32)).toString('hex'));
      else if (sha256 !== undefined && sha256 !== EMPTY_SHA256) objects.add(sha256);
    }
    return objects;
  });
  const { table } = openIndex(vault.root, listPacks(vault), 0, false);
  const frames = new Map<string, number>();
  const place = (record: number): string => `${table.location(record).pack} ${table.location(record).offset}`;
  for (let record = 0; record < table.count; record++) frames.set(place(record), (frames.get(place(record)) ?? 0) + table.location(record).size);
  const storedBytes = (hex: string): number => {
    const record = table.find(Buffer.from(hex, 'hex'));
    const { frameBytes, size } = table.location(record);
    return (frameBytes * size) / (frames.get(place(record)) ?? 1);
  };
  const sum = (objects: Iterable<string>): number => [...objects].reduce((all, hex) => all + storedBytes(hex), 0);
  return Object.fromEntries(
    saves.map(({ id }, step) => {
      const own = [...(objectsOf[step] ?? [])].filter((hex) => objectsOf.every((objects, other) => other === step || !objects.has(hex)));
      const unique = Math.round(sum(own));
      return [id, { unique, shared: Math.max(0, Math.round(sum(objectsOf[step] ?? [])) - unique) }];
    }),
  );
}

test('what a server keeps of random trees is what a naive reading gives, as they change and as they are cleaned up', async () => {
  await fc.assert(
    fc.asyncProperty(randomTree({ large: isSlow }), fc.array(randomTree({ large: false }), { minLength: 3, maxLength: 3 }), async (tree, later) => {
      const box = sandbox();
      makeTree(box.project, tree);
      await box.snapshot(['save', '-m', 'number 0'], 0, 3);
      const view = newView(box);
      for (const [n, change] of [tree, ...later].entries()) {
        changeTree(box.project, change);
        await box.snapshot(['save', '-m', `number ${n + 1}`], 0, 3);
        if (n === 0 || n === 2) await check(view);
      }
      await box.snapshot(['backup', 'now'], 0, 3);
      await check(view);
      await check(newView(box));
      await box.json(['prune', '--keep-last', '3', '--confirm', '--yes']);
      await check(view);
      view.close();
    }),
    { numRuns: isSlow ? 12 : 1, endOnFailure: true },
  );
}, 1_200_000);

test('caches that are gone, torn or of something else are made again, and nothing but a keep writes them', async () => {
  const box = sandbox();
  for (let n = 0; n < 3; n++) {
    writeFileSync(join(box.project, `f${n}`), `content ${n}`);
    await box.snapshot(['save', '-m', `number ${n}`]);
  }
  const at = (name: string) => join(box.vault, '.cache', name);
  const names = ['view.json', 'view-storage.json'];
  const there = () => names.filter((name) => readdirSync(join(box.vault, '.cache')).includes(name));
  await check(newView(box));
  expect(there()).toEqual([]);
  await newView(box).keep(ctx);
  expect(there()).toEqual(names);
  const whole = names.map((name) => readFileSync(at(name), 'utf8'));
  for (const damage of [
    (text: string) => text.slice(0, -9),
    (text: string) => text.replace('"number 1"', '"number 7"').replace('"unique":', '"unique":9'),
    () => '',
    (text: string) => text.replace(/^#cora-\w+ 1/, '#cora-else 2'),
  ]) {
    for (const [index, name] of names.entries()) writeFileSync(at(name), damage(whole[index] ?? ''));
    const view = newView(box);
    await check(view);
    expect(view.rows().map(({ facts }) => facts.note)).toEqual(['number 0', 'number 1', 'number 2']);
    await view.keep(ctx);
    expect(names.map((name) => readFileSync(at(name), 'utf8'))).toEqual(whole);
  }
  // A report that is another one now is read again.
  const directory = view0(box);
  writeFileSync(join(directory, 'REPORT.json'), readFileSync(join(directory, 'REPORT.json'), 'utf8').replace('number 0', 'number zero'));
  const view = newView(box);
  await view.refresh(ctx);
  expect(view.rows()[0]?.facts.note).toBe('number zero');
  rmSync(join(box.vault, '.cache'), { recursive: true });
  await check(newView(box));
});

function view0(box: Sandbox): string {
  const vault = openLocated(locationOf(box));
  return join(vault.root, listSnapshots(vault)[0]?.directory ?? '');
}

test('names are looked for whatever their case, beyond ASCII too, and patterns as such', () => {
  const accepts = (query: string, path: string | Bytes) => compileSearch(fromText(query))(fromText(path));
  expect(accepts('NOTE', 'src/my-notes.md')).toBe(true);
  expect(accepts('src', 'src/my-notes.md')).toBe(false);
  expect(accepts('src/my', 'src/my-notes.md')).toBe(true);
  expect(accepts('ÄRGER', 'a/großer ärger.txt')).toBe(true);
  expect(accepts('*.MD', 'src/my-notes.md')).toBe(true);
  expect(accepts('*.m', 'src/my-notes.md')).toBe(false);
  expect(compileSearch(bytes('\xe9'))(bytes('caf\xe9.txt'))).toBe(true);
  expect(compileSearch(bytes(''))(bytes('anything'))).toBe(true);
});
