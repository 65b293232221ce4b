// `cora status`.

import type { Outcome, Session } from '../command.ts';
import { statusLines } from '../render-status.ts';
import { statusDocument } from '../results.ts';

export async function run(_input: unknown, session: Session): Promise<Outcome> {
  const { project, location } = await session.open();
  const result = await session.engine.status(project, location, session.machine.logs, session.ctx);
  return { result: statusDocument(result), lines: statusLines(result, session.ctx.now()) };
}
