// `cora list`.

import type { Bytes } from '../../base/bytes.ts';
import { CoraError } from '../../base/errors.ts';
import type { Outcome, Session } from '../command.ts';
import { type ListCommandOptions, listSnapshots } from '../list-snapshots.ts';

export async function run(
  { options, args, paths }: { readonly options: ListCommandOptions; readonly args: readonly Bytes[]; readonly paths: readonly Bytes[] },
  session: Session,
): Promise<Outcome> {
  if (options.saves === true && options.backups === true)
    throw new CoraError('usage', '--saves and --backups exclude each other', { hint: 'leave both out for all' });
  return listSnapshots(options.saves === true ? 'save' : options.backups === true ? 'backup' : undefined, options, [...args, ...paths][0], session);
}
