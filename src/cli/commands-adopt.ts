// Part of the table in commands.ts: backups that other tools made.

import { EXIT } from '../base/errors.ts';
import { type Command, command } from './command.ts';

export const ADOPT_COMMANDS: readonly Command[] = [
  command({
    name: 'adopt',
    summary: 'Make backups of the tools before Cora readable history',
    usage: 'DIR',
    about: [
      'CORA backups (also those of a vault without VAULT.json), Atlas archives, AtoCore snapshots, Cortex database copies: docs/adopt.md.',
      'They stay where they are, are never changed and never pruned; list shows them, verify ID checks them, restore ID --to DIR brings them back.',
    ],
    flags: {
      forget: { kind: 'switch', help: 'list them no longer' },
      dryRun: { kind: 'switch', short: 'n', help: 'say what is there, and register nothing' },
    },
    minArgs: 1,
    maxArgs: 1,
    examples: [
      ['cora adopt /var/backups/myproject', 'sealed backups of CORA'],
      ['cora adopt /mnt/nas/atlas --dry-run', 'what would be listed'],
    ],
    exitCodes: [EXIT.ok, EXIT.failed, EXIT.usage, EXIT.noVault, EXIT.locked],
    logged: true,
    load: () => import('./commands/adopt.ts'),
  }),
];
