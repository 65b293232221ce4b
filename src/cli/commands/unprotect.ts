// `cora unprotect`: only a person at a terminal may lift a flag; --yes does not.

import { unprotect } from '../../actions/protect.ts';
import type { Bytes } from '../../base/bytes.ts';
import { CoraError, EXIT } from '../../base/errors.ts';
import type { Outcome, Session } from '../command.ts';
import { visible } from '../render.ts';
import { protectDocument, unprotectLines } from '../render-protect.ts';

type Input = { readonly args: readonly Bytes[]; readonly paths: readonly Bytes[] };

export async function run({ args, paths }: Input, session: Session): Promise<Outcome> {
  const targets = [...args, ...paths].map((typed) => ({ typed, path: session.absolute(typed) }));
  const { project, location } = await session.open();
  const what =
    targets.length === 0
      ? 'every file that Cora made append-only'
      : targets.map(({ typed }) => visible(Buffer.from(typed, 'latin1').toString())).join(', ');
  if (!(await session.confirmInPerson(`Take the protection of ${what} away?`))) {
    throw new CoraError('refused', 'Nothing was unprotected: a person at a terminal has to say yes', {
      hint: 'run it in a terminal; --yes does not answer this',
    });
  }
  const result = unprotect(project, location, targets, session.ctx);
  const open = result.files.every(({ appendOnly }) => !appendOnly) && result.backups.every(({ protection }) => protection !== 'kernel');
  return { result: protectDocument(result), lines: unprotectLines(result), exitCode: open ? EXIT.ok : EXIT.incomplete };
}
