// Seeded randomness, words and bytes: the same seed gives the same data on the same machine, so two
// runs of the benchmark measure the same input. Nothing here is fit for secrets.

import { createCipheriv } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';

/** A small seeded generator (mulberry32), enough for test data. */
export type Random = {
  /** A number in [0, 1). */
  readonly unit: () => number;
  /** A whole number in [low, high). */
  readonly between: (low: number, high: number) => number;
  /** One element; the list must not be empty. */
  readonly pick: <T>(list: readonly T[]) => T;
  /** Sixteen hexadecimal digits. */
  readonly hex16: () => string;
  /** Normally distributed, mean 0, deviation 1. */
  readonly gauss: () => number;
};

/** @param seed any whole number; the same one repeats the same sequence */
export function seededRandom(seed: number): Random {
  let state = (seed * 2_654_435_761) >>> 0;
  const unit = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  const between = (low: number, high: number): number => low + Math.floor(unit() * (high - low));
  const word32 = (): string => between(0, 4_294_967_296).toString(16).padStart(8, '0');
  return {
    unit,
    between,
    pick: <T>(list: readonly T[]): T => list[between(0, list.length)] as T,
    hex16: () => word32() + word32(),
    gauss: () => Math.sqrt(-2 * Math.log(1 - unit())) * Math.cos(2 * Math.PI * unit()),
  };
}

/** A generator of incompressible bytes: the AES-CTR key stream of a seed, much faster than drawing each byte. */
export function seededBytes(seed: number): (length: number) => Buffer {
  const key = Buffer.alloc(16);
  key.writeDoubleLE(seed);
  const stream = createCipheriv('aes-128-ctr', key, Buffer.alloc(16));
  return (length) => stream.update(Buffer.alloc(length));
}

/**
 * Words of real English prose in their order (package documentation), so that text made of them
 * compresses as prose does; generated words where the machine has no documentation.
 */
export function proseWords(atMost: number): readonly string[] {
  const words: string[] = [];
  for (const path of documentFiles('/usr/share/doc')) {
    for (const word of readFileSync(path, 'utf8').split(/\s+/)) if (word !== '') words.push(word);
    if (words.length >= atMost) return words;
  }
  return words.length > 20_000 ? words : inventedWords(Math.min(atMost, 200_000));
}

function documentFiles(root: string): string[] {
  let names: string[];
  try {
    names = readdirSync(root, { recursive: true, encoding: 'utf8' }).sort().slice(0, 8000);
  } catch {
    return []; // a machine without documentation is normal (containers)
  }
  return names
    .filter((name) => !name.endsWith('.gz'))
    .map((name) => `${root}/${name}`)
    .filter((path) => {
      const stats = statSync(path, { throwIfNoEntry: false });
      return stats?.isFile() === true && stats.size < 200_000;
    });
}

function inventedWords(count: number): string[] {
  const random = seededRandom(11);
  const syllables = ['ba', 'con', 'de', 'er', 'fo', 'gra', 'in', 'ka', 'lo', 'men', 'no', 'per', 'ra', 'sto', 'tion', 'ver'];
  const vocabulary = Array.from({ length: 20_000 }, () => Array.from({ length: random.between(1, 5) }, () => random.pick(syllables)).join(''));
  // The square favours the first words, as natural language favours few.
  return Array.from({ length: count }, () => vocabulary[Math.floor(random.unit() ** 2 * vocabulary.length)] as string);
}

/** `count` consecutive words from a random place. */
export function phrase(random: Random, words: readonly string[], count: number): string {
  const start = random.between(0, Math.max(1, words.length - count));
  return words.slice(start, start + count).join(' ');
}
