// One power cut: a prepared disk, a command, the moment at which the power goes, and what the one judge says of the disk after the
// next mount. And one state of a logged block device, judged in the same way.

import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type CoraEnd, judge, type KnownSnapshot, recordProject, remember } from '../../../src/actions/judge.ts';
import type { TreeRecord } from '../../../src/actions/judge-tree.ts';
import { execute } from '../../support/sandbox.ts';
import { commandLine } from '../harness/inject.ts';
import { type Bench, Disk, type Ending, type Kind, must, start } from './disk.ts';
import { CORA, type Machine, machineOn, makeEmpty, makeHistory, type Work } from './works.ts';

/** Calls of which each may be the last one: all that changes a disk, and what asks for it to be written. */
const CALLS = ['write', 'pwrite64', 'fsync', 'rename', 'mkdir', 'unlink', 'rmdir', 'openat', 'ioctl', 'ftruncate', 'copy_file_range'] as const;

/** When the power goes. */
export type Moment =
  /** Right after the command's end. */
  | { readonly how: 'exit' }
  /** After so many milliseconds; the machine is dead at once. */
  | { readonly how: 'random'; readonly after: number }
  /** After so many milliseconds the disk alone is dead, and the command sees its errors. */
  | { readonly how: 'dies'; readonly after: number }
  /** The command was killed at the nth call of that name. */
  | { readonly how: 'call'; readonly call: string; readonly when: number };

/** A write into the vault: the nth of that call in its thread. */
type Write = { readonly call: string; readonly when: number; readonly bytes: number; readonly path: string };
type CallPoint = Extract<Moment, { how: 'call' }>;

/** A disk on which a command is about to run. */
export type Prepared = {
  /** Its options may be others at the cut: they do not change what is on the disk. */
  readonly kind: Kind;
  readonly work: Work;
  /** The image, with everything written. */
  readonly image: string;
  readonly args: readonly string[];
  readonly known: readonly KnownSnapshot[];
  /** What the project holds before the command, and after it. */
  readonly before: TreeRecord;
  readonly after: TreeRecord;
  /** What its new snapshots give back. */
  readonly newTrees: readonly TreeRecord[];
  /** How long the command takes here, in milliseconds. */
  readonly takes: number;
};

export type Verdict = {
  readonly code: number | null | undefined;
  /** The command's sentence where it failed. */
  readonly said?: string;
  readonly violations: readonly string[];
};

const NAME = 'disk';

/** Makes and keeps the disks of one bench, one mounted at a time. */
export class Lab {
  readonly bench: Bench;
  readonly #histories = new Map<string, { readonly image: string; readonly known: readonly KnownSnapshot[] }>();
  readonly #prepared = new Map<string, Prepared>();
  readonly #calls = new Map<string, readonly CallPoint[]>();
  #count = 0;

  constructor(bench: Bench) {
    this.bench = bench;
  }

  machine(): Machine {
    return machineOn(join(this.bench.root, NAME));
  }

