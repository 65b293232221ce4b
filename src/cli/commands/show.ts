// `cora show`.

import { type Bytes, toText } from '../../base/bytes.ts';
import type { Outcome, Session } from '../command.ts';
import { showLines } from '../render.ts';
import { showDocument } from '../results.ts';

export async function run(
  { args, paths }: { readonly args: readonly Bytes[]; readonly paths: readonly Bytes[] },
  session: Session,
): Promise<Outcome> {
  const { location } = await session.locate();
  const target = [...args, ...paths][0];
  const result = await session.engine.show(location, target === undefined ? 'latest' : toText(target), session.ctx);
  return { result: showDocument(result), lines: showLines(result, session.ctx.now()) };
}
