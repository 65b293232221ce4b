// The one question of `cora recover`, at a terminal only: which project, where several are at the remote.

import { isCancel, select } from '@clack/prompts';
import type { CopyGroup } from '../actions/recover-choose.ts';
import { CoraError } from '../base/errors.ts';
import { counted, visible } from './render.ts';

/** @throws CoraError interrupted where the person ends it (Ctrl-C, Escape) */
export async function askWhichGroup(groups: readonly CopyGroup[], signal: AbortSignal): Promise<CopyGroup> {
  const answer = await select({
    input: process.stdin,
    output: process.stderr,
    signal,
    message: 'Several projects are there. Which one?',
    options: groups.map((group, index) => ({
      value: index,
      label: visible(`${group.project} in ${group.env}`),
      hint: visible(`of ${group.host}, ${counted(group.copies.length, 'copy', 'copies')}, newest ${group.copies[0]?.complete.snapshot_id ?? ''}`),
    })),
  });
  const chosen = isCancel(answer) ? undefined : groups[answer];
  if (chosen === undefined) throw new CoraError('interrupted', 'Nothing was changed', { hint: 'name one with --env' });
  return chosen;
}
