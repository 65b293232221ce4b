// `cora rotate`: a memory file or log that outgrew its limit is cut to its newest part. The whole file is
// in the vault, read back and compared, before a byte of it changes; a line at the top says where it is.

import { accessSync, constants, lstatSync } from 'node:fs';
import { type Bytes, dirnameBytes, fromText, joinBytes, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError, messageOf } from '../base/errors.ts';
import { pathFields } from '../base/path-fields.ts';
import { readFlags } from '../os/chattr.ts';
import { findWriters } from '../os/holders.ts';
import { onPath } from '../os/long-path.ts';
import { compilePatterns } from '../source/patterns.ts';
import { liftAppendOnly, setAgain } from '../vault/append-only.ts';
import { resolveSnapshot } from '../vault/catalog.ts';
import { appendLine, readHead } from '../vault/chain.ts';
import type { VaultLocation } from '../vault/locate.ts';
import { openStage, type Vault } from '../vault/vault.ts';
import { scanProject } from './capture.ts';
import { encodePath } from './loss-ledger.ts';
import { openForWriting, type ProjectFacts } from './open-project.ts';
import { applyRestore } from './restore.ts';
import { planRestore } from './restore-plan.ts';
import { stayingWriters } from './rotate-drain.ts';
import { findCut, hashOf, type Measured, measure, NEWLINE, readRange, sizeOf } from './rotate-measure.ts';
import { POINTER_MAX, pointerLength, pointerLine } from './rotate-pointer.ts';
import { refuseUnfinished, reportSwap, swapFile } from './rotate-swap.ts';
import { saveInto } from './save.ts';
import { hasSqliteHeader } from './sqlite-probe.ts';

export type RotateOptions = {
  /** Relative to the project; undefined for every file of `rotate.patterns`. */
  readonly path: Bytes | undefined;
  readonly maxSize: number | undefined;
  readonly maxLines: number | undefined;
  readonly dryRun: boolean;
};

export type RotatedFile = {
  readonly path: Bytes;
  /** `refused`: its problem says why; only where no file was named. */
  readonly action: 'rotated' | 'within' | 'would_rotate' | 'refused';
  readonly size: number;
  readonly lines: number;
  readonly removedLines: number;
  readonly removedBytes: number;
  /** The save that holds the whole file. */
  readonly id: string | undefined;
  /** Bytes that came in while it was replaced, and were kept. */
  readonly drained: number;
  /** False where a program still has the old file open, or rewrote it: its problem says so. */
  readonly complete: boolean;
};

const NOT_AGAIN = 'It was append-only, and the flag could not be set again; cora protect as root does';

/**
 * @throws CoraError refused (a link, a database, one line alone, a program that keeps it open), validation_failed where the
 * vault does not give back what the file holds; in each case the file is as it was. Without a path such a file is a problem
 * where others are rotated
 */
export async function rotate(project: ProjectFacts, location: VaultLocation, options: RotateOptions, ctx: Context): Promise<readonly RotatedFile[]> {
  if (options.dryRun) return await eachFile(project, options, ctx, async (path) => planOne(project, path, options).facts);
  const { vault, release } = openForWriting(project, location, ctx);
  try {
    return await eachFile(project, options, ctx, (path) => rotateOne(vault, project, location, path, options, ctx));
  } finally {
    release();
  }
}

async function eachFile(
  project: ProjectFacts,
  { path: named }: RotateOptions,
  ctx: Context,
  take: (path: Bytes) => Promise<RotatedFile>,
): Promise<readonly RotatedFile[]> {
  if (named !== undefined) return [await take(named)];
  const results: RotatedFile[] = [];
  const refusals: { readonly path: Bytes; readonly error: CoraError }[] = [];
  for (const path of matching(project, ctx)) {
    try {
      results.push(await take(path));
    } catch (error) {
      if (!(error instanceof CoraError) || error.code !== 'refused') throw error;
      refusals.push({ path, error });
      const size = onPath(joinBytes(project.root, path), (file) => lstatSync(file, { throwIfNoEntry: false }))?.size ?? 0;
      results.push({ ...untouched(path, { size, lines: 0 }), action: 'refused', complete: false });
    }
  }
  // Where nothing was done the run itself is refused.
  const [first] = refusals;
  const isDone = results.some(({ action }) => action === 'rotated' || action === 'would_rotate');
  if (first !== undefined && !isDone) {
    if (refusals.length === 1) throw first.error;
    const { code, message, hint } = first.error;
    throw new CoraError(code, [message, ...refusals.slice(1).map(({ error }) => error.message)].join('; '), hint === undefined ? {} : { hint });
  }
  for (const { path, error } of refusals)
    ctx.monitor.problem({ code: 'rotating', ...pathFields(path), message: messageOf(error), severity: 'error' });
  return results;
}

