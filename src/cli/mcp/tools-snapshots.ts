// Tools that tell what there is: lists of snapshots, one of them, whether it can be read. verify alone writes,
// a line of the ledger that says what it found.

import { z } from 'zod';
import { fromText } from '../../base/bytes.ts';
import { CoraError, EXIT } from '../../base/errors.ts';
import { formatAge, formatBytes } from '../../base/units.ts';
import { readWhen } from '../../language/when.ts';
import type { Session } from '../command.ts';
import { run as runShow } from '../commands/show.ts';
import { run as runVerify } from '../commands/verify.ts';
import { counted, visible } from '../render.ts';
import { listDocument } from '../results.ts';
import { count, covered, DONE, database, fieldsOf, flag, HEAD, headOf, listOf, loss, name, path, ROWS, text, textOf } from './fields.ts';
import { READ, type Tool, tool } from './tool.ts';

const row = z.object({
  snapshot_id: text(),
  kinds: z.array(text()),
  type: text(),
  status: text(),
  time: text(),
  total_files_processed: count().nullable(),
  total_bytes_processed: count().nullable(),
  size: count(),
  label: text().nullable(),
  note: text().nullable(),
});

const moment = () => z.string().min(1).max(100).describe('RFC 3339, or in words: "2 hours ago", "yesterday 15:00", "2026-11-20"').optional();

const listSaves = tool({
  name: 'list_saves',
  title: 'List saves and backups',
  description: 'Saves and backups, newest first. With path: only those that hold it. Call it to find what the user can go back to.',
  hints: READ,
  command: 'list',
  input: z.strictObject({
    since: moment(),
    until: moment(),
    path: path().describe('relative to the project').optional(),
    limit: z.number().int().min(1).max(ROWS).default(10),
    cursor: z.string().max(60).describe('next_cursor of the answer before').optional(),
  }),
  output: z.object({ ...HEAD, total: count(), saves: z.array(row), next_cursor: text().nullable() }),
  async run({ since, until, path: held, limit, cursor }, session) {
    const { location } = await session.open();
    const from = since === undefined ? Number.NEGATIVE_INFINITY : await instantOf(since, session);
    const to = until === undefined ? Number.POSITIVE_INFINITY : await instantOf(until, session);
    const whole = since !== undefined || until !== undefined || cursor !== undefined;
    const wanted = { kind: undefined, path: held === undefined ? undefined : fromText(held), limit: whole ? undefined : limit };
    const result = await session.engine.list(location, wanted, session.ctx);
    const newestFirst = result.snapshots.toReversed().filter(({ time }) => time >= from && time <= to);
    const start = cursor === undefined ? 0 : newestFirst.findIndex(({ id }) => id === cursor) + 1;
    if (cursor !== undefined && start === 0) throw new CoraError('usage', 'The cursor is of another list', { hint: 'ask again without a cursor' });
    const shown = newestFirst.slice(start, start + limit);
    const total = whole ? newestFirst.length : result.total;
    const last = shown.at(-1);
    return {
      sentence: total === 0 ? 'No saves or backups are there' : `${counted(shown.length, 'snapshot')} of ${total}, newest first`,
      lines: shown.map(({ id, kinds, time, note }) => {
        const named = note === null ? '' : `, note ${JSON.stringify(visible(note).slice(0, 80))}`;
        return `${id} ${kinds.join('+')} ${formatAge(session.ctx.now() - time)}${named}`;
      }),
      data: {
        ...(await headOf(shown[0]?.id ?? null, session)),
        total,
        saves: listDocument({ snapshots: shown, total })['snapshots'],
        next_cursor: last !== undefined && start + shown.length < total ? last.id : null,
      },
    };
  },
});

async function instantOf(said: string, session: Session): Promise<number> {
  if (/^\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)$/.test(said)) return Date.parse(said);
  const when = await readWhen(said, session.ctx.now(), Intl.DateTimeFormat().resolvedOptions().timeZone);
  if (when.time === undefined) throw new CoraError('usage', 'This is no moment', { hint: 'write it as "2 hours ago" or "2026-11-20 14:30"' });
  return when.time;
}

