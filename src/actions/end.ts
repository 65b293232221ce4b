// The end of a session: a save or a backup when one is due, then what was made is read back from the disk.
// Invariant: what was not read back is never said to be whole.

import type { Context } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import type { Report } from '../format/report.ts';
import type { VaultLocation } from '../vault/locate.ts';
import type { ArtefactChoice } from './artefact-dumps.ts';
import { type BackupResult, backup } from './backup.ts';
import type { ProjectFacts } from './open-project.ts';
import { type SaveResult, save } from './save.ts';
import { show } from './show.ts';
import { type VerifyResult, verify } from './verify.ts';

export type EndOptions = {
  /** Also a backup when one is due. */
  readonly backup: boolean;
  readonly note: string | undefined;
  readonly trigger: string;
  readonly artefacts: ArtefactChoice;
};

export type EndResult = {
  readonly save: SaveResult;
  /** Undefined where none was asked for. */
  readonly backup: BackupResult | undefined;
  /** Of what this session ends with: the new save, or the newest one that is as good. */
  readonly report: Report;
  /** Undefined where the time limit ended it. */
  readonly verified: VerifyResult | undefined;
  readonly seconds: number;
};

/** Nobody who goes home waits longer; `cora verify` has all the time. */
export const VERIFY_LIMIT_MS = 60_000;

/** @throws CoraError as `save`, `backup` and `verify` do */
export async function endSession(project: ProjectFacts, location: VaultLocation, options: EndOptions, ctx: Context): Promise<EndResult> {
  const begun = performance.now();
  const { trigger, artefacts, note } = options;
  const common = { trigger, artefacts, ...(note === undefined ? {} : { note }) };
  const made = options.backup ? await backup(project, location, { mode: 'auto', ...common }, ctx) : undefined;
  const saved = made?.save ?? (await save(project, location, common, ctx));
  const { forms } = await show(location, saved.id, ctx);
  const report = saved.report ?? forms.find((form) => form.report.kind !== 'backup')?.report ?? forms[0]?.report;
  if (report === undefined) throw new CoraError('metadata_missing', `The save ${saved.id} has no report`, { hint: 'cora verify' });
  const verified = await readBack(location, saved.id, ctx);
  return { save: saved, backup: made, report, verified, seconds: (performance.now() - begun) / 1000 };
}

async function readBack(location: VaultLocation, target: string, ctx: Context): Promise<VerifyResult | undefined> {
  const limit = AbortSignal.timeout(VERIFY_LIMIT_MS);
  try {
    return await verify(location, { target, deep: false }, { ...ctx, signal: AbortSignal.any([ctx.signal, limit]) });
  } catch (error) {
    if (!limit.aborted || ctx.signal.aborted) throw error;
    return undefined;
  }
}
