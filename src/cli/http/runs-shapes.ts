// Drills and runs as the routes tell them.

import { z } from 'zod';
import type { VaultView } from '../../actions/view.ts';
import { toText } from '../../base/bytes.ts';
import { type RunEntry, readRuns } from '../../os/run-log.ts';
import type { Session } from '../command.ts';
import type { Document } from '../results.ts';
import { number, rfc3339, text, time } from './view-shapes.ts';

export const drill = z.object({ snapshot_id: text, time, ok: z.boolean(), seconds: number.nullable() });
/** What the run log is searched for: newest bytes of each file. */
const LOG_BYTES = 8 << 20;

type Drills = ReturnType<VaultView['marks']>['drills'];

export function drillsDocument(drills: Drills): Document {
  const succeeded = drills.filter(({ outcome }) => outcome === 'ok').length;
  const rate = drills.length === 0 ? null : Number((succeeded / drills.length).toFixed(4));
  return { count: drills.length, succeeded, rate, points: drills.map(drillDocument) };
}

export function drillDocument({ id, time: at, outcome, seconds }: Drills[number]): Document {
  return { snapshot_id: id, time: rfc3339(at), ok: outcome === 'ok', seconds: seconds ?? null };
}

/** Oldest first; a command that was only told the vault knows of no project. */
export async function runsOf(session: Session): Promise<readonly RunEntry[]> {
  const { project, location } = await session.open();
  const root = toText(project.root);
  return readRuns(session.machine.logs, LOG_BYTES).filter((run) => run.project === root || run.vault === location.path);
}

export const isFailure = ({ level }: RunEntry) => level === 'error';
