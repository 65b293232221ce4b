// Orders that a seed gives, the same on each machine.

import { seededRandom } from '../../../src/actions/torture-random.ts';

/** In an order that the seed gives. */
export function shuffled<T>(list: readonly T[], seed: number): T[] {
  const next = seededRandom(seed);
  return list
    .map((item) => ({ item, key: next() }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item);
}
