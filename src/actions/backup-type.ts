// Which tier a backup belongs to, for retention.

import type { BackupType } from '../format/report.ts';

/** ATLAS-3: a timer's backup is daily, on Sundays weekly, on the 1st monthly (monthly wins), by this machine's zone; by hand or labelled it is manual. */
export function typeOfBackup(
  options: { readonly mode: 'now' | 'auto'; readonly label?: string; readonly trigger: string },
  time: number,
): BackupType {
  if (options.label !== undefined) return 'manual';
  if (options.trigger === 'timer') {
    const date = new Date(time);
    return date.getDate() === 1 ? 'monthly' : date.getDay() === 0 ? 'weekly' : 'daily';
  }
  return options.mode === 'auto' ? 'auto' : 'manual';
}
