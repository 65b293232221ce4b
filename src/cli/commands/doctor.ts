// `cora doctor`.

import { type Check, doctor } from '../../actions/doctor.ts';
import { EXIT } from '../../base/errors.ts';
import type { VaultLocation } from '../../vault/locate.ts';
import { table } from '../columns.ts';
import type { Outcome, Session } from '../command.ts';
import { visible } from '../render.ts';

export async function run(_input: unknown, session: Session): Promise<Outcome> {
  let location: VaultLocation | undefined;
  try {
    ({ location } = await session.locate());
  } catch {
    // Outside any project (an installation that tries itself) there is no vault to look at.
  }
  const checks = [engine(session), ...(await doctor(location, session.ctx))];
  const worst = checks.some(({ state }) => state === 'fail') ? EXIT.failed : checks.some(({ state }) => state === 'warn') ? EXIT.incomplete : EXIT.ok;
  return {
    result: { healthy: worst !== EXIT.failed, node: process.version, launcher: session.machine.launcher, checks },
    lines: [...table(checks.map(({ name, state, message }) => [state, name, visible(message)])), verdict(worst)],
    exitCode: worst,
  };
}

function engine({ machine, ctx }: Session): Check {
  return { name: 'engine', state: 'ok', message: `Cora ${ctx.version} at ${machine.launcher}, Node ${process.version}` };
}

function verdict(worst: number): string {
  if (worst === EXIT.failed) return 'Cora does NOT work here: see the lines that begin with fail';
  return worst === EXIT.ok ? 'Cora works here' : 'Cora works here; what the lines that begin with warn name is missing';
}
