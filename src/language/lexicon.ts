// The data file phrases.toml, which lies beside this module and beside the bundle: read once, when a
// phrase is first said. Everything that it understands is in there; the code only knows how to read it.

import { readFileSync } from 'node:fs';
import { parse } from 'smol-toml';
import { compile, type Pattern } from './pattern.ts';
import type { Words } from './tokens.ts';

export const INTENTS = ['save', 'backup', 'verify', 'restore', 'list', 'size', 'last', 'health', 'protect', 'rotate', 'lost', 'end'] as const;
export type Intent = (typeof INTENTS)[number];

export type Rule = { readonly intent: Intent; readonly matches: Pattern };

export type Lexicon = { readonly words: Words; readonly rules: readonly Rule[] };

type Lists = Readonly<Record<string, readonly string[]>>;
type DataFile = { readonly words: Lists; readonly parts: Readonly<Record<string, string>>; readonly rules: Lists };

let loaded: Lexicon | undefined;

export function lexicon(): Lexicon {
  loaded ??= readLexicon(readFileSync(new URL('./phrases.toml', import.meta.url), 'utf8'));
  return loaded;
}

function readLexicon(text: string): Lexicon {
  // Our own file, which tests read whole: its shape is not asked again at run time.
  const data = parse(text) as unknown as DataFile;
  const classes = new Map<string, string[]>();
  let longest = 1;
  for (const [name, expressions] of Object.entries(data.words)) {
    for (const expression of expressions) {
      const known = classes.get(expression);
      if (known === undefined) classes.set(expression, [name]);
      else known.push(name);
      longest = Math.max(longest, expression.split(' ').length);
    }
  }
  const rules = Object.entries(data.rules).flatMap(([intent, patterns]) =>
    patterns.map((pattern) => ({ intent: intent as Intent, matches: lazily(pattern, data.parts) })),
  );
  return { words: { classes, longest }, rules };
}

/** Most phrases are understood by one of the first rules. */
function lazily(text: string, parts: Readonly<Record<string, string>>): Pattern {
  let pattern: Pattern | undefined;
  return (tokens) => {
    pattern ??= compile(text, parts);
    return pattern(tokens);
  };
}
