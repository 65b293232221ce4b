// The budgets of the design (section 7): ratios of Cora's figure to restic's and to the better borg's.
// They hold for the full data sets; a quick run only shows where the wind blows.

import type { StepName } from './steps.ts';

export type Quantity = 'wall' | 'stored' | 'grown';

export type Budget = {
  readonly set: string;
  readonly step: StepName;
  readonly quantity: Quantity;
  readonly restic?: number;
  readonly borg?: number;
  /** Against `tar | pigz -1`. */
  readonly tar?: number;
};

/** At most this resident memory in any step at any size. */
export const PEAK_BUDGET_BYTES = 200_000_000;

export const BUDGETS: readonly Budget[] = [
  { set: 'A', step: 'first', quantity: 'wall', restic: 0.79, borg: 0.69 },
  { set: 'A', step: 'no change', quantity: 'wall', restic: 0.13, borg: 0.12 },
  { set: 'A', step: 'change', quantity: 'wall', restic: 0.22, borg: 0.2 },
  { set: 'A', step: 'restore', quantity: 'wall', restic: 0.47, borg: 0.3 },
  { set: 'A', step: 'restore one', quantity: 'wall', restic: 0.03, borg: 0.09 },
  { set: 'A', step: 'verify', quantity: 'wall', restic: 0.32, borg: 0.24 },
  { set: 'A', step: 'first', quantity: 'stored', restic: 0.93, borg: 0.96 },
  { set: 'A', step: 'archive', quantity: 'wall', tar: 0.8 },
  { set: 'B', step: 'first', quantity: 'wall', restic: 0.67, borg: 0.85 },
  { set: 'B', step: 'change', quantity: 'wall', restic: 0.48, borg: 0.29 },
  { set: 'B', step: 'restore', quantity: 'wall', restic: 0.74, borg: 0.59 },
  { set: 'B', step: 'verify', quantity: 'wall', restic: 0.48, borg: 0.52 },
  { set: 'B', step: 'change', quantity: 'grown', restic: 0.09, borg: 0.02 },
  { set: 'C', step: 'first', quantity: 'wall', restic: 0.54, borg: 0.8 },
  { set: 'C', step: 'verify', quantity: 'wall', restic: 0.36, borg: 0.71 },
];
