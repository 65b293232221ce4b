// What `cora backup now` and `cora backup auto` share.

import { exitCodeOf, type Outcome, type Session } from './command.ts';
import { backupLines } from './render.ts';
import { backupDocument } from './results.ts';

export type BackupCommandOptions = { readonly message?: string; readonly label?: string; readonly trigger?: string };

export async function makeBackup(mode: 'now' | 'auto', options: BackupCommandOptions, session: Session): Promise<Outcome> {
  const { project, location } = await session.open();
  const result = await session.engine.backup(
    project,
    location,
    {
      mode,
      trigger: options.trigger ?? 'manual',
      ...(options.message === undefined ? {} : { note: options.message }),
      ...(options.label === undefined ? {} : { label: options.label }),
    },
    session.ctx,
  );
  const problems = [...(result.save?.problems ?? []), ...result.problems];
  return {
    result: backupDocument(result),
    lines: backupLines(result),
    summary: true,
    exitCode: exitCodeOf(problems, result.report, result.save?.report),
    problems,
  };
}
