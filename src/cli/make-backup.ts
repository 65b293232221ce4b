// What `cora backup now` and `cora backup auto` share.

import { isGood } from '../actions/report-state.ts';
import { type ArtefactOptions, artefactChoice } from './artefact-flags.ts';
import { exitCodeOf, type Outcome, type Session } from './command.ts';
import { backupLines } from './render.ts';
import { prunedDocument, prunedLines } from './render-retention.ts';
import { backupDocument } from './results.ts';

export type BackupCommandOptions = {
  readonly message?: string;
  readonly label?: string;
  readonly trigger?: string;
  readonly noShip?: boolean;
} & ArtefactOptions;

export async function makeBackup(mode: 'now' | 'auto', options: BackupCommandOptions, session: Session): Promise<Outcome> {
  const { project, location } = await session.open();
  const result = await session.engine.backup(
    project,
    location,
    {
      mode,
      trigger: options.trigger ?? 'manual',
      artefacts: artefactChoice(options, session.machine),
      ...(options.message === undefined ? {} : { note: options.message }),
      ...(options.label === undefined ? {} : { label: options.label }),
    },
    session.ctx,
  );
  const isDaily = options.trigger === 'timer' && result.report !== undefined && isGood(result.report);
  // A push with nothing to save does not pay for what only a new backup needs.
  const pruned =
    result.outcome === 'made'
      ? await (await import('../actions/prune-auto.ts')).pruneAfterBackup(project, location, isDaily, session.ctx)
      : undefined;
  for (const problem of pruned?.problems ?? []) session.ctx.monitor.problem(problem);
  const problems = [...(result.save?.problems ?? []), ...result.problems, ...(pruned?.problems ?? [])];
  // Hooks must not wait for a network, and the nightly run has a timer of its own for it.
  const ships = mode === 'now' && options.noShip !== true && options.trigger !== 'timer' && project.config.offsite.afterBackup;
  const shipped = ships ? await (await import('./ship-after.ts')).shipAfterBackup(project, location, session) : undefined;
  return {
    result: { ...backupDocument(result), pruned: prunedDocument(pruned?.result), shipped: shipped?.document ?? null },
    lines: [...backupLines(result), ...prunedLines(pruned?.result), ...(shipped?.lines ?? [])],
    summary: true,
    exitCode: shipped?.exitCode ?? exitCodeOf(problems, result.report, result.save?.report),
    problems: [...problems, ...(shipped?.problems ?? [])],
  };
}
