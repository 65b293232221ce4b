// The tree's own rules: ranks (CONTRIBUTING.md), no import cycle, short files, and who may touch the
// console, the process, other programs and SQLite. Text and regular expressions are enough:
// verbatimModuleSyntax keeps type imports visible, and they count too.

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';

/** A file may import from its own folder, or from a folder of a lower rank; never sideways. */
const RANKS: Readonly<Record<string, number>> = {
  'main.ts': 6,
  'cli.ts': 5,
  cli: 4,
  actions: 3,
  source: 2,
  store: 2,
  vault: 2,
  language: 2,
  format: 1,
  os: 1,
  base: 0,
};

const MAX_LINES = 300;
const REASON = /^\/\/ Over 300 lines: \S+/;

/** What only the named files (or folders, ending in a slash) may contain. */
const RESERVED: readonly { readonly what: string; readonly pattern: RegExp; readonly allowed: readonly string[] }[] = [
  { what: 'console', pattern: /\bconsole\s*[.[]/, allowed: [] },
  { what: 'process.exit', pattern: /\bprocess\.(exit|abort|reallyExit)\b/, allowed: ['main.ts'] },
  { what: 'process.exitCode', pattern: /\bprocess\.exitCode\b/, allowed: ['main.ts', 'cli.ts'] },
  {
    what: 'process.env, cwd, argv, chdir or umask',
    pattern: /\bprocess\.(env|cwd|argv|chdir|umask)\b/,
    allowed: ['main.ts', 'cli.ts', 'cli/'],
  },
  { what: 'a standard stream', pattern: /\bprocess\.(stdin|stdout|stderr)\b/, allowed: ['main.ts', 'cli.ts', 'cli/'] },
  { what: 'node:process', pattern: /['"](node:)?process['"]/, allowed: [] },
  { what: 'chalk', pattern: /['"]chalk['"]/, allowed: ['cli/'] },
  { what: 'child_process', pattern: /['"](node:)?child_process['"]/, allowed: ['os/run.ts', 'os/piped.ts'] },
  { what: 'execa', pattern: /['"]execa['"]/, allowed: ['os/run.ts', 'os/piped.ts'] },
  { what: 'better-sqlite3', pattern: /['"]better-sqlite3['"]/, allowed: ['os/sqlite.ts'] },
];

type Tree = ReadonlyMap<string, string>;

/** The lines of code: comment lines and trailing comments are blank, so that prose may name what code may not. */
function codeOf(text: string): string {
  return text.replace(/^\s*(\/\/|\/\*|\*).*$/gm, '').replace(/\s\/\/ .*$/gm, '');
}

/** The modules that a file names: static, type, dynamic, side-effect imports and re-exports. */
function importsOf(text: string): string[] {
  const found: string[] = [];
  for (const match of codeOf(text).matchAll(/(?:\bfrom\s*|\bimport\s*\(\s*|\bimport\s+)(['"])([^'"]+)\1/g)) found.push(match[2]!);
  return found;
}

function folderOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.indexOf('/')) : path;
}

/** Every broken rule as one line `file: what`. Paths are relative to src. */
function violations(tree: Tree): string[] {
  const broken: string[] = [];
  const graph = new Map<string, string[]>();
  for (const [path, text] of tree) {
    const rank = RANKS[folderOf(path)];
    if (rank === undefined) {
      broken.push(`${path}: its place has no rank`);
      continue;
    }
    const targets: string[] = [];
    for (const name of importsOf(text)) {
      if (!name.startsWith('.')) continue;
      const target = join(dirname(path), name);
      if (!target.endsWith('.ts')) {
        if (!target.endsWith('.sh')) broken.push(`${path}: imports ${name} without .ts`);
        continue;
      }
      if (target.startsWith('..')) {
        broken.push(`${path}: imports ${name}, outside src`);
        continue;
      }
      targets.push(target);
      if (!tree.has(target)) broken.push(`${path}: imports ${target}, which does not exist`);
      const targetRank = RANKS[folderOf(target)];
      if (folderOf(target) !== folderOf(path) && (targetRank === undefined || targetRank >= rank)) broken.push(`${path}: may not import ${target}`);
    }
    graph.set(path, targets);

    const lines = text.replace(/\n$/, '').split('\n');
    if (lines.length > MAX_LINES && !lines.slice(0, 12).some((line) => REASON.test(line))) {
      broken.push(`${path}: ${lines.length} lines and no line "// Over 300 lines: <reason>" at its top`);
    }
    const code = codeOf(text);
    for (const { what, pattern, allowed } of RESERVED) {
      if (pattern.test(code) && !allowed.some((place) => (place.endsWith('/') ? path.startsWith(place) : path === place))) {
        broken.push(`${path}: may not use ${what}`);
      }
    }
  }
  const cycle = findCycle(graph);
  if (cycle !== undefined) broken.push(`import cycle: ${cycle.join(' > ')}`);
  return broken;
}

function findCycle(graph: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const done = new Set<string>();
  const trail: string[] = [];
  const visit = (path: string): string[] | undefined => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path];
    if (done.has(path)) return undefined;
    trail.push(path);
    for (const next of graph.get(path) ?? []) {
      const cycle = visit(next);
      if (cycle !== undefined) return cycle;
    }
    trail.pop();
    done.add(path);
    return undefined;
  };
  for (const path of graph.keys()) {
    const cycle = visit(path);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}

function readTree(): Tree {
  const src = join(import.meta.dirname, '..', 'src');
  const names = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'));
  return new Map(names.map((name) => [name, readFileSync(join(src, name), 'utf8')]));
}

const tree = (files: Readonly<Record<string, string>>): Tree => new Map(Object.entries(files));

test('the source tree keeps its own rules', () => {
  const found = readTree();
  expect(found.size).toBeGreaterThan(5);
  expect(violations(found)).toEqual([]);
});

test('imports of one folder and of lower ranks are allowed', () => {
  const files = {
    'main.ts': "const { main } = await import('./cli.ts');",
    'cli.ts': "import { a } from './cli/a.ts';",
    'cli/a.ts': "import { b } from '../actions/b.ts';\nimport chalk from 'chalk';\nprocess.stdout.write('x');",
    'actions/b.ts': "import type { C } from '../base/c.ts';\nimport text from './restore.sh';",
    'base/c.ts': "// console.log and process.exit are banned, and so is 'execa'.\nexport type C = 1; // not process.env either",
    'os/run.ts': "import { spawn } from 'node:child_process';",
    'os/sqlite.ts': "import Database from 'better-sqlite3';\nimport { run } from './run.ts';",
  };
  expect(violations(tree(files))).toEqual([]);
});

test.each([
  ['upwards', 'store/a.ts', "import { save } from '../actions/x.ts';"],
  ['sideways', 'store/a.ts', "import { layout } from '../vault/x.ts';"],
  ['sideways at the bottom', 'os/a.ts', "import { layout } from '../format/x.ts';"],
  ['upwards by type only', 'base/a.ts', "import type { Save } from '../actions/x.ts';"],
  ['upwards by a type in braces', 'base/a.ts', "import {\n  type Save,\n} from '../actions/x.ts';"],
  ['upwards by a lazy import', 'vault/a.ts', "const x = await import('../cli/x.ts');"],
  ['upwards by a re-export', 'source/a.ts', "export { x } from '../cli.ts';"],
  ['upwards for its effect', 'source/a.ts', "import '../main.ts';"],
])('an import %s is caught', (_name, path, text) => {
  const target = importsOf(text)[0]!.slice(3);
  expect(violations(tree({ [path]: text, [target]: '' }))).toEqual([`${path}: may not import ${target}`]);
});

test('imports that are no module of src are caught', () => {
  expect(violations(tree({ 'base/a.ts': "import { x } from './b.js';" }))).toEqual(['base/a.ts: imports ./b.js without .ts']);
  expect(violations(tree({ 'base/a.ts': "import { x } from '../../test/b.ts';" }))).toEqual(['base/a.ts: imports ../../test/b.ts, outside src']);
  expect(violations(tree({ 'base/a.ts': "import { x } from './b.ts';" }))).toEqual(['base/a.ts: imports base/b.ts, which does not exist']);
  expect(violations(tree({ 'helpers/a.ts': '' }))).toEqual(['helpers/a.ts: its place has no rank']);
});

test('an import cycle is caught, also one of types only', () => {
  const files = {
    'base/a.ts': "import type { B } from './b.ts';",
    'base/b.ts': "import { c } from './c.ts';",
    'base/c.ts': "import type { A } from './a.ts';",
    'base/d.ts': "import type { A } from './a.ts';",
  };
  expect(violations(tree(files))).toEqual(['import cycle: base/a.ts > base/b.ts > base/c.ts > base/a.ts']);
});

test('a long file is caught unless it says why', () => {
  const lines = 'export {};\n'.repeat(MAX_LINES);
  expect(violations(tree({ 'base/a.ts': lines }))).toEqual([]);
  expect(violations(tree({ 'base/a.ts': `${lines}export {};\n` }))).toHaveLength(1);
  expect(violations(tree({ 'base/a.ts': `// Head.\n// Over 300 lines: one table.\n${lines}` }))).toEqual([]);
  expect(violations(tree({ 'base/a.ts': `// Over 300 lines:\n${lines}` }))).toHaveLength(1);
});

test.each([
  ['actions/a.ts', "console.log('x');", 'console'],
  ['cli.ts', 'process.exit(1);', 'process.exit'],
  ['actions/a.ts', 'process.exitCode = 1;', 'process.exitCode'],
  ['vault/a.ts', "const home = process.env['HOME'];", 'process.env, cwd, argv, chdir or umask'],
  ['source/a.ts', 'const here = process.cwd();', 'process.env, cwd, argv, chdir or umask'],
  ['store/a.ts', "process.stderr.write('x');", 'a standard stream'],
  ['store/a.ts', "import { env } from 'node:process';", 'node:process'],
  ['actions/a.ts', "import chalk from 'chalk';", 'chalk'],
  ['os/git.ts', "import { spawn } from 'node:child_process';", 'child_process'],
  ['actions/a.ts', "const { execa } = await import('execa');", 'execa'],
  ['source/a.ts', "import Database from 'better-sqlite3';", 'better-sqlite3'],
])('in %s `%s` is caught', (path, text, what) => {
  expect(violations(tree({ [path]: text }))).toEqual([`${path}: may not use ${what}`]);
});

test('what .ci/run starts is there', () => {
  const { scripts } = JSON.parse(readFileSync(join(import.meta.dirname, '..', 'package.json'), 'utf8')) as { scripts: Record<string, string> };
  const started = [...readFileSync(join(import.meta.dirname, '..', '.ci/run'), 'utf8').matchAll(/^npm run (\S+)$/gm)].map(([, name]) => name);
  expect(started).toEqual(['audit', 'test:faults', 'test:offsite', 'test:page']);
  for (const name of started) expect(Object.keys(scripts)).toContain(name);
});
