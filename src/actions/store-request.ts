// What a capture asks to be read and stored, and what came of it. Types alone: the work is store-run.ts.

import type { Bytes } from '../base/bytes.ts';
import type { Config } from '../base/config.ts';
import type { Problem } from '../base/context.ts';
import type { DatabaseReport } from '../format/report.ts';
import type { PackOutput } from '../store/pack-output.ts';
import type { WorkerPool } from '../store/pool.ts';
import type { Content, Scanned } from './capture.ts';

export type Stored = {
  /** By row of the scan: every row of `diff.toRead` that could be read. */
  readonly contents: Map<number, Content>;
  readonly databases: ReadonlyMap<number, DatabaseReport>;
  readonly problems: Problem[];
  /** Bytes of content that the vault did not have. */
  readonly added: number;
  readonly bytesRead: number;
};

export type StoreRequest = {
  readonly root: Bytes;
  readonly scanned: Scanned;
  readonly pool: WorkerPool;
  readonly output: PackOutput;
  /** Directory for database copies. */
  readonly stage: string;
  readonly check: 'quick_check' | 'integrity_check';
  readonly config: Config;
};
