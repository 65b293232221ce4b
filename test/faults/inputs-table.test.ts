// The table of bad inputs in docs/reliability.md and the tests are the same list.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const repository = join(import.meta.dirname, '../..');
const page = readFileSync(join(repository, 'docs/reliability.md'), 'utf8');

test('each bad input has one row, and each row the test that it names', () => {
  const section = page.slice(page.indexOf('## Bad inputs'), page.indexOf('## Damage and mutants'));
  const rows = [...section.matchAll(/^\| (S?\d+) \|.*\| ([^|]+) \|$/gm)].map(([, number = '', named = '']) => [number, named] as const);
  const wanted = [...Array.from({ length: 60 }, (_, n) => `${n + 1}`), ...Array.from({ length: 12 }, (_, n) => `S${n + 1}`)];
  expect(rows.map(([number]) => number)).toEqual(wanted);
  const files = readdirSync(import.meta.dirname).filter((name) => name.startsWith('inputs-'));
  const source = files.map((name) => readFileSync(join(import.meta.dirname, name), 'utf8')).join('\n');
  const made = [...source.matchAll(/^fault\(\s*'(S?\d+)'/gm)].map(([, number]) => number);
  expect(made.toSorted()).toEqual(
    rows
      .filter(([number, named]) => named === `fault ${number}`)
      .map(([number]) => number)
      .toSorted(),
  );
  for (const [number, named] of rows) {
    const [, file, title] = /^(test\/\S+): (.+)$/.exec(named) ?? [];
    if (file !== undefined && title !== undefined)
      expect([number, readFileSync(join(repository, file), 'utf8').includes(title)]).toEqual([number, true]);
    else expect(named).toMatch(/^(fault S?\d+|-)$/);
  }
});
