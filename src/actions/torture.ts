// `cora torture`: what crashes, power cuts, errors and damage do to Cora on the user's own disk. Everything happens in a scratch
// directory with a project and a vault of its own, which is always removed; no other vault is touched. Bounded in time
// and space. The judge of every point is judge.ts, the one that Cora's own tests use.

import { lstatSync } from 'node:fs';
import { fromText, fsPath, joinBytes } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError, messageOf } from '../base/errors.ts';
import { formatBytes } from '../base/units.ts';
import { filesBelow } from '../os/files-below.ts';
import { stopIfAborted } from './settle.ts';
import { Bench } from './torture-bench.ts';
import { damageParts } from './torture-damage.ts';
import { errorParts } from './torture-errors.ts';
import { placeFacts } from './torture-facts.ts';
import { killParts } from './torture-kills.ts';
import { meetingParts } from './torture-meetings.ts';
import type { Part, Point } from './torture-part.ts';
import { openTorturePlace } from './torture-place.ts';
import { imageParts } from './torture-power.ts';
import { seededRandom } from './torture-random.ts';
import { type Certificate, type Loss, type PartResult, TORTURE_KINDS, type TortureOptions } from './torture-result.ts';
import { measureTrial, TRIAL_NAMES, type Trial } from './torture-trial.ts';

/** Losses that are told in full; all are counted. */
const TOLD = 100;
/** Points between two looks at the space that is taken. */
const LOOK_EVERY = 10;

/** @throws CoraError no_space, refused, io (Cora does not work there at all), interrupted. A loss is a result, not an error */
export async function torture(options: TortureOptions, ctx: Context): Promise<Certificate> {
  const began = ctx.now();
  const begun = performance.now();
  const facts = placeFacts(options.directory);
  const place = openTorturePlace(options.directory, options.space);
  const tally = new Tally(ctx, begun);
  try {
    const bench = new Bench(place.path, options, ctx);
    await buildBench(bench);
    const trials: Trial[] = [];
    for (const name of TRIAL_NAMES) {
      stopIfAborted(ctx);
      const trial = await measureTrial(bench, name);
      trials.push(trial);
      tally.add('baseline', `${name}, without a fault`, trial.baseline);
    }
    const request = { bench, trials, random: seededRandom(options.seed) };
    const parts = [...killParts(request), ...errorParts(request), ...damageParts(request), ...meetingParts(request)];
    parts.push(...(await imageParts(request, facts, options)));
    await tryAll(parts, tally, { place: place.path, space: options.space, duration: options.duration }, ctx);
    const results = [
      { kind: 'baseline', skipped: undefined, ...tally.of('baseline'), all: true } as const,
      ...parts.map((part) => resultOf(part, tally)),
    ];
    const id = new Date(began)
      .toISOString()
      .replace(/[-:]|\..*/g, '')
      .replace('T', '-');
    return {
      schema: 1,
      id,
      began: new Date(began).toISOString(),
      seconds: (performance.now() - begun) / 1000,
      cora: ctx.version,
      seed: options.seed,
      place: facts,
      parts: results.toSorted((a, b) => TORTURE_KINDS.indexOf(a.kind) - TORTURE_KINDS.indexOf(b.kind)),
      points: tally.points,
      losses: tally.losses,
      outcome: tally.losses.length === 0 ? 'ok' : 'lost',
    };
  } finally {
    place.release();
  }
}

async function buildBench(bench: Bench): Promise<void> {
  try {
    await bench.build();
  } catch (error) {
    if (error instanceof CoraError) throw error;
    throw new CoraError('io', `Cora does not work there even without a fault: ${messageOf(error)}`, {
      hint: 'see the kernel log (dmesg), or name a directory on another disk: cora torture DIR',
      cause: error,
    });
  }
}

