// `cora save`.

import { EXIT } from '../../base/errors.ts';
import { type ArtefactOptions, artefactChoice } from '../artefact-flags.ts';
import { exitCodeOf, type Outcome, type Session } from '../command.ts';
import { saveLines } from '../render.ts';
import { saveDocument } from '../results.ts';

type Options = { readonly message?: string; readonly label?: string; readonly ifOlder?: number; readonly trigger?: string } & ArtefactOptions;

export async function run({ options }: { readonly options: Options }, session: Session): Promise<Outcome> {
  const { project, location } = await session.open();
  const result = await session.engine.save(
    project,
    location,
    {
      trigger: options.trigger ?? 'manual',
      artefacts: artefactChoice(options, session.machine),
      ...(options.message === undefined ? {} : { note: options.message }),
      ...(options.label === undefined ? {} : { label: options.label }),
      ...(options.ifOlder === undefined ? {} : { ifOlder: options.ifOlder }),
    },
    session.ctx,
  );
  return {
    result: saveDocument(result),
    lines: saveLines(result),
    summary: true,
    // Not a failure and not a save: whoever asked for a recent one has it.
    exitCode: result.outcome === 'recent' && result.losses.length === 0 ? EXIT.skipped : exitCodeOf(result.problems, result.report),
    problems: result.problems,
  };
}
