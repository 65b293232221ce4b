// `cora man`.

import type { Outcome, Session } from '../command.ts';
import { manualPage } from '../render-man.ts';

export async function run(_input: unknown, session: Session): Promise<Outcome> {
  const page = manualPage(session.commands, session.ctx.version);
  return { result: { page }, lines: [page] };
}
