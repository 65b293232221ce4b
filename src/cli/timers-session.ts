// What `cora timers install, status, remove` share: the options as the actions take them, and the
// project, or the user whose vaults are sealed.

import type { TimersOptions, TimersTarget } from '../actions/timers-plan.ts';
import type { Bytes } from '../base/bytes.ts';
import { toText } from '../base/bytes.ts';
import type { Session } from './command.ts';
import type { FlagTable } from './flags.ts';

export const TIMERS_FLAGS = {
  user: { kind: 'switch', help: "timers of your own user's systemd (always so for everyone but root)" },
  seal: { kind: 'text', value: 'USER', help: "the timer that seals the backups of USER's vaults, instead of the project's timers; root only" },
  unitDir: { kind: 'path', value: 'DIR', help: 'unit files in DIR, and systemd is not asked' },
} as const satisfies FlagTable;

export type TimersFlags = { readonly user?: boolean; readonly seal?: string; readonly unitDir?: Bytes };

const JOBS = ['save', 'backup', 'ship', 'drill', 'health'] as const;

export function timersOptions(options: TimersFlags, session: Session): TimersOptions {
  return {
    user: options.user === true,
    unitDirectory: options.unitDir === undefined ? undefined : toText(session.absolute(options.unitDir)),
    // A timer for a command that does not exist yet would fail each time.
    jobs: JOBS.filter((job) => session.commands.some(({ name }) => name.split(' ')[0] === job)),
  };
}

export async function timersTarget(options: TimersFlags, session: Session): Promise<TimersTarget> {
  return options.seal === undefined ? await session.open() : { sealFor: options.seal };
}
