// Part of the table in commands.ts: what proves that there is a way back: guard and drill.

import { EXIT } from '../base/errors.ts';
import { type Command, command } from './command.ts';

export const PROOF_COMMANDS: readonly Command[] = [
  command({
    name: 'guard',
    summary: 'Back up, run a command, and roll back where it fails',
    usage: 'LABEL [--rollback ask|auto|never] -- COMMAND [ARGS...]',
    about: [
      'The backup has the label and is kept until a person deletes it. The command has your terminal, environment and directory;',
      'its exit code is given back (128+n for a signal n, 127 not found, 126 not startable). 125: it was not run, because no good backup was made.',
      'What it changed is said on stderr. With --json its output goes to stderr, so that stdout is one document.',
    ],
    flags: {
      rollback: {
        kind: 'choice',
        value: 'HOW',
        choices: ['ask', 'auto', 'never'],
        help: 'where it fails: ask (default at a terminal), auto (as with --yes and --confirm-service-stopped) or never (default elsewhere)',
      },
      rollbackDelete: { kind: 'switch', help: 'a roll back moves what the command added aside, into .cora-restore/' },
      message: { kind: 'text', short: 'm', value: 'NOTE', help: "the backup's note; the program's name by default" },
      trigger: { kind: 'text', value: 'WORD', help: 'who asked, for the report: guard (default), timer, hook, assistant' },
    },
    minArgs: 1,
    examples: [
      ['cora guard pre-migration-v3-to-v4 -- npm run migrate', 'asks before it rolls back'],
      ['cora guard pre-cleanup --rollback auto -- ./cleanup.sh --all', 'for scripts and nightly jobs'],
    ],
    exitCodes: [EXIT.ok, EXIT.notRun, EXIT.interrupted],
    failureExit: EXIT.notRun,
    logged: true,
    load: () => import('./commands/guard.ts'),
  }),
];
