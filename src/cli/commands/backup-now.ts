// `cora backup now`.

import type { Outcome, Session } from '../command.ts';
import { type BackupCommandOptions, makeBackup } from '../make-backup.ts';

export function run({ options }: { readonly options: BackupCommandOptions }, session: Session): Promise<Outcome> {
  return makeBackup('now', options, session);
}
