// The page of `cora serve` as the build leaves it, and what of it needs no browser: one file, its policy, foreign names, diffs.

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { expect, test } from 'vitest';
import { lastDays } from '../web/days.ts';
import { momentsOf } from '../web/format.ts';
import { readHint } from '../web/hint.ts';
import { hunksOf } from '../web/hunks.ts';
import { partsOf, plain, plainPath } from '../web/visible.ts';

const dist = join(import.meta.dirname, '..', 'dist');
const html = readFileSync(join(dist, 'page.html'), 'utf8');
const policy = readFileSync(join(dist, 'page.csp'), 'utf8');

const inside = (tag: string): string => new RegExp(`<${tag}>([\\s\\S]*?)</${tag}>`).exec(html)?.[1] ?? '';
const hashOf = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

test('the page is one file, and names nothing outside it', () => {
  expect(html.match(/<script/g)).toHaveLength(1);
  expect(html.match(/<style/g)).toHaveLength(1);
  const markup = html.replace(inside('script'), '').replace(inside('style'), '');
  expect(markup).not.toMatch(/\b(?:src|srcset|action|on\w+)=/);
  expect(markup.match(/href="[^"]*"/g)).toEqual(['href="data:,"']);
  expect(inside('style')).not.toMatch(/url\(|@import/);
  // The one address in the script is the name of a namespace, which nothing asks for.
  expect(new Set(inside('script').match(/https?:\/\/[^"'` ]+/g))).toEqual(
    new Set(['http://www.w3.org/2000/svg', 'http://www.w3.org/1998/Math/MathML', 'http://www.w3.org/1999/xhtml']),
  );
});

test('the policy lets run what is in the file and nothing else', () => {
  expect(policy).toMatch(/^[^\n]+\n$/);
  const rules = new Map(
    policy
      .trim()
      .split('; ')
      .map((rule) => [rule.slice(0, rule.indexOf(' ')), rule.slice(rule.indexOf(' ') + 1)]),
  );
  expect(rules.get('script-src')).toBe(hashOf(inside('script')));
  expect(rules.get('style-src')).toBe(hashOf(inside('style')));
  expect(rules.get('default-src')).toBe("'none'");
  expect(rules.get('connect-src')).toBe("'self'");
  expect(rules.get('img-src')).toBe('data:');
  for (const name of ['frame-ancestors', 'base-uri', 'form-action', 'trusted-types']) expect(rules.get(name)).toBe("'none'");
  expect(rules.get('require-trusted-types-for')).toBe("'script'");
});

test.each([
  ['a name that turns its end around', 'photo\u202egnp.exe', 'photo\\u202egnp.exe'],
  ['isolates and marks', 'a\u2066b\u2069\u200f', 'a\\u2066b\\u2069\\u200f'],
  ['an escape sequence of a terminal', '\x1b[31mred', '\\x1b[31mred'],
  ['a line end', 'one\ntwo', 'one\\x0atwo'],
  ['zero width and soft hyphens', 're\u200bport\u00ad.txt\ufeff', 're\\u200bport\\u00ad.txt\\ufeff'],
  ['tags that nobody sees', 'x\u{e0041}', 'x\\ue0041'],
  ['a character without a shape of its own', 'x\ue000y', 'x\\ue000y'],
])('%s is written out', (_what, name, shown) => {
  expect(plain(name)).toBe(shown);
  expect(partsOf(name).filter((_part, index) => index % 2 === 1).length).toBeGreaterThan(0);
});

test.each(['notes.md', 'Jürgen – Ünïcode', 'עברית', 'a  b', '</script><b>x', '👩‍👧 family'])('%s stays as it is', (name) => {
  expect(partsOf(name)).toEqual([name]);
});

test('a diff becomes pairs of lines with their numbers', () => {
  const [first, second] = hunksOf('@@ -1,4 +1,5 @@\n same\n-old\n+new\n+newer\n same\n-gone\n@@ -40 +41 @@\n-a\n+b\n\\ No newline at end of file\n');
  expect(first?.pairs.map(({ before, after }) => [before?.number, before?.text, after?.number, after?.text])).toEqual([
    [1, 'same', 1, 'same'],
    [2, 'old', 2, 'new'],
    [undefined, undefined, 3, 'newer'],
    [3, 'same', 4, 'same'],
    [4, 'gone', undefined, undefined],
  ]);
  expect(second?.pairs).toEqual([{ before: { number: 40, text: 'a' }, after: { number: 41, text: 'b' }, same: false }]);
});

test('days are counted by what their snapshots are, and empty days are days too', () => {
  const noon = (day: number): number => new Date(2026, 10, day, 12).getTime();
  // A save; a save with its backup, sealed; a suspect save; one of long ago.
  const columns = { total: 4, times: [noon(1), noon(19), noon(19), noon(21)], flags: [1, 1, 1 | 2 | 16, 1 | 256], sizes: [9, 10, 20, 30] };
  expect(lastDays(columns, 3, noon(21))).toEqual([
    { day: '2026-11-19', saves: 2, backups: 1, suspect: 0, bytes: 30 },
    { day: '2026-11-20', saves: 0, backups: 0, suspect: 0, bytes: 0 },
    { day: '2026-11-21', saves: 1, backups: 0, suspect: 1, bytes: 30 },
  ]);
});

test.each([
  ['cora save', 'cora save', ''],
  ['cora verify 20261121-031500-1a2b3c4 --deep', 'cora verify 20261121-031500-1a2b3c4 --deep', ''],
  ['cora backup now', 'cora backup now', ''],
  ['cora save puts it back', 'cora save', 'puts it back'],
  ['cora backup now makes a backup and seals it', 'cora backup now', 'makes a backup and seals it'],
  ['cora key new --write, then cora ship', 'cora key new --write', ', then cora ship'],
  ['cora restore latest --to DIR', 'cora restore latest --to DIR', ''],
  ['name a vault on another disk with --vault', '', 'name a vault on another disk with --vault'],
])('of "%s" the command is "%s"', (text, command, rest) => {
  expect(readHint(text)).toEqual({ command, rest });
});

test('the sources of the page keep to themselves, and make no markup of text', () => {
  const root = join(import.meta.dirname, '..', 'web');
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) => /\.tsx?$/.test(name));
  expect(files.length).toBeGreaterThan(30);
  const wrong = files.flatMap((name) => {
    const text = readFileSync(join(root, name), 'utf8');
    const outside = [...text.matchAll(/from '(\.[^']+)'/g)]
      .map((found) => relative(root, join(root, dirname(name), found[1]!)))
      .filter((target) => target.startsWith('..') && !target.startsWith('../src/base/'));
    const markup = text.match(/innerHTML|dangerouslySetInnerHTML|insertAdjacentHTML|document\.write|\beval\(/g) ?? [];
    return [...outside, ...markup, ...(text.split('\n').length > 301 ? ['more than 300 lines'] : [])].map((what) => `${name}: ${what}`);
  });
  expect(wrong).toEqual([]);
});

test.each([
  [' ', '\\u0020'],
  ['notes/ plan .md', 'notes/\\u0020plan .md'],
  ['a /b', 'a\\u0020/b'],
  ['a  b.md', 'a  b.md'],
])('blanks at an end of a name on a path are written out: %j', (path, shown) => {
  expect(plainPath(path)).toBe(shown);
  expect(plain(path)).toBe(path);
});

test('moments of one minute are told apart by their seconds, others are not', () => {
  const [one, two, other] = ['2026-11-20T10:00:05Z', '2026-11-20T10:00:41Z', '2026-11-20T10:01:00Z'] as const;
  const moment = momentsOf([one, two, other]);
  expect([moment(one), moment(two)].map((text) => text.slice(-3))).toEqual([':05', ':41']);
  expect(moment(other)).toMatch(/, \d\d:01$/);
  expect(momentsOf([one, one, other])(one)).toMatch(/, \d\d:00$/);
});
