// The phrase files of test/phrases, and what a phrase means in one line.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { understand } from '../../src/language/intent.ts';

/** Without comments and empty lines. */
export function linesOf(name: string): string[] {
  return readFileSync(join(import.meta.dirname, '..', 'phrases', name), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
}

/** The intent, and the slots of the first thing asked for, or why it is none. */
export async function meaningOf(phrase: string): Promise<{ readonly intent: string; readonly said: string }> {
  const understood = await understand(phrase);
  if (understood.kind === 'none') return { intent: 'none', said: understood.reason };
  const [first, ...others] = understood.clauses;
  const also = others.map(({ intent }) => intent);
  return { intent: first.intent, said: JSON.stringify({ ...first.slots, ...(also.length > 0 ? { also } : {}) }) };
}
