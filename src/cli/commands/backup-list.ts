// `cora backup list`.

import type { Bytes } from '../../base/bytes.ts';
import type { Outcome, Session } from '../command.ts';
import { type ListCommandOptions, listSnapshots } from '../list-snapshots.ts';

export async function run(
  { options, args, paths }: { readonly options: ListCommandOptions; readonly args: readonly Bytes[]; readonly paths: readonly Bytes[] },
  session: Session,
): Promise<Outcome> {
  return listSnapshots('backup', options, [...args, ...paths][0], session);
}
