// Part of the table in commands.ts: what makes Cora run by itself: hooks and timers.

import { EXIT } from '../base/errors.ts';
import { type Command, command } from './command.ts';
import { TIMERS_FLAGS } from './timers-session.ts';

export const AUTOMATIC_COMMANDS: readonly Command[] = [
  command({
    name: 'timers install',
    summary: 'Save every 15 minutes and back up each night, by systemd',
    usage: '[--user] [--print | --cron] [--seal USER]',
    about: [
      'As root: services of the system. Else: services of your own, which need lingering to run while you are logged out.',
      'Without systemd it prints lines for crontab and ends with 3. Running it again puts right what was changed.',
    ],
    flags: {
      ...TIMERS_FLAGS,
      print: { kind: 'switch', short: 'n', aliases: ['dry-run'], help: 'show the files that would be written, and write nothing' },
      cron: { kind: 'switch', help: 'print lines for crontab instead' },
    },
    maxArgs: 0,
    examples: [
      ['cora timers install', 'for the project around you'],
      ['cora timers install --print', 'what it would write'],
      ['sudo cora timers install --seal alice', "seal the backups that alice's own timers make"],
    ],
    exitCodes: [EXIT.ok, EXIT.failed, EXIT.usage, EXIT.incomplete, EXIT.refused],
    logged: true,
    load: () => import('./commands/timers-install.ts'),
  }),
  command({
    name: 'timers status',
    summary: 'Whether the timers are armed, when they ran, and how it ended',
    usage: '[--user]',
    flags: TIMERS_FLAGS,
    maxArgs: 0,
    examples: [['cora timers status', 'ends with 3 where something keeps them from working']],
    exitCodes: [EXIT.ok, EXIT.usage, EXIT.incomplete],
    load: () => import('./commands/timers-status.ts'),
  }),
  command({
    name: 'timers remove',
    summary: 'Stop the timers and delete the unit files that Cora wrote',
    usage: '[--user] [--seal USER]',
    about: ['Saves and backups stay, and so do settings of your own (systemctl edit).'],
    flags: TIMERS_FLAGS,
    maxArgs: 0,
    examples: [['cora timers remove', 'for the project around you']],
    exitCodes: [EXIT.ok, EXIT.failed, EXIT.usage],
    logged: true,
    load: () => import('./commands/timers-remove.ts'),
  }),
];
