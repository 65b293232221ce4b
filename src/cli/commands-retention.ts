// Part of the table in commands.ts: what is kept and for how long: prune, pin, unpin.

import { EXIT } from '../base/errors.ts';
import { PRESET_NAMES } from '../base/retention-rules.ts';
import { type Command, command } from './command.ts';

const keep = (what: string) => ({ kind: 'number', value: 'N', help: `keep the newest of each of the last N ${what} that have one` }) as const;

export const RETENTION_COMMANDS: readonly Command[] = [
  command({
    name: 'prune',
    aliases: ['forget'],
    summary: 'Remove old snapshots by the rules of retention; says what would go and why, and removes with --confirm',
    usage: '[--confirm] [--keep-daily N ...]',
    about: [
      'Periods that exist are counted, not ages; saves and backups apart. Labelled and pinned ones stay, and so do the last good one and the last verified one.',
      'Options given replace the configured rules ([retention], docs/retention.md).',
    ],
    flags: {
      confirm: { kind: 'switch', help: 'remove; asks at a terminal (--yes answers)' },
      dryRun: { kind: 'switch', short: 'n', help: 'change nothing, whatever else is given' },
      keepLast: { kind: 'number', value: 'N', help: 'keep the newest N' },
      keepHourly: keep('hours'),
      keepDaily: keep('days'),
      keepWeekly: keep('weeks'),
      keepMonthly: keep('months'),
      keepYearly: keep('years'),
      keepWithin: { kind: 'duration', value: 'TIME', help: 'keep all that are at most TIME (36h, 30d) older than the newest' },
      preset: { kind: 'choice', value: 'NAME', choices: PRESET_NAMES, help: `the rules by name: ${PRESET_NAMES.join(', ')}` },
    },
    maxArgs: 0,
    examples: [
      ['cora prune', 'what would go, and why each one stays'],
      ['cora prune --confirm', 'by the configured rules'],
      ['cora prune --keep-daily 7 --keep-weekly 4 --confirm', 'by others'],
    ],
    exitCodes: [EXIT.ok, EXIT.failed, EXIT.usage, EXIT.incomplete, EXIT.noVault, EXIT.locked, EXIT.refused, EXIT.damaged, EXIT.interrupted],
    logged: true,
    load: () => import('./commands/prune.ts'),
  }),
  command({
    name: 'pin',
    summary: 'Keep a snapshot whatever the rules of retention say',
    usage: 'ID | @WHEN [--until DATE]',
    flags: { until: { kind: 'text', value: 'DATE', help: 'the pin ends after this day (2027-01-31) or time (90d)' } },
    minArgs: 1,
    maxArgs: 1,
    examples: [
      ['cora pin 20261121-143000', 'until cora unpin'],
      ['cora pin latest --until 2027-01-31', 'until that day is over'],
      ['cora pin @yesterday', 'the newest one of yesterday or before'],
    ],
    exitCodes: [EXIT.ok, EXIT.usage, EXIT.noVault, EXIT.locked],
    logged: true,
    load: () => import('./commands/pin.ts'),
  }),
  command({
    name: 'unpin',
    summary: 'Let the rules of retention decide about a snapshot again',
    usage: 'ID',
    flags: {},
    minArgs: 1,
    maxArgs: 1,
    examples: [['cora unpin 20261121-143000', 'it may go when its time has come']],
    exitCodes: [EXIT.ok, EXIT.usage, EXIT.noVault, EXIT.locked],
    logged: true,
    load: () => import('./commands/unpin.ts'),
  }),
];
