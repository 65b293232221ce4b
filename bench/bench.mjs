// The benchmark: Cora, restic and borg in turn on three data sets, with ratios beside the budgets of
// the design. Exit 0 when every command succeeded and every restore was right, 1 otherwise, 2 for a
// wrong command line; a missed budget is a result, not a failure. Leaves nothing behind without --keep.

import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { dataSets } from './data-sets.ts';
import { stopRunning } from './measure.ts';
import { HELP, parseOptions } from './options.ts';
import { installMissing, machineLine } from './programs.ts';
import { renderMarkdown, renderText } from './render.ts';
import { figuresOf, judge } from './results.ts';
import { runSet } from './steps.ts';
import { coraTool, isCoraReady } from './tool-cora.ts';
import { peerTools } from './tool-peers.ts';

/** Steps short enough that a full run repeats them. */
const SHORT_STEPS = ['no change', 'change', 'restore one'];

const started = performance.now();
const say = (line) => console.error(`[${((performance.now() - started) / 1000).toFixed(0).padStart(4)} s] ${line}`);

function chooseTools(names) {
  const all = [coraTool, ...peerTools];
  const unknown = names?.find((name) => !all.some((tool) => tool.name.startsWith(name)));
  if (unknown !== undefined) throw new TypeError(`There is no tool ${unknown}: ${all.map((tool) => tool.name).join(', ')}`);
  const wanted = all.filter((tool) => names?.some((name) => tool.name.startsWith(name)) ?? true);
  const missing = installMissing([...new Set(wanted.flatMap((tool) => tool.needs)), 'time'], say);
  const skipped = [];
  const tools = wanted.filter((tool) => {
    const lacks = tool.needs.filter((program) => missing.includes(program));
    if (lacks.length > 0) skipped.push(`${tool.name}: ${lacks.join(', ')} is not installed`);
    else if (tool === coraTool && !isCoraReady()) skipped.push('cora: bin/cora of this checkout does not answer to --version');
    else return true;
    return false;
  });
  if (missing.includes('time')) skipped.push('peak memory: GNU time is not installed');
  return { tools, skipped };
}

function requireSpace(directory, sets) {
  const free = statfsSync(directory);
  const wanted = Math.max(...sets.map((set) => set.bytes)) * 6;
  if (free.bavail * free.bsize < wanted)
    throw new TypeError(`${directory} has less than ${Math.round(wanted / 1e9)} GB free (--dir for another place)`);
}

async function main() {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) return console.log(HELP);
  const sets = dataSets(options.quick).filter((set) => options.only?.includes(set.name) ?? true);
  const { tools, skipped } = chooseTools(options.tools);
  const directory = resolve(options.directory);
  mkdirSync(directory, { recursive: true });
  requireSpace(directory, sets);
  const work = mkdtempSync(join(directory, 'cora-bench-'));
  const remove = () => options.keep || rmSync(work, { recursive: true, force: true });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.once(signal, () => {
      stopRunning();
      rmSync(`/dev/shm/cora-bench-${process.pid}`, { recursive: true, force: true });
      remove();
      process.exit(130);
    });
  }
  const samples = [];
  const rounds = (step) => options.repeat ?? (!options.quick && SHORT_STEPS.includes(step) ? 3 : 1);
  const onSample = (sample) => {
    samples.push(sample);
    say(
      `${sample.set} ${sample.step.padEnd(11)} ${sample.tool.padEnd(9)} ${sample.wallSeconds.toFixed(2)} s${sample.failure === null ? '' : `  FAILED: ${sample.failure}`}`,
    );
  };
  try {
    for (const set of sets) {
      await runSet(set, { work, tools, rounds, say, onSample });
      if (!options.keep) rmSync(join(work, set.name), { recursive: true, force: true });
    }
  } finally {
    remove();
  }
  report(options, sets, tools, skipped, samples, work);
}

function report(options, sets, tools, skipped, samples, work) {
  const figures = figuresOf(samples);
  const judgements = judge(figures);
  const facts = [
    machineLine(),
    ...tools.map((tool) => `${tool.name}: ${tool.version()}`),
    'restic encrypts and both peers keep locks; borg ran with `-e none`; caches are not counted as stored',
    'warm cache; tools in turn within each step; median of the rounds, peak memory is their highest',
    ...sets.map((set) => `${set.name}: ${set.title}`),
    ...(options.quick ? ['quick sizes: the budgets are meant for the full ones'] : []),
    ...skipped.map((line) => `skipped: ${line}`),
  ];
  console.log(`${facts.join('\n')}\n\n${renderText(figures, judgements)}\n\n--- markdown ---\n${renderMarkdown(figures, judgements, facts)}`);
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify({ schema: 1, facts, figures, judgements, samples }, null, 2)}\n`);
  if (options.keep) say(`Kept: ${work}`);
  const failed = samples.filter((sample) => sample.failure !== null);
  say(
    `${samples.length} commands, ${failed.length} failed${judgements.length === 0 ? '' : `, ${judgements.filter((one) => one.verdict === 'missed').length} budgets missed`}`,
  );
  process.exitCode = failed.length > 0 ? 1 : 0;
}

process.exitCode = 70; // until the end is reached
try {
  await main();
  if (process.exitCode === 70) process.exitCode = 0;
} catch (error) {
  if (!(error instanceof TypeError)) throw error;
  console.error(`bench: ${error.message}`);
  process.exitCode = 2;
}
