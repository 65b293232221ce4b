// Part of the table in commands.ts: whether all is well, and the ledger's table.

import { EXIT } from '../base/errors.ts';
import { type Command, command } from './command.ts';

export const HEALTH_COMMANDS: readonly Command[] = [
  command({
    name: 'health',
    summary: 'Whether the protection works: age, damage, space, seals, ledger, hook and timers; tells somebody of a change',
    usage: '[--max-age TIME] [--notify | --test-notify] [--deep]',
    about: [
      'Makes nothing and answers in about a second. Each thing that is wrong comes with the next command.',
      'Ends with 0 when all is well, 21 for damage, 10 where the vault is gone, 22 for a newest good backup that is too old, 3 for warnings (docs/health.md).',
    ],
    flags: {
      maxAge: { kind: 'duration', value: 'TIME', help: 'how old the newest good backup may be, instead of health.max_age (36h)' },
      deep: { kind: 'switch', help: 'also verify the newest backup wholly, and the files of every snapshot against the ledger' },
      notify: { kind: 'switch', help: 'where the state changed since the last time: run health.notify and call health.webhook' },
      testNotify: { kind: 'switch', help: 'send a test message now, whatever the state' },
    },
    maxArgs: 0,
    examples: [
      ['cora health', 'look'],
      ['cora health --max-age 26h --json', 'for a monitoring system'],
      ['cora health --notify --quiet', 'what the timer does'],
    ],
    exitCodes: [EXIT.ok, EXIT.usage, EXIT.incomplete, EXIT.noVault, EXIT.refused, EXIT.damaged, EXIT.tooOld],
    load: () => import('./commands/health.ts'),
  }),
  command({
    name: 'ledger rebuild',
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
