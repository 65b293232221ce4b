// The history of random trees against a naive reading of every snapshot's whole listing: versions, what was found where, and
// differences; with and without the cache, after clean-up, with backups in between, and with a listing that is damaged.

import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import { compareLayers } from '../src/actions/diff-rows.ts';
import { changesBelow, findPaths, historyOf, snapshotsWith, versionsOf } from '../src/actions/path-history.ts';
import { changesBetween } from '../src/actions/snapshot-changes.ts';
import { isArtefactPath } from '../src/base/artefact.ts';
import { bytes } from '../src/base/bytes.ts';
import type { Entry } from '../src/format/file-list.ts';
import { listSnapshots, type SnapshotRef } from '../src/vault/catalog.ts';
import { loadEntries } from '../src/vault/listing.ts';
import { ListingReader } from '../src/vault/listing-text.ts';
import { openLocated } from '../src/vault/locate.ts';
import type { Vault } from '../src/vault/vault.ts';
import { changeTree, makeTree, randomTree } from './support/random-tree.ts';
import { Sandbox } from './support/sandbox.ts';

const isSlow = process.env['CORA_TEST_SLOW'] === '1';
const boxes: Sandbox[] = [];
afterEach(async () => {
  for (const box of boxes.splice(0)) await box.remove();
});
function sandbox(): Sandbox {
  const box = new Sandbox({ fast: true });
  boxes.push(box);
  return box;
}

const vaultOf = (box: Sandbox): Vault => openLocated({ path: box.vault, source: 'explicit', expectedId: undefined, memory: undefined });
const savesOf = (vault: Vault): SnapshotRef[] => listSnapshots(vault).filter(({ kind }) => kind === 'save');

type Naive = { readonly ref: SnapshotRef; readonly entries: ReadonlyMap<string, Entry> };

const naiveReading = (vault: Vault): Naive[] =>
  savesOf(vault).map((ref) => ({ ref, entries: new Map(loadEntries(vault, ref).map((entry) => [entry.path, entry])) }));

/** All that makes a version, as text. */
function contentOf({ entries }: Naive, path: string): string | undefined {
  const entry = entries.get(path);
  if (entry === undefined) return undefined;
  const holder = entry.type === 'h' ? (entries.get(entry.link ?? '') ?? entry) : entry;
  if (holder.type !== 'f' && holder.type !== 'S') return `${holder.type} ${holder.type === 'l' ? holder.link : ''}`;
  return `f ${holder.size} ${holder.sha256 ?? Buffer.from(holder.pieces ?? []).toString('hex')}`;
}

function naiveVersions(all: readonly Naive[], path: string): unknown[] {
  const versions: { content: string; first: string; last: string; snapshots: number; gone: string | undefined }[] = [];
  let before: string | undefined;
  for (const one of all) {
    const content = contentOf(one, path);
    const last = versions.at(-1);
    if (content === undefined) {
      if (before !== undefined && last !== undefined) last.gone = one.ref.id;
    } else if (content === before && last !== undefined) {
      last.last = one.ref.id;
      last.snapshots += 1;
    } else versions.push({ content, first: one.ref.id, last: one.ref.id, snapshots: 1, gone: undefined });
    before = content;
  }
  return versions.map(({ first, last, snapshots, gone }) => [first, last, snapshots, gone]);
}

/** Names of a hard-linked file that is cut in pieces: which of them holds the content may change, and that counts as another version (docs/time-travel.md). */
function cutAndLinked(all: readonly Naive[]): Set<string> {
  const names = new Set<string>();
  for (const { entries } of all)
    for (const { type, path, link } of entries.values()) {
      if (type !== 'h' || link === undefined || entries.get(link)?.pieces === undefined) continue;
      names.add(path).add(link);
    }
  return names;
}

