// Bundles src into dist/, one file each: main.js (what starts), cli.js (everything else, whose parts
// and Node's own modules are loaded when a command first needs them), worker.js (the store's
// threads), mcp-sdk.js (a megabyte that `cora mcp` alone reads), http-sdk.js (of `cora serve`) and page.html (build-page.mjs). CommonJS: `cora backup auto` with nothing to do took 115 ms so, and 195 ms from 60 ES
// modules. New files come first and main.js last, each by rename: a command that runs during a build finds
// what it loads. What nobody names any more stays for an hour.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { parse } from 'smol-toml';
import { buildPage } from './build-page.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, 'dist');
const STALE_MS = 3_600_000;

// CommonJS has no import.meta; these are what the sources use of it.
const BANNER = "const __url = require('node:url').pathToFileURL(__filename).href;";
const META = { 'import.meta.dirname': '__dirname', 'import.meta.filename': '__filename', 'import.meta.url': '__url' };

const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const entries = { main: 'src/main.ts', cli: 'src/cli.ts', worker: 'src/store/worker.ts' };
const entryPoints = {};
for (const [name, path] of Object.entries(entries)) {
  if (existsSync(join(root, path))) entryPoints[name] = join(root, path);
  else console.log(`build: ${path} does not exist yet, dist/${name}.js is not built`);
}
if (Object.keys(entryPoints).length === 0) process.exit(0);

// What one command alone needs of libraries, with the whole of zod, which its schemas are made with, in a file of its own.
const SDKS = {
  'mcp-sdk': {
    folder: 'src/cli/mcp',
    names: /^(?:@modelcontextprotocol\/sdk\/server\/(?:mcp|stdio)\.js|zod)$/,
    source: `export { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
export { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
export { z } from 'zod';`,
  },
  'http-sdk': {
    folder: 'src/cli/http',
    names: /^(?:hono|@hono\/node-server(?:\/utils\/response)?|zod)$/,
    source: `export { Hono } from 'hono';
export { getRequestListener } from '@hono/node-server';
export { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
export { z } from 'zod';`,
  },
};
const sdks = Object.entries(SDKS).map(([name, { folder, names, source }]) => ({
  name,
  setup({ onResolve, onLoad }) {
    onResolve({ filter: names }, ({ importer }) => (importer.startsWith(join(root, folder)) ? { path: `./${name}.js`, external: true } : undefined));
    onResolve({ filter: new RegExp(`^${name}$`) }, () => ({ path: name, namespace: name }));
    onLoad({ filter: /.*/, namespace: name }, () => ({ contents: source, resolveDir: root }));
  },
}));
for (const name of Object.keys(SDKS)) entryPoints[name] = name;

const result = await build({
  absWorkingDir: root,
  entryPoints,
  outdir: dist,
  write: false,
  bundle: true,
  format: 'cjs',
  platform: 'node',
  target: 'node22',
  minifyWhitespace: true,
  // main.js sets up the compile cache before it loads the rest; require, so that Node's loader of ES modules stays out.
  plugins: [{ name: 'cli', setup: ({ onResolve }) => onResolve({ filter: /^\.\/cli\.ts$/ }, () => ({ path: './cli.js', external: true })) }, ...sdks],
  supported: { 'dynamic-import': false },
  external: ['better-sqlite3'],
  define: { CORA_VERSION: JSON.stringify(version), ...META },
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
result.outputFiles.push({ path: join(dist, 'package.json'), contents: Buffer.from('{ "type": "commonjs" }\n') });
// Every vault gets a copy of it; src/vault/restore-script.ts reads it from beside the bundle.
result.outputFiles.push({ path: join(dist, 'restore.sh'), contents: readFileSync(join(root, 'src/vault/restore.sh')) });
// What `cora shell` prints is made of these; src/cli/shell-code.ts reads them from beside the bundle.
for (const name of readdirSync(join(root, 'src/cli/shell')))
  result.outputFiles.push({ path: join(dist, 'shell', name), contents: readFileSync(join(root, 'src/cli/shell', name)) });
mkdirSync(join(dist, 'shell'), { recursive: true });
// What `cora say` understands; src/language/lexicon.ts reads it from beside the bundle, quickly.
const phrases = parse(readFileSync(join(root, 'src/language/phrases.toml'), 'utf8'));
result.outputFiles.push({ path: join(dist, 'phrases.json'), contents: Buffer.from(JSON.stringify(phrases)) });
// What `cora serve` shows; src/cli/http reads it from beside the bundle.
result.outputFiles.push(...(await buildPage(root, version)));
for (const file of result.outputFiles.toSorted((a, b) => rank(a.path) - rank(b.path))) {
  fresh.add(relative(dist, file.path).split('/')[0]);
  if (existsSync(file.path) && readFileSync(file.path).equals(file.contents)) continue;
  const temporary = `${file.path}.${process.pid}.tmp`;
  writeFileSync(temporary, file.contents);
  renameSync(temporary, file.path);
}
for (const name of readdirSync(dist)) {
  const path = join(dist, name);
  if (!fresh.has(name) && Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now()) > STALE_MS) rmSync(path, { force: true });
}
// The manual page is made by what was just built, from the same table of commands.
try {
  const page = execFileSync(process.execPath, [join(dist, 'main.js'), 'man'], { encoding: 'utf8', timeout: 60_000 });
  mkdirSync(join(root, 'man'), { recursive: true });
  writeFileSync(join(root, 'man/cora.1.tmp'), page);
  renameSync(join(root, 'man/cora.1.tmp'), join(root, 'man/cora.1'));
} catch (error) {
  console.log(`build: man/cora.1 is not made: ${error.message}`);
}
const bytes = result.outputFiles.reduce((sum, file) => sum + file.contents.length, 0);
console.log(`build: ${result.outputFiles.length} files, ${Math.round(bytes / 1000)} kB in ${relative(root, dist)}/`);

function rank(path) {
  const name = basename(path);
  return name === 'main.js' ? 2 : name === 'worker.js' ? 1 : 0;
}
