// `cora artefact restore`: plan, show, ask, hand over.

import { type ArtefactRestorePlan, applyArtefactRestore, planArtefactRestore } from '../../actions/artefact-restore.ts';
import { type Bytes, toText } from '../../base/bytes.ts';
import { CoraError } from '../../base/errors.ts';
import { formatAge, formatBytes, formatDuration } from '../../base/units.ts';
import { exitCodeOf, type Outcome, type Session } from '../command.ts';
import { visible } from '../render.ts';
import { type MomentOptions, namedSnapshot } from '../snapshot-name.ts';

type Input = {
  readonly options: MomentOptions & { readonly noPreSnapshot?: boolean };
  readonly args: readonly Bytes[];
  readonly paths: readonly Bytes[];
};

export async function run({ options, args, paths }: Input, session: Session): Promise<Outcome> {
  const [name, id] = [...args, ...paths];
  const { project, location } = await session.open();
  const { ctx, machine: host } = session;
  const { target, fields } = await namedSnapshot(id, options, location, session);
  const plan = planArtefactRestore(project, location, { name: toText(name ?? ('' as Bytes)), target }, host, ctx);
  session.show(planLines(plan, ctx.now()));
  if (!(await session.confirm(`Give it to that command now?`))) {
    throw new CoraError('refused', 'Nothing was restored: it needs a yes', { hint: 'add --yes' });
  }
  const result = await applyArtefactRestore(project, location, plan, { preSnapshot: options.noPreSnapshot !== true, host }, ctx);
  const { safety, seconds, problems, checks } = result;
  return {
    result: {
      ...{ name: result.name, snapshot_id: result.id, captured_at: result.capturedAt, bytes: result.bytes, safety_snapshot_id: safety ?? null },
      ...{ checks, seconds, ...fields },
    },
    lines: [
      `Restored ${result.name} of ${result.id} (${formatBytes(result.bytes)}) in ${formatDuration(seconds * 1000)}`,
      ...checks.map((check) => `  check ${check.name}: ${check.ok ? 'ok' : 'FAILED'}, ${visible(check.message)}`),
      ...(safety === undefined ? [] : [`What was there before: cora artefact restore ${result.name} ${safety}`]),
    ],
    summary: true,
    exitCode: exitCodeOf(problems),
    problems,
  };
}

function planLines({ artefact, command, id, report }: ArtefactRestorePlan, now: number): string[] {
  const age = report.captured_at === null ? '' : `, taken ${report.captured_at} (${formatAge(now - Date.parse(report.captured_at))})`;
  const run = typeof command.run === 'string' ? command.run : JSON.stringify(command.run);
  return [`The artefact ${artefact.name} of ${id}: ${formatBytes(report.bytes)}${age}`, `  goes to: ${visible(run)}`];
}