async function checkHistory(vault: Vault): Promise<void> {
  const all = naiveReading(vault);
  const exempt = cutAndLinked(all);
  const paths = new Set(all.flatMap(({ entries }) => [...entries.keys()]));
  const history = await historyOf(vault);
  expect(history.damaged).toEqual([]);
  const found = new Map(findPaths(history, () => true).map((one) => [one.path as string, one]));
  expect([...found.keys()].sort()).toEqual([...paths].sort());
  for (const path of paths) {
    const versions = versionsOf(history, bytes(path)).map(({ first, last, snapshots, goneIn }) => [first.id, last.id, snapshots, goneIn?.id]);
    if (!exempt.has(path)) expect([path, versions]).toEqual([path, naiveVersions(all, path)]);
    const having = all.filter(({ entries }) => entries.has(path)).map(({ ref }) => ref.id);
    expect(snapshotsWith(history, bytes(path)).map(({ id }) => id)).toEqual(having.toReversed());
    expect(found.get(path)?.lastSeen.id).toBe(having.at(-1));
    expect(found.get(path)?.isGone).toBe(having.at(-1) !== all.at(-1)?.ref.id);
    const last = all.findLast(({ entries }) => entries.has(path));
    expect({ ...found.get(path)?.entry, pieces: undefined }).toEqual({ ...last?.entries.get(path), pieces: undefined });
  }
}

/** Differences of every two saves against those that reading both whole gives. */
function checkDifferences(vault: Vault): void {
  const saves = savesOf(vault);
  const reader = new ListingReader(vault);
  for (const [i, a] of saves.entries())
    for (const b of saves.slice(i + 1)) {
      const all = compareLayers(reader.layers(a), reader.layers(b)).filter(({ path }) => !isArtefactPath(path));
      const naive = changesBetween(vault, a, b);
      // A hard link whose content stayed is no change of a file; the naive reading calls another first name of it one.
      const links = new Set([a, b].flatMap((ref) => loadEntries(vault, ref).flatMap(({ type, path }) => (type === 'h' ? [path as string] : []))));
      const linked = (path: string) => links.has(path);
      for (const kind of ['created', 'changed', 'deleted'] as const) {
        const paths = all.filter(({ change, path }) => change === kind && !(kind === 'changed' && linked(path))).map(({ path }) => path);
        expect(paths).toEqual(naive.files[kind].filter((path) => !(kind === 'changed' && linked(path))));
      }
    }
}

test('every version, path and difference of random trees is as a naive reading has it', async () => {
  await fc.assert(
    fc.asyncProperty(randomTree({ large: isSlow }), fc.array(randomTree({ large: false }), { minLength: 3, maxLength: 3 }), async (tree, later) => {
      const box = sandbox();
      makeTree(box.project, tree);
      await box.snapshot(['save', '-m', '0'], 0, 3);
      for (const [n, change] of [tree, ...later].entries()) {
        changeTree(box.project, change);
        await box.snapshot(['save', '-m', String(n + 1)], 0, 3);
        // Step by step: what is in the cache goes on, and is what reading everything gives.
        if (n === 1) await checkHistory(vaultOf(box));
      }
      const vault = vaultOf(box);
      await checkHistory(vault);
      checkDifferences(vault);
      const cached = readFileSync(join(box.vault, '.cache/history.tsv'));
      rmSync(join(box.vault, '.cache/history.tsv'));
      await checkHistory(vault);
      expect(readFileSync(join(box.vault, '.cache/history.tsv')).equals(cached)).toBe(true);
      // A cache that is torn, or of something else, is not believed.
      writeFileSync(join(box.vault, '.cache/history.tsv'), cached.subarray(0, cached.length - 7));
      await checkHistory(vault);
    }),
    { numRuns: isSlow ? 60 : 3, endOnFailure: true },
  );
}, 600_000);

