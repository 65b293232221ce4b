// `cora restore --undo`: what the last restore in place displaced changes places with what it brought.

import { undoProject } from '../../actions/restore-service.ts';
import { planUndo } from '../../actions/restore-undo.ts';
import { printable } from '../../base/bytes.ts';
import { CoraError } from '../../base/errors.ts';
import { exitCodeOf, type Outcome, type Session } from '../command.ts';
import { undoDocument, undoLines, undoPlanLines } from '../render-restore.ts';

type Options = { readonly dryRun?: boolean; readonly confirmServiceStopped?: boolean; readonly live?: boolean; readonly noPreSnapshot?: boolean };

export async function undo(options: Options, session: Session): Promise<Outcome> {
  if (options.live === true && options.confirmServiceStopped === true) {
    throw new CoraError('usage', '--live is for programs that work, --confirm-service-stopped for programs that do not', {
      hint: 'leave one of them out',
    });
  }
  const { project, location } = await session.open();
  const plan = planUndo(project.root);
  if (options.dryRun === true) return { result: { dry_run: true, ...undoDocument(plan) }, lines: undoPlanLines(plan) };
  if (session.globals.yes !== true) session.show(undoPlanLines(plan));
  const inUse = plan.databases.length > 0 && options.confirmServiceStopped !== true && options.live !== true;
  const stops = inUse && project.config.restore.stop !== undefined;
  if (inUse && !stops) {
    const names = plan.databases.map(printable).join(', ');
    if (!(await session.confirmInPerson(`Is every program stopped that uses ${names}?`))) {
      throw new CoraError('refused', `Nothing was changed: ${names} may be in use`, {
        hint: 'stop its program and add --confirm-service-stopped, or go through SQLite with --live if the restore did',
      });
    }
  }
  if (!(await session.confirm('Take it back?'))) {
    throw new CoraError('refused', 'Nothing was changed: this needs a yes', { hint: 'add --yes' });
  }
  const how = { location, preSnapshot: options.noPreSnapshot !== true };
  const problems = await undoProject(project, plan, stops, how, session.machine, session.ctx);
  return { result: { dry_run: false, ...undoDocument(plan) }, lines: undoLines(plan), summary: true, exitCode: exitCodeOf(problems) };
}