const form = z.object({
  kind: text(),
  status: text(),
  trigger: text(),
  note: text().nullable(),
  label: text().nullable(),
  backup_start: text(),
  git: z.object({ sha: text(), branch: text().nullable() }).nullable(),
  total_files_processed: count(),
  total_bytes_processed: count(),
  databases: z.array(database),
  critical: z.array(text()),
  losses: z.array(loss).optional(),
  not_covered: z.array(covered),
  problems: DONE.problems,
});

const showSave = tool({
  name: 'show_save',
  title: 'Show one save or backup',
  description: 'What one snapshot holds: git state, databases with rows, critical files, what is not covered, problems and losses.',
  hints: READ,
  command: 'show',
  input: z.strictObject({ id: name().default('latest') }),
  output: z.object({ ...HEAD, forms: z.array(form) }),
  async run({ id }, session) {
    const data = fieldsOf((await runShow({ options: {}, args: [fromText(id)], paths: [] }, session)).result);
    const reports = listOf(data['forms']).map((one) => fieldsOf(fieldsOf(one)['report']));
    const found = textOf(data['snapshot_id']);
    if (found === null || reports.length === 0)
      throw new CoraError('unknown_snapshot', 'This backup was made by another tool', { hint: `cora show ${id}` });
    const [first = {}] = reports;
    const lists = ['databases', 'critical', 'not_covered', 'problems'];
    const forms = reports.map((report) => ({ ...report, ...Object.fromEntries(lists.map((key) => [key, listOf(report[key]).slice(0, ROWS)])) }));
    const holds = `${counted(Number(first['total_files_processed']), 'file')}, ${formatBytes(Number(first['total_bytes_processed']))}`;
    return {
      sentence: `${found} is ${String(first['status'])} and holds ${holds}, ${counted(listOf(first['databases']).length, 'database')}`,
      data: { ...(await headOf(found, session)), forms },
    };
  },
});

const verify = tool({
  name: 'verify',
  title: 'Verify a save or backup',
  description: 'Reads one snapshot back from the disk and names each damaged file. deep also decodes everything and checks each file and database.',
  hints: READ,
  command: 'verify',
  inTurn: true,
  input: z.strictObject({ id: name().default('latest'), deep: z.boolean().default(false) }),
  output: z.object({
    ...HEAD,
    ok: flag(),
    files: count(),
    bytes: count(),
    seconds: count(),
    seal_missing: flag(),
    damaged: z.array(z.object({ path: text(), file: text(), reason: text() })),
    damaged_total: count(),
  }),
  async run({ id, deep }, session) {
    const outcome = await runVerify({ options: { deep }, args: [fromText(id)], paths: [] }, session);
    const checked = listOf(fieldsOf(outcome.result)['snapshots']).map(fieldsOf);
    const damaged = checked.flatMap((one) => listOf(one['damaged']).map(fieldsOf));
    const found = textOf(checked[0]?.['snapshot_id']);
    if (found === null) throw new CoraError('unknown_snapshot', 'Nothing was verified', { hint: `cora verify ${id}` });
    const sum = (key: string) => checked.reduce((all, one) => all + Number(one[key] ?? 0), 0);
    const ok = damaged.length === 0 && outcome.failure === undefined;
    return {
      sentence: ok
        ? `${found} was read back and is whole (${counted(sum('files'), 'file')}, ${formatBytes(sum('bytes'))})`
        : `${found} is DAMAGED: ${counted(damaged.length, 'file')}; another snapshot may hold them (list_saves)`,
      lines: damaged.map(({ path: where, reason }) => visible(`${String(where)}: ${String(reason)}`)),
      data: {
        snapshot_id: found,
        verified: ok,
        ok,
        files: sum('files'),
        bytes: sum('bytes'),
        seconds: sum('seconds'),
        seal_missing: outcome.exitCode === EXIT.incomplete,
        damaged: damaged.slice(0, ROWS),
        damaged_total: damaged.length,
      },
      outcome,
    };
  },
});

export const SNAPSHOT_TOOLS: readonly Tool[] = [listSaves, showSave, verify];
