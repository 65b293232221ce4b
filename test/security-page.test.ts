// SECURITY.md is true: each test that it names exists, and nothing listens where it says that nothing does.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const repository = join(import.meta.dirname, '..');
const page = readFileSync(join(repository, 'SECURITY.md'), 'utf8');

/** `[word](test/FILE) "the title, or the beginning of it"`. */
const NAMED = /\]\((test\/[^)]+)\) "([^"]+)"/g;

test('each row of the page names tests, and each of them is there', () => {
  const rows = page.split('\n').filter((line) => line.startsWith('| **'));
  expect(rows.length).toBeGreaterThan(10);
  const missing: string[] = [];
  for (const row of rows) {
    const named = [...row.matchAll(NAMED)];
    if (named.length === 0) missing.push(`${row.slice(0, 60)}: no test`);
    for (const [, file = '', title = ''] of named) {
      if (!existsSync(join(repository, file)) || !hasTest(readFileSync(join(repository, file), 'utf8'), title)) missing.push(`${file}: ${title}`);
    }
  }
  expect(missing).toEqual([]);
});

/** A test or a group of tests with a title that begins so; a quote may be written with a backslash. */
function hasTest(text: string, title: string): boolean {
  return text
    .replaceAll("\\'", "'")
    .split('\n')
    .some((line) => /['"`]/.test(line[line.indexOf(title) - 1] ?? '') && line.includes(title));
}

test('no part of Cora but cora serve listens', () => {
  const listening = readdirSync(join(repository, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .filter((path) => /\bcreateServer\(|\.listen\(/.test(readFileSync(join(repository, 'src', path), 'utf8')));
  expect(listening.toSorted()).toEqual(['cli/http/listen.ts', 'cli/http/server.ts']);
});
