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
  readonly progress: (files: number, bytes: number) => void;
};
