// Copies the databases of a capture one after the other, stores each copy, and takes the copy away
// again: the staging directory never holds more than one.

import { statSync } from 'node:fs';
import { type Bytes, fromText, joinBytes } from '../base/bytes.ts';
import type { Context, Problem } from '../base/context.ts';
import type { DatabaseReport } from '../format/report.ts';
import { type CaptureOptions, captureDatabase, removeCopy } from '../source/databases.ts';
import { stopIfAborted } from './settle.ts';

export type DatabaseRequest = {
  readonly databases: readonly { readonly row: number; readonly path: Bytes }[];
  readonly root: Bytes;
  readonly stage: string;
  readonly check: 'quick_check' | 'integrity_check';
  readonly timeout: number;
  readonly checkCopy: CaptureOptions['checkCopy'];
  /** Stores a staged file's content as the content of `row`. */
  readonly store: (row: number, copy: Bytes, size: number, raw: boolean) => Promise<void>;
  readonly report: (row: number, report: DatabaseReport) => void;
  readonly failed: (row: number) => void;
  readonly problem: (problem: Problem) => void;
};

/** @throws CoraError db_integrity_check_failed where the copy of a healthy source fails its check */
export async function captureDatabases(request: DatabaseRequest, ctx: Context): Promise<void> {
  ctx.monitor.phase('databases');
  let number = 0;
  for (const { row, path } of request.databases) {
    stopIfAborted(ctx);
    const target = `${request.stage}/database-${++number}-${row}`;
    await captureOne(row, path, target, request);
    // SQLite says nothing of a file beside the copy that it could not remove.
    removeCopy(target);
  }
}

/** A copy is stored while it is checked: what was stored counts only if the check says so, and otherwise is content that nothing names. */
async function captureOne(row: number, path: Bytes, target: string, request: DatabaseRequest): Promise<void> {
  const store = (raw: boolean): Promise<void> => request.store(row, fromText(target), statSync(target).size, raw);
  let storing: Promise<void> | undefined;
  try {
    const result = await captureDatabase(joinBytes(request.root, path), path, target, {
      timeout: request.timeout,
      check: request.check,
      checkCopy: request.checkCopy,
      onCopied: () => {
        storing = store(false);
        storing.catch(() => {});
      },
    });
    if (result.problem !== undefined) request.problem(result.problem);
    if (result.outcome === 'copied') await (storing ?? store(false));
    else await storing?.catch(() => {});
    if (result.outcome === 'raw') await store(true);
    if (result.outcome === 'failed') request.failed(row);
    else request.report(row, result.report);
  } finally {
    await storing?.catch(() => {});
  }
}
