// Patterns over the classes of tokens: `SAVE (WORK|DBS)+ NOTES`. A pattern matches a whole phrase or
// nothing; fillers may stand before any element and at the end. Works on sets of places, so that no
// phrase, however odd, takes longer than its length times the pattern's. Pure.

import type { Token } from './tokens.ts';

/** From the places where something may begin to the places where it may end. */
type Step = (tokens: readonly Token[], from: ReadonlySet<number>) => Set<number>;

export type Pattern = (tokens: readonly Token[]) => boolean;

/** A word that may stand anywhere. */
const FILLER = 'F';

/**
 * @param parts names of parts and their own patterns
 * @throws RangeError for a pattern that cannot be read: a mistake in the data file
 */
export function compile(text: string, parts: Readonly<Record<string, string>>): Pattern {
  const step = parse(text, parts);
  return (tokens) => skipFillers(tokens, step(tokens, new Set([0]))).has(tokens.length);
}

function skipFillers(tokens: readonly Token[], from: ReadonlySet<number>): Set<number> {
  const to = new Set(from);
  for (const start of from) for (let at = start; tokens[at]?.classes.includes(FILLER) === true; at++) to.add(at + 1);
  return to;
}

function parse(text: string, parts: Readonly<Record<string, string>>): Step {
  const pieces = text.match(/[()|?*+]|[^\s()|?*+]+/g) ?? [];
  let at = 0;
  const alternatives = (): Step => {
    const found = [sequence()];
    while (pieces[at] === '|') {
      at++;
      found.push(sequence());
    }
    return found.length === 1 && found[0] !== undefined ? found[0] : (tokens, from) => new Set(found.flatMap((step) => [...step(tokens, from)]));
  };
  const sequence = (): Step => {
    const steps: Step[] = [];
    while (at < pieces.length && pieces[at] !== '|' && pieces[at] !== ')') steps.push(repeated(atom()));
    return (tokens, from) => steps.reduce((places, step) => (places.size === 0 ? places : step(tokens, places)), new Set(from));
  };
  const atom = (): Step => {
    const piece = pieces[at++] ?? '';
    if (piece !== '(') return parts[piece] === undefined ? element(piece) : parse(parts[piece], parts);
    const inner = alternatives();
    if (pieces[at++] !== ')') throw new RangeError(`A bracket is open in: ${text}`);
    return inner;
  };
  const repeated = (step: Step): Step => {
    const sign = pieces[at];
    if (sign === '?') {
      at++;
      return (tokens, from) => new Set([...from, ...step(tokens, from)]);
    }
    if (sign !== '*' && sign !== '+') return step;
    at++;
    return (tokens, from) => closure(step, tokens, sign === '*' ? from : step(tokens, from));
  };
  const whole = alternatives();
  if (at < pieces.length) throw new RangeError(`A bracket is closed that was not open in: ${text}`);
  return whole;
}

function closure(step: Step, tokens: readonly Token[], from: ReadonlySet<number>): Set<number> {
  const all = new Set(from);
  for (let fresh: ReadonlySet<number> = from; fresh.size > 0; ) {
    const next = [...step(tokens, fresh)].filter((place) => !all.has(place));
    for (const place of next) all.add(place);
    fresh = new Set(next);
  }
  return all;
}

/** A class in capitals, or a word as it is. */
function element(name: string): Step {
  const isClass = /^[A-Z]+$/.test(name);
  return (tokens, from) => {
    const to = new Set<number>();
    for (const place of skipFillers(tokens, from)) {
      const token = tokens[place];
      if (token !== undefined && (isClass ? token.classes.includes(name) : token.word === name)) to.add(place + 1);
    }
    return to;
  };
}
