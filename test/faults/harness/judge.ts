// The judge of src/actions/judge.ts on a place of trials: looks are taken in this process, the next run is a process of its own.

import { type CoraEnd, type Expectation, judge, type KnownSnapshot, remember, type Violation } from '../../../src/actions/judge.ts';
import type { Place } from './place.ts';

const LOOKS = ['list', 'verify', 'restore'];

function cora(place: Place): (args: readonly string[]) => Promise<CoraEnd> {
  return (args) => (LOOKS.includes(args[0] ?? '') && (args[0] !== 'restore' || args.includes('--to')) ? place.coraHere(args) : place.cora(args));
}

/** All snapshots of the place's vault, with a restore of each. */
export function rememberAt(place: Place): Promise<KnownSnapshot[]> {
  return remember(cora(place), place);
}

/** What the run before broke; empty where every promise was kept. */
export function judgeAt(place: Place, expected: Expectation): Promise<Violation[]> {
  return judge(cora(place), place, expected);
}