test('after clean-up only what is there is named, with and without the cache', async () => {
  const box = sandbox();
  for (let n = 0; n < 7; n++) {
    for (let file = 0; file < 5; file++) if ((n + file) % 3 > 0) writeFileSync(join(box.project, `f${file}`), `${n % 3} ${file}`);
    if (n === 2) rmSync(join(box.project, 'f1'), { force: true });
    writeFileSync(join(box.project, `only-${n}`), String(n));
    if (n > 0) rmSync(join(box.project, `only-${n - 1}`));
    await box.snapshot(['save', '-m', String(n)]);
  }
  await checkHistory(vaultOf(box));
  const pruned = await box.json(['prune', '--keep-last', '3', '--confirm', '--yes']);
  expect(pruned.code).toBe(0);
  expect(savesOf(vaultOf(box)).length).toBeLessThan(7);
  const { result } = await box.json(['find', 'only-*']);
  const shown = (result['found'] as { path: string }[]).map(({ path }) => path);
  expect(shown).not.toContain('only-0');
  rmSync(join(box.vault, '.cache'), { recursive: true });
  await checkHistory(vaultOf(box));
  expect(((await box.json(['find', 'only-*'])).result['found'] as { path: string }[]).map(({ path }) => path)).toEqual(shown);
  await box.snapshot(['save', '-m', 'after']);
  await checkHistory(vaultOf(box));
}, 120_000);

test('a damaged listing is named with 21, and the others are answered for; whole again, it is answered for too', async () => {
  const box = sandbox();
  const ids: string[] = [];
  const directories: string[] = [];
  for (let n = 0; n < 4; n++) {
    writeFileSync(join(box.project, 'a'), `version ${n}`);
    writeFileSync(join(box.project, `b${n}`), 'b');
    const { id, path } = await box.snapshot(['save']);
    ids.push(id);
    directories.push(path);
  }
  const delta = join(directories[2] as string, readdirSync(directories[2] as string).find((name) => name.startsWith('DELTA')) as string);
  const whole = readFileSync(delta);
  const broken = Buffer.from(whole);
  broken[broken.length >> 1] = (broken[broken.length >> 1] ?? 0) ^ 255;
  type Failed = {
    code: string;
    details: { versions: { first: { snapshot_id: string } }[]; damaged: { snapshot_id: string; file: string }[]; found: { path: string }[] };
  };
  const damaged = async (args: readonly string[]) => {
    const { code, error } = await box.json(args);
    expect([code, error.code]).toEqual([21, 'damaged']);
    return (error as unknown as Failed).details;
  };
  writeFileSync(delta, broken);
  for (let round = 0; round < 2; round++) {
    const log = await damaged(['log', 'a']);
    expect(log.versions.map(({ first }) => first.snapshot_id)).toEqual([ids[0], ids[1], ids[3]]);
    expect(log.damaged.map(({ snapshot_id }) => snapshot_id)).toEqual([ids[2]]);
    expect((await damaged(['find', 'b*'])).found.map(({ path }) => path)).toEqual(['b0', 'b1', 'b2', 'b3']);
  }
  expect((await box.json(['diff', ids[1] as string, ids[2] as string])).code).toBe(21);
  expect((await box.json(['diff', ids[1] as string, ids[3] as string])).code).toBe(0);
  expect((await box.json(['cat', ids[3] as string, 'a'])).code).toBe(0);
  writeFileSync(delta, whole);
  const log = await box.json(['log', 'a']);
  expect([log.code, (log.result['versions'] as unknown[]).length]).toEqual([0, 4]);
  // Without the keyframe none of its deltas says anything.
  rmSync(join(directories[0] as string, 'FILES.tsv.zst'));
  rmSync(join(box.vault, '.cache'), { recursive: true });
  const none = await box.json(['log', 'a']);
  expect(none.code).toBe(21);
}, 120_000);

test('changes below a directory are those between neighbours', async () => {
  const box = sandbox();
  for (let n = 0; n < 3; n++) {
    writeFileSync(join(box.project, `x${n}`), 'x');
    await box.snapshot(['save']);
  }
  const history = await historyOf(vaultOf(box));
  expect(changesBelow(history, bytes('.')).map(({ created, changed, deleted }) => [created, changed, deleted])).toEqual([
    [1, 0, 0],
    [1, 0, 0],
    [1, 0, 0],
  ]);
});
