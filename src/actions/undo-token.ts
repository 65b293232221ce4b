// A plan to take the last restore back that somebody was shown, and the right to carry out exactly that, once and soon; the
// counterpart of restore-token.ts. Invariant: a token stands for one record of a restore and one state of the live entries.

import { createHash, randomBytes } from 'node:crypto';
import { lstatSync } from 'node:fs';
import { type Bytes, bytes, joinBytes } from '../base/bytes.ts';
import { CoraError } from '../base/errors.ts';
import { onPath } from '../os/long-path.ts';
import { PLAN_LIFE_MS } from './restore-token.ts';
import { planUndo, type UndoPlan } from './restore-undo.ts';

export type UndoTicket = {
  readonly token: string;
  /** Hash of the record and of what stands in the places concerned. */
  readonly state: string;
  /** Milliseconds since 1970. */
  readonly expires: number;
};

export function undoTicketFor(plan: UndoPlan, now: number): UndoTicket {
  return { token: `undo-${randomBytes(8).toString('hex')}`, state: stateHash(plan), expires: now + PLAN_LIFE_MS };
}

/**
 * The plan of a ticket, made once more and compared.
 * @throws CoraError refused where ten minutes are over, or the record or what would change places is another; what `planUndo` throws
 */
export function undoAgain(ticket: UndoTicket, root: Bytes, now: number): UndoPlan {
  const hint = 'make the plan again and look at it';
  const left = ticket.expires - now;
  if (left <= 0 || left > PLAN_LIFE_MS) throw new CoraError('refused', 'The plan is older than ten minutes: nothing was changed', { hint });
  const plan = planUndo(root);
  if (stateHash(plan) === ticket.state) return plan;
  throw new CoraError('refused', 'What would change places has changed since it was planned: nothing was changed', { hint });
}

function stateHash({ id, direction, work: { root, journal, moves } }: UndoPlan): string {
  const hash = createHash('sha256');
  const add = (...fields: readonly unknown[]) => hash.update(`${JSON.stringify(fields)}\n`);
  add(id, direction, journal.run, journal.phase, journal.started, root);
  const look = (path: Bytes) => {
    const stat = onPath(joinBytes(root, path), (reachable) => lstatSync(reachable, { throwIfNoEntry: false, bigint: true }));
    if (stat === undefined) add(path);
    else if (stat.isDirectory()) add(path, 'd');
    else add(path, ...[stat.mode, stat.uid, stat.gid, stat.size, stat.mtimeNs, stat.ctimeNs, stat.ino].map(String));
  };
  for (const { kind, path, hadLive } of moves.moves) {
    add(kind, hadLive);
    look(path);
    // A program that opens a database and reads makes these anew without a change: only a size tells of rows.
    if (kind === 'database' || kind === 'live') for (const suffix of ['-wal', '-journal']) add(sizeOf(joinBytes(root, bytes(path + suffix))));
  }
  return hash.digest('hex');
}

function sizeOf(path: Bytes): number {
  return onPath(path, (reachable) => lstatSync(reachable, { throwIfNoEntry: false })?.size ?? 0);
}
