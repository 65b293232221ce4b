// `cora restore --undo`: what the last restore in place displaced changes places with what it brought.

import { undoProject } from '../../actions/restore-service.ts';
import { planUndo } from '../../actions/restore-undo.ts';
import { type Bytes, printable } from '../../base/bytes.ts';
import { CoraError } from '../../base/errors.ts';
import { exitCodeOf, type Outcome, type Session } from '../command.ts';
import { flagName } from '../flags.ts';
import { undoDocument, undoLines, undoPlanLines } from '../render-restore.ts';

type Options = { readonly dryRun?: boolean; readonly confirmServiceStopped?: boolean; readonly live?: boolean; readonly noPreSnapshot?: boolean };

/** What says which snapshot, where to and what of it: the record of the last restore says all that already. */
const NOT_WITH_UNDO = [
  'delete',
  'to',
  'critical',
  'databases',
  'modes',
  'overwrite',
  'partial',
  'with',
  'without',
  'chroma',
  'noChroma',
  'at',
  'latest',
] as const;

type Others = { readonly [key in (typeof NOT_WITH_UNDO)[number]]?: unknown };

/** @throws CoraError usage, naming what does not go together with `--undo` */
export function refuseWithUndo(options: Others, words: readonly Bytes[]): void {
  const wrong = [...words.map(printable), ...NOT_WITH_UNDO.filter((key) => options[key] !== undefined).map(flagName)];
  if (wrong.length === 0) return;
  throw new CoraError('usage', `--undo takes all of the last restore back, and does not go together with ${wrong.join(', ')}`, {
    hint: 'cora restore --undo; single paths come back with cora restore ID PATH',
  });
}

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
