// `cora hook agent`: bin/cora starts hooks/agent before it looks for a Node, so this is reached
// only where the program was started past bin/cora.

import { CoraError } from '../../base/errors.ts';
import type { Outcome, Session } from '../command.ts';

export async function run(_input: unknown, session: Session): Promise<Outcome> {
  throw new CoraError('usage', "The assistants' hook is a shell script of its own", {
    hint: `${session.machine.launcher} hook agent EVENT ASSISTANT`,
  });
}
