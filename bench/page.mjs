// How long a person waits for the page of `cora serve`, measured in the browser: a vault of 5,000 saves of 100,000 files (view-vault.mjs),
// a real Chromium, from the start of the navigation to the first paint, and to what is useful: the newest snapshots, the five promises,
// the first rows of the time line, the files of the newest. First with a server that has just been started, then the median and the
// slowest of `RUNS`, with the request that it waited for longest. `node bench/page.mjs DIRECTORY [RUNS]`, where view-vault.mjs has made DIRECTORY; without one it is made and removed (minutes).

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';
import { findProgram } from '../src/os/run.ts';

const given = process.argv[2];
const runs = Number(process.argv[3] ?? 7);
const repository = join(import.meta.dirname, '..');
const program = findProgram('chromium') ?? findProgram('google-chrome');
if (program === undefined) throw new Error('no chromium');
const root = given ?? mkdtempSync(join(tmpdir(), 'cora-page-'));
if (given === undefined) execFileSync(process.execPath, [join(repository, 'bench/view-vault.mjs'), root], { stdio: 'inherit' });

const VIEWS = {
  'overview, the newest snapshots': { at: '#/overview', there: "document.querySelectorAll('.newest li').length > 0" },
  'overview, the five promises': { at: '#/overview', there: "document.querySelectorAll('.promise-list li').length >= 5" },
  'time line': { at: '#/time', there: "document.querySelectorAll('.roster-row').length > 5" },
  'files of the newest': { at: '#/snapshot/latest', there: "document.querySelectorAll('.roster-row').length > 0" },
};

/** Notes, in the page itself, when a view was there: no clock of ours is in the figure. */
const watch = (there) => `
  globalThis.useful = undefined;
  const look = () => { if (globalThis.useful === undefined && (${there})) requestAnimationFrame(() => { globalThis.useful ??= performance.now(); }); };
  new MutationObserver(look).observe(document, { childList: true, subtree: true });`;

async function start() {
  const env = { PATH: process.env.PATH, HOME: root, CORA_VAULT: join(root, 'vault'), CORA_LOG: join(root, 'cora.log') };
  const child = spawn(join(repository, 'bin/cora'), ['serve', '--port', '0', '--json'], {
    cwd: join(root, 'project'),
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  const { url, token_file: file } = JSON.parse(line).result;
  return { child, url, token: readFileSync(file, 'utf8').trim() };
}

async function visit(browser, { url, token }, { at, there }) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const page = await context.newPage();
  await page.addInitScript(`sessionStorage.setItem('cora-token', ${JSON.stringify(token)});${watch(there)}`);
  await page.goto(`${url}${at}`);
  let figures;
  for (let tries = 0; figures === undefined && tries < 1200; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    figures = await page.evaluate(`globalThis.useful === undefined ? undefined : ({ useful: globalThis.useful,
      paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime, heap: performance.memory.usedJSHeapSize,
      nodes: document.querySelectorAll('*').length, waited: performance.getEntriesByType('resource').filter(({ name }) => !name.endsWith('/events'))
        .map(({ name, duration }) => [duration, new URL(name).pathname.slice(8)]).sort((a, b) => b[0] - a[0])[0] })`);
  }
  await context.close();
  if (figures === undefined) throw new Error(`${at} never came`);
  return figures;
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const ms = (value) => `${Math.round(value)} ms`;

const browser = await chromium.launch({ executablePath: program, chromiumSandbox: false });
const server = await start();
try {
  console.log(`load ${loadavg()[0].toFixed(1)}; Chromium ${browser.version()}`);
  for (const [name, view] of Object.entries(VIEWS)) {
    const first = await visit(browser, server, view);
    const all = [];
    for (let run = 0; run < runs; run++) all.push(await visit(browser, server, view));
    const useful = all.map((one) => one.useful);
    const { waited } = all.toSorted((a, b) => b.useful - a.useful)[0];
    console.log(
      `${name}: first ${ms(first.useful)}; then useful after ${ms(median(useful))} (slowest ${ms(Math.max(...useful))}, for ${waited[1]} ${ms(waited[0])}), ` +
        `first paint ${ms(median(all.map((one) => one.paint)))}; ${median(all.map((one) => one.nodes))} elements, ${(median(all.map((one) => one.heap)) / 1e6).toFixed(1)} MB of heap`,
    );
  }
} finally {
  await browser.close();
  server.child.kill('SIGTERM');
  if (given === undefined) {
    execFileSync('sh', ['-c', 'chattr -R -f -ia "$1" || :', 'sh', root]);
    rmSync(root, { recursive: true, force: true });
  }
}
