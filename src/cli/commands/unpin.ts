// `cora unpin`.

import { unpin } from '../../actions/pin.ts';
import { type Bytes, toText } from '../../base/bytes.ts';
import type { Outcome, Session } from '../command.ts';
import { pinDocument, pinLines } from '../render-retention.ts';

type Input = { readonly args: readonly Bytes[]; readonly paths: readonly Bytes[] };

export async function run({ args, paths }: Input, session: Session): Promise<Outcome> {
  const { project, location } = await session.open();
  const [name] = [...args, ...paths];
  const result = unpin(project, location, toText(name ?? ('' as Bytes)), session.ctx);
  return { result: pinDocument(result), lines: pinLines(result), summary: true };
}
