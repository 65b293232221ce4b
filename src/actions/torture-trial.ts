// The commands that are tried on the bench, each measured once without a fault: what it makes, what the project must be
// afterwards, and which calls it makes that a fault can meet.

import { readFileSync, rmSync } from 'node:fs';
import { exists } from '../os/files.ts';
import { findProgram } from '../os/run.ts';
import { parseId, snapshotDirectory } from '../vault/layout.ts';
import { type Expectation, type KnownSnapshot, recordProject, type Violation } from './judge.ts';
import type { Bench } from './torture-bench.ts';
import { countCalls, writeFailpoint } from './torture-failpoint.ts';
import { countTraced, type TracedCall, traceArguments } from './torture-strace.ts';

export const TRIAL_NAMES = ['save', 'backup', 'restore', 'prune'] as const;
export type TrialName = (typeof TRIAL_NAMES)[number];

export type Trial = {
  readonly name: TrialName;
  readonly args: readonly string[];
  readonly expectation: Omit<Expectation, 'end'>;
  /** Of a run without a fault. */
  readonly milliseconds: number;
  /** Calls of Node's own fs functions that change something on the bench. */
  readonly calls: number;
  /** Calls of the kernel that touch the bench; none without strace. */
  readonly traced: readonly TracedCall[];
  /** What was wrong without any fault. */
  readonly baseline: readonly Violation[];
};

/** Runs the command without a fault and learns from it. */
export async function measureTrial(bench: Bench, name: TrialName): Promise<Trial> {
  const args = [...argumentsOf(bench, name), '--json'];
  const older = bench.known;
  bench.load();
  const before = recordProject(bench.places.project);
  const begun = performance.now();
  const plain = await bench.cora(args);
  const milliseconds = performance.now() - begun;
  const after = recordProject(bench.places.project);
  const expectation: Trial['expectation'] = {
    older,
    newTrees: [bench.fresh],
    makes: name === 'save' || name === 'backup' ? name : null,
    projects: name === 'restore' ? [before, after] : [before],
    mayGo: new Set(older.filter((known) => !isThere(bench, known)).map(({ kind, id }) => `${kind} ${id}`)),
  };
  const trial = { name, args, expectation, milliseconds, calls: 0, traced: [], baseline: [] };
  const baseline: Violation[] = await bench.judge({ ...expectation, end: plain });
  if (plain.code !== 0) baseline.push({ rule: 'next', sentence: `cora ${args.join(' ')} ended with ${plain.code} without any fault` });
  return { ...trial, ...(await countAll(bench, args)), baseline };
}

function isThere(bench: Bench, { kind, id }: KnownSnapshot): boolean {
  const parsed = parseId(id);
  return parsed !== undefined && exists(`${bench.places.vault}/${snapshotDirectory(kind, parsed)}`);
}

/** One more run, which is counted. */
async function countAll(bench: Bench, args: readonly string[]): Promise<Pick<Trial, 'calls' | 'traced'>> {
  bench.load();
  const strace = findProgram('strace');
  const log = `${bench.root}/trace`;
  const env = writeFailpoint(bench, 'count', 0);
  await bench.cora(args, { env, ...(strace === undefined ? {} : { through: [strace, ...traceArguments(log)] }) });
  const calls = countCalls(bench);
  if (strace === undefined) return { calls, traced: [] };
  const traced = countTraced(readFileSync(log, 'latin1'), bench.directory, bench.places.project);
  rmSync(log, { force: true });
  return { calls, traced };
}

function argumentsOf(bench: Bench, name: TrialName): string[] {
  switch (name) {
    case 'save':
      return ['save'];
    case 'backup':
      return ['backup', 'now'];
    case 'restore':
      return ['restore', bench.known.find(({ kind }) => kind === 'save')?.id ?? 'latest', '--yes', '--confirm-service-stopped'];
    case 'prune':
      return ['prune', '--keep-last', '1', '--confirm'];
  }
}
