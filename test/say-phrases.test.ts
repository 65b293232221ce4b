// What phrases mean, one by one: test/phrases/understood.tsv and not-for-cora.txt. Pure, without a vault.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { understand } from '../src/language/intent.ts';
import { linesOf, meaningOf } from './support/phrases.ts';

const cases = linesOf('understood.tsv').map((line) => line.split('\t'));

test('there are enough of them', () => {
  expect(cases.length).toBeGreaterThan(300);
  expect(new Set(cases.map(([, , phrase]) => phrase)).size).toBeGreaterThan(300);
  expect(linesOf('not-for-cora.txt').length).toBe(100);
});

test('every phrase has its intent and its slots', async () => {
  const wrong: object[] = [];
  for (const [intent = '', slots = '', phrase = ''] of cases) {
    const got = await meaningOf(phrase);
    if (got.intent !== intent || got.said !== slots) wrong.push({ phrase, wanted: `${intent} ${slots}`, got: `${got.intent} ${got.said}` });
  }
  expect(wrong).toEqual([]);
});

// At least what the rules reach now, which is no score: that of the one try stands in each file.
test.each([
  ['unseen.tsv', 94],
  ['unseen-2.tsv', 99],
] as const)('of the unseen hundred of %s none is taken for something else', async (name, least) => {
  let right = 0;
  const wrong: string[] = [];
  for (const line of linesOf(name)) {
    const [intent, phrase = ''] = line.split('\t');
    const got = (await meaningOf(phrase)).intent;
    if (got === intent) right++;
    else if (got !== 'none') wrong.push(`${phrase}: ${got}`);
  }
  expect(wrong).toEqual([]);
  expect(right).toBeGreaterThanOrEqual(least);
});

test.each(['not-for-cora.txt', 'not-for-cora-2.txt'])('what is not for Cora is no intent: %s', async (name) => {
  const taken: string[] = [];
  for (const phrase of linesOf(name)) {
    const got = (await meaningOf(phrase)).intent;
    if (got !== 'none') taken.push(`${phrase}: ${got}`);
  }
  expect(taken).toEqual([]);
});

test.each([
  'SAVE OUR PROGRESS',
  'Save our progress!',
  '  save   our progress ',
  'please save our progress',
  'hey Cora, could you please save our progress? thanks',
])('%j is a save', async (phrase) => expect((await meaningOf(phrase)).intent).toBe('save'));

test.each([
  ['a quoted command', '"save our progress"'],
  ['a report of what somebody said', 'he told me "back up now"'],
  ['one strange word', 'save our frobnicator'],
  ['nothing', '   '],
  ['punctuation', '?!'],
  ['a text of 500 characters', `save ${'our progress '.repeat(40)}`],
  ['a typographic negation', 'don’t save'],
  ['a refusal in the second part', 'save everything and delete the old backups'],
  ['a restore beside something else', 'verify the backup and restore it'],
  ['a refusal after what it is before', 'save before the migration and delete the old backups'],
  ['a restore after what it is before', 'save before the migration and restore notes.db'],
  ['a no that looks like a name', 'No, save it'],
  ['a time that looks like a name', 'Tomorrow, back up'],
  ['a day that looks like a name', 'Monday, back up'],
])('%s does nothing', async (_name, phrase) => expect((await meaningOf(phrase)).intent).toBe('none'));

test('what comes after "before" is a note, and not an order', async () => {
  expect(await understand('save this before I delete the old backups')).toMatchObject({
    kind: 'asked',
    clauses: [{ intent: 'save', slots: { note: 'before I delete the old backups' } }],
  });
});

test('a word that names something here is a path; elsewhere it is not understood', async () => {
  expect((await understand('restore sources from yesterday')).kind).toBe('none');
  expect(await understand('restore sources from yesterday', {}, (word) => word === 'sources')).toMatchObject({
    clauses: [{ intent: 'restore', slots: { path: 'sources', moment: 'yesterday' } }],
    confidence: 0.9,
  });
});

test('phrases of the user are compared as a whole, and cannot lift a refusal', async () => {
  const own = { save: ['stash the goods'], backup: ["don't lose this"] };
  expect(await understand('please stash the goods', own)).toMatchObject({ clauses: [{ intent: 'save' }] });
  expect((await understand('stash the other goods', own)).kind).toBe('none');
  expect(await understand("don't lose this", own)).toMatchObject({ kind: 'none', reason: 'negation' });
});

test('a long and repetitive phrase takes no longer than a short one', async () => {
  const started = performance.now();
  await understand('all this and that and all of this and that and all of it and this and all of that and the lot and all');
  expect(performance.now() - started).toBeLessThan(500);
});

test('the data file names no class that it does not define', () => {
  const text = readFileSync(join(import.meta.dirname, '../src/language/phrases.toml'), 'utf8');
  const defined = new Set([...text.matchAll(/^([A-Z]+) = /gm)].map((match) => match[1]));
  const [, patterns = ''] = text.split('[parts]');
  const used = new Set([...patterns.matchAll(/\b[A-Z]{2,}\b/g)].map(([name]) => name));
  const made = ['PATH', 'ID', 'MOMENT', 'NUMBER', 'QUOTED', 'TAGWORD', 'SPAN', 'BEFORE', 'EVENT'];
  expect([...used].filter((name) => !defined.has(name) && !made.includes(name))).toEqual([]);
});
