// `cora rotate`: a memory file or log that outgrew its limit is cut to its newest part. The whole file is
// in the vault, read back and compared, before a byte of it changes; a line at the top says where it is.

import { createHash, type Hash } from 'node:crypto';
import { closeSync, fstatSync, lstatSync, openSync, readSync } from 'node:fs';
import { type Bytes, basenameBytes, bytes, fromText, joinBytes, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
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
import { stayingWriters, swapFile } from './rotate-swap.ts';
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
  readonly action: 'rotated' | 'within' | 'would_rotate';
  readonly size: number;
  readonly lines: number;
  readonly removedLines: number;
  readonly removedBytes: number;
  /** The save that holds the whole file. */
  readonly id: string | undefined;
  /** Bytes that came in while it was replaced, and were kept. */
  readonly drained: number;
};

const CHUNK = 1 << 20;
const NEWLINE = 10;

/**
 * @throws CoraError refused (a link, a database, one line alone, a program that keeps it open), validation_failed where the
 * vault does not give back what the file holds; in each case the file is as it was
 */
export async function rotate(project: ProjectFacts, location: VaultLocation, options: RotateOptions, ctx: Context): Promise<readonly RotatedFile[]> {
  const { vault, release } = openForWriting(project, location, ctx);
  try {
    const paths = options.path === undefined ? matching(project, ctx) : [options.path];
    const results: RotatedFile[] = [];
    for (const path of paths) results.push(await rotateOne(vault, project, location, path, options, ctx));
    return results;
  } finally {
    release();
  }
}

function matching({ root, config }: ProjectFacts, ctx: Context): Bytes[] {
  const isWanted = compilePatterns(config.rotate.patterns);
  const { scan } = scanProject(root, config, undefined, -1, ctx);
  return scan.paths.filter((path) => isWanted(path, false) && onPath(joinBytes(root, path), (file) => lstatSync(file)).isFile());
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
  refuseUnfit(live, path);
  const maxSize = options.maxSize ?? project.config.rotate.maxSize;
  const maxLines = options.maxLines ?? project.config.rotate.maxLines;
  const measured = measure(live);
  const facts = { path, size: measured.size, lines: measured.lines, removedLines: 0, removedBytes: 0, id: undefined, drained: 0 };
  if (measured.size <= maxSize && measured.lines <= maxLines) return { ...facts, action: 'within' };
  const cut = findCut(live, measured, maxSize / 2, Math.floor(maxLines / 2));
  if (cut.offset === 0) {
    throw new CoraError('refused', `${toText(path)} is one line of ${measured.size} bytes, which cannot be cut at a line`, {
      hint: 'cora save keeps it whole',
    });
  }
  if (options.dryRun) return { ...facts, action: 'would_rotate', removedLines: cut.lines, removedBytes: cut.offset };
  const [holder] = stayingWriters(live);
  if (holder !== undefined) {
    throw new CoraError('refused', `${toText(path)} is kept open for writing by ${holder.program} (process ${holder.pid})`, {
      hint: 'end that program, or let it open the file for each line; nothing was changed',
    });
  }
  const time = new Date(ctx.now()).toISOString();
  const label = `rotated-${time.slice(0, 10)}`;
  const note = `${toText(path)} whole, before cora rotate`;
  const { result } = await saveInto(vault, project, { trigger: 'rotate', label, note }, { check: 'quick_check', rereadSlice: -1 }, ctx);
  const stage = openStage(vault);
  try {
    const kept = await readBack(vault, project, location, path, result.id, stage.path, ctx);
    const pointer = pointerLine(path, time, cut.lines, cut.offset, result.id);
    // The ledger knows of the cut before it is made: a save after a crash must not call it a loss.
    appendLine(vault.root, readHead(vault.root), { kind: 'rotate', id: result.id, time, sums: '-', extra: encodePath(path) });
    liftAppendOnly(vault, project.root, [path]);
    try {
      const swapped = swapFile(vault, project.root, path, cut.offset, pointer, (fresh, old, copied) =>
        prove({ kept, fresh, old, cut: cut.offset, pointer: Buffer.byteLength(pointer), copied, path }),
      );
      return { ...facts, action: 'rotated', removedLines: cut.lines, removedBytes: cut.offset, id: result.id, drained: swapped.drained };
    } finally {
      setAgain(vault, project.root);
    }
  } finally {
    stage.release();
  }
}

