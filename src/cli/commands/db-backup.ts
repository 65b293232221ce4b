// `cora db backup`.

import { backupDatabase } from '../../actions/db-backup.ts';
import type { Bytes } from '../../base/bytes.ts';
import { CoraError } from '../../base/errors.ts';
import type { Outcome, Session } from '../command.ts';
import { dbBackupDocument, dbBackupLines } from '../render-database.ts';

/** Shorter than for a vault: a database that stays locked that long will not be let go of by itself. */
const LOCK_WAIT_MS = 10_000;

type Options = { readonly db?: Bytes; readonly backup?: Bytes; readonly checkpoint?: boolean; readonly verify?: boolean };
type Input = { readonly options: Options; readonly args: readonly Bytes[]; readonly paths: readonly Bytes[] };

export async function run({ options, args, paths }: Input, session: Session): Promise<Outcome> {
  const [typed] = [...args, ...paths];
  if (typed !== undefined && options.db !== undefined)
    throw new CoraError('usage', 'The database is given twice: alone and with --db', { hint: 'cora db backup FILE --backup OUT' });
  const source = typed ?? options.db;
  if (source === undefined) throw new CoraError('usage', 'cora db backup needs a database', { hint: 'cora db backup FILE' });
  const result = await backupDatabase(
    {
      source: session.absolute(source),
      output: options.backup === undefined ? undefined : session.absolute(options.backup),
      checkpoint: options.checkpoint ?? true,
      verify: options.verify ?? true,
      timeout: session.globals.lockWait ?? LOCK_WAIT_MS,
    },
    session.ctx,
  );
  return { result: dbBackupDocument(result), lines: dbBackupLines(result) };
}
