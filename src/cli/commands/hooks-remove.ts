// `cora hooks remove`.

import { removeHooks } from '../../actions/hooks.ts';
import { EXIT } from '../../base/errors.ts';
import type { Outcome, Session } from '../command.ts';
import { hooksLines } from '../render-hooks.ts';

export async function run(_input: unknown, session: Session): Promise<Outcome> {
  const { project } = await session.open();
  const result = removeHooks(project.root, session.machine);
  const kept = result.changes.some(({ action }) => action === 'kept');
  return { result, lines: hooksLines(result), exitCode: kept ? EXIT.incomplete : EXIT.ok };
}
