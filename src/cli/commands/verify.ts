// `cora verify` and `cora backup verify`.

import { type Bytes, toText } from '../../base/bytes.ts';
import { CoraError } from '../../base/errors.ts';
import type { Outcome, Session } from '../command.ts';
import { counted, verifyLines } from '../render.ts';
import { verifyDocument } from '../results.ts';

type Options = { readonly all?: boolean; readonly deep?: boolean; readonly maxDuration?: number };
type Input = { readonly options: Options; readonly args: readonly Bytes[]; readonly paths: readonly Bytes[] };

export async function run({ options, args, paths }: Input, session: Session): Promise<Outcome> {
  const target = [...args, ...paths][0];
  if (options.all === true && target !== undefined)
    throw new CoraError('usage', 'verify takes an ID or --all, not both', { hint: 'cora verify --all' });
  const { location } = await session.locate();
  const result = await session.engine.verify(
    location,
    {
      target: options.all === true ? 'all' : target === undefined ? undefined : toText(target),
      deep: options.deep === true,
      ...(options.maxDuration === undefined ? {} : { maxDuration: options.maxDuration }),
    },
    session.ctx,
  );
  const document = verifyDocument(result);
  const damaged = result.snapshots.reduce((sum, snapshot) => sum + snapshot.damaged.length, 0);
  if (damaged === 0) {
    return { result: document, lines: verifyLines(result), summary: true };
  }
  return {
    result: document,
    lines: verifyLines(result),
    failure: { code: 'damaged', message: `${counted(damaged, 'damaged file')} found`, hint: 'the lines above name them', details: document },
  };
}
