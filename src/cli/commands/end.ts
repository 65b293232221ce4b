// `cora end`.

import { endSession } from '../../actions/end.ts';
import { pruneAfterBackup } from '../../actions/prune-auto.ts';
import { type ArtefactOptions, artefactChoice } from '../artefact-flags.ts';
import { exitCodeOf, type Outcome, type Session } from '../command.ts';
import { damagedBy, endDocument, endLines } from '../render-end.ts';
import { prunedDocument, prunedLines } from '../render-retention.ts';
import { shipAfterBackup } from '../ship-after.ts';

type Options = { readonly message?: string; readonly trigger?: string; readonly backup?: boolean; readonly noShip?: boolean } & ArtefactOptions;

export async function run({ options }: { readonly options: Options }, session: Session): Promise<Outcome> {
  const { project, location } = await session.open();
  const trigger = options.trigger ?? 'manual';
  // A person who ends a session looks for that point later; an assistant's hook ends one many times a day.
  const note = options.message ?? (trigger === 'manual' ? 'end of session' : undefined);
  const artefacts = artefactChoice(options, session.machine);
  const result = await endSession(project, location, { backup: options.backup === true, note, trigger, artefacts }, session.ctx);
  const pruned = result.backup?.outcome === 'made' ? await pruneAfterBackup(project, location, false, session.ctx) : undefined;
  for (const problem of pruned?.problems ?? []) session.ctx.monitor.problem(problem);
  const ships = options.noShip !== true && project.config.offsite.afterBackup;
  const shipped = !ships ? undefined : await shipAfterBackup(project, location, session);
  const document = { ...endDocument(result), pruned: prunedDocument(pruned?.result), shipped: shipped?.document ?? null };
  const lines = [...endLines(result), ...prunedLines(pruned?.result), ...(shipped?.lines ?? [])];
  const problems = [...result.save.problems, ...(result.backup?.problems ?? []), ...(pruned?.problems ?? []), ...(shipped?.problems ?? [])];
  if (damagedBy(result) > 0) {
    const failure = {
      code: 'damaged',
      message: 'The session is saved, but what was read back is damaged',
      hint: 'the lines above name it',
      details: document,
    } as const;
    return { result: document, lines, problems, failure };
  }
  return {
    result: document,
    lines,
    summary: true,
    exitCode: shipped?.exitCode ?? exitCodeOf(problems, result.save.report, result.backup?.report),
    problems,
  };
}
