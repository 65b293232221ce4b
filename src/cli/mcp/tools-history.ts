// Tools that look back: what changed between saves, the versions of a path, where a name ever was.

import { z } from 'zod';
import { fromText } from '../../base/bytes.ts';
import { formatBytes } from '../../base/units.ts';
import { run as runDiff } from '../commands/diff.ts';
import { run as runFind } from '../commands/find.ts';
import { run as runLog } from '../commands/log.ts';
import { counted, visible } from '../render.ts';
import { count, fieldsOf, flag, HEAD, headOf, listOf, name, path, ROWS, text, textOf } from './fields.ts';
import { READ, type Tool, tool } from './tool.ts';

const entry = z.object({ type: text(), size: count(), mtime: text(), sha256: text().nullable() });
const snapshot = z.object({ snapshot_id: text(), kind: text(), time: text() });
const difference = z.object({ before: count().nullable(), after: count().nullable() });
const damaged = z.array(z.object({ snapshot_id: text(), reason: text() })).describe('snapshots that could not be read and are not in this answer');

const diffSave = tool({
  name: 'diff_save',
  title: 'Compare saves',
  description:
    'Files that are new, changed or gone between two snapshots, or between one and the project as it is now, and databases by rows a table. Call it to see what a step did, or what a restore would undo.',
  hints: READ,
  command: 'diff',
  input: z.strictObject({
    a: name().default('latest'),
    b: name().optional().describe('a later snapshot; without it the project as it is now'),
    path: path().describe('relative to the project: only below it').optional(),
  }),
  output: z.object({
    ...HEAD,
    before: snapshot,
    after: snapshot.nullable().describe('null: now'),
    different: flag(),
    created: count(),
    changed: count(),
    deleted: count(),
    files: z.array(z.object({ path: text(), change: text(), before: entry.nullable(), after: entry.nullable() })),
    files_total: count(),
    databases: z.array(
      z.object({ path: text(), change: text(), rows: difference, tables: z.array(z.object({ table: text(), ...difference.shape })) }),
    ),
    databases_total: count(),
    unified: text().nullable().describe('where path is one file of text: its lines, at most 10,000 characters'),
  }),
  async run({ a, b, path: below }, session) {
    const args = [a, ...(b === undefined ? [] : [b])].map(fromText);
    const outcome = await runDiff({ options: {}, args, paths: below === undefined ? [] : [fromText(below)] }, session);
    const data = fieldsOf(outcome.result);
    const [files, databases] = [listOf(data['files']), listOf(data['databases']).map(fieldsOf)];
    const id = textOf(fieldsOf(data['before'])['snapshot_id']);
    return {
      sentence: outcome.lines[0] ?? 'Nothing differs',
      lines: outcome.lines.slice(1),
      data: {
        ...data,
        ...(await headOf(id, session)),
        files: files.slice(0, ROWS),
        files_total: files.length,
        databases: databases.slice(0, ROWS).map((one) => ({ ...one, tables: listOf(one['tables']).slice(0, ROWS) })),
        databases_total: databases.length,
        unified: textOf(fieldsOf(data['content'])['unified'])?.slice(0, 10_000) ?? null,
      },
    };
  },
});

const fileHistory = tool({
  name: 'file_history',
  title: 'Versions of a path',
  description:
    'Each version that saves hold of a file (or a directory), newest first, and whether it is gone now. Names what plan_restore can bring back.',
  hints: READ,
  command: 'log',
  input: z.strictObject({ path: path().describe('relative to the project') }),
  output: z.object({
    ...HEAD,
    path: text(),
    present: flag().describe('in the newest snapshot'),
    versions: z.array(entry.extend({ first: snapshot, last: snapshot, snapshots: count(), gone_in: text().nullable() })),
    total: count(),
    damaged,
  }),
  async run({ path: named }, session) {
    const { result } = await runLog({ options: {}, args: [], paths: [fromText(named)] }, session);
    const data = fieldsOf(result);
    const versions = listOf(data['versions']).map(fieldsOf).toReversed();
    const last = (version: Readonly<Record<string, unknown>> | undefined) => textOf(fieldsOf(version?.['last'])['snapshot_id']);
    const gone = data['present'] === true ? '' : ', not in the newest snapshot';
    return {
      sentence: `${visible(named)}: ${counted(Number(data['total']), 'version')}${gone}`,
      lines: versions.map(
        (version) => `${last(version)} ${formatBytes(Number(version['size']))}, in ${counted(Number(version['snapshots']), 'snapshot')}`,
      ),
      data: {
        ...data,
        ...(await headOf(last(versions[0]), session)),
        versions: versions.slice(0, ROWS),
        damaged: listOf(data['damaged']).slice(0, ROWS),
      },
    };
  },
});

const findFile = tool({
  name: 'find_file',
  title: 'Find a path in all saves',
  description:
    'Paths of any save by a pattern (*.db, src/**/*.ts, a whole name), those that are gone now first. Call it when the user lost something and does not know when.',
  hints: READ,
  command: 'find',
  input: z.strictObject({
    pattern: path().describe('a name, or a pattern with * and ?; one with a slash is matched against the whole path'),
    gone: z.boolean().describe('only what is not in the newest snapshot').default(false),
  }),
  output: z.object({
    ...HEAD,
    total: count(),
    gone: count(),
    found: z.array(entry.extend({ path: text(), gone: flag(), last_seen: snapshot })),
    damaged,
  }),
  async run({ pattern, gone }, session) {
    const { result } = await runFind({ options: { gone, limit: ROWS }, args: [], paths: [fromText(pattern)] }, session);
    const data = fieldsOf(result);
    const found = listOf(data['found']).map(fieldsOf);
    return {
      sentence: `${counted(Number(data['total']), 'path')} found, ${Number(data['gone'])} of them gone now`,
      lines: found.map((one) =>
        visible(`${one['gone'] === true ? 'gone' : 'there'} ${String(fieldsOf(one['last_seen'])['snapshot_id'])} ${String(one['path'])}`),
      ),
      data: { ...data, ...(await headOf(textOf(data['newest']), session)), damaged: listOf(data['damaged']).slice(0, ROWS) },
    };
  },
});

export const HISTORY_TOOLS: readonly Tool[] = [diffSave, fileHistory, findFile];