function resultOf(part: Part, tally: Tally): PartResult {
  const { tried, missed, losses } = tally.of(part.kind);
  const all = part.skipped === undefined && tried + missed === part.points.length;
  return { kind: part.kind, tried, missed, losses, all, skipped: part.skipped };
}

type Bounds = { readonly place: string; readonly space: number; readonly duration: number };

/** One point of each part in turn, so that little time tries a little of everything. */
async function tryAll(parts: readonly Part[], tally: Tally, { place, space, duration }: Bounds, ctx: Context): Promise<void> {
  // A slow disk takes long over what comes before: a certificate of no fault at all would say nothing.
  const until = performance.now() + duration;
  const rounds = Math.max(0, ...parts.map(({ points }) => points.length));
  for (let round = 0; round < rounds; round++) {
    for (const { kind, points } of parts) {
      const point = points[round];
      if (point === undefined) continue;
      if (performance.now() >= until) return;
      stopIfAborted(ctx);
      tally.add(kind, point.name, await runPoint(point));
      const taken = tally.points % LOOK_EVERY === 0 ? takenBelow(place) : 0;
      if (taken > space) {
        const message = `It took ${formatBytes(taken)}, more than --space allows, and stopped`;
        ctx.monitor.problem({ code: 'space', message, severity: 'warning' });
        return;
      }
    }
  }
}

/** What cannot even be looked at afterwards is a loss too. */
async function runPoint(point: Point): Promise<Loss['violations'] | 'missed'> {
  try {
    return await point.run();
  } catch (error) {
    if (error instanceof CoraError) throw error;
    return [{ rule: 'damaged', sentence: `what it left could not be judged: ${messageOf(error)}` }];
  }
}

/** What the files really take; images are sparse. */
function takenBelow(place: string): number {
  try {
    return filesBelow(place).reduce((sum, path) => sum + lstatSync(fsPath(joinBytes(fromText(place), path))).blocks * 512, 0);
  } catch (error) {
    throw new CoraError('io', `The scratch directory cannot be read any more: ${messageOf(error)}`, {
      hint: 'see the kernel log (dmesg)',
      cause: error,
    });
  }
}

/** What was tried and what was lost. */
class Tally {
  readonly losses: Loss[] = [];
  readonly #counts = new Map<string, { tried: number; missed: number; losses: number }>();
  readonly #ctx: Context;
  readonly #begun: number;

  constructor(ctx: Context, begun: number) {
    this.#ctx = ctx;
    this.#begun = begun;
    ctx.monitor.phase('torture');
  }

  get points(): number {
    return [...this.#counts.values()].reduce((sum, { tried }) => sum + tried, 0);
  }

  of(kind: string): { readonly tried: number; readonly missed: number; readonly losses: number } {
    return this.#counts.get(kind) ?? { tried: 0, missed: 0, losses: 0 };
  }

  add(kind: Loss['kind'], point: string, violations: Loss['violations'] | 'missed'): void {
    const { tried, missed, losses } = this.of(kind);
    if (violations === 'missed') {
      this.#counts.set(kind, { tried, missed: missed + 1, losses });
      return;
    }
    this.#counts.set(kind, { tried: tried + 1, missed, losses: losses + (violations.length > 0 ? 1 : 0) });
    if (violations.length > 0) {
      if (this.losses.length < TOLD) this.losses.push({ kind, point, violations });
      const message = `${point}: ${violations.map(({ sentence }) => sentence).join('; ')}`;
      this.#ctx.monitor.problem({ code: 'torture_loss', message, severity: 'error' });
    }
    const points = this.points;
    this.#ctx.monitor.progress({ phase: 'torture', files: points, totalFiles: 0, bytes: 0, totalBytes: 0 });
    if (points % 100 === 0) {
      const lost = this.losses.length;
      this.#ctx.monitor.note(
        `${points} points in ${Math.round((performance.now() - this.#begun) / 1000)} s, ${lost === 0 ? 'nothing lost' : `${lost} LOST`}`,
      );
    }
  }
}
