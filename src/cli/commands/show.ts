// `cora show`.

import type { Bytes } from '../../base/bytes.ts';
import type { Outcome, Session } from '../command.ts';
import { showLines } from '../render.ts';
import { adoptedDocument, adoptedLines } from '../render-adopt.ts';
import { showDocument } from '../results.ts';
import { type MomentOptions, namedSnapshot } from '../snapshot-name.ts';

type Input = { readonly options: MomentOptions; readonly args: readonly Bytes[]; readonly paths: readonly Bytes[] };

export async function run({ options, args, paths }: Input, session: Session): Promise<Outcome> {
  const { location } = await session.locate();
  const { target, fields, adopted } = await namedSnapshot([...args, ...paths][0], options, location, session);
  if (adopted !== undefined) return { result: adoptedDocument(adopted.snapshot), lines: adoptedLines(adopted.snapshot) };
  const result = await session.engine.show(location, target ?? 'latest', session.ctx);
  return { result: { ...showDocument(result), ...fields }, lines: showLines(result, session.ctx.now()) };
}
