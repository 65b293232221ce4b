// What the ledger and the run log say: lines, runs, what was verified, sealed, copied and drilled, and what is lost.

import { z } from 'zod';
import { acceptCommand, restoreCommand } from '../../actions/loss-text.ts';
import { isFrozen, listLost } from '../../actions/lost.ts';
import { type VaultView, viewOf } from '../../actions/view.ts';
import { decodedExtra } from '../../actions/view-marks.ts';
import { verifiedOf } from '../../actions/view-snapshots.ts';
import type { RunEntry } from '../../os/run-log.ts';
import { parseId } from '../../vault/layout.ts';
import type { Document } from '../results.ts';
import { type Route, route } from './route.ts';
import { drill, drillDocument, isFailure, runsOf } from './runs-shapes.ts';
import { count, flag, number, openView, pageOf, pageQuery, ref, refOf, rfc3339, text, time } from './view-shapes.ts';

export const LEDGER_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/api/v1/ledger',
    summary: 'Lines of the ledger, newest first',
    about: 'What docs/format.md calls ledger/chain.log. kinds counts all lines.',
    command: 'list',
    query: z.strictObject({ ...pageQuery(), kind: z.string().max(40).optional() }),
    output: z.object({
      total: count,
      kinds: z.record(z.string(), count),
      next: text.nullable(),
      lines: z.array(z.object({ sequence: count, kind: text, snapshot_id: text.nullable(), time, hash: text.nullable(), extra: text.nullable() })),
    }),
    run: async ({ query }, session) => {
      const view = await openView(session);
      const kinds: Record<string, number> = {};
      for (const { kind } of view.lines) kinds[kind] = (kinds[kind] ?? 0) + 1;
      const lines = view.lines.filter(({ kind }) => query.kind === undefined || kind === query.kind).reverse();
      const page = pageOf(lines, query);
      const items = page.items.map(({ sequence, kind, id, time: at, sums, extra }) => ({
        sequence,
        kind,
        snapshot_id: parseId(id) === undefined ? null : id,
        time: rfc3339(Number.isNaN(Date.parse(at)) ? 0 : Date.parse(at)),
        hash: sums === '-' ? null : sums,
        extra: decodedExtra(extra),
      }));
      return { data: { total: page.total, kinds, next: page.next, lines: items } };
    },
  }),
  route({
    method: 'GET',
    path: '/api/v1/runs',
    summary: 'The run log of this project, newest first',
    about: 'Runs that left no snapshot too. docs/json.md, "The run log".',
    command: 'status',
    query: z.strictObject({ ...pageQuery(), failed: flag }),
    output: z.object({
      total: count,
      failed: count,
      next: text.nullable(),
      runs: z.array(
        z.object({
          time,
          command: text,
          trigger: text.nullable(),
          level: z.enum(['info', 'warn', 'error']),
          snapshot_id: text.nullable(),
          exit_code: count.nullable(),
          seconds: number.nullable(),
          message: text.nullable(),
          phrase: text.nullable(),
        }),
      ),
    }),
    run: async ({ query }, session) => {
      const all = (await runsOf(session)).toReversed();
      const failed = all.filter(isFailure);
      const page = pageOf(query.failed === 'true' ? failed : all, query);
      return { data: { total: page.total, failed: failed.length, next: page.next, runs: page.items.map(runDocument) } };
    },
  }),
  route({
    method: 'GET',
    path: '/api/v1/verify-state',
    summary: 'What was verified, sealed, copied and drilled',
    about: 'By the ledger and a look at the flags; nothing is read again.',
    command: 'status',
    output: z.object({
      snapshots: count,
      verified: count,
      unverified: count,
      damaged: z.array(z.object({ ...ref.shape, checked_at: time })),
      last: z.object({ snapshot_id: text, kind: text.nullable(), time, ok: z.boolean() }).nullable(),
      oldest_check: z.object({ snapshot_id: text, time }).nullable(),
      backups: count,
      sealed: count,
      seal_missing: z.array(ref),
      offsite: count,
      drills: z.object({ count, succeeded: count, last: drill.nullable() }),
    }),
    run: async (_input, session) => ({ data: verifyDocument(await openView(session), session.ctx.now()) }),
  }),
  route({
    method: 'GET',
    path: '/api/v1/lost',
    summary: 'What the newest save found lost',
    about: 'As cora lost --json: each loss with the commands that bring it back or accept it.',
    // Not lost: nobody ran it, and a look is no line of the run log.
    command: 'status',
    output: z.object({
      frozen: z.boolean(),
      losses: z.array(z.looseObject({ ...{ path: text, path_base64: text.optional() }, restore: text, accept: text })),
    }),
    run: async (_input, session) => {
      const { project, location } = await session.open();
      const view = await viewOf(location, session.ctx);
      return {
        data: await view.remembered('lost', () => {
          const { vault, losses } = listLost(project, location);
          const place = { root: project.root, vault };
          const told = losses.map((loss) => ({ ...loss, restore: restoreCommand(loss, place), accept: acceptCommand(loss, place) }));
          return { frozen: isFrozen(vault), losses: told };
        }),
      };
    },
  }),
];

function verifyDocument(view: VaultView, now: number): Document {
  const marks = view.marks(now);
  const rows = view.rows();
  const checks = rows.map((row) => ({ row, check: verifiedOf(row, marks) }));
  const flags = view.protections(now);
  const backups = rows.filter(({ main }) => main.kind === 'backup');
  const last = view.lines.findLast(({ kind }) => kind === 'verify');
  const known = checks.flatMap(({ row, check }) => (check?.ok === true ? [{ row, at: check.time }] : []));
  const oldest = known.reduce<(typeof known)[number] | undefined>(
    (least, one) => (least === undefined || one.at < least.at ? one : least),
    undefined,
  );
  const drilled = marks.drills.at(-1);
  return {
    snapshots: rows.length,
    verified: known.length,
    unverified: checks.filter(({ check }) => check === undefined).length,
    damaged: checks.flatMap(({ row, check }) => (check?.ok === false ? [{ ...refOf(row.main), checked_at: rfc3339(check.time) }] : [])),
    last:
      last === undefined
        ? null
        : { snapshot_id: last.id, kind: last.extra.split(',')[0] ?? null, time: rfc3339(Date.parse(last.time)), ok: last.extra.endsWith(',ok') },
    oldest_check: oldest === undefined ? null : { snapshot_id: oldest.row.id, time: rfc3339(oldest.at) },
    backups: backups.length,
    sealed: backups.filter(({ id }) => flags.get(id) === 'kernel').length,
    seal_missing: backups.filter(({ id }) => marks.sealed.has(id) && flags.get(id) !== 'kernel').map(({ main }) => refOf(main)),
    offsite: rows.filter(({ id }) => marks.offsite.has(id)).length,
    drills: {
      count: marks.drills.length,
      succeeded: marks.drills.filter(({ outcome }) => outcome === 'ok').length,
      last: drilled === undefined ? null : drillDocument(drilled),
    },
  };
}

function runDocument({ time: at, command, trigger, level, id, exit, seconds, message, phrase }: RunEntry): Document {
  return {
    time: rfc3339(at),
    command,
    trigger: trigger ?? null,
    level,
    snapshot_id: id ?? null,
    exit_code: exit ?? null,
    seconds: seconds ?? null,
    message: message ?? null,
    phrase: phrase ?? null,
  };
}
