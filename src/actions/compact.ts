// Compaction of saves' packs: before expired saves go, the objects and keyframes that the others still name are gathered into
// `progress/packs/`. The steps of clean-up, all under the write lock: `compactSaves`; then, alone in the vault (the gc lock), the
// doomed saves are moved away, THE NEWEST FIRST (a save needs packs of earlier saves, not of later ones); then `dropGathered`.
//
// Invariant: at every moment each listed save finds all its objects. `progress/packs/SHA256SUMS.txt` is replaced by one rename and says
// what belongs to the vault there; a pack that it does not name is what a crash left. Packs are named by their content, so that no cache is ever wrong about one.

import { createHash } from 'node:crypto';
import { readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { bytes, fromText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError, errnoOf, writeFailure } from '../base/errors.ts';
import { formatSums, type Sum } from '../format/checksums.ts';
import { exists, freeBytes, makeDirectories, replaceFile, syncDirectory, writeNewFile } from '../os/files.ts';
import { gatherObjects } from '../store/gather.ts';
import { appendSegment, dropIndex, forgetPacks } from '../store/object-index.ts';
import { hashCold } from '../store/read-jobs.ts';
import { dropTree, treeHead } from '../store/stat-cache.ts';
import type { SnapshotRef } from '../vault/catalog.ts';
import { NAMES } from '../vault/layout.ts';
import { openStage, type Vault } from '../vault/vault.ts';
import { type LooseFile, type Survey, sumsOfPacks, surveyPacks } from './compact-survey.ts';
import { stopIfAborted } from './settle.ts';

/** What a compaction would do, or has done. */
export type Compaction = {
  /** Objects copied out of packs that go. */
  readonly objects: number;
  /** Keyframes copied out of saves that go. */
  readonly keyframes: number;
  /** Bytes of the new files; in a plan about. */
  readonly written: number;
  /** Names in `progress/packs/` that nothing needs once the doomed saves are gone. */
  readonly dead: readonly string[];
  /** Bytes of those. A clean-up frees: the doomed saves' bytes + this - `written`. */
  readonly deadBytes: number;
};

/**
 * What `compactSaves` would do. Changes nothing; the reader's lock is enough.
 * @param doomed what is about to go; only saves count, other kinds have no packs
 * @throws CoraError damaged where something that a remaining save names is nowhere
 */
export async function planCompaction(vault: Vault, doomed: readonly SnapshotRef[], ctx: Context): Promise<Compaction> {
  if (nothingToDo(vault, doomed)) return NOTHING;
  return tryAnew(async (anew) => planned(vault, await surveyPacks(vault, doomed, anew, ctx)));
}

/**
 * Copies what the remaining saves need of the doomed saves' packs into `progress/packs/`, durably and read back. Removes nothing.
 * The caller holds the write lock. Killed anywhere it leaves the vault as good as it was, and the next call does the rest; with
 * nothing doomed it only finds what a crash left, and packs that are mostly dead.
 * @param doomed what is about to go; only saves count, other kinds have no packs
 * @throws CoraError damaged, no_space, read_only, io, validation_failed, interrupted: then nothing may be removed
 */
export async function compactSaves(vault: Vault, doomed: readonly SnapshotRef[], ctx: Context): Promise<Compaction> {
  if (nothingToDo(vault, doomed)) return NOTHING;
  return tryAnew(async (anew) => {
    const survey = await surveyPacks(vault, doomed, anew, ctx);
    const done = survey.places.gather.length + survey.loose.length === 0 ? planned(vault, survey) : await gather(vault, survey, ctx);
    // The stat cache calls content "stored already"; of a save that goes that is not true for long.
    const seen = treeHead(vault.root)?.snapshot;
    if (seen !== undefined && !survey.survivors.has(seen)) dropTree(vault.root);
    // The cached index said that something is missing, and it is not: the next run makes it again.
    if (anew) dropIndex(vault.root);
    return done;
  });
}

/**
 * Removes what `compactSaves` found dead. The caller still holds the write lock, is alone in the vault (the gc lock, exclusive), and
 * has moved every doomed save away. Safe to call again.
 */
export function dropGathered(vault: Vault, { dead }: Compaction): void {
  if (dead.length === 0) return;
  const names = new Set(dead);
  const directory = `${vault.root}/${NAMES.packs}`;
  const kept = sumsOfPacks(vault).filter(({ path }) => !names.has(path) && exists(`${directory}/${path}`));
  try {
    if (kept.length > 0) replaceFile(`${directory}/${NAMES.sums}`, formatSums(kept), true);
    else rmSync(`${directory}/${NAMES.sums}`, { force: true });
    forgetPacks(vault.root, new Set(dead.map((name) => `${NAMES.packs}/${name}`)));
    for (const name of dead) rmSync(`${directory}/${name}`, { force: true });
    syncDirectory(directory);
  } catch (error) {
    throw writeFailure(error, directory);
  }
}

const NOTHING: Compaction = { objects: 0, keyframes: 0, written: 0, dead: [], deadBytes: 0 };

/** No listing need be read where no save goes and nothing was gathered before. */
function nothingToDo(vault: Vault, doomed: readonly SnapshotRef[]): boolean {
  return doomed.every(({ kind }) => kind !== 'save') && !exists(`${vault.root}/${NAMES.packs}`);
}

/** The index is a cache and may be wrong: that something is nowhere, only the packs themselves can say. */
async function tryAnew(attempt: (anew: boolean) => Promise<Compaction>): Promise<Compaction> {
  try {
    return await attempt(false);
  } catch (error) {
    if (error instanceof CoraError && error.code === 'damaged') return attempt(true);
    throw error;
  }
}

function planned(vault: Vault, { places, loose, dead }: Survey): Compaction {
  return {
    objects: places.gather.length,
    keyframes: loose.filter(({ name }) => name.endsWith(NAMES.keyframe)).length,
    written: places.bytes + loose.reduce((sum, { size }) => sum + size, 0),
    dead,
    deadBytes: dead.reduce((sum, name) => sum + (statSync(`${vault.root}/${NAMES.packs}/${name}`, { throwIfNoEntry: false })?.size ?? 0), 0),
  };
}

type Made = { readonly name: string; readonly path: string; readonly size: number; readonly sha256: string; readonly records?: Buffer };

async function gather(vault: Vault, survey: Survey, ctx: Context): Promise<Compaction> {
  const plan = planned(vault, survey);
  const free = freeBytes(vault.root);
  if (free < plan.written + (1 << 20)) {
    throw new CoraError('no_space', `The vault's disk has ${free} bytes left; to clean up, about ${plan.written} are needed for a while`, {
      hint: 'free space on it (df -h), then run the command again',
    });
  }
  ctx.monitor.phase('store');
  const packs = `${vault.root}/${NAMES.packs}`;
  const stage = openStage(vault);
  try {
    const made = [...copyObjects(survey, stage.path, ctx), ...survey.loose.map((file) => copyFile(vault, file, stage.path))];
    makeDirectories(vault.root, packs);
    for (const { path, name } of made) renameSync(path, `${packs}/${name}`);
    syncDirectory(packs);
    const names = new Set(made.map(({ name }) => name));
    const sums: Sum[] = survey.listed.filter(({ path }) => !names.has(path));
    sums.push(...made.map(({ name, sha256 }) => ({ path: bytes(name), sha256 })));
    // The commit: from here on the new packs belong to the vault. What it had before is still there, too.
    replaceFile(`${packs}/${NAMES.sums}`, formatSums(sums), true);
    for (const { name, records } of made) if (records !== undefined) appendSegment(vault.root, `${NAMES.packs}/${name}`, records);
    return {
      ...planned(vault, { ...survey, dead: survey.dead.filter((name) => !names.has(name)) }),
      written: made.reduce((sum, { size }) => sum + size, 0),
    };
  } catch (error) {
    throw errnoOf(error) === undefined ? error : writeFailure(error, packs);
  } finally {
    stage.release();
  }
}

function copyObjects({ index, places }: Survey, stage: string, ctx: Context): Made[] {
  let told = 0;
  const made = gatherObjects(index, places.gather, stage, (done) => {
    if (done - told < 1 << 20) return;
    told = done;
    stopIfAborted(ctx);
    ctx.monitor.progress({ phase: 'store', files: 0, totalFiles: 0, bytes: done, totalBytes: 0 });
  });
  return made.map(({ path, size, sha256, records }) => ({ name: `${sha256}.tar.zst`, path, size, sha256, records }));
}

function copyFile(vault: Vault, { name, from, size, sha256 }: LooseFile, stage: string): Made {
  const content = readFileSync(`${vault.root}/${from}`);
  const found = createHash('sha256').update(content).digest('hex');
  if (sha256 !== undefined && found !== sha256)
    throw new CoraError('damaged', `${from} is not what was written: nothing is removed`, { hint: 'cora verify --all', details: { path: from } });
  const path = `${stage}/${name}`;
  writeNewFile(path, content);
  if (hashCold({ kind: 'hash-cold', path: fromText(path) }).sha256 !== found) {
    throw new CoraError('validation_failed', `The disk does not hold what was written to ${path}`, {
      hint: "check the vault's disk (smartctl, dmesg), then run the command again",
    });
  }
  return { name, path, size, sha256: found };
}
