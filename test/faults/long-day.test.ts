// A busy day in half a minute, crashes included; with CORA_TEST_SLOW=1 days of 96 saves (CORA_TEST_DAYS, CORA_TEST_SEED).
// What was claimed is there, nothing is left behind, and nothing grows.

import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect, onTestFinished, test } from 'vitest';
import { judge, remember } from '../../src/actions/judge.ts';
import { treeDifferences } from '../../src/actions/judge-tree.ts';
import { DATABASE, recordsOfDay, WORK_LOG } from './harness/day-project.ts';
import { hasFaketime } from './harness/fake-clock.ts';
import { LongDay, pruned } from './harness/long-day.ts';
import { keepFigures } from './harness/results.ts';
import { bytesIn, filesIn } from './harness/watch.ts';

const SLOW = process.env['CORA_TEST_SLOW'] === '1';
const DAYS = SLOW ? Number(process.env['CORA_TEST_DAYS'] ?? 1) : 1;
const SLOTS = SLOW ? 96 : 10;
// Kilobytes: what Cora may take at any size, and what two runs of the same may differ by.
const MOST_MEMORY = 200_000;
const SLACK = 8000;
const SERVER_SLACK = 32_000;
const SEED = Number(process.env['CORA_TEST_SEED'] ?? 7);

test.skipIf(!hasFaketime)('a busy day loses nothing, leaves nothing and grows nothing (needs faketime)', { timeout: 14_400_000 }, async () => {
  const day = await LongDay.open(DAYS, SLOTS, SEED);
  onTestFinished(() => day.close(), 600_000);
  const { root, project, vault, home } = day.sandbox;
  const began = performance.now();
  await day.run();
  const seconds = Math.round((performance.now() - began) / 1000);
  await day.document(['prune', '--confirm']);
  // What a drill that was killed has left is taken away by the next one.
  await day.document(['drill'], [0, 3]);

  const cora = (args: readonly string[]) => day.cora(args);
  const places = { project, vault, scratch: join(root, 'scratch') };
  const known = await remember(cora, places);
  const gone = pruned(vault);
  const lost = day.claims.filter(({ id }) => !gone.has(id) && !known.some((snapshot) => snapshot.id === id)).map(({ id, by }) => `${id} (${by})`);
  const lines = linesOf(join(project, WORK_LOG));
  const broken: string[] = [];
  for (const [turn, { id, kind, tree }] of known.entries()) {
    const claim = day.claims.find((one) => one.id === id);
    if (claim === undefined) {
      broken.push(`${kind} ${id} was never listed before`);
      continue;
    }
    const { restored, mixed } = recordsOfDay(tree, claim);
    broken.push(...treeDifferences(mixed, restored).map((difference) => `${kind} ${id} (${claim.by}): ${difference}`));
    if (!SLOW && turn % 4 !== 0) continue;
    const to = join(root, 'restored');
    await day.document(['restore', id, DATABASE, WORK_LOG, '--to', to]);
    const rows = rowsOf(join(to, DATABASE));
    if (rows < claim.rows) broken.push(`${kind} ${id} (${claim.by}): ${DATABASE} ends with row ${rows}, ${claim.rows} were confirmed before`);
    for (const line of linesOf(join(to, WORK_LOG))) lines.add(line);
    rmSync(to, { recursive: true });
  }
  const violations = await judge(cora, places, { older: known, newTrees: [], end: undefined, makes: null });

  const missingLines = day.project.lines - lines.size;
  const cache = join(vault, '.cache');
  const oldCache = bytesIn(cache);
  rmSync(cache, { recursive: true });
  day.project.work();
  await day.document(['save']);
  const { figures } = day;
  const report = {
    part: 'long',
    run: 'day',
    seconds,
    slots: SLOTS,
    claims: day.claims.length,
    listed: known.length,
    lost,
    broken,
    violations,
    wrong: day.wrong,
    left: [...filesIn(day.temporary).keys(), ...filesIn(home).keys(), ...day.project.foreign()],
    way_back: filesIn(join(project, '.cora-restore')).size,
    work_log_lines: day.project.lines,
    work_log_missing: missingLines,
    cache_bytes: [oldCache, bytesIn(cache)],
    ledger_bytes: bytesIn(join(vault, 'ledger')),
    ...figures,
  };
  keepFigures('day', report);
  console.log(JSON.stringify(report));
  expect(report).toMatchObject({ lost: [], broken: [], violations: [], wrong: [], left: [], work_log_missing: 0 });
  // Nothing grows: a save of the evening takes what one of the morning took, the server keeps no file open, the cache is what a
  // new one would be, and a vault that clean-up looks after is not larger from day to day, but for what a person asked to keep.
  expect(Math.max(...Object.values(figures.memory))).toBeLessThan(MOST_MEMORY);
  expect(late(figures.saveMemory)).toBeLessThan(early(figures.saveMemory) * 1.1 + SLACK);
  expect(late(figures.serverMemory)).toBeLessThan(early(figures.serverMemory) * 1.1 + SERVER_SLACK);
  expect(late(figures.serverFiles)).toBeLessThanOrEqual(early(figures.serverFiles));
  expect(report.cache_bytes[0]).toBeLessThan((report.cache_bytes[1] ?? 0) * 1.2 + 65_536);
  const [, second, ...others] = figures.vaultBytes;
  for (const size of others) expect(size).toBeLessThan((second ?? 0) * 1.2);
});

function median(list: readonly number[]): number {
  return list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)] ?? 0;
}

/** Of the first and the last quarter of a run, three at least. */
const early = (list: readonly number[]): number => median(list.slice(0, Math.max(3, list.length / 4)));
const late = (list: readonly number[]): number => median(list.slice(-Math.max(3, list.length / 4)));

/** The newest row of a restored copy, which must be sound and hold every kept row whole. */
function rowsOf(file: string): number {
  const database = new Database(file, { readonly: true, fileMustExist: true });
  try {
    expect(database.pragma('integrity_check', { simple: true })).toBe('ok');
    const whole = 'SELECT count(*) = max(n) - min(n) + 1 AND sum(twice) = 2 * sum(n) AND min(length(pad)) = 200 FROM t';
    expect(database.prepare(whole).pluck().get()).toBe(1);
    return database.prepare('SELECT max(n) FROM t').pluck().get() as number;
  } finally {
    database.close();
  }
}

function linesOf(file: string): Set<string> {
  return new Set(readFileSync(file, 'utf8').match(/^line \d+/gm) ?? []);
}
