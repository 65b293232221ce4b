// `cora db restore`: a verified copy in the place of a database, without a project and without a vault. What was there is
// kept beside it. Invariant: the target is touched only when the copy is verified and the old content lies in a file of its own.

import { chmodSync, chownSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Bytes, dirnameBytes, fromText, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError, type ErrorCode } from '../base/errors.ts';
import { databaseFailure, holdersText } from '../os/database-errors.ts';
import { databaseFiles, databaseHeader, findDatabaseHolders } from '../os/database-files.ts';
import { putBack, type Replaced, replaceDatabase } from '../os/database-replace.ts';
import { freeBytes, syncFile, tryRemove } from '../os/files.ts';
import type { Holder } from '../os/holders.ts';
import { onPath } from '../os/long-path.ts';
import { setJournalMode } from '../os/sqlite.ts';
import { inspect } from '../os/sqlite-open.ts';
import { type IntoResult, restoreInto } from '../os/sqlite-restore.ts';
import { type CopyFacts, copyDatabase } from './db-copy.ts';
import { type DbRestorePlan, type DbRestoreWay, keptName, verificationFailed } from './db-restore-plan.ts';
import { openStage, publish, type Stage, targetExists, warnWhenSlow } from './db-stage.ts';
import { stopIfAborted } from './settle.ts';

export type DbRestoreResult = {
  readonly copy: Bytes;
  readonly target: Bytes;
  readonly way: DbRestoreWay;
  readonly kept: Bytes | undefined;
  readonly rows: number;
  readonly tables: Readonly<Record<string, number>>;
  readonly userVersion: number;
  readonly schemaVersion: number;
  readonly journalMode: string;
  readonly size: number;
  readonly check: string;
  readonly holders: readonly Holder[];
  /** Tables that a running program has changed since. */
  readonly moved: IntoResult['moved'];
  readonly seconds: number;
};

const SLOW_MS = 600_000;
const SLOW = 'The restore has taken over 10 minutes: it goes on; nothing is lost if it is stopped. A slow disk is the usual reason';

/**
 * Does what the plan says. On a failure the target holds what it held before, and the message says so where it is in doubt.
 * @throws CoraError target_exists, damaged (the copy), db_locked, no_space, db_table_missing, validation_failed, interrupted
 */
export async function applyDatabaseRestore(plan: DbRestorePlan, ctx: Context): Promise<DbRestoreResult> {
  const begun = performance.now();
  const { copy, target, slowAfter } = plan.options;
  if (plan.needsForce) throw targetExists(target, `with --force it is replaced, and what is there now is kept as ${toText(plan.keep ?? target)}`);
  const done = warnWhenSlow(ctx, slowAfter ?? SLOW_MS, SLOW);
  try {
    ctx.monitor.phase('restore');
    checkSpace(plan);
    const stage = openStage(dirnameBytes(plan.real), ctx.now());
    try {
      const staged = `${stage.path}/copy`;
      const facts = await copyDatabase({ source: copy, target: staged, verify: true, timeout: plan.options.timeout }, ctx).catch((error: unknown) => {
        throw verificationFailed(error);
      });
      const into = plan.way === 'into' ? await restoreLive(plan, stage, staged, ctx) : undefined;
      const placed = into ?? (await replace(plan, staged, facts, ctx));
      return {
        copy,
        target,
        kept: plan.keep,
        rows: facts.rows,
        tables: facts.tables,
        userVersion: facts.userVersion,
        schemaVersion: facts.schemaVersion,
        size: facts.size,
        check: facts.check ?? 'ok',
        ...placed,
        seconds: (performance.now() - begun) / 1000,
      };
    } finally {
      stage.close();
    }
  } catch (error) {
    throw databaseFailure(error, toText(target), 'restored');
  } finally {
    done();
  }
}

/** Failures of `restoreInto` after which the target is as it was: then nothing needs to be kept. */
const UNTOUCHED: ReadonlySet<ErrorCode> = new Set(['db_locked', 'no_space', 'refused', 'interrupted', 'read_only', 'db_open_failed'] as const);

type Placed = Pick<DbRestoreResult, 'way' | 'journalMode' | 'holders' | 'moved'>;

/** While programs have it open. Undefined where the target is no sound database and nobody has it open: then it is replaced. */
async function restoreLive(plan: DbRestorePlan, stage: Stage, staged: string, ctx: Context): Promise<Placed | undefined> {
  const { real, options, keep } = plan;
  const before = `${stage.path}/before`;
  try {
    await copyDatabase({ source: real, target: before, verify: true, timeout: options.timeout }, ctx);
  } catch (error) {
    const code = error instanceof CoraError ? error.code : '';
    const unsound = code === 'db_open_failed' || code === 'db_integrity_check_failed';
    if (unsound && plan.holders.length === 0) return undefined;
    if (!unsound) throw error;
    throw new CoraError('refused', `${toText(real)} is damaged, and a program has it open: nothing was changed`, {
      hint: 'stop the program, then run the command again',
      details: { holders: plan.holders },
      cause: error,
    });
  }
  likeOriginal(before, real);
  if (keep !== undefined) publish(before, keep, dirnameBytes(keep));
  stopIfAborted(ctx);
  const from = fromText(staged);
  const watched = { timeout: options.timeout, signal: ctx.signal, onPages: (pages: number, total: number) => report(ctx, pages, total) };
  try {
    const { journalMode, holders, moved, check } = await restoreInto(from, real, watched).then((result) => ({ ...result, check: result.unchecked }));
    if (check !== undefined)
      ctx.monitor.problem({ code: 'db_unchecked', message: `Only their own program can check: ${check}`, severity: 'warning' });
    return { way: 'into', journalMode, holders, moved };
  } catch (error) {
    const failure = databaseFailure(error, toText(real), 'restored');
    if (keep !== undefined && UNTOUCHED.has(failure.code)) onPath(keep, tryRemove);
    if (UNTOUCHED.has(failure.code)) throw failure;
    const kept = keep === undefined ? '' : `; what was there before is in ${toText(keep)}`;
    throw new CoraError(failure.code, `${failure.message}${kept}`, {
      ...(failure.hint === undefined ? {} : { hint: failure.hint }),
      ...(failure.details === undefined ? {} : { details: failure.details }),
      cause: error,
    });
  }
}

