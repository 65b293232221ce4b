// The page of `cora serve`: web/ as one HTML file, script and style inside, and beside it the line of its
// Content-Security-Policy, which names both by their hash. Nothing else may run or load in it.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

/**
 * @param root of the tree
 * @returns the two files of dist/, as esbuild's outputFiles
 */
export async function buildPage(root, version) {
  const result = await build({
    absWorkingDir: root,
    entryPoints: { script: join(root, 'web/main.tsx'), style: join(root, 'web/style/page.css') },
    outdir: join(root, 'dist'),
    write: false,
    bundle: true,
    format: 'iife',
    platform: 'browser',
    target: ['chrome120', 'firefox121', 'safari17'],
    jsx: 'automatic',
    jsxImportSource: 'preact',
    minify: true,
    charset: 'utf8',
    define: { CORA_VERSION: JSON.stringify(version) },
    legalComments: 'none',
    sourcemap: false,
    logLevel: 'warning',
  });
  const textOf = (ending) => result.outputFiles.find(({ path }) => path.endsWith(ending)).text.trim();
  const [script, style] = [textOf('.js'), textOf('.css')];
  // What would end the element early, or begin a comment in it, is not a matter of escaping: it must not be there.
  if (/<\/script|<!--/i.test(script)) throw new Error('build: the script of the page holds an HTML tag that would end it');
  if (/<\//.test(style) || /url\((?!["']?data:)|@import/i.test(style)) throw new Error('build: the style of the page names something outside it');
  const html = readFileSync(join(root, 'web/page.html'), 'utf8')
    .replace('/*STYLE*/', () => style)
    .replace('/*SCRIPT*/', () => script);
  return [
    { path: join(root, 'dist/page.html'), contents: Buffer.from(html) },
    { path: join(root, 'dist/page.csp'), contents: Buffer.from(`${policy(script, style)}\n`) },
  ];
}

function policy(script, style) {
  const hash = (text) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
  return [
    "default-src 'none'",
    `script-src ${hash(script)}`,
    `style-src ${hash(style)}`,
    "connect-src 'self'",
    'img-src data:',
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "form-action 'none'",
    // No text may become markup or code at all, ours neither.
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ');
}
