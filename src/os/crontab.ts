// What cron has been told: the user's own table, and for root the machine's. Read only.

import { namesIn, readTextIfThere } from './files.ts';
import { findProgram, runSync } from './run.ts';

/** Lines that are no comments, of every table that this user's jobs may stand in. */
export function cronTable(uid: number): string[] {
  const program = findProgram('crontab');
  const own = program === undefined ? '' : runSync(program, ['-l']).stdout.toString();
  const machine = uid === 0 ? ['/etc/crontab', ...namesIn('/etc/cron.d').map((name) => `/etc/cron.d/${name}`)] : [];
  return [own, ...machine.map((path) => readTextIfThere(path) ?? '')].flatMap((text) => text.split('\n').filter((line) => !/^\s*(#|$)/.test(line)));
}
