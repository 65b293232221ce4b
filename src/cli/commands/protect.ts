// `cora protect`.

import { protect } from '../../actions/protect.ts';
import { type SealedBackup, sealEveryVault } from '../../actions/seal.ts';
import type { Bytes } from '../../base/bytes.ts';
import { CoraError, EXIT } from '../../base/errors.ts';
import type { Outcome, Session } from '../command.ts';
import { protectDocument, protectLines } from '../render-protect.ts';

type Input = { readonly options: { readonly seals?: boolean }; readonly args: readonly Bytes[]; readonly paths: readonly Bytes[] };

export async function run({ options, args, paths }: Input, session: Session): Promise<Outcome> {
  const targets = [...args, ...paths].map((typed) => ({ typed, path: session.absolute(typed) }));
  if (options.seals === true) {
    if (targets.length > 0)
      throw new CoraError('usage', '--seals takes no names: it seals the backups of every known vault', { hint: 'cora protect ID' });
    return sealAll(session);
  }
  const { project, location } = await session.open();
  const { files, backups } = await protect(project, location, targets, session.ctx);
  return outcomeOf(files, backups);
}

function sealAll({ machine, ctx }: Session): Outcome {
  if (machine.state === undefined) throw new CoraError('usage', 'No vaults are known: HOME is not set', { hint: 'set HOME, or XDG_STATE_HOME' });
  const { backups, problems } = sealEveryVault(machine.state, ctx);
  const outcome = outcomeOf([], backups);
  return problems.length === 0 ? outcome : { ...outcome, lines: backups.length === 0 ? [] : outcome.lines, exitCode: EXIT.incomplete, problems };
}

function outcomeOf(files: Parameters<typeof protectLines>[0]['files'], backups: readonly SealedBackup[]): Outcome {
  const result = { files, backups };
  const held = files.every(({ appendOnly }) => appendOnly) && backups.every(({ protection }) => protection === 'kernel');
  return { result: protectDocument(result), lines: protectLines(result), exitCode: held ? EXIT.ok : EXIT.incomplete };
}
