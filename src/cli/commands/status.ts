// `cora status`.

import { sizeWarning } from '../../actions/prune-auto.ts';
import { automaticStatus } from '../automatic-status.ts';
import type { Outcome, Session } from '../command.ts';
import { statusLines } from '../render-status.ts';
import { timersStatusDocument } from '../render-timers.ts';
import { statusDocument } from '../results.ts';

export async function run(_input: unknown, session: Session): Promise<Outcome> {
  const { project, location } = await session.open();
  const found = await session.engine.status(project, location, session.machine.logs, session.ctx);
  const { hooks, timers, warnings } = automaticStatus(project, location, session);
  const size = found.vault.exists ? sizeWarning(project, location, session.ctx) : undefined;
  const result = { ...found, warnings: [...found.warnings, ...(size === undefined ? [] : [size]), ...warnings] };
  const document = { ...statusDocument(result), hooks: hooks ?? null, timers: timers === undefined ? null : timersStatusDocument(timers) };
  return { result: document, lines: statusLines(result, { hooks, timers }, session.ctx.now()) };
}