function matching({ root, config }: ProjectFacts, ctx: Context): Bytes[] {
  const isWanted = compilePatterns(config.rotate.patterns);
  const { scan } = scanProject(root, config, undefined, -1, ctx);
  return scan.paths.filter(
    (path) => isWanted(path, false) && onPath(joinBytes(root, path), (file) => lstatSync(file, { throwIfNoEntry: false }))?.isFile() === true,
  );
}

function untouched(path: Bytes, { size, lines }: Measured): RotatedFile {
  return { path, action: 'within', size, lines, removedLines: 0, removedBytes: 0, id: undefined, drained: 0, complete: true };
}

/** What is to be done with a file, by looking alone. */
function planOne(project: ProjectFacts, path: Bytes, options: RotateOptions): { readonly facts: RotatedFile; readonly cut: Measured } {
  const live = joinBytes(project.root, path);
  refuseUnfit(live, path);
  const maxSize = options.maxSize ?? project.config.rotate.maxSize;
  const maxLines = options.maxLines ?? project.config.rotate.maxLines;
  const measured = measure(live);
  const facts = untouched(path, measured);
  // The pointer of the last time counts for nothing: else a small limit would never be met.
  const pointer = pointerLength(readRange(live, 0, POINTER_MAX));
  const own = { size: measured.size - pointer, lines: measured.lines - (pointer > 0 ? 1 : 0) };
  if (own.size <= maxSize && own.lines <= maxLines) return { facts, cut: { size: 0, lines: 0 } };
  const cut = findCut(live, measured, maxSize / 2, Math.floor(maxLines / 2));
  if (cut.size <= pointer) {
    throw new CoraError('refused', `${toText(path)} is one line of ${own.size} bytes, which cannot be cut at a line`, {
      hint: 'cora save keeps it whole',
    });
  }
  return { facts: { ...facts, action: 'would_rotate', removedLines: cut.lines, removedBytes: cut.size }, cut };
}

async function rotateOne(
  vault: Vault,
  project: ProjectFacts,
  location: VaultLocation,
  path: Bytes,
  options: RotateOptions,
  ctx: Context,
): Promise<RotatedFile> {
  const live = joinBytes(project.root, path);
  const { facts, cut } = planOne(project, path, options);
  if (facts.action === 'within') return facts;
  refuseUnfinished(vault, live);
  refuseHeld(live, path, ctx);
  const time = new Date(ctx.now()).toISOString();
  const label = `rotated-${time.slice(0, 10)}`;
  const note = `${toText(path)} whole, before cora rotate`;
  const { result } = await saveInto(vault, project, { trigger: 'rotate', label, note }, { check: 'quick_check', rereadSlice: -1 }, ctx);
  const stage = openStage(vault);
  try {
    const kept = await readBack(vault, project, location, path, result.id, stage.path, ctx);
    const pointer = pointerLine({ path, time, lines: cut.lines, size: cut.size, id: result.id });
    // The ledger knows of the cut before it is made: a save after a crash must not call it a loss.
    appendLine(vault.root, readHead(vault.root), { kind: 'rotate', id: result.id, time, sums: '-', extra: encodePath(path) });
    liftAppendOnly(vault, project.root, [path]);
    try {
      if (readFlags([live])[0]?.append === true) refuse(path, 'it is append-only, and the flag cannot be lifted here');
      const swapped = swapFile(vault, project.root, path, cut.size, pointer, (fresh, end) =>
        prove({ kept, fresh, old: live, cut: cut.size, pointer: Buffer.byteLength(pointer), end, path }),
      );
      reportSwap(path, swapped.holders, swapped.rewritten, ctx.monitor);
      const complete = swapped.holders.length === 0 && swapped.rewritten === undefined;
      return { ...facts, action: 'rotated', id: result.id, drained: swapped.drained, complete };
    } finally {
      for (const left of setAgain(vault, project.root)) {
        ctx.monitor.problem({ code: 'rotating', ...pathFields(left), message: NOT_AGAIN, severity: 'warning' });
      }
    }
  } finally {
    stage.release();
  }
}

