// Part of the table in commands.ts: what a repository's configuration may run.

import { EXIT } from '../base/errors.ts';
import { type Command, command } from './command.ts';

export const TRUST_COMMANDS: readonly Command[] = [
  command({
    name: 'trust',
    summary: "Allow the commands of this project's cora.toml to run on this machine; asks a person",
    usage: '[--revoke]',
    about: [
      'Shows each command and HTTP probe that cora.toml asks for. Until a person allows them none runs; a changed one has to be allowed again.',
      'Commands in /etc/cora/<name>.toml or ~/.config/cora/<name>.toml need no trust. --yes does not answer its question.',
    ],
    flags: { revoke: { kind: 'switch', help: 'take it back: none of them runs any more' } },
    maxArgs: 0,
    examples: [
      ['cora trust', 'look at the commands, and allow them'],
      ['cora trust --revoke', 'as before'],
    ],
    exitCodes: [EXIT.ok, EXIT.usage, EXIT.refused],
    logged: true,
    load: () => import('./commands/trust.ts'),
  }),
];
