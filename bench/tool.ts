// What the benchmark needs to know of a tool. The peers and Cora each fill this in their own module.

import type { Command } from './measure.ts';

/** Where things are for one tool on one data set in one repetition. */
export type Place = {
  /** The data set; it holds still while a step runs. */
  readonly data: string;
  /** The repository or vault, this tool's own. */
  readonly repository: string;
  /** Caches and settings, this tool's own, never counted as stored. */
  readonly home: string;
  /** An empty directory for a restore. */
  readonly out: string;
};

export type Tool = {
  readonly name: string;
  /** Programs that must be installed. */
  readonly needs: readonly string[];
  readonly version: () => string;
  /** Makes the repository; undefined where the first save does. Not measured. */
  readonly create?: (place: Place) => Command;
  /** @param serial counts the saves into this repository from 1 */
  readonly save?: (place: Place, serial: number) => Command;
  /** @param serial of the newest save */
  readonly restore?: (place: Place, serial: number) => Command;
  readonly restoreOne?: (place: Place, serial: number, path: string) => Command;
  /** The directory below `out` that answers to the data set. */
  readonly restoredRoot?: (place: Place) => string;
  readonly verify?: (place: Place) => Command;
  /** A full archive that needs no tool of ours. */
  readonly archive?: (place: Place, serial: number) => Command;
  /** Seconds of the archive alone when the tool reports them in what it printed. */
  readonly archiveSeconds?: (stdout: string) => number | undefined;
  /** Top-level names in the repository that are caches. */
  readonly caches?: readonly string[];
};

/** The environment of every measured command: nothing of the caller's but PATH. */
export function baseEnv(place: Place): Record<string, string> {
  return { PATH: process.env['PATH'] ?? '/usr/bin:/bin', HOME: place.home, LANG: 'C.UTF-8', LC_ALL: 'C.UTF-8' };
}
