// What `cora db backup` and `cora db restore` say, as lines and as the `result` of the JSON document. Pure.
// Rows are written without commas: they are there to be compared.

import type { Checkpoint, DbBackupResult } from '../actions/db-backup.ts';
import type { DbRestoreResult } from '../actions/db-restore.ts';
import type { DbRestorePlan, previewDatabaseRestore } from '../actions/db-restore-plan.ts';
import { type Bytes, base64Of, isText, toText } from '../base/bytes.ts';
import { formatBytes, formatDuration } from '../base/units.ts';
import { table } from './columns.ts';
import { counted, visible } from './render.ts';

type Document = Readonly<Record<string, unknown>>;
type Preview = Awaited<ReturnType<typeof previewDatabaseRestore>>;
type Tables = Readonly<Record<string, number>>;

const name = (path: Bytes) => visible(toText(path));
const field = (key: string, path: Bytes): Document =>
  isText(path) ? { [key]: toText(path) } : { [key]: toText(path), [`${key}_base64`]: base64Of(path) };
const rowWord = (count: number) => (count === 1 ? 'row' : 'rows');

/** `  users  1204 rows`. */
function tableLines(tables: Tables): string[] {
  const names = Object.keys(tables);
  if (names.length === 0) return ['  no table'];
  return table(names.map((each) => [`  ${visible(each)}`, `${tables[each] ?? 0} ${rowWord(tables[each] ?? 0)}`]));
}

const CHECKPOINT: Readonly<Record<Checkpoint, string>> = {
  done: 'the -wal was written back',
  held: 'none: a program has the database open',
  off: 'none, as asked',
  none: 'not needed: no WAL',
  failed: 'could not be done; the copy has everything',
};

export function dbBackupLines(result: DbBackupResult): string[] {
  return [
    `Copied ${name(result.source)} to ${name(result.path)}`,
    ...tableLines(result.tables),
    `Rows        ${result.rows} in ${counted(Object.keys(result.tables).length, 'table')}`,
    `Schema      version ${result.schemaVersion} (schema_version), ${result.userVersion} (user_version)`,
    `Size        ${formatBytes(result.size)} (${result.size} bytes)`,
    `Verified    ${result.check === undefined ? 'no: left out with --verify=false' : `integrity_check: ${visible(result.check)}`}`,
    `Checkpoint  ${CHECKPOINT[result.checkpoint]}`,
    `Time        ${formatDuration(result.seconds * 1000)}`,
    `Restore: cora db restore ${name(result.path)} --db ${name(result.source)} --force`,
  ];
}

export function dbBackupDocument(result: DbBackupResult): Document {
  return {
    ...field('source', result.source),
    ...field('path', result.path),
    size: result.size,
    seconds: result.seconds,
    rows: result.rows,
    tables: result.tables,
    user_version: result.userVersion,
    schema_version: result.schemaVersion,
    page_size: result.pageSize,
    journal_mode: result.journalMode,
    verified: result.check !== undefined,
    check: result.check ?? null,
    checkpoint: result.checkpoint,
  };
}

const WAY: Readonly<Record<DbRestoreResult['way'], string>> = {
  new: 'a new file',
  replace: 'in place of the old file',
  into: 'through SQLite, into the file that is in use',
};

export function dbRestoreLines(result: DbRestoreResult): string[] {
  const holders = result.holders.map(({ pid, program }) => `${visible(program)} (pid ${pid})`);
  return [
    `Restored ${name(result.copy)} to ${name(result.target)}, ${WAY[result.way]}`,
    ...tableLines(result.tables),
    `Rows      ${result.rows} in ${counted(Object.keys(result.tables).length, 'table')}${result.moved.length === 0 ? ', each as in the copy' : ''}`,
    ...result.moved.map(
      ({ table: each, copy, live }) => `  ${visible(each)} has ${live} ${rowWord(live)} now: its program went on writing (the copy has ${copy})`,
    ),
    `Schema    version ${result.schemaVersion} (schema_version), ${result.userVersion} (user_version)`,
    `Size      ${formatBytes(result.size)} (${result.size} bytes), journal mode ${result.journalMode}`,
    `Verified  integrity_check: ${visible(result.check)}`,
    ...(holders.length === 0 ? [] : [`Open in   ${holders.join(', ')}`]),
    ...(result.kept === undefined ? [] : [`Before    ${name(result.kept)} (kept; delete it when you no longer need it)`]),
    `Time      ${formatDuration(result.seconds * 1000)}`,
  ];
}

export function dbRestoreDocument(result: DbRestoreResult): Document {
  return {
    dry_run: false,
    ...field('copy', result.copy),
    ...field('target', result.target),
    way: result.way,
    ...(result.kept === undefined ? { kept: null } : field('kept', result.kept)),
    holders: result.holders,
    rows: result.rows,
    tables: result.tables,
    user_version: result.userVersion,
    schema_version: result.schemaVersion,
    size: result.size,
    check: result.check,
    journal_mode: result.journalMode,
    moved: result.moved,
    seconds: result.seconds,
  };
}

export function dbPreviewLines(plan: DbRestorePlan, { copy, current }: Preview): string[] {
  const { copy: from, target } = plan.options;
  const names = [...new Set([...Object.keys(copy.check.tables), ...Object.keys(current ?? {})])];
  const cell = (tables: Tables | undefined, each: string) => (tables !== undefined && Object.hasOwn(tables, each) ? String(tables[each]) : '-');
  const rows = [['  table', 'now', 'then'], ...names.map((each) => [`  ${visible(each)}`, cell(current, each), cell(copy.check.tables, each)])];
  return [
    `Would restore ${name(from)} to ${name(target)}, ${WAY[plan.way]}; nothing was changed`,
    ...table(rows, new Set([1, 2])),
    'Verified  the copy: integrity_check: ok',
    ...(plan.holders.length === 0 ? [] : [`Open in   ${plan.holders.map(({ pid, program }) => `${visible(program)} (pid ${pid})`).join(', ')}`]),
    ...(plan.keep === undefined ? [] : [`Before    would be kept as ${name(plan.keep)}`]),
    ...(plan.needsForce ? ['It needs --force, for something is there'] : []),
  ];
}

export function dbPreviewDocument(plan: DbRestorePlan, { copy, current }: Preview): Document {
  return {
    dry_run: true,
    ...field('copy', plan.options.copy),
    ...field('target', plan.options.target),
    way: plan.way,
    ...(plan.keep === undefined ? { kept: null } : field('kept', plan.keep)),
    holders: plan.holders,
    needs_force: plan.needsForce,
    rows: copy.check.rows,
    tables: copy.check.tables,
    user_version: copy.facts.userVersion,
    schema_version: copy.facts.schemaVersion,
    check: copy.check.result,
    current: current ?? null,
  };
}
