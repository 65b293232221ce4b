// Part of the table in commands.ts: copies that leave the machine, and the way back.

import { EXIT } from '../base/errors.ts';
import { type Command, command } from './command.ts';

export const OFFSITE_COMMANDS: readonly Command[] = [
  command({
    name: 'ship',
    summary: 'Copy backups off-site, and prove every byte where it arrived',
    usage: '[ID ...] [--remote REMOTE] [--check | --prune [--confirm]]',
    about: [
      'Without an ID: every backup that is not there yet, the newest first. It goes on where a run before it was cut off.',
      'Remotes are those of [offsite] (docs/offsite.md). A copy counts once each byte was read back and COMPLETE.json lies beside it.',
    ],
    flags: {
      remote: { kind: 'list', value: 'REMOTE', help: 'instead of the configured ones: name:bucket/path of rclone, or an absolute path' },
      saves: { kind: 'switch', help: 'saves too, not backups alone' },
      trigger: { kind: 'text', value: 'WORD', help: 'who asked, for the run log: manual (default), timer' },
      prune: { kind: 'switch', variable: false, help: 'send nothing; say which copies [offsite] retention lets go, and why each other stays' },
      confirm: { kind: 'switch', variable: false, help: 'with --prune: remove them; asks at a terminal (--yes answers)' },
      dryRun: { kind: 'switch', short: 'n', help: 'with --prune: change nothing, whatever else is given' },
      check: { kind: 'switch', help: 'send nothing; read back every byte of the copies that are there' },
    },
    examples: [
      ['cora ship', 'what is not there yet'],
      ['cora ship latest', 'one'],
      ['cora ship --prune', 'what the rules would remove off-site'],
      ['cora ship --check', 'are the copies still whole?'],
    ],
    exitCodes: [EXIT.ok, EXIT.failed, EXIT.usage, EXIT.noVault, EXIT.locked, EXIT.remote, EXIT.refused, EXIT.damaged, EXIT.interrupted],
    logged: true,
    load: () => import('./commands/ship.ts'),
  }),
];
