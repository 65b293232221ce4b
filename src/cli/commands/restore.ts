// `cora restore`: plan, show, ask, apply. A plan is only data until `applyRestore`.

import type { RestoreOptions } from '../../actions/restore-plan.ts';
import type { Bytes } from '../../base/bytes.ts';
import { CoraError, EXIT } from '../../base/errors.ts';
import { exitCodeOf, type Outcome, type Session } from '../command.ts';
import { planLines, restoreLines } from '../render.ts';
import { planDocument, restoreDocument } from '../results.ts';

type Options = { readonly to?: Bytes; readonly critical?: boolean; readonly dryRun?: boolean; readonly overwrite?: RestoreOptions['overwrite'] };
type Input = { readonly options: Options; readonly args: readonly Bytes[]; readonly paths: readonly Bytes[] };

export async function run({ options, args, paths }: Input, session: Session): Promise<Outcome> {
  const [target, ...rest] = args;
  if (target === undefined && paths.length === 0) {
    throw new CoraError('usage', 'restore needs a snapshot or a path', { hint: 'cora list shows what there is; cora restore latest --to DIR' });
  }
  const { engine, ctx } = session;
  const { project, location } = await (options.to === undefined ? session.open() : session.locate());
  const plan = await engine.planRestore(
    project,
    location,
    {
      target,
      paths: [...rest, ...paths],
      to: options.to === undefined ? undefined : session.absolute(options.to),
      critical: options.critical === true,
      overwrite: options.overwrite,
    },
    ctx,
  );
  if (options.dryRun === true) return { result: { dry_run: true, ...planDocument(plan) }, lines: planLines(plan) };
  if (plan.inPlace && plan.create + plan.replace > 0 && session.globals.yes !== true) {
    session.show(planLines(plan));
    if (!(await session.confirm('Restore in place?'))) {
      throw new CoraError('refused', 'Nothing was restored: a restore in place needs a yes', {
        hint: 'add --yes, or restore beside the project with --to DIR',
        details: planDocument(plan),
      });
    }
  }
  const result = await engine.applyRestore(plan, ctx);
  const outcome: Outcome = { result: { dry_run: false, ...restoreDocument(result) }, lines: restoreLines(result), summary: true };
  // What the vault no longer holds is damage; what the target would not take is an incomplete restore.
  return { ...outcome, exitCode: result.damaged > 0 ? EXIT.damaged : exitCodeOf(result.problems) };
}
