// `cora pin`.

import { parseUntil, pin } from '../../actions/pin.ts';
import type { Bytes } from '../../base/bytes.ts';
import type { Outcome, Session } from '../command.ts';
import { pinDocument, pinLines } from '../render-retention.ts';
import { namedSnapshot } from '../snapshot-name.ts';

type Input = { readonly options: { readonly until?: string }; readonly args: readonly Bytes[]; readonly paths: readonly Bytes[] };

export async function run({ options, args, paths }: Input, session: Session): Promise<Outcome> {
  const { project, location } = await session.open();
  const until = options.until === undefined ? undefined : parseUntil(options.until, session.ctx.now());
  const { target } = await namedSnapshot([...args, ...paths][0], {}, location, session);
  const result = pin(project, location, target ?? '', until, session.ctx);
  return { result: pinDocument(result), lines: pinLines(result), summary: true };
}
