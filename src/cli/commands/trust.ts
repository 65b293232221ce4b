// `cora trust`: shows what cora.toml wants to run; only a person at a terminal may allow it.

import { allow, commandsOf, disallow, type TrustState, trustState, wrongOwner } from '../../actions/trust.ts';
import { CoraError } from '../../base/errors.ts';
import { PROJECT_FILE } from '../../base/user-command.ts';
import type { Outcome, Session } from '../command.ts';
import { counted } from '../render.ts';
import { askedDocument, askedLines } from '../render-trust.ts';

type Input = { readonly options: { readonly revoke?: boolean } };

export async function run({ options }: Input, session: Session): Promise<Outcome> {
  const { project } = await session.open();
  const { machine } = session;
  const asked = commandsOf(project.config);
  const states = () => asked.map((one) => ({ asked: one, state: trustState(project, one, machine) }));
  const outcome = (line: string): Outcome => ({ result: { commands: states().map(askedDocument) }, lines: [line] });
  if (options.revoke === true) return outcome(disallow(project, machine) ? 'Revoked: no command of cora.toml runs' : 'Nothing was trusted');

  const own = states().filter((one) => one.asked.from === PROJECT_FILE);
  if (own.length === 0) return outcome('cora.toml asks for no command');
  if (has(own, 'owner')) throw wrongOwner(project, PROJECT_FILE, machine);
  session.show(own.flatMap(askedLines));
  if (!has(own, 'untrusted')) return outcome(`Trusted already: ${counted(own.length, 'command')}`);
  if (!(await session.confirmInPerson(`Let Cora run ${own.length === 1 ? 'this command' : `these ${own.length} commands`} on this machine?`))) {
    throw new CoraError('refused', 'Nothing was trusted: a person at a terminal has to say yes', {
      hint: 'run cora trust in a terminal; --yes does not answer this',
    });
  }
  allow(project, machine, session.ctx.now());
  return outcome(`Trusted: ${counted(own.length, 'command')}`);
}

const has = (list: readonly { readonly state: TrustState }[], state: TrustState) => list.some((one) => one.state === state);
