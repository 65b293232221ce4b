// What a command hands to an action: how to report, what time it is, when to stop.
// No globals and no container: actions touch neither the console nor the process.

/** One thing that went wrong without ending the run; it is listed in REPORT.json and the JSON document. */
export type Problem = {
  /** A stable word: unreadable, unstable, vanished, db_corrupt, ... (docs/json.md). */
  readonly code: string;
  /** Text of the path (UTF-8), relative to the project where it lies in it. */
  readonly path?: string;
  /** Present only where the path is not UTF-8. */
  readonly path_base64?: string;
  readonly message: string;
  /** `warning` lets a run be complete (exit 0); `error` makes it incomplete (exit 3). */
  readonly severity: 'warning' | 'error';
};

export type Phase =
  | 'scan'
  | 'databases'
  | 'store'
  | 'snapshot'
  | 'export'
  | 'archive'
  | 'verify'
  | 'restore'
  | 'ship'
  | 'check'
  | 'fetch'
  | 'torture';

/** How far a phase is. Totals are 0 while unknown; bytes are bytes of content. */
export type Progress = {
  readonly phase: Phase;
  readonly files: number;
  readonly totalFiles: number;
  readonly bytes: number;
  readonly totalBytes: number;
};

/** Where progress and problems go: a terminal, JSON lines, or a test. Must never throw. */
export type Monitor = {
  phase(phase: Phase): void;
  progress(progress: Progress): void;
  problem(problem: Problem): void;
  note(message: string): void;
};

/** For work whose progress is nobody's business. */
export const SILENT: Monitor = { phase: () => undefined, progress: () => undefined, problem: () => undefined, note: () => undefined };

export type Context = {
  readonly monitor: Monitor;
  /** Wall-clock time in milliseconds since 1970. */
  readonly now: () => number;
  readonly signal: AbortSignal;
  /** 0 runs everything on one thread (fault injection counts system calls a thread). */
  readonly workers: number;
  /** How long to wait for another Cora in the same vault, in milliseconds. */
  readonly lockWait: number;
  /** Text for REPORT.json: the version of Cora. */
  readonly version: string;
  /** Why a restore in place that was stopped in the middle could not be ended: a save goes on, and says so. */
  readonly halfRestored?: string;
};
