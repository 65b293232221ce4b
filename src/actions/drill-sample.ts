// Which files a drill of a part takes: every database, and the files whose turn it is. Files stand in a circle, ordered by
// a hash of their path; each drill goes on where the last one ended, so those drilled longest ago come first. Pure.

import { createHash } from 'node:crypto';
import { type Bytes, toText } from '../base/bytes.ts';
import { CoraError } from '../base/errors.ts';
import type { Entry } from '../format/file-list.ts';
import type { Report } from '../format/report.ts';
import type { RestorePlan } from './restore-plan.ts';

/** A share of all files (0 to 1), or a number of files. */
export type SampleSize = { readonly share: number } | { readonly count: number };

export type Sample = {
  readonly paths: readonly Bytes[];
  /** Where the next one begins. */
  readonly cursor: string;
};

/** @throws CoraError usage where the text is neither `10%` nor `200` */
export function parseSample(text: string): SampleSize {
  const match = /^(\d{1,9}(?:\.\d+)?)(%?)$/.exec(text.trim());
  const value = Number(match?.[1]);
  const isShare = match?.[2] === '%';
  if (match === null || value === 0 || (isShare ? value > 100 : !Number.isInteger(value))) {
    throw new CoraError('usage', `--sample is neither a percentage nor a number of files: ${text}`, { hint: 'write it as 10% or 200' });
  }
  return isShare ? { share: value / 100 } : { count: value };
}

/**
 * @param cursor where the last sample ended; empty for the beginning
 * @returns undefined where the sample is all there is
 */
export function chooseSample(entries: readonly Entry[], report: Report, size: SampleSize, cursor: string): Sample | undefined {
  const databases = new Set(report.databases.map(({ path }) => path));
  const always = entries.filter(({ path }) => databases.has(toText(path))).map(({ path }) => path);
  const circle = entries
    .filter(({ path, type }) => (type === 'f' || type === 'S') && !databases.has(toText(path)))
    .map(({ path }) => ({ path, place: placeOf(path) }))
    .sort((a, b) => (a.place < b.place ? -1 : 1));
  const wanted = 'count' in size ? size.count : Math.max(1, Math.ceil(circle.length * size.share));
  if (wanted >= circle.length) return undefined;
  const first = circle.findIndex(({ place }) => place > cursor);
  const start = first < 0 ? 0 : first;
  const turn = Array.from({ length: wanted }, (_, index) => circle[(start + index) % circle.length]).filter((one) => one !== undefined);
  return { paths: [...always, ...turn.map(({ path }) => path)], cursor: turn.at(-1)?.place ?? '' };
}

/** A plan for the sample alone, with the directories that lead there. */
export function sampledPlan(plan: RestorePlan, { paths }: Sample): RestorePlan {
  const chosen = new Set<string>(['.']);
  for (const path of paths) {
    chosen.add(path);
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) chosen.add(path.slice(0, at));
  }
  const entries = plan.work.entries.filter(({ path }) => chosen.has(path));
  const total = entries.reduce((sum, { type, size }) => sum + (type === 'f' || type === 'S' ? size : 0), 0);
  return { ...plan, bytes: total, work: { ...plan.work, entries, whole: false } };
}

function placeOf(path: Bytes): string {
  return createHash('sha256').update(path, 'latin1').digest('hex').slice(0, 16);
}