  #scratch(): string {
    return join(this.bench.root, 'scratch');
  }

  remember(machine: Machine): Promise<KnownSnapshot[]> {
    return remember(machine.coraHere, { project: machine.project, vault: machine.vault, scratch: this.#scratch() });
  }

  #disk(kind: Kind): Disk {
    return Disk.at(this.bench, kind, join(this.bench.root, `${NAME}.img`), NAME);
  }

  async #history(kind: Kind, first: boolean): Promise<{ readonly image: string; readonly known: readonly KnownSnapshot[] }> {
    const key = `${kind.make.join(' ')} ${first}`;
    const there = this.#histories.get(key);
    if (there !== undefined) return there;
    const disk = await Disk.make(this.bench, kind, NAME);
    const machine = this.machine();
    await disk.mount();
    await must('mkdir', machine.project);
    if (first) makeEmpty(machine);
    else await makeHistory(machine);
    const known = first ? [] : await this.remember(machine);
    await disk.unmount();
    const made = { image: await this.#keep(disk), known };
    this.#histories.set(key, made);
    return made;
  }

  /** Moves the disk's image aside. */
  async #keep(disk: Disk): Promise<string> {
    this.#count += 1;
    const image = join(this.bench.root, `kept-${this.#count}.img`);
    await must('mv', '--', disk.image, image);
    return image;
  }

  async prepare(kind: Kind, work: Work): Promise<Prepared> {
    const key = `${kind.make.join(' ')} ${work.name}`;
    const there = this.#prepared.get(key);
    if (there !== undefined) return there;
    const history = await this.#history(kind, work.first === true);
    const disk = this.#disk(kind);
    const machine = this.machine();
    await disk.become(history.image);
    await disk.mount();
    const lines = ledgerOf(machine);
    await work.prepare(machine);
    const known = ledgerOf(machine) === lines ? history.known : await this.remember(machine);
    const args = work.args(machine, known);
    const before = recordProject(machine.project);
    await disk.unmount();
    const image = await this.#keep(disk);
    // Once without a cut: how long it takes, and what it makes.
    await disk.become(image);
    await disk.mount();
    const started = performance.now();
    const end = await machine.cora(args);
    const takes = performance.now() - started;
    if (end.code !== 0) throw new Error(`cora ${args.join(' ')} ended with ${end.code}: ${end.stderr}${end.stdout}`);
    const after = recordProject(machine.project);
    const made = (await this.remember(machine)).filter(({ kind: form, id }) => !known.some((one) => one.kind === form && one.id === id));
    await disk.unmount();
    const prepared = { kind, work, image, args, known, before, after, newTrees: made.map(({ tree }) => tree), takes };
    this.#prepared.set(key, prepared);
    return prepared;
  }

  /** The points at which the command can be killed: as many of each call as the thread makes that makes most of them. */
  async calls(prepared: Prepared): Promise<readonly CallPoint[]> {
    const there = this.#calls.get(prepared.image);
    if (there !== undefined) return there;
    const counts = new Map<string, number>();
    for (const { thread, call } of await this.#trace(prepared)) counts.set(`${thread} ${call}`, (counts.get(`${thread} ${call}`) ?? 0) + 1);
    const calls = CALLS.flatMap((call) => {
      const most = Math.max(0, ...[...counts].flatMap(([key, count]) => (key.endsWith(` ${call}`) ? count : [])));
      return Array.from({ length: most }, (_, index) => ({ how: 'call', call, when: index + 1 }) as const);
    });
    this.#calls.set(prepared.image, calls);
    return calls;
  }

  /** Its writes into the vault. */
  async writes(prepared: Prepared): Promise<readonly Write[]> {
    const counts = new Map<string, number>();
    const { vault } = this.machine();
    return (await this.#trace(prepared)).flatMap(({ thread, call, rest }) => {
      if (call !== 'write' && call !== 'pwrite64') return [];
      const when = (counts.get(`${thread} ${call}`) ?? 0) + 1;
      counts.set(`${thread} ${call}`, when);
      const path = /^\d+<([^>]*)>/.exec(rest)?.[1] ?? '';
      const bytes = Number(/ = (\d+)$/.exec(rest)?.[1] ?? 0);
      return path.startsWith(`${vault}/`) && bytes > 0 ? [{ call, when, bytes, path: path.slice(vault.length + 1) }] : [];
    });
  }

  /** What one run of the command calls, in one thread where it can. */
  async #trace({ kind, image, args }: Prepared): Promise<{ readonly thread: string; readonly call: string; readonly rest: string }[]> {
    const disk = this.#disk(kind);
    const machine = this.machine();
    const trace = join(this.bench.root, 'trace');
    await disk.become(image);
    await disk.mount();
    const run = await execute('strace', ['-f', '-y', '-s', '0', '-qq', '-o', trace, '-e', `trace=${CALLS.join(',')}`, ...commandLine(), ...args], {
      cwd: machine.project,
      env: { ...machine.env, CORA_WORKERS: '0' },
    });
    await disk.unmount();
    if (run.code !== 0) throw new Error(`strace ended with ${run.code}: ${run.stderr}`);
    const lines = readFileSync(trace, 'utf8').split('\n');
    rmSync(trace);
    return lines.flatMap((line) => {
      const [, thread = '', call, rest = ''] = /^(\d+) +(\w+)\((.*)$/.exec(line) ?? [];
      return call === undefined ? [] : [{ thread, call, rest }];
    });
  }

  /** Cuts the power of a prepared disk under its command, and judges what is left. */
  cut(prepared: Prepared, kind: Kind, moment: Moment): Promise<Verdict> {
    return this.trial(prepared, kind, (disk, machine) => runUntil(disk, machine, prepared.args, moment));
  }

  /**
   * Runs something on a prepared disk, mounts that anew, and judges it.
   * @param mend what a person does before the next run: makes room, takes limits away
   */
  async trial(
    prepared: Prepared,
    kind: Kind,
    run: (disk: Disk, machine: Machine) => Promise<Ending>,
    mend?: (machine: Machine) => Promise<void>,
  ): Promise<Verdict> {
    const disk = this.#disk(kind);
    const machine = this.machine();
    try {
      await disk.become(prepared.image);
      await disk.mount();
      const end = await run(disk, machine);
      const internal = end.code !== null && (end.code === 70 || /\n\s+at .*:\d+:\d+/.test(end.stderr));
      const violations = internal ? [`internal: it ended with ${end.code}: ${end.stderr}`] : [];
      await disk.unmount();
      const stray = readdirSync(disk.mountPoint);
      if (stray.length > 0) violations.push(`stray: ${stray.join(', ')} was written below the empty mount point`);
      await disk.mount();
      await mend?.(machine);
      violations.push(...(await this.judge(prepared, machine, end)));
      await disk.unmount();
      return { code: end.code, said: sentenceOf(end), violations };
    } finally {
      await disk.release();
    }
  }

  /** Judges an image that a cut left. */
  async judgeImage(prepared: Prepared, kind: Kind, image: string, end: CoraEnd | undefined): Promise<Verdict> {
    const disk = this.#disk(kind);
    const machine = this.machine();
    try {
      await must('mv', '--', image, disk.image);
      try {
        await disk.mount();
      } catch (error) {
        return { code: end?.code, violations: [`the file system cannot be mounted: ${String(error)}`] };
      }
      const violations = await this.judge(prepared, machine, end);
      await disk.unmount();
      return { code: end?.code, violations };
    } finally {
      await disk.release();
    }
  }

  async judge(prepared: Prepared, machine: Machine, end: CoraEnd | undefined): Promise<string[]> {
    const { work, known, before, after, newTrees } = prepared;
    const mayGo = new Set((work.mayGo?.(known) ?? []).map(({ kind, id }) => `${kind} ${id}`));
    const bare = (await work.bareClaims?.(machine, end)) ?? [];
    const violations = await judge(
      machine.coraHere,
      { project: machine.project, vault: machine.vault, scratch: this.#scratch() },
      {
        older: known,
        mayGo,
        newTrees,
        end,
        makes: work.makes,
        ...(work.changesProject === true ? { projects: end?.code === 0 ? [after] : [before, after] } : {}),
      },
    );
    const claims = (await work.claims?.(machine, end)) ?? [];
    return [...[...bare, ...claims].map((claim) => `claim: ${claim}`), ...violations.map(({ rule, sentence }) => `${rule}: ${sentence}`)];
  }
}

