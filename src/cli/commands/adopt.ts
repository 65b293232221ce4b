// `cora adopt`.

import { adopt } from '../../actions/adopt.ts';
import type { Bytes } from '../../base/bytes.ts';
import { CoraError } from '../../base/errors.ts';
import type { Outcome, Session } from '../command.ts';
import { adoptDocument, adoptLines } from '../render-adopt.ts';

type Options = { readonly forget?: boolean; readonly dryRun?: boolean };

export async function run(
  { options, args, paths }: { readonly options: Options; readonly args: readonly Bytes[]; readonly paths: readonly Bytes[] },
  session: Session,
): Promise<Outcome> {
  const [directory] = [...args, ...paths];
  if (directory === undefined) throw new CoraError('usage', 'adopt needs a directory', { hint: 'cora adopt /var/backups/myproject' });
  const { project, location } = await session.open();
  const choice = { directory: session.absolute(directory), forget: options.forget === true, dryRun: options.dryRun === true };
  const result = await adopt(project, location, choice, session.ctx);
  return { result: adoptDocument(result), lines: adoptLines(result), summary: true };
}
