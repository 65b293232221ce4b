// What a part of `cora torture` is: a kind of fault and its points, each tried on a fresh bench.

import { EXIT } from '../base/errors.ts';
import { type CoraEnd, type Expectation, recordProject, type Violation } from './judge.ts';
import type { TreeRecord } from './judge-tree.ts';
import type { Bench } from './torture-bench.ts';
import type { TortureKind } from './torture-result.ts';
import type { Trial } from './torture-trial.ts';

export type Point = {
  /** For people: `save, killed before fsync number 3`. */
  readonly name: string;
  /**
   * `missed`: the fault met nothing (the run was over before it), and nothing was broken: that proves nothing and is not counted.
   * @throws CoraError interrupted
   */
  readonly run: () => Promise<readonly Violation[] | 'missed'>;
};

export type Part = {
  readonly kind: TortureKind;
  /** Why it cannot be tried here. */
  readonly skipped?: string;
  readonly points: readonly Point[];
};

/** What every part is made of. */
export type PartRequest = { readonly bench: Bench; readonly trials: readonly Trial[]; readonly random: () => number };

/** What a fault allows that others do not. */
type Besides = Pick<Expectation, 'mayMiss'>;

/** The command on a fresh bench with a fault, and the judge's word. */
export async function tryOnce(
  bench: Bench,
  trial: Trial,
  run: () => Promise<CoraEnd>,
  besides: Besides & { readonly met?: (end: CoraEnd) => boolean } = {},
): Promise<readonly Violation[] | 'missed'> {
  const { met, ...expected } = besides;
  bench.load();
  const end = await run();
  const hit = met?.(end) ?? true;
  const violations = await judgeEnd(bench, trial, end, expected);
  return hit || violations.length > 0 ? violations : 'missed';
}

/** Ended by SIGKILL, as strace (by the same signal) and timeout (137) tell it. */
export const wasKilled = ({ code }: CoraEnd): boolean => code === null || code === 137;

/** The judge's word on what a run of the trial's command left, and the run after it. */
export function judgeEnd(bench: Bench, trial: Trial, end: CoraEnd, besides: Besides = {}): Promise<readonly Violation[]> {
  return bench.judge({ ...trial.expectation, ...partly(bench, trial, end), ...besides, end });
}

/** A restore that ended well is done. One that names what it could not bring back (exit 3) leaves each entry as before or as after, and all others as it should. */
function partly(bench: Bench, { name, expectation }: Trial, end: CoraEnd): Pick<Expectation, 'projects'> {
  const [before, after] = expectation.projects ?? [];
  if (name !== 'restore' || before === undefined || after === undefined) return {};
  if (end.code === 0) return { projects: [after] };
  if (end.code !== EXIT.incomplete) return {};
  const now = recordProject(bench.places.project);
  const mixed: TreeRecord = new Map(
    [...new Set([...before.keys(), ...after.keys()])].flatMap((path) => {
      const line = now.get(path);
      const allowed = [before.get(path), after.get(path)];
      const kept = allowed.includes(line) ? line : allowed[0];
      return kept === undefined ? [] : [[path, kept] as const];
    }),
  );
  return { projects: [mixed] };
}

/** A part that cannot be tried here. */
export function skip(kind: TortureKind, reason: string): Part {
  return { kind, skipped: reason, points: [] };
}
