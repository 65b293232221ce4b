// The bench of `cora torture`: a small project and its vault with some history, made once by Cora itself and put back as they
// were before each point. Runs of Cora on it are the real program, in an environment of nothing but what it needs.

import { closeSync, linkSync, mkdirSync, openSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { bytes, fromText, fsPath, joinBytes } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import { changeFlags, readFlags } from '../os/chattr.ts';
import { filesBelow } from '../os/files-below.ts';
import { requireProgram, runForeign, runSync } from '../os/run.ts';
import { openDatabase } from '../os/sqlite.ts';
import { type CoraEnd, type Expectation, judge, type KnownSnapshot, type Places, remember, type Violation } from './judge.ts';
import type { TreeRecord } from './judge-tree.ts';
import { clearFlags, unmountBelow } from './torture-place.ts';
import { pick, seededRandom } from './torture-random.ts';
import type { TortureOptions } from './torture-result.ts';

/** How a run differs from a plain one. */
export type How = {
  /** A program and its arguments, which start Cora in its turn. */
  readonly through?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
};

/** Longer than any run here takes on a slow disk: what is not over by then hangs, and that is a loss. */
const HANG_MS = 120_000;
/** A file of several pieces, most of what one snapshot holds. */
const LARGE = 1_300_000;

export class Bench {
  readonly root: string;
  /** Project and vault lie in it, and it is what an image is mounted on. */
  readonly directory: string;
  readonly places: Places;
  readonly #options: TortureOptions;
  readonly #signal: AbortSignal;
  #sealed: readonly string[] = [];
  #known: readonly KnownSnapshot[] = [];
  #fresh: TreeRecord | undefined;
  #hung: string | undefined;

  constructor(root: string, options: TortureOptions, ctx: Context) {
    this.root = root;
    this.directory = `${root}/bench`;
    this.places = { project: `${this.directory}/project`, vault: `${this.directory}/vault`, scratch: `${root}/judged` };
    this.#options = options;
    this.#signal = ctx.signal;
  }

  /** What a snapshot of the project as it is before each point gives back. */
  get fresh(): TreeRecord {
    return this.#fresh ?? new Map();
  }

  /** The snapshots that are there before each point. */
  get known(): readonly KnownSnapshot[] {
    return this.#known;
  }

  /** @throws CoraError io where Cora does not even work here without a fault; interrupted */
  async build(): Promise<void> {
    for (const path of [this.directory, `${this.root}/home`, this.places.project]) mkdirSync(path, { mode: 0o700 });
    const random = seededRandom(this.#options.seed);
    await this.#fill(random);
    await this.#must(['save']);
    // The record of a restore in place is there from the start: making it would change the project's own time.
    await this.#must(['restore', 'latest', '--yes', '--confirm-service-stopped']);
    await this.#change(random, 1);
    await this.#must(['save']);
    await this.#change(random, 2);
    await this.#must(['backup', 'now']);
    await this.#change(random, 3);
    const files = filesBelow(this.directory);
    const flags = readFlags(files.map((path) => joinBytes(fromText(this.directory), path)));
    this.#sealed = files.filter((_, at) => flags[at]?.immutable === true);
    copyTree(this.directory, `${this.root}/template`);
    this.load();
    const last = await this.#must(['save', '--json']);
    const all = await remember((args) => this.cora(args), this.places);
    // The last one is what every trial starts before, and is gone with the next `load`.
    const newest = all.find(({ kind, id }) => kind === 'save' && last.stdout.includes(`"${id}"`));
    this.#known = all.filter((one) => one !== newest);
    this.#fresh = newest?.tree;
  }

  /** Puts project and vault back as they were. */
  load(): void {
    this.clear();
    this.fill();
  }

  /** An empty directory, with nothing mounted on it. */
  clear(): void {
    unmountBelow(this.root);
    clearFlags(this.directory);
    rmSync(this.directory, { recursive: true, force: true });
    mkdirSync(this.directory, { mode: 0o700 });
  }

  /** Project and vault into the empty directory. A copy has no flags: those of the sealed backup are set again. */
  fill(): void {
    copyTree(`${this.root}/template`, this.directory);
    changeFlags(
      '+i',
      this.#sealed.map((path) => joinBytes(fromText(this.directory), bytes(path))),
    );
  }

  /** `cora ARGS`. @throws CoraError interrupted */
  async cora(args: readonly string[], how: How = {}): Promise<CoraEnd> {
    const [program = '', ...before] = [...(how.through ?? []), this.#options.launcher];
    // Several may run at once.
    const name = `${this.root}/stdout-${process.hrtime.bigint()}`;
    const stdout = openSync(name, 'wx', 0o600);
    try {
      const ended = await runForeign(program, [...before, ...args], {
        cwd: this.places.project,
        env: { ...this.#environment(), ...how.env },
        stdout,
        timeout: HANG_MS,
        signal: this.#signal,
      });
      if (this.#signal.aborted) throw new CoraError('interrupted', 'Interrupted');
      if (ended.timedOut) this.#hung = args.join(' ');
      return { code: ended.exitCode, stdout: readFileSync(name, 'utf8'), stderr: ended.output };
    } finally {
      closeSync(stdout);
      rmSync(name, { force: true });
    }
  }

  /** What the fault broke: the judge's word, and whether anything hung. */
  async judge(expectation: Expectation): Promise<Violation[]> {
    const violations = await judge((args) => this.cora(args), this.places, expectation);
    const hung = this.#hung;
    this.#hung = undefined;
    return hung === undefined ? violations : [{ rule: 'next', sentence: `cora ${hung} did not end within ${HANG_MS / 1000} s` }, ...violations];
  }

  #environment(): Record<string, string> {
    return {
      PATH: this.#options.searchPath,
      HOME: `${this.root}/home`,
      LC_ALL: 'C.UTF-8',
      TZ: 'UTC',
      CORA_VAULT: this.places.vault,
      CORA_LOG: `${this.root}/cora.log`,
      // One thread: the calls of a run are then in the same order each time.
      CORA_WORKERS: '0',
      UV_THREADPOOL_SIZE: '1',
    };
  }

  async #must(args: readonly string[]): Promise<CoraEnd> {
    const end = await this.cora(args);
    if (end.code === 0) return end;
    throw new CoraError(
      'io',
      `cora ${args.join(' ')} does not work in ${this.root} even without a fault: ${end.stderr.trim().split('\n').at(-1) ?? ''}`,
      {
        hint: 'name a directory on another disk: cora torture DIR',
      },
    );
  }

  async #fill(random: () => number): Promise<void> {
    const { project } = this.places;
    mkdirSync(`${project}/src`);
    // A name that no file of this machine's configuration has.
    writeFileSync(`${project}/cora.toml`, `name = "${basename(this.root).replace(/^\W+/, '')}"\n`);
    writeFileSync(`${project}/empty`, '');
    for (let number = 0; number < 12; number++) writeFileSync(`${project}/src/part-${number}.ts`, `export const part${number} = ${random()};\n`);
    writeFileSync(`${project}/data.bin`, noise(random, LARGE));
    writeFileSync(`${project}/run.sh`, '#!/bin/sh\n', { mode: 0o755 });
    linkSync(`${project}/run.sh`, `${project}/run-too.sh`);
    symlinkSync('src/part-0.ts', `${project}/link`);
    writeFileSync(fsPath(bytes(`${fromText(project)}/odd \\ name\n\xff`)), 'odd\n');
    await this.#change(random, 0);
  }

  /** What a project does between two saves: a log grows, a file is edited, one comes and one goes, a database gets rows. */
  async #change(random: () => number, step: number): Promise<void> {
    const { project } = this.places;
    writeFileSync(`${project}/AI_WORK_LOG.md`, `${'a line of the log\n'.repeat(20)}step ${step}\n`, { flag: 'a' });
    writeFileSync(`${project}/src/part-${step}.ts`, `export const changed = ${random()};\n`);
    writeFileSync(`${project}/new-${step}.bin`, noise(random, 40_000));
    rmSync(`${project}/new-${step - 1}.bin`, { force: true });
    const database = await openDatabase(`${project}/app.db`);
    try {
      database.exec('CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT)');
      const insert = database.prepare('INSERT INTO notes (text) VALUES (?)');
      for (let row = 0; row < 50; row++) insert.run(`note ${step}.${row} ${random()}`);
    } finally {
      database.close();
    }
  }
}

/** Everything with times, links and owners. */
function copyTree(from: string, to: string): void {
  mkdirSync(to, { recursive: true, mode: 0o700 });
  const { exitCode, stderr } = runSync(requireProgram('cp', 'coreutils'), ['-a', '--', `${from}/.`, to]);
  if (exitCode !== 0) throw new CoraError('io', `The bench cannot be copied: ${stderr.trim()}`, { hint: 'see whether the disk is full (df -h)' });
}

function noise(random: () => number, length: number): Buffer {
  const content = Buffer.alloc(length);
  for (let at = 0; at < length; at++) content[at] = pick(random, 256);
  return content;
}
