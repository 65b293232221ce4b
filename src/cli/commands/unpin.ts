// `cora unpin`.

import { unpin } from '../../actions/pin.ts';
import type { Bytes } from '../../base/bytes.ts';
import type { Outcome, Session } from '../command.ts';
import { pinDocument, pinLines } from '../render-retention.ts';
import { namedSnapshot } from '../snapshot-name.ts';

type Input = { readonly args: readonly Bytes[]; readonly paths: readonly Bytes[] };

export async function run({ args, paths }: Input, session: Session): Promise<Outcome> {
  const { project, location } = await session.open();
  const { target } = await namedSnapshot([...args, ...paths][0], {}, location, session);
  const result = unpin(project, location, target ?? '', session.ctx);
  return { result: pinDocument(result), lines: pinLines(result), summary: true };
}
