// docs/exit-codes.md says what src/base/errors.ts does: a number or word added to one is missing in the other.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ERROR_EXIT, EXIT } from '../src/base/errors.ts';

const page = readFileSync(join(import.meta.dirname, '..', 'docs', 'exit-codes.md'), 'utf8');
const [codes = '', words = ''] = page.split('## Error codes');
const rows = (text: string): string[][] => [...text.matchAll(/^\| (\d+) \|(.*)$/gm)].map((row) => [row[1]!, row[2]!]);

test('the page lists every exit code once', () => {
  expect(rows(codes).map(([code]) => Number(code))).toEqual(Object.values(EXIT).toSorted((a, b) => a - b));
});

test('the page lists every error code with its exit code', () => {
  const documented = rows(words).flatMap(([code, list = '']) => [...list.matchAll(/`(\w+)`/g)].map((word) => [word[1]!, Number(code)] as const));
  expect(Object.fromEntries(documented)).toEqual(ERROR_EXIT);
});
