// Tools that add: saves, backups, flags that protect, the cut of a grown file. None of them takes anything
// away: no clean-up, no unlocking, no configuration, no trust.

import { z } from 'zod';
import { fromText } from '../../base/bytes.ts';
import { EXIT } from '../../base/errors.ts';
import { formatBytes } from '../../base/units.ts';
import { run as runEnd } from '../commands/end.ts';
import { run as runProtect } from '../commands/protect.ts';
import { run as runRotate } from '../commands/rotate.ts';
import { run as runSave } from '../commands/save.ts';
import { makeBackup } from '../make-backup.ts';
import { counted, visible } from '../render.ts';
import { count, DONE, database, doneFields, fieldsOf, flag, HEAD, headOf, listOf, loss, note, path, ROWS, text, textOf } from './fields.ts';
import { type Hints, type Tool, TRIGGER, tool } from './tool.ts';

const ADDS: Hints = { readOnly: false, destructive: false, idempotent: false, openWorld: false };

const said = (message: string | undefined) => ({ trigger: TRIGGER, ...(message === undefined ? {} : { message }) });

const save = tool({
  name: 'save',
  title: 'Save the project',
  description:
    'Saves what changed since the last save, databases and files that git ignores included; cheap, and it never touches git. Call it before migrations, bulk deletes, git reset, checkout or clean, and when the user says save, checkpoint or "save our progress". It is not a commit.',
  hints: ADDS,
  command: 'save',
  inTurn: true,
  input: z.strictObject({ note: note() }),
  output: z.object({
    ...HEAD,
    changed: flag(),
    files_changed: count(),
    bytes_added: count(),
    databases: z.array(database),
    losses: z.array(loss),
    ...DONE,
  }),
  async run({ note: why }, session, call) {
    const outcome = await runSave({ options: said(why) }, session);
    const data = fieldsOf(outcome.result);
    const id = textOf(data['snapshot_id']);
    const files = ['files_new', 'files_changed', 'files_removed'].reduce((sum, key) => sum + Number(data[key] ?? 0), 0);
    const losses = listOf(data['losses']);
    const suspect = losses.length === 0 ? '' : `; SUSPECT: ${counted(losses.length, 'loss', 'losses')}, see lost`;
    const done = doneFields(outcome, call);
    return {
      sentence:
        data['changed'] === true
          ? `Saved ${id}: ${counted(files, 'file')} changed (${formatBytes(Number(data['data_added'] ?? 0))})${done['complete'] === true ? '' : ', INCOMPLETE'}${suspect}`
          : `Nothing changed since ${id}${suspect}`,
      data: {
        ...(await headOf(id, session)),
        changed: data['changed'],
        files_changed: files,
        bytes_added: data['data_added'] ?? 0,
        databases: listOf(data['databases']).slice(0, ROWS),
        losses: losses.slice(0, ROWS),
        ...done,
      },
      outcome,
    };
  },
});

const backup = tool({
  name: 'backup',
  title: 'Make a backup',
  description:
    'A backup: complete on its own, read back and checked, sealed. Takes seconds to minutes and tells its progress. Call it when the user says back up, take a snapshot or protect our work; before small risky steps save is enough.',
  hints: { ...ADDS, openWorld: true },
  command: 'backup now',
  inTurn: true,
  input: z.strictObject({
    note: note(),
    offsite: z.boolean().describe('also copy it to the remotes that are configured, and wait for that').default(false),
  }),
  output: z.object({
    ...HEAD,
    path: text(),
    size: count(),
    files: count(),
    sealed: flag(),
    shipped: flag().describe('a copy is off-site; false also where none was asked for'),
    databases: z.array(database),
    losses: z.array(loss),
    ...DONE,
  }),
  async run({ note: why, offsite }, session, call) {
    const outcome = await makeBackup('now', { ...said(why), noShip: !offsite }, session);
    const data = fieldsOf(outcome.result);
    const id = textOf(data['snapshot_id']);
    const done = doneFields(outcome, call);
    const shipped = data['shipped'] !== null && outcome.exitCode !== EXIT.remote;
    return {
      sentence: `Backup ${id} made and read back: ${counted(Number(data['total_files_processed']), 'file')}, ${formatBytes(Number(data['size']))}${done['complete'] === true ? '' : ', INCOMPLETE'}${shipped ? ', copied off-site' : ''}`,
      data: {
        ...(await headOf(id, session)),
        path: data['path'],
        size: data['size'],
        files: data['total_files_processed'],
        sealed: data['protection'] === 'kernel',
        shipped,
        databases: listOf(data['databases']).slice(0, ROWS),
        losses: listOf(data['losses']).slice(0, ROWS),
        ...done,
      },
      outcome,
    };
  },
});

