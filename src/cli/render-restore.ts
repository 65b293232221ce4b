// What `cora restore` says: plan, result and the way back, for people and as JSON (docs/json.md).

import type { RestoreResult } from '../actions/restore.ts';
import type { RestorePlan } from '../actions/restore-plan.ts';
import type { ServiceResult } from '../actions/restore-service.ts';
import type { UndoPlan } from '../actions/restore-undo.ts';
import { type Bytes, toText } from '../base/bytes.ts';
import { formatBytes, formatDuration } from '../base/units.ts';
import { counted, grouped, visible } from './render.ts';
import { type Document, pathFields } from './results.ts';

const name = (path: Bytes) => visible(toText(path));

/** Entries of a plan that a person is shown; the others are counted. */
const PLAN_LINES = 40;

export function planLines(plan: RestorePlan): string[] {
  const aside = plan.extras.map((path) => ({ action: 'aside', path }));
  const changes = [...plan.changes.filter((change) => change.action !== 'keep'), ...aside];
  const extra = plan.extras.length === 0 ? '' : `, ${grouped(plan.extras.length)} moved aside`;
  const lines = [
    `Restore ${plan.kind} ${plan.id} ${plan.inPlace ? 'in place in' : 'to'} ${name(plan.directory)}: ${counted(plan.create, 'entry', 'entries')} new, ${grouped(plan.replace)} replaced, ${grouped(plan.keep)} kept${extra}, ${formatBytes(plan.bytes)}`,
    ...changes.slice(0, PLAN_LINES).map((change) => `  ${change.action.padEnd(7)} ${name(change.path)}`),
  ];
  if (changes.length > PLAN_LINES) lines.push(`  and ${grouped(changes.length - PLAN_LINES)} more (--json lists all)`);
  for (const { path, reason } of plan.work.refused.slice(0, PLAN_LINES)) lines.push(`  in the way: ${name(path)}, ${reason}`);
  if (plan.liveDatabases.length > 0) lines.push(`  live databases: ${plan.liveDatabases.map(name).join(', ')}`);
  if (plan.elsewhere !== undefined) lines.push(`Another deployment: ${visible(plan.elsewhere)}`);
  return lines;
}

export function restoreLines(result: RestoreResult): string[] {
  const parts = [counted(result.files, 'file'), formatBytes(result.bytes)];
  if (result.databases > 0) parts.push(counted(result.databases, 'database'));
  if (result.kept > 0) parts.push(`${grouped(result.kept)} kept as they were`);
  parts.push(formatDuration(result.seconds * 1000));
  return [`Restored ${result.id} to ${name(result.directory)}: ${parts.join(', ')}`];
}

export function inPlaceLines(result: ServiceResult): string[] {
  const lines = restoreLines(result);
  if (result.movedAside > 0)
    lines.push(`Moved aside: ${counted(result.movedAside, 'entry', 'entries')} that the snapshot does not hold, in .cora-restore/`);
  const sound = result.databaseChecks.filter(({ ok }) => ok);
  for (const { path, rows } of sound) lines.push(`Checked   ${name(path)}: ok, ${counted(rows, 'row')}`);
  for (const { name: check, ok, message } of result.checks) lines.push(`Check     ${visible(check)}: ${ok ? 'ok' : `FAILED, ${visible(message)}`}`);
  if (result.preRestoreSnapshot !== undefined) lines.push(`Before    ${result.preRestoreSnapshot} (pre-restore-safety) holds what was there`);
  return [...lines, 'Way back: cora restore --undo'];
}

export function undoPlanLines(plan: UndoPlan): string[] {
  const what = plan.direction === 'undo' ? `Take the restore of ${plan.id} back` : `Restore ${plan.id} once more`;
  const lines = [`${what}: ${counted(plan.entries, 'entry', 'entries')} change places`];
  if (plan.databases.length > 0) lines.push(`  databases: ${plan.databases.map(name).join(', ')}`);
  return lines;
}

export function undoLines(plan: UndoPlan): string[] {
  return [
    plan.direction === 'undo' ? `The restore of ${plan.id} is taken back: what was there before is there again` : `${plan.id} is restored once more`,
    'The other way round: cora restore --undo',
  ];
}

export function planDocument(plan: RestorePlan): Document {
  return {
    snapshot_id: plan.id,
    kind: plan.kind,
    in_place: plan.inPlace,
    ...pathFields('directory', plan.directory),
    create: plan.create,
    replace: plan.replace,
    keep: plan.keep,
    bytes: plan.bytes,
    other_deployment: plan.elsewhere ?? null,
    live_databases: plan.liveDatabases.map(toText),
    move_aside: plan.extras.map((path) => pathFields('path', path)),
    in_the_way: plan.work.refused.map(({ path, reason }) => ({ ...pathFields('path', path), reason })),
    changes: plan.changes.map((change) => ({ action: change.action, ...pathFields('path', change.path), size: change.size })),
  };
}

export function restoreDocument(result: RestoreResult): Document {
  return {
    snapshot_id: result.id,
    ...pathFields('directory', result.directory),
    files: result.files,
    bytes: result.bytes,
    databases: result.databases,
    kept: result.kept,
    seconds: result.seconds,
  };
}

/** With AtoCore's names (ATO-4) for what they say. */
export function inPlaceDocument(result: ServiceResult): Document {
  const checks = result.databaseChecks;
  const failed = checks.find(({ ok }) => !ok);
  const [first] = checks;
  return {
    ...restoreDocument(result),
    stamp: result.id,
    pre_restore_snapshot: result.preRestoreSnapshot ?? null,
    target_db: first === undefined ? null : toText(first.path),
    db_restored: checks.length > 0,
    restored_integrity_ok: checks.length === 0 ? null : failed === undefined,
    integrity_error: failed?.error ?? null,
    moved_aside: result.movedAside,
    checks: result.checks.map(({ name: check, ok, message, seconds }) => ({ name: check, ok, message, seconds })),
    rolled_back: result.rolledBack,
    database_checks: checks.map(({ path, ok, rows, error }) => ({ ...pathFields('path', path), ok, rows, error: error ?? null })),
  };
}

export function undoDocument(plan: UndoPlan): Document {
  return {
    snapshot_id: plan.id,
    direction: plan.direction,
    pre_restore_snapshot: plan.preRestoreSnapshot ?? null,
    entries: plan.entries,
    databases: plan.databases.map(toText),
  };
}
