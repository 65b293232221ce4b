// What a drill is asked for, and what it tells.

import type { Problem } from '../base/context.ts';
import type { SnapshotKind } from '../format/report.ts';
import type { DatabaseDrill } from './drill-compare.ts';
import type { DrillOutcome } from './drill-ledger.ts';
import type { SampleSize } from './drill-sample.ts';
import type { Step } from './drill-steps.ts';
import type { CheckResult } from './user-commands.ts';
import type { Damage } from './verify-files.ts';

export type DrillOptions = {
  /** A snapshot name; undefined: the newest good backup, else the newest good save. */
  readonly target: string | undefined;
  /** Undefined: everything. */
  readonly sample: SampleSize | undefined;
  /** Milliseconds. */
  readonly maxDuration: number | undefined;
  /** Directories that may hold it for a while, in the order of preference; `asked`: this one and no other. */
  readonly scratch: { readonly parents: readonly string[]; readonly asked: string | undefined };
};

/** Seconds against a target in seconds. `met` is undefined where nothing was measured that could be compared. */
export type Objective = { readonly target: number; readonly met: boolean | undefined };

export type DrillResult = {
  readonly id: string;
  readonly kind: SnapshotKind;
  /** `failed`: a step or a check failed, and nothing is damaged; `stopped`: by the time limit. */
  readonly outcome: DrillOutcome;
  readonly whole: boolean;
  /** Files and bytes of this drill, and of the whole snapshot. */
  readonly files: number;
  readonly bytes: number;
  readonly totalFiles: number;
  readonly totalBytes: number;
  readonly steps: readonly Step[];
  readonly databases: readonly DatabaseDrill[];
  readonly checks: readonly CheckResult[];
  readonly damaged: readonly Damage[];
  /** `seconds` of the restore with Cora; a sample's say nothing about the whole, and `met` is undefined then. */
  readonly rto: Objective & { readonly seconds: number | undefined };
  readonly rpo: Objective & { readonly age: number | undefined; readonly worstGap: number | undefined };
  readonly scratch: string;
  readonly seconds: number;
  readonly problems: readonly Problem[];
};

/** What the steps of a drill have given. */
export type Measured = Pick<
  DrillResult,
  'scratch' | 'whole' | 'files' | 'bytes' | 'totalFiles' | 'totalBytes' | 'databases' | 'checks' | 'seconds'
> & {
  readonly cursor: string;
  readonly restore: number | undefined;
};
