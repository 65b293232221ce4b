// What the run log and the reports tell over time: failures since the last success, pushes without
// a save, and how critical files grow. Pure but for the reports it is given.

import type { Report } from '../format/report.ts';
import type { RunEntry } from '../os/run-log.ts';

export type Failures = {
  /** Saves and backups of this project that failed since the last one that did not. */
  readonly count: number;
  readonly last: RunEntry | undefined;
  /** Pushes of the last seven days whose hook was switched off or could not save. */
  readonly pushesWithoutSave: number;
};

export type Growth = { readonly path: string; readonly size: number; readonly grown: number; readonly days: number };

const DAY = 86_400_000;
export const WEEK = 7 * DAY;
/** Exit codes of a run that did its work: done, done but incomplete, nothing was due. */
const SUCCESS: ReadonlySet<number> = new Set([0, 3, 75]);
/** Said by the caller's own slip, or by a person's Ctrl-C; no failure of the protection. */
const NO_FAILURE: ReadonlySet<number> = new Set([2, 130]);

const saves = ({ command }: RunEntry) => command === 'save' || command === 'backup now' || command === 'backup auto';
const pushes = ({ command }: RunEntry) => command === 'hook pre-push';

/**
 * @param runs oldest first
 * @param project absolute path of the project
 */
export function failuresOf(runs: readonly RunEntry[], project: string, now: number): Failures {
  let count = 0;
  let last: RunEntry | undefined;
  let pushesWithoutSave = 0;
  for (const run of runs) {
    if (run.project !== project) continue;
    if (pushes(run) && run.level !== 'info' && now - run.time < WEEK) pushesWithoutSave += 1;
    if (saves(run) && run.exit !== undefined && SUCCESS.has(run.exit)) {
      count = 0;
      last = undefined;
    } else if ((saves(run) || pushes(run)) && run.level === 'error' && !NO_FAILURE.has(run.exit ?? 1)) {
      count += 1;
      last = run;
    }
  }
  return { count, last, pushesWithoutSave };
}

/** Critical files that grew between two reports, the one that grew most first. Databases too. */
export function growthOf(then: Report, now: Report): Growth[] {
  const days = (Date.parse(now.backup_start) - Date.parse(then.backup_start)) / DAY;
  const before = then.critical_sizes ?? {};
  return Object.entries(now.critical_sizes ?? {})
    .flatMap(([path, size]) => {
      const grown = size - (before[path] ?? size);
      return grown > 0 ? [{ path, size, grown, days }] : [];
    })
    .toSorted((a, b) => b.grown - a.grown);
}
