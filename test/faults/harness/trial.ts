// One trial: the place back at its start, the command with one fault at one call, the judge. `prepare` makes the start, a
// run without a fault that says what is right, and the list of the calls that the command makes.

import { type CoraEnd, type Expectation, type KnownSnapshot, recordProject, type Violation } from '../../../src/actions/judge.ts';
import { type TreeRecord, treeDifferences } from '../../../src/actions/judge-tree.ts';
import { type Call, type Fault, faultsOf, traced } from './inject.ts';
import { judgeAt, rememberAt } from './judge.ts';
import { Place } from './place.ts';
import { projectState } from './project-state.ts';
import { makeHistory, type Scenario } from './scenario.ts';
import { shuffled } from './seeded.ts';

export type Point = { readonly call: Call; readonly fault: Fault };

/** What a trial came to; `missed`: the fault hit nothing, or nothing of the place. */
export type Outcome = {
  readonly scenario: string;
  readonly fault: Fault;
  /** Name, number and thing of the call that was meant, and of the one that was hit. */
  readonly meant: string;
  readonly hit: string | null;
  readonly code: number | null;
  readonly violations: readonly Violation[];
};

export class Prepared {
  readonly place: Place;
  readonly scenario: Scenario;
  readonly older: readonly KnownSnapshot[];
  readonly mayGo: ReadonlySet<string>;
  readonly newTrees: readonly TreeRecord[];
  readonly before: TreeRecord;
  /** Before the command and after it. */
  readonly states: readonly [TreeRecord, TreeRecord];
  readonly points: readonly Point[];

  constructor(parts: Pick<Prepared, 'place' | 'scenario' | 'older' | 'mayGo' | 'newTrees' | 'before' | 'states' | 'points'>) {
    this.place = parts.place;
    this.scenario = parts.scenario;
    this.older = parts.older;
    this.mayGo = parts.mayGo;
    this.newTrees = parts.newTrees;
    this.before = parts.before;
    this.states = parts.states;
    this.points = parts.points;
  }

  /** What must hold after a run of the command that ended so. */
  expectation(end: Expectation['end'], hit?: Call): Expectation {
    const { scenario } = this;
    return {
      older: this.older,
      mayGo: this.mayGo,
      ...(scenario.anyTree === true ? {} : { newTrees: this.newTrees }),
      end,
      makes: scenario.makes ?? null,
      mayMiss: hit?.what.startsWith('project/') === true,
      ...(scenario.project === undefined || scenario.project === 'same' ? { projects: [this.before] } : {}),
      next: wordsOf(scenario.next ?? ['save'], this.place),
      ...(scenario.nextCodes === undefined ? {} : { nextCodes: scenario.nextCodes }),
    };
  }