const protect = tool({
  name: 'protect',
  title: 'Protect files and backups',
  description:
    'Makes files append-only (chattr +a: logs and memory files that only grow) and seals backups. Nothing here lifts a flag again: that is for a person (cora unprotect).',
  hints: { ...ADDS, idempotent: true },
  command: 'protect',
  inTurn: true,
  input: z.strictObject({ paths: z.array(path()).min(1).max(100).describe('paths relative to the project, or ids of backups') }),
  output: z.object({
    ...HEAD,
    files: z.array(z.object({ path: text(), protected: flag(), reason: text().nullable() })),
    backups: z.array(z.object({ snapshot_id: text(), sealed: flag(), reason: text().nullable() })),
    ...DONE,
  }),
  async run({ paths }, session, call) {
    const outcome = await runProtect({ options: {}, args: [], paths: paths.map(fromText) }, session);
    const data = fieldsOf(outcome.result);
    const files = listOf(data['files'])
      .map(fieldsOf)
      .map((one) => ({ path: one['path'], protected: one['append_only'], reason: one['reason'] ?? null }));
    const backups = listOf(data['backups'])
      .map(fieldsOf)
      .map((one) => ({ snapshot_id: one['snapshot_id'], sealed: one['protection'] === 'kernel', reason: one['protection_reason'] ?? null }));
    const held = files.filter((one) => one.protected === true).length + backups.filter((one) => one.sealed).length;
    return {
      sentence: `${held} of ${counted(files.length + backups.length, 'thing')} protected`,
      lines: files.filter((one) => one.protected !== true).map((one) => visible(`${String(one.path)}: ${String(one.reason)}`)),
      data: { ...(await headOf(textOf(backups[0]?.snapshot_id), session)), files, backups, ...doneFields(outcome, call) },
      outcome,
    };
  },
});

const rotate = tool({
  name: 'rotate',
  title: 'Cut a grown file',
  description:
    'Cuts a memory file or log that outgrew its limit to its newest part. The whole file is in the vault, read back and compared, before a byte changes, and a line at its top says where. Never trim such a file by hand.',
  hints: { ...ADDS, idempotent: true },
  command: 'rotate',
  inTurn: true,
  input: z.strictObject({ path: path().describe('relative to the project') }),
  output: z.object({ ...HEAD, path: text(), action: text(), size: count(), lines: count(), removed_lines: count(), removed_bytes: count(), ...DONE }),
  async run({ path: named }, session, call) {
    const outcome = await runRotate({ options: {}, args: [], paths: [fromText(named)] }, session);
    const [file = {}] = listOf(fieldsOf(outcome.result)['files']).map(fieldsOf);
    const id = textOf(file['snapshot_id']);
    return {
      sentence:
        file['action'] === 'rotated'
          ? `${visible(named)}: ${counted(Number(file['removed_lines']), 'older line')} moved to the vault, in save ${id}`
          : `${visible(named)}: within its limits, nothing was cut`,
      data: { ...file, ...(await headOf(id, session)), ...doneFields(outcome, call) },
      outcome,
    };
  },
});

const endSession = tool({
  name: 'end_session',
  title: 'End the session',
  description:
    'Saves, reads the save back, sends what waits off-site and sums up. Call it when the user says wrap up, done for today or end session; with backup for "backup and end session".',
  hints: { ...ADDS, openWorld: true },
  command: 'end',
  inTurn: true,
  input: z.strictObject({ note: note(), backup: z.boolean().describe('also a backup, when one is due').default(false) }),
  output: z.object({
    ...HEAD,
    backup_id: text().nullable(),
    files: count(),
    bytes: count(),
    records: count(),
    summary: z.array(text()),
    ...DONE,
  }),
  async run({ note: why, backup: also }, session, call) {
    const outcome = await runEnd({ options: { ...said(why), backup: also } }, session);
    const data = fieldsOf(outcome.result);
    const id = textOf(data['snapshot_id']);
    return {
      sentence: outcome.lines[0] ?? 'Session ended',
      lines: outcome.lines.slice(1),
      data: {
        ...data,
        snapshot_id: id,
        verified: data['verified'] === true,
        backup_id: textOf(fieldsOf(data['backup'])['snapshot_id']),
        summary: outcome.lines,
        ...doneFields(outcome, call),
      },
      outcome,
    };
  },
});

export const WRITE_TOOLS: readonly Tool[] = [save, backup, protect, rotate, endSession];
