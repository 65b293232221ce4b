// One trial: the place back at its start, the command with one fault at one call, the judge. `prepare` makes the start, a
// run without a fault that says what is right, and the list of the calls that the command makes.

import { type Expectation, type KnownSnapshot, recordProject, type Violation } from '../../../src/actions/judge.ts';
import type { TreeRecord } from '../../../src/actions/judge-tree.ts';
import { type Call, type Fault, faultsOf, traced } from './inject.ts';
import { judgeAt, rememberAt } from './judge.ts';
import { Place } from './place.ts';
import { makeHistory, type Scenario } from './scenario.ts';

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
  readonly after: TreeRecord;
  readonly points: readonly Point[];

  constructor(parts: Pick<Prepared, 'place' | 'scenario' | 'older' | 'mayGo' | 'newTrees' | 'before' | 'after' | 'points'>) {
    this.place = parts.place;
    this.scenario = parts.scenario;
    this.older = parts.older;
    this.mayGo = parts.mayGo;
    this.newTrees = parts.newTrees;
    this.before = parts.before;
    this.after = parts.after;
    this.points = parts.points;
  }

  /** What must hold after a run of the command that ended so. */
  expectation(end: Expectation['end'], hit?: Call): Expectation {
    const { scenario } = this;
    const both = scenario.project === 'either' && end?.code !== 0 ? [this.before, this.after] : [this.after];
    return {
      older: this.older,
      mayGo: this.mayGo,
      newTrees: this.newTrees,
      end,
      makes: scenario.makes ?? null,
      mayMiss: hit?.what.startsWith('project/') === true,
      ...(scenario.project === 'any' ? {} : { projects: both }),
      ...(scenario.next === undefined ? {} : { next: scenario.next }),
      ...(scenario.nextCodes === undefined ? {} : { nextCodes: scenario.nextCodes }),
    };
  }

  /** Tries one point; again where the fault hit another call of the same name that is none of ours. */
  async try(point: Point, tries = 3): Promise<Outcome> {
    const { place, scenario } = this;
    for (let turn = 1; ; turn++) {
      place.reset();
      const { end, hit } = await traced(place, scenario.args, { call: point.call, fault: point.fault });
      if ((hit === undefined || hit.what === '') && turn < tries) continue;
      const violations = await judgeAt(place, this.expectation(end, hit));
      for (const sentence of (await scenario.extra?.(place, end)) ?? []) violations.push({ rule: 'claim', sentence });
      const missed = hit === undefined || hit.what === '';
      return { scenario: scenario.name, fault: point.fault, meant: nameOf(point.call), hit: missed ? null : nameOf(hit), code: end.code, violations };
    }
  }

  remove(): void {
    this.place.remove();
  }
}

function nameOf({ name, number, what, turn }: Call): string {
  return `${name} ${number} ${what} ${turn}`;
}

/**
 * @param place to work in; a new one where not given
 * @throws Error where the command does not do what it should without any fault
 */
export async function prepare(scenario: Scenario, place: Place = new Place()): Promise<Prepared> {
  if (scenario.bare !== true) await makeHistory(place);
  await scenario.before?.(place);
  place.keep();
  const older = await rememberAt(place);
  place.reset();
  const before = recordProject(place.project);
  const { end, calls } = await traced(place, scenario.args);
  if (!(scenario.codes ?? [0]).includes(end.code ?? -1))
    throw new Error(`${scenario.name} ended with ${end.code} without a fault: ${end.stderr}${end.stdout}`);
  const after = recordProject(place.project);
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
    after,
    points: calls.flatMap((call) => faultsOf(call).map((fault) => ({ call, fault }))),
  });
  // The judge must find nothing where nothing was done to the command.
  const clean = await judgeAt(place, prepared.expectation(end));
  if (clean.length > 0) throw new Error(`${scenario.name} is judged without a fault: ${JSON.stringify(clean, null, 1)}`);
  return prepared;
}
