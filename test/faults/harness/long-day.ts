// Days of a busy project in minutes, under a clock of their own: saves by the timer, pushes, the nightly backup, rotations,
// clean-up, restores, a drill, an assistant's server that never ends, a program that writes its database, and kill -9 in the
// middle of all of them. Every claim is kept with what the project was then, for judging at the end.
// Over 300 lines: one schedule with what it needs, read from top to bottom.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CoraEnd } from '../../../src/actions/judge.ts';
import type { TreeRecord } from '../../../src/actions/judge-tree.ts';
import { LiveWriter } from '../../support/live-writer.ts';
import { type Assistant, assistant } from '../../support/mcp-client.ts';
import { type Document, execute, PATH, Sandbox } from '../../support/sandbox.ts';
import { DATABASE, DayProject, randomsOf, recordDay } from './day-project.ts';
import { FakeClock } from './fake-clock.ts';
import { bytesIn, memoryOf, openFilesOf, processesIn } from './watch.ts';

export const CORA = join(import.meta.dirname, '../../../bin/cora');
const START = Date.UTC(2031, 2, 3);
const DAY = 86_400_000;
const KEPT_ROWS = 2000;
const WORK_LOG_LINES = 6000;
/** How long a machine that has other work to do may take for an answer: what hangs, hangs for longer. */
const PATIENCE = 600_000;

const CONFIGURATION = `[rotate]
max_size = "64KiB"

[retention]
auto = true
saves = { last = 6, hourly = 12, daily = 3 }
backups = { daily = 2 }

[hook]
budget = "60s"
`;

/** What there is to do besides the saves, and how often in a day of 96 of them. */
const EVENTS = { push: 20, rotate: 4, restore: 4, prune: 2, verify: 6, health: 24, assistant: 24, kill: 48 } as const;
type Event = keyof typeof EVENTS | 'backup' | 'drill';

/** What is killed, in turn; each is later run to its end in its own time. */
const VICTIMS: readonly (readonly string[])[] = [
  ['save'],
  ['backup', 'now', '--trigger', 'timer'],
  ['save', '-m', 'a point'],
  ['prune', '--confirm'],
  ['rotate'],
  ['verify', '--all'],
  ['drill'],
  ['ledger', 'rebuild'],
];

/** A snapshot that was claimed (exit 0, or listed), and what the project was then. */
export type Claim = {
  readonly id: string;
  readonly by: string;
  /** The project before and after the command: each file is as in one of them. */
  readonly before: TreeRecord;
  readonly after: TreeRecord;
  /** The newest row that the database's program had confirmed before. */
  readonly rows: number;
};

export type DayFigures = {
  readonly days: number;
  readonly seed: number;
  readonly events: Record<string, number>;
  /** Kilobytes at most: of each save in order; of other commands the largest. */
  readonly saveMemory: number[];
  readonly memory: Record<string, number>;
  /** Of the assistant's server, each time it was asked. */
  readonly serverMemory: number[];
  readonly serverFiles: number[];
  /** At the end of each day. */
  readonly vaultBytes: number[];
  readonly cacheBytes: number[];
};

export class LongDay {
  readonly sandbox: Sandbox;
  readonly project: DayProject;
  readonly claims: Claim[] = [];
  /** What was not as it must be, in words. */
  readonly wrong: string[] = [];
  readonly figures: DayFigures;
  readonly clock: FakeClock;
  readonly #slots: number;
  readonly #random: (below: number) => number;
  #writer: LiveWriter | undefined;
  #server: Assistant | undefined;
  #victims = 0;

  private constructor(days: number, slots: number, seed: number, sandbox: Sandbox, clock: FakeClock) {
    this.#slots = slots;
    this.#random = randomsOf(seed + 1);
    this.sandbox = sandbox;
    this.clock = clock;
    this.project = new DayProject(sandbox.project, seed, Math.ceil(WORK_LOG_LINES / slots));
    this.figures = {
      days,
      seed,
      events: {},
      saveMemory: [],
      memory: {},
      serverMemory: [],
      serverFiles: [],
      vaultBytes: [],
      cacheBytes: [],
    };
  }

  /** @param slots saves a day: 96, or fewer with everything else in proportion */
  static async open(days: number, slots: number, seed: number): Promise<LongDay> {
    const sandbox = new Sandbox();
    return new LongDay(days, slots, seed, sandbox, await FakeClock.open(sandbox.root));
  }

  get temporary(): string {
    return join(this.sandbox.root, 'tmp');
  }

