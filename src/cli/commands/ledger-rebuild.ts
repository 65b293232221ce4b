// `cora ledger rebuild`.

import { rebuildLedger } from '../../actions/ledger.ts';
import { acceptMissing } from '../../actions/ledger-witness.ts';
import { writeFailure } from '../../base/errors.ts';
import { openLocated } from '../../vault/locate.ts';
import { lockForWriting } from '../../vault/vault.ts';
import type { Outcome, Session } from '../command.ts';
import { counted, visible } from '../render.ts';

export async function run(_input: unknown, session: Session): Promise<Outcome> {
  const { location } = await session.locate();
  const vault = openLocated(location);
  const lock = lockForWriting(vault, session.ctx.lockWait);
  try {
    const { path, rows, failures, seconds } = await rebuildLedger(vault);
    const accepted = acceptMissing(vault);
    const kept = failures === 0 ? '' : `, and ${counted(failures, 'failed run')} from before`;
    return {
      result: { path, rows, failures, accepted, seconds },
      lines: [
        `${visible(path)}: ${counted(rows, 'run')} from the vault${kept}`,
        ...(accepted ? ['Accepted: lines that are gone from the ledger are no longer reported'] : []),
      ],
      summary: true,
    };
  } catch (error) {
    throw writeFailure(error, `${vault.root}/ledger/cora.db`);
  } finally {
    lock.release();
  }
}
