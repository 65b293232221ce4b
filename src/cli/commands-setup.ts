// Part of the table in commands.ts: setting a project or a machine up: init, doctor.

import { EXIT } from '../base/errors.ts';
import { type Command, command } from './command.ts';

export const SETUP_COMMANDS: readonly Command[] = [
  command({
    name: 'doctor',
    summary: 'Try Cora on this machine: a real save, backup and restore of a probe',
    usage: '',
    about: ['In a temporary directory; nothing of it stays. Also looks at the programs that Cora uses, and at the vault of the project around you.'],
    flags: {},
    maxArgs: 0,
    examples: [['cora doctor', 'ends with 1 where Cora does not work, with 3 where something is missing']],
    exitCodes: [EXIT.ok, EXIT.failed, EXIT.usage, EXIT.incomplete],
    load: () => import('./commands/doctor.ts'),
  }),
];
