// What adds and what checks: a save, a backup, a verification, each by the command's own code with its locks. None of them
// takes anything away. The answer comes when it is done; the events tell how far it is.

import { z } from 'zod';
import { fromText } from '../../base/bytes.ts';
import { run as runSave } from '../commands/save.ts';
import { run as runVerify } from '../commands/verify.ts';
import { makeBackup } from '../make-backup.ts';
import { DONE, doneFields, note, resultOf, snapshotName } from './fields.ts';
import { type Route, route, TRIGGER } from './route.ts';

const said = (message: string | undefined) => ({ trigger: TRIGGER, ...(message === undefined ? {} : { message }) });

const damagedFile = z.object({ path: z.string(), file: z.string(), reason: z.string() });

export const ACTION_ROUTES: readonly Route[] = [
  route({
    method: 'POST',
    path: '/api/v1/save',
    summary: 'Save what changed',
    about: 'As cora save: the fields of its JSON document (docs/json.md), with complete, problems and notes. A vault that is busy is 409 at once.',
    command: 'save',
    inTurn: true,
    body: z.strictObject({ note: note() }),
    output: z.looseObject({ outcome: z.string(), changed: z.boolean(), snapshot_id: z.string().nullable(), ...DONE }),
    failures: [409, 422, 503, 507],
    run: async ({ body }, session, call) => {
      const outcome = await runSave({ options: said(body.note) }, session);
      return { data: { ...resultOf(outcome), ...doneFields(outcome, call) }, outcome };
    },
  }),
  route({
    method: 'POST',
    path: '/api/v1/backup',
    summary: 'Make a backup',
    about: 'As cora backup now: complete on its own, read back and checked, sealed. With offsite it waits for the copy to the configured remotes.',
    command: 'backup now',
    inTurn: true,
    body: z.strictObject({ note: note(), offsite: z.boolean().default(false) }),
    output: z.looseObject({ outcome: z.string(), snapshot_id: z.string().nullable(), path: z.string().nullable(), ...DONE }),
    failures: [409, 422, 502, 503, 507],
    run: async ({ body }, session, call) => {
      const outcome = await makeBackup('now', { ...said(body.note), noShip: !body.offsite }, session);
      return { data: { ...resultOf(outcome), ...doneFields(outcome, call) }, outcome };
    },
  }),
  route({
    method: 'POST',
    path: '/api/v1/verify',
    summary: 'Read snapshots back and check them',
    about:
      'As cora verify: the newest, the one named, or all; deep also decodes every file and opens every database. Damage is 422 with the code damaged and the result in its details.',
    command: 'verify',
    inTurn: true,
    body: z.strictObject({ snapshot: snapshotName().optional(), all: z.boolean().default(false), deep: z.boolean().default(false) }),
    output: z.looseObject({
      snapshots: z.array(
        z.looseObject({ snapshot_id: z.string(), kind: z.string(), ok: z.boolean(), seal_missing: z.boolean(), damaged: z.array(damagedFile) }),
      ),
      ...DONE,
    }),
    failures: [404, 409, 422, 503],
    run: async ({ body: { snapshot, all, deep } }, session, call) => {
      const options = { deep, ...(all ? { all } : {}) };
      const outcome = await runVerify({ options, args: snapshot === undefined ? [] : [fromText(snapshot)], paths: [] }, session);
      return { data: { ...resultOf(outcome), ...doneFields(outcome, call) }, outcome };
    },
  }),
];
