// Parts of the schemas of routes that act, and what their answers have in common with a command's outcome. Names are
// those of docs/json.md.

import { z } from 'zod';
import type { Bytes } from '../../base/bytes.ts';
import { fromBuffer, fromText } from '../../base/bytes.ts';
import { CoraError, EXIT } from '../../base/errors.ts';
import type { Outcome } from '../command.ts';
import type { Call } from './route.ts';

const NO_NUL = /^[^\0]*$/;

/** A snapshot's name as commands take it. */
export const snapshotName = () =>
  z
    .string()
    .min(1)
    .max(4096)
    .regex(NO_NUL, 'a name has no NUL')
    .describe('an id or its beginning, latest, latest~1, a git sha, a label, or @WHEN ("@2 hours ago")');

export const pathText = () => z.string().min(1).max(4096).regex(NO_NUL, 'a path has no NUL');

export const note = () => z.string().max(500).describe('why, in a few words; lists show it').optional();

const problem = z.object({
  code: z.string(),
  path: z.string().optional(),
  path_base64: z.string().optional(),
  message: z.string(),
  severity: z.string(),
});

/** Of whatever changes something. */
export const DONE = {
  complete: z.boolean().describe('false: something was left out or is not as it should be, see problems'),
  problems: z.array(problem),
  notes: z.array(z.string()),
};

/** How it went. A problem may be both told while the command ran and part of its outcome. */
export function doneFields({ exitCode = EXIT.ok, problems = [] }: Outcome, call: Call): Readonly<Record<string, unknown>> {
  const all = new Map([...call.problems, ...problems].map((one) => [JSON.stringify(one), one]));
  return { complete: exitCode === EXIT.ok, problems: [...all.values()], notes: call.notes };
}

/**
 * The fields of a command's result.
 * @throws CoraError what the command found wrong, with its result in the details
 */
export function resultOf({ result, failure }: Outcome): Readonly<Record<string, unknown>> {
  if (failure !== undefined) {
    const { code, message, hint, details } = failure;
    throw new CoraError(code, message, { ...(hint === undefined ? {} : { hint }), ...(details === undefined ? {} : { details }) });
  }
  return typeof result === 'object' && result !== null ? { ...result } : {};
}

/** @throws CoraError usage where one is not base64 of a path */
export function pathsOf(paths: readonly string[], base64: readonly string[]): readonly Bytes[] {
  const exact = base64.map((one) => {
    const path = pathFromBase64(one);
    if (path !== undefined) return path;
    throw new CoraError('usage', 'paths_base64 has something that is no path', { hint: 'send what an answer gave as path_base64' });
  });
  return [...paths.map(fromText), ...exact];
}

/** The bytes of a path; undefined where it is not base64 of one. Node's own reader passes over what is no base64. */
export function pathFromBase64(text: string): Bytes | undefined {
  const content = Buffer.from(text, 'base64');
  if (content.toString('base64').replace(/=+$/, '') !== text.replace(/=+$/, '')) return undefined;
  return content.length > 0 && content.length <= 4096 && !content.includes(0) ? fromBuffer(content) : undefined;
}
