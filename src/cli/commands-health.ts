// Part of the table in commands.ts: whether all is well, and the ledger's table.

import { EXIT } from '../base/errors.ts';
import { type Command, command } from './command.ts';

export const HEALTH_COMMANDS: readonly Command[] = [
  command({
    name: 'ledger rebuild',
    minor: true,
    summary: "Make the ledger's table (ledger/cora.db) again from the vault alone",
    usage: '',
    about: ['From ledger/chain.log and the reports of the snapshots. Runs that failed stand in the table only; they are kept where it can be read.'],
    flags: {},
    maxArgs: 0,
    examples: [['cora ledger rebuild', 'after cora.db was deleted or damaged (the next run does it too)']],
    exitCodes: [EXIT.ok, EXIT.failed, EXIT.usage, EXIT.noVault, EXIT.locked],
    logged: true,
    load: () => import('./commands/ledger-rebuild.ts'),
  }),
];
