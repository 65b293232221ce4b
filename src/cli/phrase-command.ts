// `cora "save our progress"` and `cora how big are our backups`: where the words are no command, and are
// a phrase as a whole, they are `cora say`'s. A single mistyped word never is.

import type { Bytes } from '../base/bytes.ts';
import type { Command } from './command.ts';
import { COMMANDS } from './commands.ts';
import { GLOBAL_FLAGS, takeWord } from './flags.ts';

/** `cora say` with the same words; undefined where they are a command's, or nothing that is understood. */
export async function findPhrase(
  args: readonly Bytes[],
): Promise<{ readonly entry: Command | undefined; readonly group: undefined; readonly rest: readonly Bytes[] } | undefined> {
  const [first, second, words] = wordsOf(args);
  if (first === undefined) return undefined;
  const names = COMMANDS.flatMap((entry) => [entry.name, ...(entry.aliases ?? [])]);
  if (names.includes(first) || names.includes(`${first} ${second ?? ''}`)) return undefined;
  const found = { entry: COMMANDS.find(({ name }) => name === 'say'), group: undefined, rest: args };
  // No command has a blank in its first word.
  if (/\S\s+\S/.test(first)) return found;
  if (second === undefined) return undefined;
  const { understand } = await import('../language/intent.ts');
  return (await understand(words)).kind === 'asked' ? found : undefined;
}

function wordsOf(args: readonly Bytes[]): readonly [first: string | undefined, second: string | undefined, all: string] {
  const words: string[] = [];
  let rest = args;
  try {
    for (;;) {
      const taken = takeWord(rest, GLOBAL_FLAGS);
      if (taken.word === undefined) break;
      words.push(taken.word);
      rest = taken.rest;
    }
  } catch {
    // An option that only a command knows: whatever these words are, they are no phrase alone.
    return [undefined, undefined, ''];
  }
  return [words[0], words[1], words.join(' ')];
}