  async run(): Promise<void> {
    await this.#begin();
    for (let slot = 0; slot < this.figures.days * this.#slots; slot++) {
      this.clock.set(START + (slot * DAY) / this.#slots);
      await this.#slot(slot % this.#slots);
      if (slot % this.#slots !== this.#slots - 1) continue;
      this.figures.vaultBytes.push(bytesIn(this.sandbox.vault));
      this.figures.cacheBytes.push(bytesIn(join(this.sandbox.vault, '.cache')));
    }
    await this.#server?.close();
    this.#server = undefined;
    await this.#writer?.stop();
    if (this.#writer !== undefined && this.#writer.errors !== '') this.wrong.push(`the database's program met ${this.#writer.errors}`);
  }

  async close(): Promise<void> {
    await this.#server?.close();
    await this.#writer?.stop();
    await this.clock.close();
    await this.sandbox.remove();
  }

  /** `bin/cora ARGS` under the clock, to its end. */
  cora(args: readonly string[]): Promise<CoraEnd> {
    return this.#start(CORA, args).ended;
  }

  /** The document of `bin/cora ARGS --json`, which must end with one of `codes`. */
  async document(args: readonly string[], codes: readonly number[] = [0]): Promise<Document> {
    const { code, stdout, stderr } = await this.cora([...args, '--json']);
    if (!codes.includes(code ?? -1)) this.wrong.push(`cora ${args.join(' ')} ended with ${code}: ${stdout.slice(0, 1000)}${stderr}`);
    return JSON.parse(stdout === '' ? '{"ok":false,"result":{}}' : stdout) as Document;
  }

  async #begin(): Promise<void> {
    this.clock.set(START);
    mkdirSync(this.temporary);
    writeFileSync(join(this.sandbox.project, 'cora.toml'), CONFIGURATION);
    await this.#git('init -q --bare ../remote.git && git init -q -b main . && git config user.email t@example.org && git config user.name t');
    await this.#git('remote add origin ../remote.git && git add -A && git commit -qm first');
    const hook = `#!/bin/sh\nexec '${CORA}' hook pre-push "$@"\n`;
    writeFileSync(join(this.sandbox.project, '.git/hooks/pre-push'), hook, { mode: 0o755 });
    this.#writer = new LiveWriter(join(this.sandbox.project, DATABASE), 'wal', { rate: 40, keep: KEPT_ROWS });
    await this.#writer.reach(10);
    await this.document(['save']);
    const env = { ...this.clock.livingEnvironment(), TMPDIR: this.temporary };
    this.#server = await assistant(this.sandbox, { env });
  }

  async #slot(slot: number): Promise<void> {
    this.project.work();
    if (this.#due('kill', slot)) await this.#kill();
    if (this.#due('push', slot)) await this.#claim('push', () => this.#push());
    await this.#claim('save', () => this.document(['save', '--trigger', 'timer', '--lock-wait', '5m']));
    this.#count('save');
    if (this.#due('backup', slot)) await this.#claim('backup', () => this.document(['backup', 'now', '--trigger', 'timer', '--lock-wait', '30m']));
    if (this.#due('drill', slot)) await this.document(['drill', '--trigger', 'timer'], [0, 3]);
    if (this.#due('rotate', slot)) await this.#claim('rotate', () => this.document(['rotate']));
    if (this.#due('restore', slot)) await this.#restore();
    if (this.#due('prune', slot)) await this.document(['prune', '--confirm']);
    if (this.#due('verify', slot)) await this.document(['verify', '--all', '--deep', '--chain']);
    if (this.#due('health', slot)) await this.document(['health'], [0, 3, 22]);
    if (this.#due('assistant', slot)) await this.#ask();
    for (const process of await this.#left()) this.wrong.push(`slot ${slot}: a process was left: ${process}`);
  }

  /** Whether this is one of the slots of an event; each has at least one a day, and its own place in the day. */
  #due(event: Event, slot: number): boolean {
    const fixed = { backup: 3.25, drill: 4.5 }[event as string];
    if (fixed !== undefined) {
      const due = slot === Math.floor((fixed / 24) * this.#slots);
      if (due) this.#count(event);
      return due;
    }
    const times = Math.max(1, Math.round((EVENTS[event as keyof typeof EVENTS] * this.#slots) / 96));
    const before = Math.floor(((slot + 0.5) * times) / this.#slots);
    const due = Math.floor(((slot + 1.5) * times) / this.#slots) > before;
    if (due) this.#count(event);
    return due;
  }

  #count(event: string): void {
    this.figures.events[event] = (this.figures.events[event] ?? 0) + 1;
  }

  /** Runs what claims snapshots, and keeps each one that is listed after it and was not before. */
  async #claim(by: string, act: () => Promise<Document | undefined>): Promise<void> {
    const rows = this.#writer?.acknowledged ?? 0;
    const before = recordDay(this.sandbox.project);
    const said = await act();
    const after = recordDay(this.sandbox.project);
    const known = new Set(this.claims.map(({ id }) => id));
    const listed = ((await this.document(['list'])).result['snapshots'] ?? []) as readonly { readonly snapshot_id: string }[];
    const ids = listed.map(({ snapshot_id: id }) => id);
    for (const id of ids) if (!known.has(id)) this.claims.push({ id, by, before, after, rows });
    const claimed = said?.result['snapshot_id'];
    if (said?.ok === true && typeof claimed === 'string' && !ids.includes(claimed)) this.wrong.push(`${by} claimed ${claimed}, which is not listed`);
  }

  async #push(): Promise<undefined> {
    await this.#git('add -A && git commit -qm work');
    const { code, stderr } = await this.#start('/usr/bin/git', ['push', '-q', 'origin', 'main']).ended;
    if (code !== 0 || !/^cora: (?:Saved|Backup|Nothing changed)/m.test(stderr)) this.wrong.push(`a push ended with ${code}: ${stderr}`);
    return undefined;
  }

  /** Kills the next victim with all its children at a random moment of its run. A snapshot that it made visible all the same is a claim. */
  async #kill(): Promise<void> {
    const args = VICTIMS[this.#victims++ % VICTIMS.length] ?? ['save'];
    await this.#claim(`killed ${args.join(' ')}`, async () => {
      const { child, ended } = this.#start(CORA, args);
      const timer = setTimeout(() => child.pid === undefined || kill(child.pid), 30 + this.#random(500));
      const { code, stdout, stderr } = await ended;
      clearTimeout(timer);
      if (code === null) this.#count('killed while it ran');
      else if (![0, 3].includes(code)) this.wrong.push(`cora ${args.join(' ')} ended with ${code}: ${stdout}${stderr}`);
      return undefined;
    });
  }

  async #restore(): Promise<void> {
    const before = recordDay(this.sandbox.project);
    const path = this.project.accident();
    await this.#claim('restore', () => this.document(['restore', `latest:${path}`, '--yes']));
    const after = recordDay(this.sandbox.project);
    if (after.get(path) === undefined || after.get(path) !== before.get(path)) this.wrong.push(`${path} did not come back as it was`);
  }

  async #ask(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    const call = async (tool: string): Promise<undefined> => {
      const began = performance.now();
      const answer = await server.call(tool, {}, { timeout: PATIENCE }).catch((error: Error) => ({ isError: true, text: error.message }));
      if (answer.isError) this.wrong.push(`the tool ${tool} failed after ${performance.now() - began} ms: ${answer.text}; ${server.stderr()}`);
      return undefined;
    };
    for (const tool of ['status', 'list_saves', 'verify', 'size']) await call(tool);
    await this.#claim('assistant', () => call('save'));
    this.figures.serverMemory.push(memoryOf(server.pid, 'VmRSS') ?? 0);
    this.figures.serverFiles.push(openFilesOf(server.pid));
  }

  /** Processes that work here and are none of ours, once those that end have had their time. */
  async #left(): Promise<string[]> {
    for (let wait = 0; ; wait++) {
      const left = processesIn(this.sandbox.root, [this.#writer?.pid, this.#server?.pid]);
      if (left.length === 0 || wait === 100) return left;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async #git(command: string): Promise<void> {
    const env = { PATH, HOME: this.sandbox.home, ...this.clock.environment() };
    const { code, stderr } = await execute('/bin/sh', ['-c', `git ${command}`], { cwd: this.sandbox.project, env });
    if (code !== 0) throw new Error(`git ${command} ended with ${code}: ${stderr}`);
  }

  /** Starts a program in a process group of its own, and watches its memory. */
  #start(program: string, args: readonly string[]): { readonly child: ChildProcess; readonly ended: Promise<CoraEnd> } {
    const { root, home, vault, project } = this.sandbox;
    const env = { PATH, HOME: home, CORA_VAULT: vault, CORA_LOG: join(root, 'cora.log'), TMPDIR: this.temporary, ...this.clock.environment() };
    const child = spawn(program, args, { cwd: project, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []];
    child.stdout.on('data', (data: Buffer) => stdout.push(data));
    child.stderr.on('data', (data: Buffer) => stderr.push(data));
    let most = 0;
    const look = setInterval(() => {
      most = Math.max(most, child.pid === undefined ? 0 : (memoryOf(child.pid, 'VmHWM') ?? 0));
    }, 20);
    const ended = new Promise<CoraEnd>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code) => {
        clearInterval(look);
        if (program === CORA) this.#remember(args[0] ?? '', code, most);
        resolve({ code, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() });
      });
    });
    return { child, ended };
  }

  #remember(command: string, code: number | null, most: number): void {
    this.figures.memory[command] = Math.max(this.figures.memory[command] ?? 0, most);
    if (command === 'save' && code === 0) this.figures.saveMemory.push(most);
  }
}

function kill(group: number): void {
  try {
    process.kill(-group, 'SIGKILL');
  } catch {
    // It has just ended.
  }
}

/** Snapshots that clean-up removed, as the ledger says. */
export function pruned(vault: string): Set<string> {
  const lines = readFileSync(join(vault, 'ledger/chain.log'), 'utf8').split('\n');
  return new Set(lines.flatMap((line) => (line.split(' ')[1] === 'prune' ? [line.split(' ')[2] ?? ''] : [])));
}
