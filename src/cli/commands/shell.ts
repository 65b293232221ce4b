// `cora shell`.

import { dirname } from 'node:path';
import { snapshotPaths } from '../../actions/snapshot-paths.ts';
import { type Bytes, bytes, toText } from '../../base/bytes.ts';
import { CoraError } from '../../base/errors.ts';
import { nearest } from '../../base/nearest.ts';
import type { Outcome, Session } from '../command.ts';
import { shellCode, statusLineSnippet } from '../shell-code.ts';

type Input = {
  readonly options: { readonly prompt?: boolean; readonly phrases?: boolean };
  readonly args: readonly Bytes[];
  readonly paths: readonly Bytes[];
};

const NAMES = ['bash', 'zsh', 'fish', 'starship', 'tmux', 'claude'];

export async function run({ options, args, paths }: Input, session: Session): Promise<Outcome> {
  const [first, ...rest] = [...args, ...paths];
  const name = toText(first ?? bytes(''));
  if (name === 'paths') return pathsIn(rest, session);
  if (rest.length > 0) throw new CoraError('usage', 'cora shell takes one shell', { hint: 'cora shell bash' });
  const { machine, commands } = session;
  const outcome = (code: string): Outcome => ({ result: { shell: name, code }, lines: [code] });
  switch (name) {
    case 'bash':
    case 'zsh':
    case 'fish': {
      // Without a home nothing is remembered, and there is nothing to show.
      const { launcher, state = '/nonexistent' } = machine;
      return outcome(shellCode(name, commands, { launcher, state, prompt: options.prompt === true, phrases: options.phrases === true }));
    }
    case 'starship':
    case 'tmux':
    case 'claude':
      return outcome(statusLineSnippet(name, `${dirname(dirname(machine.launcher))}/dist/shell/segment.sh`).join('\n'));
    default: {
      const meant = nearest(name, NAMES);
      const hint = meant === undefined ? `it is one of ${NAMES.join(', ')}` : `did you mean cora shell ${meant}?`;
      throw new CoraError('usage', `cora shell does not know ${name}`, { hint });
    }
  }
}

async function pathsIn([name, path]: readonly Bytes[], session: Session): Promise<Outcome> {
  if (name === undefined) throw new CoraError('usage', 'cora shell paths needs a snapshot', { hint: 'cora shell paths latest src/' });
  const { location } = await session.locate();
  const found = await snapshotPaths(location, toText(name), path ?? bytes(''), session.ctx);
  return { result: { paths: found }, lines: found };
}
