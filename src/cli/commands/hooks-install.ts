// `cora hooks install`.

import { installHooks } from '../../actions/hooks.ts';
import { CoraError, EXIT } from '../../base/errors.ts';
import { HOOK_NAMES, type HookName } from '../../source/hook-block.ts';
import type { Outcome, Session } from '../command.ts';
import { hooksLines } from '../render-hooks.ts';

export async function run({ options }: { readonly options: { readonly also?: string } }, session: Session): Promise<Outcome> {
  const { project } = await session.open();
  const result = installHooks(project.root, hookNames(options.also), session.machine);
  const kept = result.changes.some(({ action }) => action === 'kept');
  return { result, lines: hooksLines(result), summary: !kept, exitCode: kept ? EXIT.incomplete : EXIT.ok };
}

function hookNames(list: string | undefined): HookName[] {
  return (list ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
    .map((name) => {
      const known = HOOK_NAMES.find((one) => one === name);
      if (known === undefined) throw new CoraError('usage', `Cora has no hook ${name}`, { hint: `it has ${HOOK_NAMES.join(', ')}` });
      return known;
    });
}
