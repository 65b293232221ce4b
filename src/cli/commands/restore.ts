// `cora restore`: plan, show, ask, apply. A plan is only data until it is applied.

import { momentsApart } from '../../actions/restore-moments.ts';
import type { RestoreOptions, RestorePlan } from '../../actions/restore-plan.ts';
import type { ServiceOptions } from '../../actions/restore-service.ts';
import { type Bytes, bytes, printable } from '../../base/bytes.ts';
import { CoraError, EXIT } from '../../base/errors.ts';
import type { VaultLocation } from '../../vault/locate.ts';
import type { Project } from '../../vault/project.ts';
import { artefactNames } from '../artefact-flags.ts';
import { exitCodeOf, type Outcome, type Session } from '../command.ts';
import type { OptionsOf } from '../flags.ts';
import { inPlaceDocument, inPlaceLines, planDocument, planLines, restoreDocument, restoreLines } from '../render-restore.ts';
import type { RESTORE_FLAGS } from '../restore-flags.ts';
import { restoreAdoptedBackup, restoreNamed } from '../restore-named.ts';
import { hasMoment } from '../snapshot-name.ts';
import { refuseWithUndo, undo } from './restore-undo.ts';

type Options = OptionsOf<typeof RESTORE_FLAGS>;
type Input = { readonly options: Options; readonly args: readonly Bytes[]; readonly paths: readonly Bytes[] };

export async function run({ options, args, paths }: Input, session: Session): Promise<Outcome> {
  if (options.undo === true) {
    refuseWithUndo(options, [...args, ...paths]);
    return undo(options, session);
  }
  if (args.length === 0 && paths.length === 0 && !hasMoment(options)) {
    throw new CoraError('usage', 'restore needs a snapshot or a path', { hint: 'cora list shows what there is; cora restore latest --to DIR' });
  }
  const planned = await planFor({ options, args, paths }, session);
  if ('outcome' in planned) return planned.outcome;
  const { plan, fields } = planned;
  if (options.dryRun === true) return { result: { dry_run: true, ...planDocument(plan), ...fields }, lines: planLines(plan) };
  return carryOut(planned, options, session);
}

/** A plan, and what it was made from. Nothing was done with it. */
export type Planned = {
  readonly plan: RestorePlan;
  readonly asked: RestoreOptions;
  readonly location: VaultLocation;
  readonly project: Project | undefined;
  /** `moment` of the JSON document. */
  readonly fields: Readonly<Record<string, unknown>>;
};

/** A backup of another tool has no plan: it is restored at once, beside the project. */
export async function planFor({ options, args, paths }: Input, session: Session): Promise<Planned | { readonly outcome: Outcome }> {
  refuseContradictions(options);
  const { project, location } = await (options.to === undefined ? session.open() : session.locate());
  const named = await restoreNamed({ args, paths }, options, location, session);
  if (named.adopted !== undefined) return { outcome: await restoreAdoptedBackup(named.adopted, named.paths, options, session) };
  const here = { directory: session.absolute(bytes('.')), typed: [...args, ...paths] };
  const asked = planOptions(options, named.target, named.paths, session);
  const plan = await session.engine.planRestore(project, location, { ...asked, here }, session.ctx);
  return { plan, asked, location, project, fields: named.fields };
}

