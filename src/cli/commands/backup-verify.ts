// `cora backup verify`: without an ID the newest backup, where `cora verify` takes the newest snapshot.

import type { Bytes } from '../../base/bytes.ts';
import { CoraError } from '../../base/errors.ts';
import type { Outcome, Session } from '../command.ts';
import { hasMoment, type MomentOptions, namedSnapshot } from '../snapshot-name.ts';
import { type VerifyCommandOptions, verifySnapshots } from '../verify-snapshots.ts';

type Input = { readonly options: VerifyCommandOptions & MomentOptions; readonly args: readonly Bytes[]; readonly paths: readonly Bytes[] };

export async function run({ options, args, paths }: Input, session: Session): Promise<Outcome> {
  const target = [...args, ...paths][0];
  if (options.all === true && (target !== undefined || hasMoment(options)))
    throw new CoraError('usage', 'backup verify takes an ID or --all, not both', { hint: 'cora verify --all' });
  const { location } = await session.locate();
  if (options.all === true) return verifySnapshots({ target: 'all', fields: {} }, options, location, session);
  if (target !== undefined || hasMoment(options)) {
    return verifySnapshots(await namedSnapshot(target, options, location, session, 'backup'), options, location, session);
  }
  if (options.chain === true) return verifySnapshots({ target: 'chain', fields: {} }, options, location, session);
  const { snapshots } = await session.engine.list(location, { kind: 'backup', path: undefined, limit: 1 }, session.ctx);
  const newest = snapshots[0];
  if (newest === undefined) throw new CoraError('unknown_snapshot', 'The vault has no backup yet', { hint: 'cora backup now' });
  return verifySnapshots({ target: newest.id, fields: {} }, options, location, session);
}