function refuse(path: Bytes, why: string, hint = 'cora rotate FILE takes a text file that programs append to'): never {
  throw new CoraError('refused', `${toText(path)} is not rotated: ${why}`, { hint });
}

function refuseUnfit(live: Bytes, path: Bytes): void {
  const stat = onPath(live, (file) => lstatSync(file, { throwIfNoEntry: false }));
  if (stat === undefined) throw new CoraError('not_found', `${toText(path)} is not there`, { hint: 'name a file of the project' });
  if (stat.isSymbolicLink()) refuse(path, 'it is a symbolic link; name the file it points to');
  if (!stat.isFile()) refuse(path, 'it is no regular file');
  if (stat.nlink > 1) refuse(path, 'it has other names (hard links), which would keep the old content');
  if (hasSqliteHeader(live)) refuse(path, 'it is a database');
  const user = process.geteuid?.() ?? 0;
  // A new file takes its place, which would be this user's.
  if (user !== 0 && stat.uid !== user) refuse(path, 'it belongs to another user', 'run it as that user or as root');
  const flags = readFlags([live])[0];
  if (flags?.immutable === true) refuse(path, 'it is immutable', 'chattr -i FILE, if it may change');
  if (flags?.append === true && user !== 0) refuse(path, 'it is append-only, and only root can lift that', 'run it as root');
  try {
    onPath(dirnameBytes(live), (directory) => accessSync(directory, constants.W_OK | constants.X_OK));
  } catch {
    refuse(path, 'its directory cannot be written', 'make it writable, or run it as root');
  }
}

function refuseHeld(live: Bytes, path: Bytes, ctx: Context): void {
  const stat = onPath(live, (file) => lstatSync(file));
  const [holder] = stayingWriters(stat);
  if (holder !== undefined) {
    throw new CoraError('refused', `${toText(path)} is kept open for writing by ${holder.program} (process ${holder.pid})`, {
      hint: 'end that program, or let it open the file for each line; nothing was changed',
    });
  }
  const { unseen } = findWriters(stat);
  if (unseen === 0) return;
  const message = "Other users' programs cannot be seen: one that keeps it open would go on writing to a file without a name. root sees them all";
  ctx.monitor.problem({ code: 'unseen_writers', ...pathFields(path), message, severity: 'warning' });
}

/** The file as the vault gives it back, restored from the new save. */
async function readBack(
  vault: Vault,
  project: ProjectFacts,
  location: VaultLocation,
  path: Bytes,
  id: string,
  stage: string,
  ctx: Context,
): Promise<Bytes> {
  const save = resolveSnapshot(vault, id, ctx.now(), { kind: 'save' });
  const to = joinBytes(fromText(stage), 'back');
  const plan = await planRestore(project, location, { target: fromText(save.id), paths: [path], to, critical: false, overwrite: undefined }, ctx);
  await applyRestore(plan, ctx);
  return joinBytes(to, path);
}

type Proof = {
  readonly kept: Bytes;
  readonly fresh: Bytes;
  readonly old: Bytes;
  readonly cut: number;
  readonly pointer: number;
  /** Where the new file's part of the old one ends. */
  readonly end: number;
  readonly path: Bytes;
};

/** What was cut, as the vault has it, and what stays, as the new file has it, are together the old file, byte for byte. */
function prove({ kept, fresh, old, cut, pointer, end, path }: Proof): string {
  const whole = hashOf([{ file: old, start: 0, end }]);
  const size = pointer + end - cut;
  const parts = hashOf([
    { file: kept, start: 0, end: cut },
    { file: fresh, start: pointer, end: size },
  ]);
  // A file that was edited since it was measured may have its lines elsewhere.
  const isAtLine = readRange(kept, cut - 1, cut)[0] === NEWLINE;
  if (whole === parts && isAtLine && sizeOf(fresh) === size) return whole;
  throw new CoraError('validation_failed', `The cut part and the rest of ${toText(path)} are not together what it holds; it is left as it was`, {
    hint: 'if a program changed it just now, run it again; else cora verify latest --deep',
  });
}
