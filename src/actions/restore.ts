// Applies a restore plan into another directory (`--to`). What stands in the project itself is replaced by
// restore-in-place.ts alone. What is not in the snapshot is never touched.

import { type Bytes, joinBytes, toText } from '../base/bytes.ts';
import type { Context, Problem } from '../base/context.ts';
import { errnoOf, writeFailure } from '../base/errors.ts';
import { lockForReading } from '../vault/vault.ts';
import { removeLeftovers } from './restore-leftovers.ts';
import type { RestorePlan } from './restore-plan.ts';
import { refusedProblems, writeEntries } from './restore-write.ts';

export type RestoreResult = {
  readonly id: string;
  readonly directory: Bytes;
  readonly files: number;
  readonly bytes: number;
  readonly databases: number;
  readonly kept: number;
  readonly seconds: number;
  /** Paths whose stored content is damaged; they were not written. */
  readonly damaged: number;
  readonly problems: readonly Problem[];
};

/**
 * Does what a plan with a directory of its own says.
 * @throws CoraError no_space, read_only, io, damaged (before anything is written), interrupted
 */
export async function applyRestore(plan: RestorePlan, ctx: Context): Promise<RestoreResult> {
  const begun = performance.now();
  const lock = lockForReading(plan.work.vault);
  try {
    const refused = refusedProblems(plan, ctx);
    const { directory } = plan;
    // What an attempt that was killed left where this one writes.
    for (const { type, path } of plan.work.entries) if (type === 'd') removeLeftovers(joinBytes(directory, path));
    const written = await writeEntries(
      plan,
      { directory, entries: plan.work.entries, finish: true, linksFrom: directory, journalModes: () => true },
      ctx,
    );
    return {
      id: plan.id,
      directory,
      files: written.files,
      bytes: plan.bytes,
      databases: written.databases,
      kept: plan.keep,
      damaged: written.damaged,
      problems: [...refused, ...written.problems],
      seconds: (performance.now() - begun) / 1000,
    };
  } catch (error) {
    throw errnoOf(error) === undefined ? error : writeFailure(error, toText(plan.directory));
  } finally {
    lock?.release();
  }
}
