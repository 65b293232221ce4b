// Part of the table in commands.ts: what makes Cora run by itself: hooks and timers.

import type { Command } from './command.ts';

export const AUTOMATIC_COMMANDS: readonly Command[] = [];
