// Chance that can be repeated: everything `cora torture` leaves to chance follows from its seed.

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A whole number in [0, below). */
export function pick(random: () => number, below: number): number {
  return Math.floor(random() * below);
}

/** The same items in another order. */
export function shuffled<T>(random: () => number, items: readonly T[]): T[] {
  const result = [...items];
  for (let at = result.length - 1; at > 0; at--) {
    const other = pick(random, at + 1);
    const [one, two] = [result[at], result[other]];
    if (one === undefined || two === undefined) continue;
    result[at] = two;
    result[other] = one;
  }
  return result;
}
