// Where a restore writes, and how it tells what went wrong: shared by the writers of contents.

import type { Bytes } from '../base/bytes.ts';
import type { Problem } from '../base/context.ts';

/** What the writers of contents share. */
export type RestoreTarget = {
  readonly directory: Bytes;
  /** Set owners: only root can. */
  readonly owners: boolean;
  readonly problem: (problem: Problem) => void;
  readonly damaged: (path: Bytes, message: string) => void;
  /** What was not written, for a reason that is told otherwise: what stands there is not ours, and its time stays. */
  readonly leftOut: (path: Bytes) => void;
  readonly progress: (files: number, bytes: number) => void;
};
