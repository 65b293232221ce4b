// The parts of the tools' schemas, and how a result of a command becomes an answer. A schema picks what an
// assistant needs of the document of `--json` (docs/json.md); lists are cut, and their whole length is told.

import { z } from 'zod';
import { isVerified } from '../../actions/verified.ts';
import { EXIT } from '../../base/errors.ts';
import { openLocated, type VaultLocation } from '../../vault/locate.ts';
import type { Outcome, Session } from '../command.ts';
import type { Call } from './tool.ts';

/** Rows of a list that an answer holds at most. */
export const ROWS = 50;

export const text = () => z.string();
export const count = () => z.number();
export const flag = () => z.boolean();

export const HEAD = {
  snapshot_id: text().nullable().describe('the snapshot that this is about; null where there is none'),
  verified: flag().describe('it was read back from the disk and found whole the last time that was tried'),
};

const problem = z.object({ code: text(), path: text().optional(), message: text(), severity: text() });

/** Of what adds something. */
export const DONE = {
  complete: flag().describe('false: something was left out, see problems'),
  problems: z.array(problem),
  notes: z.array(text()),
};

export const covered = z.object({ path: text(), reason: text() });
export const database = z.object({ path: text(), rows: count().nullable().optional(), stored: text().optional() });
export const loss = z.object({ path: text(), kind: text(), before: count(), after: count(), last_good: text(), restore: text().optional() });
const NO_NUL = /^[^\0]*$/;
export const path = () => z.string().min(1).max(4096).regex(NO_NUL, 'a path has no NUL');
export const note = () => z.string().max(500).describe('why, in a few words; list_saves shows it').optional();
export const name = () =>
  z
    .string()
    .min(1)
    .max(4096)
    .regex(NO_NUL, 'a name has no NUL')
    .describe('a snapshot: an id or its beginning, latest, latest~1, a git sha, a label, or @WHEN ("@2 hours ago", "@yesterday 15:00")');

/** How it went, as fields. A problem may be both told while the command ran and part of its outcome. */
export function doneFields(outcome: Outcome, { notes, problems }: Pick<Call, 'notes' | 'problems'>): Readonly<Record<string, unknown>> {
  const all = new Map([...problems, ...(outcome.problems ?? [])].map((problem) => [JSON.stringify(problem), problem]));
  const complete = (outcome.exitCode ?? EXIT.ok) === EXIT.ok && outcome.failure === undefined;
  return { complete, problems: [...all.values()].slice(0, ROWS), notes };
}

/** The fields of a command's result. */
export function fieldsOf(result: unknown): Readonly<Record<string, unknown>> {
  return typeof result === 'object' && result !== null ? { ...result } : {};
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The field as text, or null. */
export function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

/** A vault that is not there has verified nothing. */
export function verifiedIn(location: VaultLocation, id: string | null): boolean {
  return id !== null && isVerified(openLocated(location), id);
}

export async function headOf(id: string | null, session: Session): Promise<{ readonly snapshot_id: string | null; readonly verified: boolean }> {
  return { snapshot_id: id, verified: id !== null && verifiedIn((await session.open()).location, id) };
}
