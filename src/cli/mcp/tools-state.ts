// Tools that tell how things are: ages, sizes, checks, losses. They change nothing.

import { z } from 'zod';
import { CoraError } from '../../base/errors.ts';
import { formatAge, formatBytes } from '../../base/units.ts';
import type { Session } from '../command.ts';
import { run as runHealth } from '../commands/health.ts';
import { run as runLost } from '../commands/lost.ts';
import { run as runStatus } from '../commands/status.ts';
import { counted, visible } from '../render.ts';
import { count, covered, fieldsOf, flag, HEAD, headOf, listOf, loss, ROWS, text, textOf } from './fields.ts';
import { READ, type Tool, tool } from './tool.ts';

const lastRun = z.object({ snapshot_id: text(), time: text(), ok: flag() }).nullable();
const warning = z.object({ message: text(), next: text() });

const status = tool({
  name: 'status',
  title: 'State of the protection',
  description:
    'How old the last save, backup, verification and restore drill are, what is not covered, what failed, and what to do about it. Call it when the user asks whether work is safe, and at the start of a session.',
  hints: READ,
  command: 'status',
  input: z.strictObject({}),
  output: z.object({
    ...HEAD,
    project: z.object({ name: text(), root: text() }),
    vault: z.object({ path: text(), exists: flag(), size: count(), free: count(), same_disk: flag() }),
    last_save: lastRun,
    last_backup: lastRun,
    last_verify: lastRun,
    last_drill: z.object({ snapshot_id: text(), time: text(), ok: flag() }).nullable(),
    saves: count(),
    backups: count(),
    sealed: count(),
    failures: z.object({ count: count() }),
    losses: z.array(loss),
    warnings: z.array(warning),
    not_covered: z.array(covered),
    not_covered_total: count(),
    offsite: z.array(z.object({ remote: text(), current: flag(), copies: count(), unshipped: count(), error: text().nullable() })),
  }),
  async run(_input, session) {
    const outcome = await runStatus({ options: {}, args: [], paths: [] }, session);
    const data = fieldsOf(outcome.result);
    const id = textOf(fieldsOf(data['last_save'])['snapshot_id']);
    const head = await headOf(id, session);
    const missing = await notCovered(session);
    const warnings = listOf(data['warnings']);
    const since = Date.parse(textOf(fieldsOf(data['last_save'])['time']) ?? '');
    const saved = id === null ? 'Nothing was saved yet' : `The newest save is ${id} (${formatAge(session.ctx.now() - since)})`;
    return {
      sentence: `${saved}; ${counted(warnings.length, 'warning')}`,
      lines: warnings.map((one) => visible(`${String(fieldsOf(one)['message'])}; next: ${String(fieldsOf(one)['next'])}`)),
      data: {
        ...data,
        ...head,
        losses: listOf(data['losses']).slice(0, ROWS),
        offsite: listOf(data['offsite']),
        not_covered: missing.slice(0, ROWS),
        not_covered_total: missing.length,
      },
    };
  },
});

async function notCovered(session: Session): Promise<readonly { readonly path: string; readonly reason: string }[]> {
  try {
    const { forms } = await session.engine.show((await session.open()).location, 'latest', session.ctx);
    return forms[0]?.report.not_covered ?? [];
  } catch (error) {
    // Nothing was saved yet: that is said already.
    if (error instanceof CoraError) return [];
    throw error;
  }
}

const health = tool({
  name: 'health',
  title: 'Health checks',
  description: 'Whether each promise is kept: age of the newest backup, ledger, seals, space, clock, timers, hooks. Each check has the next command.',
  hints: READ,
  command: 'health',
  input: z.strictObject({}),
  output: z.object({
    ...HEAD,
    health: z.enum(['ok', 'warning', 'critical']),
    checks: z.array(z.object({ name: text(), level: text(), message: text(), next: text().nullable() })),
  }),
  async run(_input, session) {
    const data = fieldsOf((await runHealth({ options: {} }, session)).result);
    const checks = listOf(data['checks']).map(fieldsOf);
    const bad = checks.filter(({ level }) => level === 'critical' || level === 'warning');
    const newest = fieldsOf(listOf(data['backups']).at(-1));
    return {
      sentence: `Health is ${String(data['health'])}: ${counted(bad.length, 'thing needs', 'things need')} attention`,
      lines: bad.map(({ message, next }) => visible(`${String(message)}${next === null ? '' : `; next: ${String(next)}`}`)),
      data: { ...data, ...(await headOf(textOf(newest['snapshot_id']), session)) },
    };
  },
});

const size = tool({
  name: 'size',
  title: 'Size of the vault',
  description: 'How much space saves and backups take, how much is left, and the largest files.',
  hints: READ,
  command: 'status',
  input: z.strictObject({}),
  output: z.object({
    ...HEAD,
    vault: z.object({ path: text(), size: count(), free: count() }),
    saves: count(),
    backups: count(),
    large_files: z.array(z.object({ path: text(), size: count() })),
  }),
  async run(_input, session) {
    const { project, location } = await session.open();
    const found = await session.engine.status(project, location, session.machine.logs, session.ctx);
    const { vault, saves, backups, largeFiles } = found;
    return {
      sentence: `The vault takes ${formatBytes(vault.bytes)} (${counted(saves, 'save')}, ${counted(backups, 'backup')}), and ${formatBytes(vault.freeBytes)} are free`,
      data: {
        ...(await headOf(found.lastSave?.id ?? null, session)),
        vault: { path: vault.path, size: vault.bytes, free: vault.freeBytes },
        saves,
        backups,
        large_files: largeFiles.slice(0, ROWS),
      },
    };
  },
});

const lost = tool({
  name: 'lost',
  title: 'List losses',
  description:
    'Critical files and databases that vanished, were emptied or shrank since an earlier save, each with the command that brings it back, and what else went in the last session of an assistant. Accepting a loss is for a person.',
  hints: READ,
  command: 'lost',
  input: z.strictObject({}),
  output: z.object({ ...HEAD, losses: z.array(loss), losses_total: count(), session_restore: z.array(text()) }),
  async run(_input, session) {
    const document = fieldsOf((await runLost({ options: {}, args: [], paths: [] }, session)).result);
    const losses = listOf(document['losses']).map(fieldsOf);
    // What went in the last session and is not critical; the commands name it.
    const besides = listOf(fieldsOf(document['session'])['restore']).map(String);
    const named = losses.length === 0 ? 'Nothing critical is lost' : `${counted(losses.length, 'loss', 'losses')}, each with the way back`;
    return {
      sentence: besides.length === 0 ? named : `${named}; besides, in the last session of an assistant, what these commands bring back`,
      lines: [
        ...losses.map(({ path: gone, kind, restore }) => visible(`${String(gone)}: ${String(kind)}; back: ${String(restore)}`)),
        ...besides.map((command) => `back: ${visible(command)}`),
      ],
      data: {
        ...(await headOf(textOf(losses[0]?.['last_good']), session)),
        losses: losses.slice(0, ROWS),
        losses_total: losses.length,
        session_restore: besides.slice(0, ROWS),
      },
    };
  },
});

export const STATE_TOOLS: readonly Tool[] = [status, size, health, lost];
