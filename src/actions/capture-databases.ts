// Copies the databases of a capture one after the other, stores each copy, and takes the copy away
// again: the staging directory never holds more than one.

import { rmSync, statSync } from 'node:fs';
import { type Bytes, fromText, joinBytes } from '../base/bytes.ts';
import type { Context, Problem } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import type { DatabaseReport } from '../format/report.ts';
import { captureDatabase } from '../source/databases.ts';

export type DatabaseRequest = {
  readonly databases: readonly { readonly row: number; readonly path: Bytes }[];
  readonly root: Bytes;
  readonly stage: string;
  readonly check: 'quick_check' | 'integrity_check';
  readonly timeout: number;
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
    if (ctx.signal.aborted) throw new CoraError('interrupted', 'Interrupted');
    const target = `${request.stage}/database-${++number}-${row}`;
    const result = await captureDatabase(joinBytes(request.root, path), path, target, { timeout: request.timeout, check: request.check });
    if (result.problem !== undefined) request.problem(result.problem);
    if (result.outcome === 'failed') {
      request.failed(row);
    } else {
      await request.store(row, fromText(target), statSync(target).size, result.outcome === 'raw');
      request.report(row, result.report);
    }
    rmSync(target, { force: true });
  }
}
