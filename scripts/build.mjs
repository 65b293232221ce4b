// Bundles src into dist/: main.js (the program) and worker.js (the store's threads) with shared
// chunks beside them. New files come first and main.js last, each by rename, and a chunk nobody
// names any more stays for an hour: a command that runs during a build finds what it imports.

import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, 'dist');
const STALE_MS = 3_600_000;

// CommonJS packages inside the bundle call require for node: modules.
const BANNER = "import { createRequire as __cr } from 'node:module'; const require = __cr(import.meta.url);";

const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const entries = { main: 'src/main.ts', worker: 'src/store/worker.ts' };
const entryPoints = {};
for (const [name, path] of Object.entries(entries)) {
  if (existsSync(join(root, path))) entryPoints[name] = join(root, path);
  else console.log(`build: ${path} does not exist yet, dist/${name}.js is not built`);
}
if (Object.keys(entryPoints).length === 0) process.exit(0);

const result = await build({
  absWorkingDir: root,
  entryPoints,
  outdir: dist,
  write: false,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node22',
  chunkNames: 'chunk-[hash]',
  external: ['better-sqlite3'],
  define: { CORA_VERSION: JSON.stringify(version) },
  banner: { js: BANNER },
  legalComments: 'none',
  sourcemap: false,
  logLevel: 'warning',
}).catch(() => {
  // esbuild has printed each error with its place.
  process.exit(1);
});

mkdirSync(dist, { recursive: true });
const fresh = new Set();
// Every vault gets a copy of it; src/vault/restore-script.ts reads it from beside the bundle.
result.outputFiles.push({ path: join(dist, 'restore.sh'), contents: readFileSync(join(root, 'src/vault/restore.sh')) });
for (const file of result.outputFiles.toSorted((a, b) => rank(a.path) - rank(b.path))) {
  fresh.add(basename(file.path));
  if (existsSync(file.path) && readFileSync(file.path).equals(file.contents)) continue;
  const temporary = `${file.path}.${process.pid}.tmp`;
  writeFileSync(temporary, file.contents);
  renameSync(temporary, file.path);
}
for (const name of readdirSync(dist)) {
  const path = join(dist, name);
  if (!fresh.has(name) && Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now()) > STALE_MS) rmSync(path, { force: true });
}
const bytes = result.outputFiles.reduce((sum, file) => sum + file.contents.length, 0);
console.log(`build: ${result.outputFiles.length} files, ${Math.round(bytes / 1000)} kB in ${relative(root, dist)}/`);

function rank(path) {
  const name = basename(path);
  return name === 'main.js' ? 2 : name === 'worker.js' ? 1 : 0;
}
