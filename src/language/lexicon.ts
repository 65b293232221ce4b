// The data file phrases.toml, which lies beside this module and beside the bundle: read once, when a
// phrase is first said. Everything that it understands is in there; the code only knows how to read it.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { readTextIfThere } from '../os/files.ts';
import { compile, type Pattern } from './pattern.ts';
import type { Words } from './tokens.ts';

export const INTENTS = ['save', 'backup', 'verify', 'restore', 'list', 'size', 'last', 'health', 'protect', 'rotate', 'lost', 'end'] as const;
export type Intent = (typeof INTENTS)[number];

export type Rule = { readonly intent: Intent; readonly matches: Pattern };

export type Lexicon = {
  readonly words: Words;
  readonly rules: readonly Rule[] /** Words that stand for themselves in some pattern. */;
  readonly literals: ReadonlySet<string>;
};

type Lists = Readonly<Record<string, readonly string[]>>;
type DataFile = { readonly words: Lists; readonly parts: Readonly<Record<string, string>>; readonly rules: Lists };

let loaded: Lexicon | undefined;

/** Of the bundle it is JSON, which is read ten times as fast. */
export async function lexicon(): Promise<Lexicon> {
  loaded ??= readLexicon(await readData());
  return loaded;
}

async function readData(): Promise<DataFile> {
  // Our own files, which tests read whole: their shape is not asked again at run time.
  const json = readTextIfThere(fileURLToPath(new URL('./phrases.json', import.meta.url)));
  if (json !== undefined) return JSON.parse(json) as DataFile;
  const { parse } = await import('smol-toml');
  return parse(readFileSync(new URL('./phrases.toml', import.meta.url), 'utf8')) as unknown as DataFile;
}

function readLexicon(data: DataFile): Lexicon {
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
  const literals = new Set(
    Object.values(data.rules)
      .concat([Object.values(data.parts)])
      .flatMap((patterns) => patterns.flatMap((text) => text.match(/[^\s()|?*+A-Z]+/g) ?? [])),
  );
  return { words: { classes, longest }, rules, literals };
}

/** Most phrases are understood by one of the first rules. */
function lazily(text: string, parts: Readonly<Record<string, string>>): Pattern {
  let pattern: Pattern | undefined;
  return (tokens) => {
    pattern ??= compile(text, parts);
    return pattern(tokens);
  };
}
