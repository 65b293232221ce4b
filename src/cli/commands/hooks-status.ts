// `cora hooks status`.

import { hooksStatus } from '../../actions/hooks-status.ts';
import { EXIT } from '../../base/errors.ts';
import type { Outcome, Session } from '../command.ts';
import { hooksStatusLines } from '../render-hooks.ts';

export async function run(_input: unknown, session: Session): Promise<Outcome> {
  const { project } = await session.open();
  const result = hooksStatus(project.root, session.machine);
  const works = result.hooks.every(({ runs }) => runs);
  return { result, lines: hooksStatusLines(result), exitCode: works ? EXIT.ok : EXIT.incomplete };
}
