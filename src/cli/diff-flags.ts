// The options of `cora diff`, a part of the table in commands.ts.

import type { FlagTable } from './flags.ts';

export const DIFF_FLAGS = {
  stat: { kind: 'switch', help: 'only how many files and rows differ' },
  exitCode: { kind: 'switch', help: 'end with 1 where something differs' },
} as const satisfies FlagTable;