function ledgerOf({ vault }: Machine): string {
  try {
    return readFileSync(join(vault, 'ledger/chain.log'), 'utf8');
  } catch {
    return '';
  }
}

/** Runs the command until the power goes. */
async function runUntil(disk: Disk, machine: Machine, args: readonly string[], moment: Moment): Promise<Ending> {
  const place = { cwd: machine.project, env: machine.env };
  if (moment.how === 'exit') {
    const run = start(CORA, args, place);
    const end = await run.end;
    await disk.off();
    return end;
  }
  if (moment.how === 'call') {
    const { call, when } = moment;
    const inject = ['-f', '-qq', '-o', '/dev/null', '-e', `trace=${call}`, '-e', `inject=${call}:signal=KILL:when=${when}`];
    const run = start('strace', [...inject, ...commandLine(), ...args], { ...place, env: { ...machine.env, CORA_WORKERS: '0' } });
    const end = await run.end;
    run.kill();
    await disk.off();
    return end;
  }
  const run = start(CORA, args, place);
  await new Promise((resolve) => setTimeout(resolve, moment.after));
  await disk.off();
  if (moment.how === 'random') run.kill();
  const hang = setTimeout(run.kill, 60_000);
  const end = await run.end;
  clearTimeout(hang);
  return end;
}

/** The first line for people, and the word of the JSON document. */
function sentenceOf({ code, stdout, stderr }: Ending): string {
  return code === 0 || code === null ? '' : `${/"code": ?"([a-z_]+)"/.exec(stdout)?.[1] ?? ''}: ${stderr.trim().split('\n')[0] ?? ''}`;
}
