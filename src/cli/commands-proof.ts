// Part of the table in commands.ts: what proves that there is a way back: guard and drill.

import { EXIT } from '../base/errors.ts';
import { ARTEFACT_FLAGS } from './artefact-flags.ts';
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
      ...ARTEFACT_FLAGS,
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
  command({
    name: 'drill',
    summary: 'Prove that a restore works: restore into scratch, compare, open databases, measure',
    usage: '[ID] [--sample PERCENT|COUNT] [--max-duration TIME]',
    about: [
      "Without ID: the newest good backup, else the newest good save. With Cora, and a backup with the vault's own restore.sh too.",
      'Measures RTO (seconds of the restore) and RPO (age of the newest good snapshot, worst gap of a week) against [drill] rto and rpo (15 min, 1 h).',
      'Nothing of the project is touched; what it restored is removed again. The result is a line of the ledger (docs/guard-and-drill.md).',
    ],
    flags: {
      sample: { kind: 'text', value: 'SIZE', help: 'a part, 10% or 200 files, those drilled longest ago first; databases always' },
      maxDuration: { kind: 'duration', value: 'TIME', help: 'stop after TIME (5m, 1h), say how far it came, and end with 3' },
      scratch: { kind: 'path', value: 'DIR', help: 'restore below DIR for a while, instead of TMPDIR, /var/tmp or /tmp' },
      trigger: { kind: 'text', value: 'WORD', help: 'who asked, for the run log: manual (default), timer' },
    },
    maxArgs: 1,
    examples: [
      ['cora drill', 'the newest backup, whole'],
      ['cora drill latest --sample 10%', 'a tenth of the newest snapshot; another tenth the next time'],
      ['cora drill --max-duration 10m --json', 'for a monitoring system'],
    ],
    exitCodes: [EXIT.ok, EXIT.failed, EXIT.usage, EXIT.incomplete, EXIT.noVault, EXIT.locked, EXIT.refused, EXIT.damaged, EXIT.interrupted],
    logged: true,
    load: () => import('./commands/drill.ts'),
  }),
];
