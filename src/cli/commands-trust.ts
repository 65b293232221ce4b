// Part of the table in commands.ts: commands of the user's own: which may run, and what is handed to one.

import { EXIT } from '../base/errors.ts';
import { type Command, command } from './command.ts';
import { MOMENT_FLAGS } from './snapshot-name.ts';

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
  command({
    name: 'artefact restore',
    summary: "Give a command artefact of a snapshot to its restore command (a database server's dump)",
    usage: 'NAME [ID | @WHEN]',
    about: [
      'NAME: of an [[artefacts]] entry with restore. Without ID: the newest snapshot that holds it. What is there now is dumped into a save first.',
      'The output is read back and compared with its hash before the command starts; your checks run after it.',
    ],
    flags: { ...MOMENT_FLAGS, noPreSnapshot: { kind: 'switch', help: 'do not dump what is there now first (it is broken anyway)' } },
    minArgs: 1,
    maxArgs: 2,
    examples: [
      ['cora artefact restore app', 'the newest dump'],
      ['cora artefact restore app @yesterday', 'an older one'],
    ],
    exitCodes: [EXIT.ok, EXIT.failed, EXIT.usage, EXIT.incomplete, EXIT.noVault, EXIT.locked, EXIT.refused, EXIT.damaged, EXIT.interrupted],
    logged: true,
    load: () => import('./commands/artefact-restore.ts'),
  }),
];
