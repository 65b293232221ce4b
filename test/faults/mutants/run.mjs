// The mutation check: takes each sync, rename, read-back, check, lock and flag out of a copy of the product in turn, and
// asks the tests. A mutant that no test notices is a survivor: either a test is missing, or survivors.json says why it
// changes nothing that anybody could see.
//
//   node test/faults/mutants/run.mjs list                    the points, one a line
//   node test/faults/mutants/run.mjs cover [FILE...]         which test comes by which point (minutes; kept)
//   node test/faults/mutants/run.mjs syncs                   every sync at once, in the traces of durable-writes.test.ts
//   node test/faults/mutants/run.mjs run [--kind K] [--only REGEXP] [--part 1/4] [--again] [--ask FILE]...
//   node test/faults/mutants/run.mjs report                  counts, and survivors without a reason
//
// --results DIR (default /tmp/cora-mutants): cover.jsonl and results.jsonl, one line a test file or mutant. A run goes on where
// the last one stopped, so it may be ended at any time; --again forgets what survived; --ask has a file asked as a whole, for
// tests whose server was started before them, so that nobody saw which came by.

import { spawn } from 'node:child_process';
import { appendFileSync, chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { listPoints } from './points.mjs';
import { makeTree } from './tree.mjs';

const root = join(import.meta.dirname, '../../..');
const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    results: { type: 'string', default: '/tmp/cora-mutants' },
    kind: { type: 'string' },
    only: { type: 'string' },
    part: { type: 'string', default: '1/1' },
    again: { type: 'boolean', default: false },
    budget: { type: 'string', default: '240' },
    ask: { type: 'string', multiple: true, default: [] },
  },
});
const [command = 'report', ...files] = positionals;
const COVER = join(values.results, 'cover.jsonl');
const RESULTS = join(values.results, 'results.jsonl');

/** Tests whose subject no mutant touches; what they print or parse is not what is kept. */
const NOT_ASKED =
  /^test\/(?:architecture|cli-|columns|docs|when|moments|say|phrases|shell|mcp|main-line|package-lock|launcher|systemd|timers|postgres|chroma|exit-codes|prompt-status|assistant|agents|install|start\.|init\.)/;

function points() {
  return listPoints(root);
}

function lines(path) {
  return existsSync(path)
    ? readFileSync(path, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line))
    : [];
}

/** Runs vitest in the copy; never longer than `seconds`. */
function vitest(tree, args, seconds, more = {}) {
  const output = join(tree.root, 'vitest.json');
  rmSync(output, { force: true });
  const program = join(tree.root, 'node_modules/vitest/vitest.mjs');
  const home = join(tree.root, 'home');
  mkdirSync(home, { recursive: true });
  const child = spawn(process.execPath, [program, 'run', '--config', 'vitest.mutants.config.ts', `--outputFile=${output}`, ...args], {
    cwd: tree.root,
    env: { PATH: process.env['PATH'], HOME: home, TZ: 'UTC', MUTANT_TIMEOUT: '60000', CORA_TEST_MUTANTS: '1', ...more },
    stdio: 'ignore',
    detached: true,
  });
  const stop = () => {
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      // It has just ended.
    }
  };
  const timer = setTimeout(stop, seconds * 1000);
  running.add(stop);
  return new Promise((resolve) => {
    child.on('close', (code) => {
      clearTimeout(timer);
      running.delete(stop);
      const text = existsSync(output) ? readFileSync(output, 'utf8') : '';
      const tests = text === '' ? [] : JSON.parse(text).testResults.flatMap(testsOf(tree));
      resolve({ code, tests, ended: text !== '' });
    });
  });
}

const running = new Set();

const testsOf =
  (tree) =>
  ({ name, assertionResults, status, message }) => {
    const file = relative(tree.root, name);
    const tests = assertionResults.map((one) => ({
      file,
      name: one.fullName.replace(/\n/g, ' ').trim(),
      state: one.status,
      seconds: (one.duration ?? 0) / 1000,
      why: (one.failureMessages?.[0] ?? '').split('\n')[0].slice(0, 200),
    }));
    // A hook or an import that failed belongs to no test.
    if (status === 'failed' && !tests.some(({ state }) => state === 'failed'))
      tests.push({ file, name: '', state: 'failed', seconds: 0, why: (message ?? '').slice(0, 200) });
    return tests;
  };

/** @returns {Promise<void>} */
async function withTree(use) {
  mkdirSync(values.results, { recursive: true });
  const tree = makeTree(root);
  const stop = () => {
    for (const end of running) end();
    tree.remove();
    process.exit(130);
  };
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  try {
    await use(tree);
  } catch (error) {
    console.error(error);
    process.exitCode = 1;
  }
  tree.remove();
}