  /** Tries one point; again where the fault hit another call of the same name that is none of ours. */
  async try(point: Point, tries = 3): Promise<Outcome> {
    const { place, scenario } = this;
    for (let turn = 1; ; turn++) {
      place.reset();
      const { end, hit } = await traced(place, wordsOf(scenario.args, place), { call: point.call, fault: point.fault });
      if ((hit === undefined || hit.what === '') && turn < tries) continue;
      const violations = await judgeAt(place, this.expectation(end, hit));
      if (scenario.project === 'either') violations.push(...this.#halfChanged(end));
      for (const sentence of (await scenario.extra?.(place, end, this.older)) ?? []) violations.push({ rule: 'claim', sentence });
      const missed = hit === undefined || hit.what === '';
      return { scenario: scenario.name, fault: point.fault, meant: nameOf(point.call), hit: missed ? null : nameOf(hit), code: end.code, violations };
    }
  }

  /**
   * Kills the command at a point and the next run at some of its own calls, each twice; then judges as ever.
   * @param count of the next run's calls
   */
  async *tryCut(point: Point, count: number, seed: number): AsyncGenerator<Outcome> {
    const { place, scenario } = this;
    place.reset();
    const { hit } = await traced(place, wordsOf(scenario.args, place), point);
    if (hit === undefined) return;
    place.keep('cut');
    const again = () => {
      place.reset('cut');
      scenario.copied?.(place);
    };
    again();
    const next = wordsOf(scenario.next ?? ['save'], place);
    const { calls } = await traced(place, next);
    for (const call of shuffled(calls, seed).slice(0, count)) {
      again();
      const killed = { call, fault: 'KILL' } as const;
      const first = await traced(place, next, killed);
      await traced(place, next, killed);
      // What it saved itself may be of the project before or after.
      const { newTrees: _, ...expected } = this.expectation(undefined);
      const violations = await judgeAt(place, { ...expected, makes: null });
      if (scenario.project === 'either') violations.push(...this.#halfChanged({ code: null, stdout: '', stderr: '' }));
      for (const sentence of (await scenario.extra?.(place, { code: null, stdout: '', stderr: '' }, this.older)) ?? [])
        violations.push({ rule: 'claim', sentence });
      const meant = `${nameOf(point.call)} then ${nameOf(call)}`;
      yield { scenario: scenario.name, fault: 'KILL', meant, hit: first.hit === undefined ? null : meant, code: null, violations };
    }
  }

  /** After the next run the project is all as before or all as after; after exit code 0 as after. */
  #halfChanged(end: CoraEnd): Violation[] {
    const now = projectState(this.place.project);
    const states = end.code === 0 ? [this.states[1]] : this.states;
    const nearest = states.map((state) => treeDifferences(state, now)).sort((a, b) => a.length - b.length)[0] ?? [];
    return nearest.length === 0 ? [] : [{ rule: 'project', sentence: `the project is half changed: ${nearest.slice(0, 4).join('; ')}` }];
  }

  remove(): void {
    this.place.remove();
  }
}

function wordsOf(args: Scenario['args'], place: Place): readonly string[] {
  return typeof args === 'function' ? args(place) : args;
}

function nameOf({ name, number, what, turn }: Call): string {
  return `${name} ${number} ${what} ${turn}`;
}

/**
 * @param place to work in; a new one where not given
 * @throws Error where the command does not do what it should without any fault
 */
export async function prepare(scenario: Scenario, place?: Place): Promise<Prepared> {
  if (place !== undefined) return prepareAt(scenario, place);
  const own = await newPlace(scenario.bare === true);
  return orRemoved(own, () => prepareAt(scenario, own));
}

/** What fails leaves no directory behind. */
async function orRemoved<T>(place: Place, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    place.remove();
    throw error;
  }
}

/** A place with the usual project and history, unless `bare`; scenarios one after the other may share it. */
export async function newPlace(bare = false): Promise<Place> {
  const place = new Place();
  return orRemoved(place, async () => {
    place.keep('base');
    if (!bare) {
      await makeHistory(place);
      place.keep('base');
    }
    return place;
  });
}

async function prepareAt(scenario: Scenario, place: Place): Promise<Prepared> {
  place.reset('base');
  await scenario.before?.(place);
  place.keep();
  const older = await rememberAt(place);
  place.reset();
  const before = recordProject(place.project);
  const state = scenario.project === 'either' ? projectState(place.project) : before;
  const { end, calls } = await traced(place, wordsOf(scenario.args, place));
  if (!(scenario.codes ?? [0]).includes(end.code ?? -1))
    throw new Error(`${scenario.name} ended with ${end.code} without a fault: ${end.stderr}${end.stdout}`);
  const after = scenario.project === 'either' ? projectState(place.project) : before;
  const now = await rememberAt(place);
  const isOld = ({ kind, id }: KnownSnapshot) => older.some((known) => known.kind === kind && known.id === id);
  const left = new Set(now.map(({ kind, id }) => `${kind} ${id}`));
  const mayGo = new Set(older.map(({ kind, id }) => `${kind} ${id}`).filter((name) => !left.has(name)));
  const prepared = new Prepared({
    place,
    scenario,
    older,
    mayGo,
    newTrees: now.filter((known) => !isOld(known)).map(({ tree }) => tree),
    before,
    states: [state, after],
    points: calls.flatMap((call) => faultsOf(call).map((fault) => ({ call, fault }))),
  });
  // The judge must find nothing where nothing was done to the command.
  const clean = await judgeAt(place, prepared.expectation(end));
  if (clean.length > 0) throw new Error(`${scenario.name} is judged without a fault: ${JSON.stringify(clean, null, 1)}`);
  return prepared;
}
