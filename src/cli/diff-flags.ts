// The options of `cora diff`, a part of the table in commands.ts.

import type { FlagTable } from './flags.ts';

export const DIFF_FLAGS = {
  stat: { kind: 'switch', help: 'only how many files and rows differ' },
  rows: { kind: 'switch', help: 'of one database (-- PATH): the rows that differ, at most --limit of each side and table' },
  limit: { kind: 'number', short: 'n', value: 'COUNT', help: 'how many rows --rows shows (default 20)' },
  exitCode: { kind: 'switch', help: 'end with 1 where something differs' },
} as const satisfies FlagTable;