async function cover(asked) {
  await withTree(async (tree) => {
    const list = tree.points;
    const all = asked.length > 0 ? asked : testFiles(tree);
    const known = new Set(asked.length > 0 ? [] : lines(COVER).map(({ file }) => file));
    for (const file of all.filter((one) => !known.has(one))) {
      const hits = join(tree.root, 'HITS');
      rmSync(hits, { recursive: true, force: true });
      mkdirSync(hits);
      for (const name of ['on', 'hits']) writeFileSync(join(hits, name), '');
      // Some tests run Cora as the user nobody.
      chmodSync(join(hits, 'hits'), 0o666);
      const { tests, ended } = await vitest(tree, [file], 900);
      const came = new Map();
      for (const line of existsSync(join(hits, 'hits')) ? readFileSync(join(hits, 'hits'), 'utf8').split('\n') : []) {
        const [where, rest = ''] = line.split('\t');
        const at = rest.lastIndexOf(' ');
        if (where !== file || at < 0) continue;
        const name = rest.slice(0, at).trim();
        const id = list[Number(rest.slice(at + 1))]?.id;
        if (id !== undefined) came.set(name, [...(came.get(name) ?? []), id]);
      }
      const found = tests.map(({ name, state, seconds }) => ({ name, state, seconds, points: came.get(name) ?? [] }));
      appendFileSync(COVER, `${JSON.stringify({ file, ended, everywhere: came.get('') ?? [], tests: found })}\n`);
      console.log(`${file}: ${tests.length} tests, ${tests.filter(({ state }) => state === 'failed').length} failed, ended ${ended}`);
    }
  });
}

function testFiles(tree) {
  const out = [];
  for (const line of readFileSync(join(tree.root, 'FILES'), 'utf8').split('\n')) {
    if (/^test\/(?:faults\/)?(?:[^/]+|inputs\/[^/]+)\.test\.ts$/.test(line) && !NOT_ASKED.test(line)) out.push(line);
  }
  return out;
}

/** Tests that spoil what is read. */
const DAMAGE = /damage|spoilt|hostile|planted|fuzz|verify|recover/;

/** By point: the tests that come by it and pass without a mutant; those of a file named like the point's first, then damage, then the quickest. */
function covering() {
  const files = new Map(lines(COVER).map((one) => [one.file, one]));
  const byPoint = new Map();
  for (const { file, everywhere, tests } of files.values()) {
    for (const { name, state, seconds, points: ids } of tests) {
      if (state !== 'passed') continue;
      for (const id of new Set([...ids, ...everywhere])) byPoint.set(id, [...(byPoint.get(id) ?? []), { file, name, seconds }]);
    }
  }
  for (const [id, list] of byPoint) {
    const own = wordsOf(id.split(' ')[0]);
    const rank = ({ file }) => (wordsOf(file).some((word) => own.includes(word)) ? 0 : DAMAGE.test(file) ? 1 : 2);
    list.sort((a, b) => rank(a) - rank(b) || worth(a) - worth(b));
  }
  return byPoint;
}

/** @returns {string[]} of `src/actions/drill-ledger.ts`: drill, ledger */
const wordsOf = (path) => basename(path).split('.')[0].split('-');

/** The tests that were made to see a missing sync come first; all others by their time. */
const worth = ({ file, seconds }) => (/durable-writes/.test(file) ? seconds / 100 : seconds);

async function mutate() {
  const tests = covering();
  const done = new Map(lines(RESULTS).map((one) => [one.id, one]));
  const [part, parts] = values.part.split('/').map(Number);
  await withTree(async (tree) => {
    const asked = tree.points
      .map((point, number) => ({ ...point, number }))
      .filter(
        ({ id, kind }) => (values.kind === undefined || values.kind === kind) && (values.only === undefined || new RegExp(values.only).test(id)),
      )
      .filter(({ id }) => !done.has(id) || (values.again && done.get(id).state !== 'caught'))
      .filter((_, at) => at % parts === part - 1);
    console.log(`${asked.length} mutants of ${tree.points.length}`);
    for (const point of asked) {
      const result = await judge(tree, point, tests.get(point.id) ?? []);
      appendFileSync(RESULTS, `${JSON.stringify({ id: point.id, kind: point.kind, file: point.file, line: point.line, ...result })}\n`);
      console.log(`${result.state}: ${point.id}${result.by === undefined ? '' : ` (${result.by})`}`);
    }
  });
}

/**
 * All syncs in one run of the test that looks at them: without a sync the same calls follow, so the trace with it taken out is the
 * trace of the mutant.
 */
async function syncs() {
  await withTree(async (tree) => {
    const verdicts = join(tree.root, 'verdicts');
    writeFileSync(join(tree.root, 'MARKS'), '');
    const run = await vitest(tree, ['test/faults/durable-writes.test.ts'], 1800, { CORA_TEST_SYNC_VERDICTS: verdicts, MUTANT_TIMEOUT: '600000' });
    // A busy machine may end one by its time limit; what the others saw counts all the same.
    for (const { name, state, why } of run.tests) if (state === 'failed') console.log(`failed without a mutant: ${name}: ${why}`);
    const found = new Map();
    for (const { point, why } of lines(verdicts)) found.set(point, found.get(point) ?? why);
    for (const [number, { id, kind, file, line }] of tree.points.entries()) {
      if (kind !== 'sync' || !found.has(number)) continue;
      const why = found.get(number);
      const by = 'test/faults/durable-writes.test.ts, in the trace';
      appendFileSync(
        RESULTS,
        `${JSON.stringify({ id, kind, file, line, ...(why === undefined ? { state: 'survived', asked: 1, of: 1 } : { state: 'caught', by, why }) })}\n`,
      );
      console.log(`${why === undefined ? 'survived' : 'caught'}: ${id} (${why ?? ''})`);
    }
  });
}

