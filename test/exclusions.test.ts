// What is left out of a snapshot: the built-in names, `scan.exclude`, and what they take back. Each
// thing left out is named in the report.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readTree } from './helpers/compare-trees.ts';
import { Sandbox } from './support/sandbox.ts';

let sandbox: Sandbox;
beforeEach(() => {
  sandbox = new Sandbox({ fast: true });
  for (const path of [
    'src/main.ts',
    'node_modules/left/index.js',
    'src/node_modules/also/index.js',
    'venv/bin/python',
    '.venv/x',
    'lib/__pycache__/a.pyc',
    'data/cache/blob',
    'data/kept/blob',
    'a.tmp',
    'deep/b.tmp',
    'deep/keep.tmp',
    'caf\u00e9/\u00fc.bin',
    // Names that only look like excluded ones.
    'node_modules.txt',
    'src/venv.ts',
    'my__pycache__/x',
  ]) {
    mkdirSync(join(sandbox.project, dirname(path)), { recursive: true });
    writeFileSync(join(sandbox.project, path), path);
  }
  // A file of that name is no directory that can be made again.
  writeFileSync(join(sandbox.project, 'deep/venv'), 'a file');
});
afterEach(() => sandbox.remove());

/** The files of a new save, as restored, and what its report says was left out. */
async function saved(config?: string): Promise<{ readonly files: readonly string[]; readonly left: readonly string[] }> {
  if (config !== undefined) writeFileSync(join(sandbox.project, 'cora.toml'), config);
  const { id, path } = await sandbox.snapshot(['save']);
  const out = join(sandbox.root, `out-${id}`);
  expect(await sandbox.cora(['restore', id, '--to', out])).toMatchObject({ code: 0 });
  const report = JSON.parse(readFileSync(join(path, 'REPORT.json'), 'utf8')) as { not_covered: { path: string }[] };
  const files = [...readTree(out)].filter(([name, { type }]) => type === 'file' && name !== 'cora.toml').map(([name]) => name);
  return { files: files.map((name) => Buffer.from(name, 'latin1').toString()).sort(), left: report.not_covered.map((one) => one.path).sort() };
}

const KEPT = ['deep/venv', 'my__pycache__/x', 'node_modules.txt', 'src/main.ts', 'src/venv.ts'];
const DATA = ['a.tmp', 'caf\u00e9/\u00fc.bin', 'data/cache/blob', 'data/kept/blob', 'deep/b.tmp', 'deep/keep.tmp'];
const MADE_AGAIN = ['.venv/x', 'lib/__pycache__/a.pyc', 'node_modules/left/index.js', 'src/node_modules/also/index.js', 'venv/bin/python'];
const MADE_AGAIN_NAMES = ['.venv', 'lib/__pycache__', 'node_modules', 'src/node_modules', 'venv'];

test('by default what every project can make again is left out, at any depth, and nothing else', async () => {
  expect(await saved()).toEqual({ files: [...KEPT, ...DATA].sort(), left: MADE_AGAIN_NAMES });
});

test('scan.exclude takes gitignore patterns: anchored, by name, taken back, and beyond ASCII', async () => {
  const config = '[scan]\nexclude = ["/data/cache/", "*.tmp", "!keep.tmp", "caf\u00e9/"]\n';
  expect(await saved(config)).toEqual({
    files: [...KEPT, 'data/kept/blob', 'deep/keep.tmp'].sort(),
    left: [...MADE_AGAIN_NAMES, 'a.tmp', 'caf\u00e9', 'data/cache', 'deep/b.tmp'].sort(),
  });
});

test('scan.exclude_defaults = false brings the built-in ones in, but never .git', async () => {
  mkdirSync(join(sandbox.project, '.git'));
  writeFileSync(join(sandbox.project, '.git/HEAD'), 'ref: refs/heads/main\n');
  const { files } = await saved('[scan]\nexclude_defaults = false\n');
  expect(files).toEqual([...KEPT, ...DATA, ...MADE_AGAIN].sort());
});

test('what is excluded later leaves the next save, and stays in the one before', async () => {
  const before = await sandbox.snapshot(['save']);
  expect((await saved('[scan]\nexclude = ["data/"]\n')).files).toEqual([...KEPT, ...DATA.filter((path) => !path.startsWith('data/'))].sort());
  const out = join(sandbox.root, 'out');
  expect(await sandbox.cora(['restore', `${before.id}:data/kept/blob`, '--to', out])).toMatchObject({ code: 0 });
  expect(readFileSync(join(out, 'data/kept/blob'), 'utf8')).toBe('data/kept/blob');
});