function refuseUnfit(live: Bytes, path: Bytes): void {
  const stat = onPath(live, (file) => lstatSync(file, { throwIfNoEntry: false }));
  const refuse = (why: string): never => {
    throw new CoraError('refused', `${toText(path)} is not rotated: ${why}`, { hint: 'cora rotate FILE takes a text file that programs append to' });
  };
  if (stat === undefined) throw new CoraError('not_found', `${toText(path)} is not there`, { hint: 'name a file of the project' });
  if (stat.isSymbolicLink()) refuse('it is a symbolic link; name the file it points to');
  if (!stat.isFile()) refuse('it is no regular file');
  if (stat.nlink > 1) refuse('it has other names (hard links), which would keep the old content');
  if (hasSqliteHeader(live)) refuse('it is a database');
}

type Measured = { readonly size: number; readonly lines: number };

/** Bytes and newlines of the file as it is now. */
function measure(file: Bytes): Measured {
  let lines = 0;
  let size = 0;
  eachChunk(file, 0, Number.POSITIVE_INFINITY, (chunk) => {
    size += chunk.length;
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, at + 1)) lines += 1;
    return true;
  });
  return { size, lines };
}

/** The first line start from which on at most so many bytes and lines are left; the last line stays in any case. */
function findCut(file: Bytes, { size, lines }: Measured, keepBytes: number, keepLines: number): { readonly offset: number; readonly lines: number } {
  let passed = 0;
  let cut = { offset: 0, lines: 0 };
  let base = 0;
  eachChunk(file, 0, size, (chunk) => {
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, at + 1)) {
      const offset = base + at + 1;
      const enough = size - cut.offset <= keepBytes && lines - cut.lines <= keepLines;
      if (offset >= size || (cut.offset > 0 && enough)) return false;
      passed += 1;
      cut = { offset, lines: passed };
    }
    base += chunk.length;
    return true;
  });
  return cut;
}

/** @param take gives false where it has seen enough */
function eachChunk(file: Bytes, start: number, end: number, take: (chunk: Buffer) => boolean): void {
  const fd = onPath(file, (path) => openSync(path, 'r'));
  try {
    const buffer = Buffer.allocUnsafe(CHUNK);
    for (let at = start; at < end; ) {
      const count = readSync(fd, buffer, 0, Math.min(CHUNK, end - at), at);
      if (count === 0 || !take(buffer.subarray(0, count))) return;
      at += count;
    }
  } finally {
    closeSync(fd);
  }
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
  readonly copied: number;
  readonly path: Bytes;
};

/** What was cut, as the vault has it, and what stays, as the new file has it, are together the old file, byte for byte. */
function prove({ kept, fresh, old, cut, pointer, copied, path }: Proof): void {
  const whole = hashOf([{ file: old, start: 0, end: cut + copied }]);
  const parts = hashOf([
    { file: kept, start: 0, end: cut },
    { file: fresh, start: pointer, end: pointer + copied },
  ]);
  if (whole === parts && sizeOf(fresh) === pointer + copied) return;
  throw new CoraError('validation_failed', `The cut part and the rest of ${toText(path)} are not together what it holds; it is left as it was`, {
    hint: 'cora verify latest --deep, then run it again',
  });
}

function hashOf(ranges: readonly { readonly file: Bytes; readonly start: number; readonly end: number }[]): string {
  const digest: Hash = createHash('sha256');
  for (const { file, start, end } of ranges) {
    eachChunk(file, start, end, (chunk) => {
      digest.update(chunk);
      return true;
    });
  }
  return digest.digest('hex');
}

function sizeOf(file: Bytes): number {
  const fd = onPath(file, (path) => openSync(path, 'r'));
  try {
    return fstatSync(fd).size;
  } finally {
    closeSync(fd);
  }
}

/** One line, a comment where the kind of file has such. Its own id leads to the line before it, and so on back. */
function pointerLine(path: Bytes, time: string, lines: number, size: number, id: string): string {
  const quoted = /^[A-Za-z0-9_./-]+$/.test(path) ? toText(path) : `'${toText(path).replaceAll("'", "'\\''").replaceAll('\n', '?')}'`;
  const text = `cora rotate, ${time}: ${lines} older lines (${size} bytes) are in the vault: cora restore ${id} --to DIR -- ${quoted}`;
  return /\.(?:md|markdown|html)$/i.test(toText(bytes(basenameBytes(path)))) ? `<!-- ${text} -->\n` : `# ${text}\n`;
}
