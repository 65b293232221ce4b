// What can happen to one file of a capture, as problems for the report (codes: docs/json.md).

import { type Bytes, bytes } from '../base/bytes.ts';
import type { Context, Problem } from '../base/context.ts';
import { pathFields } from '../base/path-fields.ts';
import type { Tree } from '../store/stat-cache.ts';
import type { Scanned } from './capture.ts';

/** A file that could not be read. One that vanished meanwhile is no failure, unless it is critical. */
export function notStored(path: Bytes, errno: string, critical: boolean): Problem {
  if (errno === 'ENOENT' || errno === 'ELOOP' || errno === 'ENOTDIR') {
    return {
      code: 'vanished',
      ...pathFields(path),
      message: 'The file vanished between the scan and the read',
      severity: critical ? 'error' : 'warning',
    };
  }
  return { code: 'unreadable', ...pathFields(path), message: `The file cannot be read (${errno}); it is not in this snapshot`, severity: 'error' };
}

export function unstable(path: Bytes): Problem {
  return {
    code: 'unstable',
    ...pathFields(path),
    message: 'The file changed each time it was read; what is stored may mix two states',
    severity: 'error',
  };
}

/** An encrypted database cannot be copied as one; it is stored like any file, which may catch it in the middle of a write. */
export function encrypted(path: Bytes): Problem {
  const message = 'It is named like a database and looks encrypted; its bytes are stored as they are, not as a consistent copy';
  return { code: 'db_encrypted', ...pathFields(path), message, severity: 'error' };
}

/** What these say of stored content stays true until the content is read again. (What is missing or unstable is read again each time.) */
const STANDING = new Set(['db_corrupt', 'db_encrypted', 'db_hot_journal', 'db_unchecked', 'registry_invalid_json']);

function keyOf(problem: Pick<Problem, 'path' | 'path_base64'>): string {
  return problem.path_base64 ?? `=${problem.path}`;
}

/** What the last save said of content that this one takes over unread. */
export function standingProblems(old: Tree | undefined, { scan, diff }: Scanned, isRead: (row: number) => boolean): Problem[] {
  const problems = (old?.notes['problems'] ?? []) as readonly Problem[];
  if (problems.length === 0) return [];
  const unread = new Set<string>();
  scan.paths.forEach((path, row) => {
    if ((diff.oldRow[row] ?? -1) >= 0 && !isRead(row)) unread.add(keyOf(pathFields(bytes(path))));
  });
  return problems.filter((problem) => unread.has(keyOf(problem)));
}

/** Those among a save's problems that the next save must know of. */
export function toCarry(problems: readonly Problem[]): Problem[] {
  return problems.filter(({ code }) => STANDING.has(code));
}

/** A restore in place that was stopped in the middle and could not be ended: what is there is neither old nor new. */
export function halfRestored({ halfRestored: why }: Context): Problem[] {
  if (why === undefined) return [];
  return [{ code: 'restore_unfinished', message: `A restore was stopped in the middle, and this holds a mix: ${why}`, severity: 'error' }];
}
