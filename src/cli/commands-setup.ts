// Part of the table in commands.ts: setting a project or a machine up: init, doctor.

import type { Command } from './command.ts';

export const SETUP_COMMANDS: readonly Command[] = [];
