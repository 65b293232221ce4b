// `cora verify`.

import { type Bytes, toText } from '../../base/bytes.ts';
import { CoraError } from '../../base/errors.ts';
import type { Outcome, Session } from '../command.ts';
import { type VerifyCommandOptions, verifySnapshots } from '../verify-snapshots.ts';

type Input = { readonly options: VerifyCommandOptions; readonly args: readonly Bytes[]; readonly paths: readonly Bytes[] };

export async function run({ options, args, paths }: Input, session: Session): Promise<Outcome> {
  const target = [...args, ...paths][0];
  if (options.all === true && target !== undefined)
    throw new CoraError('usage', 'verify takes an ID or --all, not both', { hint: 'cora verify --all' });
  const { location } = await session.locate();
  return verifySnapshots(options.all === true ? 'all' : target === undefined ? undefined : toText(target), options, location, session);
}
