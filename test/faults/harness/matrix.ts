// The runner of the crash matrix: which points, in which order, and a line of JSON for each trial.

import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { FAULTS, type Fault } from './inject.ts';
import { endAllRuns } from './place.ts';
import { SCENARIOS } from './scenarios.ts';
import { shuffled } from './seeded.ts';
import { type Outcome, type Point, type Prepared, prepare } from './trial.ts';

/** So many of the points, kills and errors in turn, as the seed gives them. */
export function sampled(points: readonly Point[], count: number, seed: number): Point[] {
  const mixed = shuffled(points, seed);
  const byFault = FAULTS.map((fault) => mixed.filter((point) => point.fault === fault));
  const longest = Math.max(...byFault.map((list) => list.length));
  return Array.from({ length: longest }, (_, at) => byFault.flatMap((list) => list[at] ?? []))
    .flat()
    .slice(0, count);
}

/** @returns the exit code: 1 where any promise was broken */
export async function runMatrix(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      scenario: { type: 'string', multiple: true },
      fault: { type: 'string', multiple: true },
      match: { type: 'string' },
      slice: { type: 'string', default: '1/1' },
      seed: { type: 'string', default: '1' },
      count: { type: 'string' },
      out: { type: 'string' },
      list: { type: 'boolean', default: false },
      /** Kill the command at so many points, and the next run at `--count` calls of its own, each twice. */
      cut: { type: 'string' },
    },
  });
  const [part = 1, parts = 1] = values.slice.split('/').map(Number);
  const known = done(values.out);
  let broken = 0;
  for (const scenario of SCENARIOS) {
    if (values.scenario !== undefined && !values.scenario.includes(scenario.name)) continue;
    const why = scenario.skip?.();
    if (why !== undefined) {
      console.log(`${scenario.name}: skipped, ${why}`);
      continue;
    }
    const prepared = await prepare(scenario);
    const stop = () => {
      endAllRuns();
      prepared.remove();
      process.exit(130);
    };
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, stop);
    try {
      const wanted = (point: Point) =>
        (values.fault === undefined || values.fault.includes(point.fault)) &&
        (values.match === undefined || keyOf(scenario.name, point).includes(values.match));
      const points = shuffled(prepared.points, Number(values.seed))
        .filter((_, at) => at % parts === part - 1)
        .filter(wanted)
        .filter((point) => !known.has(keyOf(scenario.name, point)))
        .slice(0, values.count === undefined ? undefined : Number(values.count));
      console.log(`${scenario.name}: ${prepared.points.length} points, ${points.length} now`);
      if (values.cut !== undefined)
        broken += await tryCuts(prepared, Number(values.cut), Number(values.count ?? 5), Number(values.seed), values.out, known);
      else if (values.list) for (const point of prepared.points) console.log(`  ${keyOf(scenario.name, point)}`);
      else broken += await tryAll(prepared, points, values.out);
    } finally {
      prepared.remove();
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.removeListener(signal, stop);
    }
  }
  return broken === 0 ? 0 : 1;
}

async function tryAll(prepared: Prepared, points: readonly Point[], out: string | undefined): Promise<number> {
  let broken = 0;
  const started = Date.now();
  const tally = new Map<string, number>(FAULTS.map((fault) => [fault, 0]));
  for (const point of points) {
    const outcome = await prepared.try(point);
    if (out !== undefined) appendFileSync(out, `${JSON.stringify({ ...outcome, key: keyOf(outcome.scenario, point) })}\n`);
    tally.set(point.fault, (tally.get(point.fault) ?? 0) + 1);
    if (outcome.violations.length > 0) {
      broken += 1;
      console.log(describe(outcome));
    }
  }
  console.log(
    `${prepared.scenario.name}: ${points.length} tried in ${Math.round((Date.now() - started) / 1000)} s (${[...tally].join(' ')}), ${broken} broken`,
  );
  return broken;
}

/** Kills of what the next run does after a kill. */
async function tryCuts(
  prepared: Prepared,
  states: number,
  count: number,
  seed: number,
  out: string | undefined,
  known: ReadonlySet<string>,
): Promise<number> {
  let [tried, broken] = [0, 0];
  const kills = shuffled(
    prepared.points.filter(({ fault }) => fault === 'KILL'),
    seed,
  );
  for (const point of kills.filter((one) => !known.has(`cut ${keyOf(prepared.scenario.name, one)}`)).slice(0, states)) {
    for await (const outcome of prepared.tryCut(point, count, seed)) {
      tried += 1;
      if (out !== undefined) appendFileSync(out, `${JSON.stringify({ ...outcome, key: `cut ${keyOf(outcome.scenario, point)}` })}\n`);
      if (outcome.violations.length === 0) continue;
      broken += 1;
      console.log(describe(outcome));
    }
  }
  console.log(`${prepared.scenario.name}: ${tried} runs killed three times, ${broken} broken`);
  return broken;
}

export function describe(outcome: Outcome): string {
  return `BROKEN ${outcome.scenario} ${outcome.fault} at ${outcome.hit ?? `${outcome.meant} (missed)`}, ended with ${outcome.code}\n${outcome.violations
    .map(({ rule, sentence }) => `  ${rule}: ${sentence}`)
    .join('\n')}`;
}

/** A point by what does not change from run to run. */
function keyOf(scenario: string, { call, fault }: { readonly call: Point['call']; readonly fault: Fault }): string {
  return `${scenario} ${fault} ${call.name} ${call.what} ${call.turn}`;
}

function done(out: string | undefined): Set<string> {
  if (out === undefined || !existsSync(out)) return new Set();
  return new Set(
    readFileSync(out, 'utf8')
      .split('\n')
      .filter((line) => line.endsWith('}'))
      .map((line) => (JSON.parse(line) as { key: string }).key),
  );
}