function report(ctx: Context, pages: number, total: number): void {
  ctx.monitor.progress({ phase: 'restore', files: 0, totalFiles: 1, bytes: pages * 4096, totalBytes: total * 4096 });
}

/** The safety copy is read by whoever may read the database. */
function likeOriginal(copy: string, original: Bytes): void {
  const stat = onPath(original, (path) => statSync(path));
  if (process.getuid?.() === 0) chownSync(copy, stat.uid, stat.gid);
  chmodSync(copy, stat.mode & 0o777);
}

/** While nobody has it open: by rename, and back again where what is there then is not what the copy holds. */
async function replace(plan: DbRestorePlan, staged: string, facts: CopyFacts, ctx: Context): Promise<Placed> {
  const { real, options, keep } = plan;
  const mode = plan.way === 'new' ? 'delete' : modeOf(real);
  await setJournalMode(staged, mode);
  syncFile(staged);
  stopIfAborted(ctx);
  if (keep === undefined && databaseFiles(real).length > 0)
    throw targetExists(options.target, 'it was made meanwhile: look at it, then run the command again');
  const replaced = await replaceDatabase(fromText(staged), real, keep ?? keptName(real, ctx.now()));
  try {
    const { check } = await inspect(real, `${dirname(staged)}/link`, options.timeout, 'integrity_check');
    if (check.result !== 'ok')
      throw new CoraError('db_integrity_check_failed', `After the restore ${toText(real)} fails its check: ${check.result.slice(0, 200)}`);
    compareRows(facts.tables, check.tables, real);
  } catch (error) {
    throw undone(error, replaced, real);
  }
  const old = replaced.moved.some(({ to }) => to === keep) && keep !== undefined ? findDatabaseHolders(keep).holders : [];
  if (old.length > 0) {
    ctx.monitor.problem({
      code: 'db_opened_meanwhile',
      message: `${old.map(({ pid, program }) => `${program} (pid ${pid})`).join(', ')} opened the database while it was replaced, and still writes into the old one: restart it`,
      severity: 'error',
    });
  }
  return { way: plan.way === 'new' ? 'new' : 'replace', journalMode: mode, holders: old, moved: [] };
}

/** Byte 18 of the header is 2 in WAL mode. A target that cannot be read is as good as one in DELETE mode. */
function modeOf(real: Bytes): 'wal' | 'delete' {
  return databaseHeader(real)[18] === 2 ? 'wal' : 'delete';
}

function compareRows(expected: Readonly<Record<string, number>>, found: Readonly<Record<string, number>>, real: Bytes): void {
  for (const [table, count] of Object.entries(expected)) {
    const now = Object.hasOwn(found, table) ? found[table] : undefined;
    if (now === undefined) throw new CoraError('db_table_missing', `After the restore ${toText(real)} has no table ${table}`);
    if (now !== count)
      throw new CoraError('validation_failed', `After the restore ${toText(real)} has ${now} rows in ${table}, and the copy has ${count}`);
  }
}

function undone(error: unknown, replaced: Replaced, real: Bytes): CoraError {
  const failure = databaseFailure(error, toText(real), 'restored');
  const { holders } = findDatabaseHolders(real);
  if (holders.length > 0) {
    // A program was started meanwhile, and what it writes must not be taken from under it.
    return new CoraError(
      failure.code,
      `${failure.message}; ${holdersText(holders)}; what was there before is in ${toText(replaced.moved.at(-1)?.to ?? real)}`,
      {
        hint: 'stop the program, then run the command again',
        details: { holders },
        cause: error,
      },
    );
  }
  try {
    putBack(replaced, real);
  } catch (second) {
    return new CoraError(failure.code, `${failure.message}; what was there before is in ${toText(replaced.moved.at(-1)?.to ?? real)}`, {
      hint: 'move it back by hand',
      cause: second,
    });
  }
  return new CoraError(failure.code, `${failure.message}; what was there before is there again`, {
    hint: 'check the disk (dmesg, smartctl) and whether a program writes into it, then run the command again',
    cause: error,
  });
}

function checkSpace(plan: DbRestorePlan): void {
  const size = (path: Bytes) => onPath(path, (reachable) => statSync(reachable)).size;
  const copy = size(plan.options.copy);
  const needed = plan.way === 'into' ? 2 * copy + size(plan.real) : copy;
  const free = onPath(dirnameBytes(plan.real), (path) => freeBytes(path));
  if (free >= needed) return;
  throw new CoraError('no_space', `Restoring ${toText(plan.real)} needs ${needed} bytes beside it, and ${free} are free; nothing was changed`, {
    hint: 'free space (df -h), then run the command again',
    details: { needed, free },
  });
}
