// Part of the table in commands.ts: what keeps things from being lost: protect, unprotect, lost, rotate.

import { EXIT } from '../base/errors.ts';
import { type Command, command } from './command.ts';

export const PROTECTION_COMMANDS: readonly Command[] = [
  command({
    name: 'protect',
    summary: 'Make backups immutable and memory files append-only, and say what holds',
    usage: '[PATH or ID...]',
    about: [
      'Without names: +i on every backup that lacks it, +a on the files of critical.append_only. What it prints is what lsattr says.',
      'Flags need root (CAP_LINUX_IMMUTABLE); without, it says so and ends with 3.',
    ],
    flags: { seals: { kind: 'switch', help: "seal the backups of every vault of this user's projects; for the cora-seal timer" } },
    examples: [
      ['cora protect', 'everything that should be protected'],
      ['cora protect AI_WORK_LOG.md', 'one file that only grows'],
      ['cora protect 20261121-031500', 'one backup'],
    ],
    exitCodes: [EXIT.ok, EXIT.failed, EXIT.usage, EXIT.incomplete, EXIT.noVault, EXIT.locked, EXIT.refused],
    logged: true,
    load: () => import('./commands/protect.ts'),
  }),
  command({
    name: 'unprotect',
    summary: 'Lift a protection again; asks a person',
    usage: '[PATH or ID...]',
    about: ['Without names: every file that Cora made append-only. A backup has to be named. --yes does not answer its question.'],
    flags: {},
    examples: [['cora unprotect AI_WORK_LOG.md', 'so that it can be edited']],
    exitCodes: [EXIT.ok, EXIT.failed, EXIT.usage, EXIT.incomplete, EXIT.noVault, EXIT.locked, EXIT.refused],
    logged: true,
    load: () => import('./commands/unprotect.ts'),
  }),
  command({
    name: 'lost',
    summary: 'What was lost since an earlier save, and the command that brings it back',
    usage: '[--accept PATH or ID]',
    about: [
      'Each save compares critical files and databases with the last good one: gone, emptied, shrunk to half, rows fallen to half.',
      'A loss makes saves SUSPECT until it is back, or a person accepts it (at a terminal; --yes does not answer).',
    ],
    flags: { accept: { kind: 'switch', help: 'what is there now counts as good' } },
    examples: [
      ['cora lost', 'each loss with the way back'],
      ['cora lost --accept AI_WORK_LOG.md', 'it was meant'],
    ],
    exitCodes: [EXIT.ok, EXIT.usage, EXIT.incomplete, EXIT.noVault, EXIT.refused],
    logged: true,
    load: () => import('./commands/lost.ts'),
  }),
  command({
    name: 'rotate',
    summary: 'Cut a grown memory file or log to its newest part; the whole is in the vault first',
    usage: '[FILE] [--max-size SIZE] [--max-lines COUNT]',
    about: [
      'Without FILE: the files of rotate.patterns. Over 1 MiB or 5,000 lines, the newest half of that stays, with a line at the top that says where the rest is.',
      'Programs may append while it runs; one that keeps the file open is named, and nothing is changed (20).',
    ],
    flags: {
      maxSize: { kind: 'text', value: 'SIZE', help: 'instead of rotate.max_size (1MiB, 500kB)' },
      maxLines: { kind: 'number', value: 'COUNT', help: 'instead of rotate.max_lines' },
      dryRun: { kind: 'switch', short: 'n', help: 'say what would be cut, and change nothing' },
    },
    maxArgs: 1,
    examples: [
      ['cora rotate', 'every file of rotate.patterns that outgrew its limit'],
      ['cora rotate app.log --max-size 5MB', 'one file, with a limit of its own'],
    ],
    exitCodes: [EXIT.ok, EXIT.failed, EXIT.usage, EXIT.incomplete, EXIT.noVault, EXIT.locked, EXIT.refused],
    logged: true,
    load: () => import('./commands/rotate.ts'),
  }),
];