/** Tests that were seen to pass without a mutant, alone as they are run here. */
const sound = new Map();

/** Quickest tests first, in growing batches; the first that fails, and does not fail without the mutant, ends it. */
async function judge(tree, point, tests) {
  const begun = Date.now();
  const seconds = () => Math.round((Date.now() - begun) / 1000);
  let asked = 0;
  let spent = 0;
  /** Files whose tests need those before them: they are asked as a whole, after all others. */
  const whole = new Set(values.ask);
  for (let at = 0, size = 2; at < tests.length; at += size, size = Math.min(16, size * 2)) {
    if (spent > Number(values.budget)) break;
    const batch = tests.slice(at, at + size);
    const expected = batch.reduce((sum, test) => sum + test.seconds, 0);
    spent += expected;
    tree.choose(point.number);
    const run = await vitest(tree, only(batch), 120 + expected * 10);
    tree.choose(-1);
    asked += run.tests.filter(({ state }) => state !== 'skipped' && state !== 'pending').length;
    const failed = run.tests.find(({ state }) => state === 'failed');
    if (failed === undefined && run.ended) continue;
    const named = failed === undefined ? undefined : batch.find(({ file, name }) => file === failed.file && name === failed.name);
    // A hook that failed is no test that saw something: its file is asked as a whole.
    if (failed !== undefined && named === undefined) {
      whole.add(failed.file);
      continue;
    }
    // A machine that is busy fails tests too, and some tests need those before them: what failed must pass without the mutant.
    if (!(await passesAlone(tree, named === undefined ? batch : [named], named !== undefined && !/timed out|Timeout/i.test(failed?.why ?? '')))) {
      if (named !== undefined) whole.add(named.file);
      continue;
    }
    const by = failed === undefined ? 'it never ended' : `${failed.file}: ${failed.name}`;
    return { state: 'caught', asked, by, why: failed?.why, seconds: seconds() };
  }
  for (const file of whole) {
    tree.choose(point.number);
    const run = await vitest(tree, [file, '--bail=1'], 600);
    tree.choose(-1);
    const failed = run.tests.find(({ state }) => state === 'failed');
    if (run.ended && failed === undefined) continue;
    if (!(await passesWhole(tree, file))) continue;
    return { state: 'caught', asked, by: `${file}: ${failed?.name ?? 'it never ended'}`, why: failed?.why, seconds: seconds() };
  }
  return { state: asked === 0 ? 'not asked' : 'survived', asked, of: tests.length, seconds: seconds() };
}

const only = (batch) => [...new Set(batch.map(({ file }) => file)), '--bail=1', '-t', `^(?:${batch.map(({ name }) => escaped(name)).join('|')})$`];

async function passesWhole(tree, file) {
  if (sound.has(file)) return sound.get(file);
  const run = await vitest(tree, [file], 900);
  const passes = run.ended && !run.tests.some(({ state }) => state === 'failed');
  sound.set(file, passes);
  return passes;
}

async function passesAlone(tree, batch, mayRemember) {
  const key = JSON.stringify(batch.map(({ file, name }) => [file, name]));
  if (mayRemember && sound.has(key)) return sound.get(key);
  const run = await vitest(tree, only(batch), 600);
  const passes = run.ended && run.tests.some(({ state }) => state === 'passed') && !run.tests.some(({ state }) => state === 'failed');
  sound.set(key, passes);
  return passes;
}

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&').replace(/\s+/g, '[\\s>]+');

function report() {
  const list = points();
  const known = new Map(lines(RESULTS).map((one) => [one.id, one]));
  const reasons = JSON.parse(readFileSync(join(import.meta.dirname, 'survivors.json'), 'utf8'));
  const counts = {};
  const open = [];
  for (const { id, kind } of list) {
    const state = known.get(id)?.state ?? 'not run';
    const told = (state === 'survived' || state === 'not asked') && reasons[id] !== undefined ? 'explained' : state;
    counts[kind] ??= {};
    counts[kind][told] = (counts[kind][told] ?? 0) + 1;
    if (told === 'survived' || told === 'not asked') open.push(id);
  }
  console.table(counts);
  for (const id of open) console.log(`${known.get(id).state}: ${id} (${known.get(id).asked} of ${known.get(id).of ?? 0} tests)`);
}

if (command === 'list') for (const { id } of points()) console.log(id);
else if (command === 'cover') await cover(files);
else if (command === 'syncs') await syncs();
else if (command === 'run') await mutate();
else report();
