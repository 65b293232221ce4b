// Power cuts and full disks on an image of the same kind of file system: right after a run that ended well, at a call where the
// run died with the machine, and at moments that chance chooses.

import { findProgram } from '../os/run.ts';
import type { CoraEnd, Violation } from './judge.ts';
import type { PlaceFacts } from './torture-facts.ts';
import { writeFailpoint } from './torture-failpoint.ts';
import { type Image, makeImage } from './torture-image.ts';
import { judgeEnd, type Part, type PartRequest, type Point, skip } from './torture-part.ts';
import { pick, shuffled } from './torture-random.ts';
import type { TortureOptions } from './torture-result.ts';
import type { Trial } from './torture-trial.ts';

/** Of each command: cuts after its end, cuts at a moment, and amounts of free space. */
const AFTER = 20;
const MOMENTS = 40;
const SPACES = 60;
/** More than any run here writes, in steps. */
const MOST_FREE = 4 << 20;
const STEP = 50_000;

export async function imageParts(request: PartRequest, facts: PlaceFacts, options: TortureOptions): Promise<Part[]> {
  const image = await makeImage(request.bench, facts, options);
  if (typeof image === 'string') return [skip('full-disk', image), skip('power-cut', image)];
  return [fullDisks(request, image), powerCuts(request, image)];
}

function powerCuts({ bench, trials, random }: PartRequest, image: Image): Part {
  const killer = findProgram('timeout');
  const points = trials.flatMap((trial): Point[] => {
    const cut = (name: string, run: () => Promise<CoraEnd>): Point => ({
      name: `${trial.name}, power cut ${name}`,
      run: () => onImage(image, () => cutAfter(request(trial), run)),
    });
    const moments = Array.from({ length: killer === undefined ? 0 : MOMENTS }, () => ((random() * trial.milliseconds) / 1000 + 0.02).toFixed(3));
    return [
      ...Array.from({ length: AFTER }, () => cut('right after its end', () => bench.cora(trial.args))),
      ...Array.from({ length: trial.calls }, (_, index) =>
        cut(`before its call ${index + 1}`, () => bench.cora(trial.args, { env: writeFailpoint(bench, 'kill-before', index + 1) })),
      ),
      ...moments.map((seconds) => cut(`after ${seconds} s`, () => bench.cora(trial.args, { through: [killer ?? '', '-s', 'KILL', '--', seconds] }))),
    ];
  });
  const request = (trial: Trial) => ({ bench, trial, image });
  return { kind: 'power-cut', points: shuffled(random, points) };
}

async function cutAfter(
  { bench, trial, image }: { readonly bench: PartRequest['bench']; readonly trial: Trial; readonly image: Image },
  run: () => Promise<CoraEnd>,
): Promise<readonly Violation[]> {
  const end = await run();
  const broken = await image.cut();
  return broken.length > 0 ? broken : judgeEnd(bench, trial, end);
}

function fullDisks({ bench, trials, random }: PartRequest, image: Image): Part {
  const points = trials.flatMap((trial) =>
    Array.from({ length: SPACES }, (): Point => {
      const free = pick(random, pick(random, MOST_FREE / STEP) + 1) * STEP;
      return {
        name: `${trial.name}, ${free} bytes free`,
        run: () =>
          onImage(image, async () => {
            image.fill(free);
            const end = await bench.cora(trial.args);
            image.empty();
            return judgeEnd(bench, trial, end);
          }),
      };
    }),
  );
  return { kind: 'full-disk', points: shuffled(random, points) };
}

async function onImage<T>(image: Image, work: () => Promise<T>): Promise<T> {
  image.load();
  try {
    return await work();
  } finally {
    await image.unload();
  }
}