/** @param guard of a plan that was shown before: that nobody changed its files since (actions/restore-token.ts) */
export async function carryOut(
  { plan, location, project, fields }: Planned,
  options: Options,
  session: Session,
  guard?: NonNullable<ServiceOptions['guard']>,
): Promise<Outcome> {
  const { engine, ctx } = session;
  if (project === undefined || !plan.inPlace) {
    const result = await engine.applyRestore(plan, ctx);
    const outcome: Outcome = { result: { dry_run: false, ...restoreDocument(result), ...fields }, lines: restoreLines(result), summary: true };
    // What the vault no longer holds is damage; what the target would not take is an incomplete restore.
    return { ...outcome, exitCode: result.damaged > 0 ? EXIT.damaged : exitCodeOf(result.problems) };
  }
  for (const sentence of momentsApart(plan, project.config)) ctx.monitor.note(sentence);
  const how: ServiceOptions = {
    databases: options.live === true ? 'live' : 'stopped',
    alreadyStopped: options.confirmServiceStopped === true,
    preSnapshot: options.noPreSnapshot !== true,
    partial: options.partial === true,
    rollBack: (failed) => rollBack(options, failed.length, session),
    ...(guard === undefined ? {} : { guard }),
  };
  const said = await agree(project, plan, how, session);
  const result = await engine.restoreInPlace(project, location, plan, { ...how, alreadyStopped: said || how.alreadyStopped }, session.machine, ctx);
  if (result.rolledBack) {
    const failed = result.checks.filter(({ ok }) => !ok).map(({ name }) => name);
    throw new CoraError('validation_failed', `The restore of ${plan.id} was taken back, because a check failed after it: ${failed.join(', ')}`, {
      hint: 'what was there before is there again; cora list shows other snapshots',
      details: inPlaceDocument(result),
    });
  }
  const wrong = result.damaged > 0 || result.databaseChecks.some(({ ok }) => !ok);
  return {
    result: { dry_run: false, ...inPlaceDocument(result), ...fields },
    lines: inPlaceLines(result),
    summary: true,
    exitCode: wrong ? EXIT.damaged : exitCodeOf(result.problems),
  };
}

function refuseContradictions(options: Options): void {
  const inPlaceOnly = (['delete', 'modes', 'live', 'confirmServiceStopped', 'noPreSnapshot', 'partial'] as const).find(
    (key) => options[key] !== undefined,
  );
  if (options.to !== undefined && inPlaceOnly !== undefined && inPlaceOnly !== 'confirmServiceStopped' && inPlaceOnly !== 'partial') {
    throw new CoraError('usage', '--to restores beside the project, and --delete, --modes, --live and --no-pre-snapshot are for a restore in place', {
      hint: 'leave one of them out',
    });
  }
  if (options.live === true && options.confirmServiceStopped === true) {
    throw new CoraError('usage', '--live is for programs that work, --confirm-service-stopped for programs that do not', {
      hint: 'leave one of them out',
    });
  }
  if (
    options.delete === true &&
    (options.critical === true || options.databases === true || options.without !== undefined || options.noChroma === true)
  ) {
    throw new CoraError('usage', '--delete needs all of the snapshot to compare with', {
      hint: 'leave --critical, --databases or --without out, or name paths',
    });
  }
}

function planOptions(options: Options, target: Bytes | undefined, paths: readonly Bytes[], session: Session): RestoreOptions {
  return {
    target,
    paths,
    to: options.to === undefined ? undefined : session.absolute(options.to),
    critical: options.critical === true,
    databases: options.databases === true,
    overwrite: options.overwrite,
    artefacts: artefactNames(options),
    deleteExtra: options.delete === true,
    modes: options.modes ?? 'live',
  };
}

/**
 * The two questions of a restore in place. True where a person said that all programs are stopped.
 * @throws CoraError refused where nobody said yes
 */
async function agree(project: Project, plan: RestorePlan, how: ServiceOptions, session: Session): Promise<boolean> {
  const quiet = session.globals.yes === true || plan.create + plan.replace + plan.extras.length === 0;
  if (!quiet) session.show(planLines(plan));
  else if (plan.elsewhere !== undefined) session.ctx.monitor.note(`Another deployment: ${plan.elsewhere}`);
  const open = plan.liveDatabases.length > 0 && how.databases === 'stopped' && !how.alreadyStopped && project.config.restore.stop === undefined;
  if (open) {
    const names = plan.liveDatabases.map(printable).join(', ');
    if (!(await session.confirmInPerson(`Is every program stopped that uses ${names}?`))) {
      throw new CoraError('refused', `Nothing was restored: ${names} may be in use`, {
        hint: 'stop its program and add --confirm-service-stopped, or restore while it works with --live, or beside the project with --to DIR',
        details: planDocument(plan),
      });
    }
  }
  if (!quiet && !(await session.confirm('Restore in place?'))) {
    throw new CoraError('refused', 'Nothing was restored: a restore in place needs a yes', {
      hint: 'add --yes, or restore beside the project with --to DIR',
      details: planDocument(plan),
    });
  }
  return open;
}

async function rollBack({ rollback }: Options, failed: number, session: Session): Promise<boolean> {
  if (rollback === 'auto') return true;
  if (rollback === 'never') return false;
  return session.confirmInPerson(`${failed === 1 ? 'A check' : `${failed} checks`} failed (see above). Take the restore back?`);
}
