// Part of the table in commands.ts: what keeps things from being lost: protect, unprotect, lost, rotate.

import type { Command } from './command.ts';

export const PROTECTION_COMMANDS: readonly Command[] = [];
