// `cora ship --prune` as lines for people and as a JSON document (docs/json.md). Pure.

import type { RemotePrune } from '../actions/ship-prune.ts';
import type { RemoteCandidate } from '../actions/ship-prune-survey.ts';
import type { Problem } from '../base/context.ts';
import { describeRules } from '../base/retention-rules.ts';
import { formatBytes } from '../base/units.ts';
import type { Decision } from '../vault/retention.ts';
import { table } from './columns.ts';
import type { Outcome } from './command.ts';
import { failureOf } from './json.ts';
import { counted, visible } from './render.ts';

type Document = Readonly<Record<string, unknown>>;
type Entry = Decision<RemoteCandidate>;

export function shipPruneLines(results: readonly RemotePrune[], dryRun: boolean): string[] {
  return results.flatMap((result) => (dryRun ? planLines(result) : doneLines(result)));
}

function planLines({ remote, plan, error }: RemotePrune): string[] {
  if (plan === undefined) return [`FAILED ${visible(remote)}: ${visible(error?.message ?? 'unknown')}`];
  const going = plan.decisions.filter(({ keep }) => !keep);
  const goingLeft = plan.leftovers.filter(({ goes }) => goes);
  const bytes = sizeOf(going) + goingLeft.reduce((sum, one) => sum + one.bytes, 0);
  return [
    ...table([
      ...plan.decisions.map(({ keep, candidate, reason }) => [keep ? 'keep' : 'remove', candidate.id, candidate.kind, visible(reason)]),
      ...plan.leftovers.map(({ directory, goes, reason }) => [goes ? 'remove' : 'keep', visible(directory), 'no copy', visible(reason)]),
    ]),
    ...plan.strange.map((name) => `not of Cora, not touched: ${visible(`${plan.env}/${name}`)}`),
    ...(plan.versions === undefined || going.length === 0 ? [] : [versionsText(plan.versions)]),
    `${visible(remote)}, env ${visible(plan.env)}: keeps ${describeRules(plan.rules)}`,
    error !== undefined
      ? `Nothing may be removed now: ${visible(error.message)}`
      : going.length + goingLeft.length === 0
        ? `Nothing to remove: ${counted(plan.decisions.length, 'copy', 'copies')}`
        : `${counted(going.length, 'copy', 'copies')} of ${plan.decisions.length}${leftText(goingLeft.length)} would go (${formatBytes(bytes)}); cora ship --prune --confirm removes them`,
  ];
}

function doneLines({ remote, plan, deleted, cleared, error }: RemotePrune): string[] {
  const bytes = sizeOf(deleted) + cleared.reduce((sum, one) => sum + one.bytes, 0);
  return [
    ...table(deleted.map(({ candidate, reason }) => ['removed', candidate.id, candidate.kind, visible(reason)])),
    ...cleared.map(({ directory, reason }) => `removed ${visible(directory)}: ${visible(reason)}`),
    ...(plan?.versions === undefined || deleted.length === 0 ? [] : [versionsText(plan.versions)]),
    ...(error === undefined ? [] : [`FAILED ${visible(remote)}: ${visible(error.message)}`]),
    deleted.length + cleared.length === 0
      ? `Nothing was removed at ${visible(remote)}`
      : `Removed ${counted(deleted.length, 'copy', 'copies')}${leftText(cleared.length)} at ${visible(remote)} (${formatBytes(bytes)})`,
  ];
}

const leftText = (count: number) => (count === 0 ? '' : ` and ${counted(count, 'directory', 'directories')} without a marker`);
const versionsText = (why: string) =>
  `${visible(why)}: what is deleted is hidden there, and its room is free when a lifecycle rule of the bucket removes it`;
const sizeOf = (entries: readonly Entry[]) => entries.reduce((sum, { candidate }) => sum + candidate.copy.complete.bytes, 0);

export function shipPruneDocument(results: readonly RemotePrune[], dryRun: boolean): Document {
  return {
    dry_run: dryRun,
    remotes: results.map(({ remote, plan, deleted, cleared, error }) => {
      const gone = new Set(deleted.map(({ candidate }) => candidate.copy.directory));
      const decisions = plan?.decisions ?? [];
      const kept = decisions.filter(({ keep, candidate }) => (dryRun ? keep : !gone.has(candidate.copy.directory)));
      const leftovers = plan?.leftovers ?? [];
      return {
        remote,
        env: plan?.env ?? null,
        kept: kept.map(entry),
        ...(dryRun ? { would_delete: decisions.filter(({ keep }) => !keep).map(entry) } : { deleted: deleted.map(entry) }),
        leftovers: leftovers.map(({ directory, files, bytes, goes, reason }) => ({
          directory,
          files,
          size: bytes,
          removed: dryRun ? goes : cleared.some((one) => one.directory === directory),
          reason,
        })),
        not_touched: plan?.strange ?? [],
        keeps_versions: plan?.versions !== undefined,
        error: error === undefined ? null : { code: error.code, message: error.message, hint: error.hint ?? null },
      };
    }),
  };
}

function entry({ candidate, reason }: Entry): Document {
  const { id, kind, type, time, copy } = candidate;
  return { snapshot_id: id, kind, type, time: new Date(time).toISOString(), size: copy.complete.bytes, directory: copy.directory, reason };
}

/** Half copies that stay are worth a word, and no failure. */
export function shipPruneStays(results: readonly RemotePrune[]): Problem[] {
  return results.flatMap(({ remote, plan }) =>
    (plan?.leftovers ?? [])
      .filter(({ goes }) => !goes)
      .map(({ directory, reason }): Problem => ({ code: 'half_copy', path: `${remote}/${directory}`, message: reason, severity: 'warning' })),
  );
}

/** The first remote's failure is the run's; all are in the document. */
export function shipPruneFailure(results: readonly RemotePrune[], dryRun: boolean): Pick<Outcome, 'failure'> {
  const first = results.find(({ error }) => error !== undefined)?.error;
  return first === undefined ? {} : { failure: { ...failureOf(first), details: shipPruneDocument(results, dryRun) } };
}
