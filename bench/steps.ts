// Takes one data set through all steps with all tools: first, no change, small change, restore all,
// restore one, verify, archive. Tools take turns within each step, so that noise of the machine hits
// all alike; each command starts with its input warm in memory and with nothing left to write.

import { existsSync, mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { differenceOf, differenceOfArchive, differenceOfFile, fingerprintTree } from './compare-trees.ts';
import type { DataSet } from './data-sets.ts';
import { bytesBelow, type Command, measure, warmAndSync } from './measure.ts';
import type { Place, Tool } from './tool.ts';
import { CHECKOUT, PROJECT_MARK } from './tool-cora.ts';

/** The steps in their order. */
export const STEPS = ['first', 'no change', 'change', 'restore', 'restore one', 'verify', 'archive'] as const;
export type StepName = (typeof STEPS)[number];

export type Sample = {
  readonly set: string;
  readonly step: StepName;
  readonly tool: string;
  readonly round: number;
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
  readonly peakBytes: number | null;
  /** Bytes of the repository after the step; only where the step writes. */
  readonly storedBytes: number | null;
  readonly grownBytes: number | null;
  /** What went wrong, in words; null when the exit code was 0 and the result right. */
  readonly failure: string | null;
};

export type StepOptions = {
  readonly work: string;
  readonly tools: readonly Tool[];
  /** How often each step runs. */
  readonly rounds: (step: StepName) => number;
  readonly say: (line: string) => void;
  readonly onSample: (sample: Sample) => void;
};

/** restic, borg and Cora all distrust files changed just now; with less than this they would read them again. */
const SETTLE_MS = 3000;

type Contender = { readonly tool: Tool; place: Place; saves: number; out: boolean };

/** Runs every step on one data set and removes its data, repositories and restores. */
export async function runSet(set: DataSet, options: StepOptions): Promise<void> {
  const root = join(options.work, set.name);
  const data = join(root, 'data');
  const memory = restorePlace(set, root);
  try {
    options.say(`Making data set ${set.name}: ${set.title}`);
    set.make(data, CHECKOUT);
    // Newer than all else by a tick of the clock: borg never trusts the newest file, and that should not be the database.
    await sleep(50);
    writeFileSync(join(data, PROJECT_MARK), '');
    options.say(`Restores go to ${memory.inMemory ? 'memory (tmpfs)' : 'disk: /dev/shm is too small'}`);
    await sleep(SETTLE_MS);
    await new SetRun(set, options, root, memory.path).run();
  } finally {
    rmSync(memory.path, { recursive: true, force: true });
  }
}

function restorePlace(set: DataSet, root: string): { path: string; inMemory: boolean } {
  try {
    const free = statfsSync('/dev/shm');
    if (free.bavail * free.bsize > set.bytes * 1.5) return { path: `/dev/shm/cora-bench-${process.pid}`, inMemory: true };
  } catch {
    // no /dev/shm here: restore to the disk
  }
  return { path: join(root, 'restored'), inMemory: false };
}

class SetRun {
  private readonly set: DataSet;
  private readonly options: StepOptions;
  private readonly root: string;
  private readonly restored: string;
  private readonly data: string;
  private contenders: Contender[] = [];

  constructor(set: DataSet, options: StepOptions, root: string, restored: string) {
    this.set = set;
    this.options = options;
    this.root = root;
    this.restored = restored;
    this.data = join(root, 'data');
  }

  async run(): Promise<void> {
    this.contenders = this.options.tools.map((tool) => ({ tool, place: this.newPlace(tool, 0), saves: 0, out: false }));
    await this.saveStep('first', (contender, round) => this.startRepository(contender, round));
    await this.saveStep('no change', async () => {});
    let source = fingerprintTree(this.data, this.set.database);
    for (let round = 0; round < this.options.rounds('change'); round += 1) {
      this.set.change(this.data, 100 + round);
      source = fingerprintTree(this.data, this.set.database);
      await sleep(SETTLE_MS);
      for (const contender of this.turns(round)) await this.save('change', contender, round);
    }
    await this.restoreStep('restore', (contender) => {
      const command = contender.tool.restore?.(contender.place, contender.saves);
      return command && { command, check: (root) => differenceOf(root, source, this.set.database) };
    });
    const path = this.set.oneFile(this.data);
    if (path !== undefined) {
      await this.restoreStep('restore one', (contender) => {
        const command = contender.tool.restoreOne?.(contender.place, contender.saves, path);
        return command && { command, check: (root) => differenceOfFile(join(root, path), join(this.data, path)) };
      });
    }
    await this.eachTurn('verify', async (contender, round) => {
      const command = contender.tool.verify?.(contender.place);
      if (command) await this.sample('verify', contender, round, command, [contender.place.repository]);
    });
    if (this.set.name === 'A') await this.archiveStep(source.entries);
  }

  private newPlace(tool: Tool, round: number): Place {
    const home = join(this.root, 'home', `${tool.name}-${round}`);
    mkdirSync(home, { recursive: true });
    mkdirSync(join(this.root, 'repositories'), { recursive: true });
    return { data: this.data, repository: join(this.root, 'repositories', `${tool.name}-${round}`), home, out: this.restored };
  }

  /** Each round of `first` has a repository of its own; the last one serves the later steps. */
  private async startRepository(contender: Contender, round: number): Promise<void> {
    if (round > 0) rmSync(contender.place.repository, { recursive: true, force: true });
    contender.place = this.newPlace(contender.tool, round);
    contender.saves = 0;
    const create = contender.tool.create?.(contender.place);
    if (!create) return;
    const made = await measure(create, join(this.root, 'time'));
    if (made.exitCode !== 0) {
      contender.out = true;
      this.options.say(`${contender.tool.name} could not make its repository: ${made.stderr.trim()}`);
    }
  }

  /** The tools still in the race, another one first in each round. */
  private turns(round: number): Contender[] {
    const first = round % this.contenders.length;
    return [...this.contenders.slice(first), ...this.contenders.slice(0, first)].filter((contender) => !contender.out);
  }

  private async eachTurn(step: StepName, act: (contender: Contender, round: number) => Promise<void>): Promise<void> {
    for (let round = 0; round < this.options.rounds(step); round += 1) {
      for (const contender of this.turns(round)) await act(contender, round);
    }
  }

  private async saveStep(step: StepName, prepare: (contender: Contender, round: number) => Promise<void>): Promise<void> {
    await this.eachTurn(step, async (contender, round) => {
      await prepare(contender, round);
      if (!contender.out) await this.save(step, contender, round);
    });
  }

  private async save(step: StepName, contender: Contender, round: number): Promise<void> {
    const command = contender.tool.save?.(contender.place, contender.saves + 1);
    if (!command) return;
    contender.saves += 1;
    const failure = await this.sample(step, contender, round, command, [this.data], { writes: true });
    if (failure !== null) contender.out = true; // later steps would compare something else
  }

  private async restoreStep(
    step: StepName,
    plan: (contender: Contender) => { command: Command; check: (restored: string) => string | undefined } | undefined,
  ): Promise<void> {
    await this.eachTurn(step, async (contender, round) => {
      const planned = plan(contender);
      if (!planned) return;
      rmSync(this.restored, { recursive: true, force: true });
      mkdirSync(this.restored, { recursive: true });
      const check = (): string | undefined => planned.check(contender.tool.restoredRoot?.(contender.place) ?? this.restored);
      await this.sample(step, contender, round, planned.command, [contender.place.repository], { check });
      rmSync(this.restored, { recursive: true, force: true });
    });
  }

  private async archiveStep(entries: number): Promise<void> {
    await this.eachTurn('archive', async (contender, round) => {
      const command = contender.tool.archive?.(contender.place, round + 1);
      const check = (): string | undefined => differenceOfArchive(contender.place.repository, entries);
      if (command) await this.sample('archive', contender, round, command, [this.data], { writes: true, check });
    });
  }

  private async sample(
    step: StepName,
    contender: Contender,
    round: number,
    command: Command,
    warm: readonly string[],
    extra: { writes?: boolean; check?: () => string | undefined } = {},
  ): Promise<string | null> {
    const { tool } = contender;
    const before = this.storedBytes(contender);
    warmAndSync(warm);
    const measured = await measure(command, join(this.root, 'time'));
    let failure: string | null = null;
    let wallSeconds = measured.wallSeconds;
    if (measured.exitCode !== 0) failure = `exit ${measured.exitCode}: ${measured.stderr.trim().slice(-300) || measured.stdout.trim().slice(-300)}`;
    else {
      try {
        failure = extra.check?.() ?? null;
        if (step === 'archive') wallSeconds = tool.archiveSeconds?.(measured.stdout) ?? wallSeconds;
      } catch (error) {
        failure = `the result could not be checked: ${error}`; // a wrong result of one tool must not end the run
      }
    }
    const stored = extra.writes ? this.storedBytes(contender) : null;
    this.options.onSample({
      set: this.set.name,
      step,
      tool: tool.name,
      round,
      wallSeconds,
      cpuSeconds: measured.cpuSeconds,
      peakBytes: measured.peakBytes,
      storedBytes: stored,
      grownBytes: stored === null ? null : stored - before,
      failure,
    });
    return failure;
  }

  private storedBytes({ tool, place }: Contender): number {
    return existsSync(place.repository) ? bytesBelow(place.repository, tool.caches) : 0; // Cora makes its vault itself
  }
}
