// From samples to figures: medians over the rounds, and Cora's ratios beside their budgets. Pure.

import { BUDGETS, type Budget, PEAK_BUDGET_BYTES, type Quantity } from './budgets.ts';
import { type Sample, STEPS, type StepName } from './steps.ts';

/** One step of one tool: the median of each quantity over its rounds that succeeded. */
export type Figure = {
  readonly set: string;
  readonly step: StepName;
  readonly tool: string;
  readonly rounds: number;
  readonly wall: number;
  readonly cpu: number;
  readonly peak: number | null;
  readonly stored: number | null;
  readonly grown: number | null;
  readonly failure: string | null;
};

export type Judgement = {
  readonly what: string;
  readonly against: string;
  /** null where one of the two has no figure. */
  readonly ratio: number | null;
  readonly budget: number;
  readonly verdict: 'met' | 'missed' | 'unknown';
};

/** The figures in the order of sets, steps and tools as they were sampled. */
export function figuresOf(samples: readonly Sample[]): readonly Figure[] {
  const groups = new Map<string, Sample[]>();
  for (const sample of samples) {
    const key = `${sample.set}/${sample.step}/${sample.tool}`;
    groups.set(key, [...(groups.get(key) ?? []), sample]);
  }
  const tools = [...new Set(samples.map((sample) => sample.tool))];
  const place = (figure: Figure): string => `${figure.set}${STEPS.indexOf(figure.step)}${String(tools.indexOf(figure.tool)).padStart(2, '0')}`;
  return [...groups.values()].map(figureOf).sort((left, right) => (place(left) < place(right) ? -1 : 1));
}

function figureOf(samples: readonly Sample[]): Figure {
  const first = samples[0] as Sample;
  const good = samples.filter((sample) => sample.failure === null);
  const peaks = good.map((sample) => sample.peakBytes).filter((peak) => peak !== null);
  return {
    set: first.set,
    step: first.step,
    tool: first.tool,
    rounds: good.length,
    wall: median(good.map((sample) => sample.wallSeconds)) ?? Number.NaN,
    cpu: median(good.map((sample) => sample.cpuSeconds)) ?? Number.NaN,
    peak: peaks.length === 0 ? null : Math.max(...peaks),
    stored: median(good.map((sample) => sample.storedBytes)),
    grown: median(good.map((sample) => sample.grownBytes)),
    failure: samples.find((sample) => sample.failure !== null)?.failure ?? null,
  };
}

function median(values: readonly (number | null)[]): number | null {
  const sorted = values.filter((value) => value !== null).sort((left, right) => left - right);
  if (sorted.length === 0) return null;
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

/** Cora's ratios for the sets that ran, each beside its budget; empty when Cora did not run. */
export function judge(figures: readonly Figure[]): readonly Judgement[] {
  const cora = figures.filter((figure) => figure.tool === 'cora');
  if (cora.length === 0) return [];
  const sets = new Set(figures.map((figure) => figure.set));
  const judged = BUDGETS.filter((budget) => sets.has(budget.set)).flatMap((budget) => judgeOne(figures, budget));
  const worst = cora.reduce((high, figure) => ((figure.peak ?? 0) > (high.peak ?? 0) ? figure : high));
  const ratio = worst.peak === null ? null : worst.peak / PEAK_BUDGET_BYTES;
  const memory = { what: `peak memory (${worst.set} ${worst.step})`, against: '200 MB', ratio, budget: 1, verdict: verdictOf(ratio, 1) };
  return [...judged, memory];
}

function judgeOne(figures: readonly Figure[], budget: Budget): readonly Judgement[] {
  const value = (prefix: string): number | null => {
    const found = figures
      .filter((figure) => figure.set === budget.set && figure.step === budget.step && figure.tool.startsWith(prefix))
      .map((figure) => quantityOf(figure, budget.quantity))
      .filter((amount) => amount !== null);
    return found.length === 0 ? null : Math.min(...found);
  };
  const what = `${budget.set} ${budget.step}${budget.quantity === 'wall' ? '' : ` (bytes ${budget.quantity})`}`;
  const own = value('cora');
  const against = (prefix: string, name: string, limit: number | undefined): Judgement[] => {
    const other = value(prefix);
    const ratio = own === null || other === null || other <= 0 ? null : own / other;
    return limit === undefined ? [] : [{ what, against: name, ratio, budget: limit, verdict: verdictOf(ratio, limit) }];
  };
  return [
    ...against('restic', 'restic', budget.restic),
    ...against('borg', 'better borg', budget.borg),
    ...against('tar', 'tar | pigz -1', budget.tar),
  ];
}

function quantityOf(figure: Figure, quantity: Quantity): number | null {
  if (figure.rounds === 0) return null;
  return quantity === 'wall' ? figure.wall : figure[quantity];
}

function verdictOf(ratio: number | null, limit: number): Judgement['verdict'] {
  if (ratio === null) return 'unknown';
  // Two decimals, as the budgets are written.
  return Math.round(ratio * 100) / 100 <= limit ? 'met' : 'missed';
}
