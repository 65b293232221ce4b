// One bad input a test: a project and a vault with an old good snapshot, the fault, and what must hold after
// it: the exact exit code, one sentence, no stack, under 10 s, every older snapshot whole, and a next run that works.

import { spawn } from 'node:child_process';
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { judge, type KnownSnapshot, remember } from '../../src/actions/judge.ts';
import { findProgram } from '../../src/os/run.ts';
import { coraHere, type DocumentRun, jsonHere } from './in-process.ts';
import { execute, isRoot, PATH, type Run, Sandbox, whyNotNobody } from './sandbox.ts';

export const CORA = join(import.meta.dirname, '../../bin/cora');
/** No command may take longer, whatever it meets; as much longer as others keep the processors busy. */
const limitSeconds = () => 10 * Math.max(1, (loadavg()[0] ?? 0) / cpus().length);

/** What a test cannot do without; `nobody`: Cora runs as an ordinary user. */
type Needs = { readonly root?: boolean; readonly nobody?: boolean; readonly programs?: readonly string[]; readonly why?: string | undefined };

type Options = { readonly env?: NodeJS.ProcessEnv; readonly cwd?: string };

function missing(needs: Needs): string | undefined {
  if (needs.root === true && !isRoot) return 'needs root';
  if (needs.nobody === true && whyNotNobody() !== undefined) return whyNotNobody();
  const program = needs.programs?.find((name) => findProgram(name) === undefined);
  return program === undefined ? needs.why : `${program} is missing`;
}

/**
 * A test named `fault NUMBER: what`, after docs/reliability.md.
 * @param number of the list there; security cases begin with S
 */
export function fault(number: number | string, what: string, needs: Needs, body: (scene: Scene) => Promise<void>): void {
  const why = missing(needs);
  test.skipIf(why !== undefined)(`fault ${number}: ${what}${why === undefined ? '' : ` (skipped: ${why})`}`, async () => {
    const scene = new Scene(String(number), needs.nobody === true);
    try {
      await body(scene);
    } finally {
      await scene.end();
    }
  });
}

export class Scene {
  readonly box: Sandbox;
  readonly #number: string;
  readonly #nobody: boolean;
  #known: readonly KnownSnapshot[] = [];
  readonly #undo: (() => unknown)[] = [];
  /** The good snapshot before the fault. */
  old = '';

  constructor(number: string, nobody: boolean) {
    this.#number = number;
    this.#nobody = nobody && isRoot;
    this.box = new Sandbox({ fast: !nobody, nobody });
  }

  at(path: string): string {
    return join(this.box.project, path);
  }

  write(path: string, content: string | Uint8Array = `${path} as saved\n`): string {
    const full = this.at(path);
    mkdirSync(join(full, '..'), { recursive: true });
    writeFileSync(full, content);
    this.box.own(full);
    return full;
  }

  /** Something that must be taken back whatever happens (a mount, a process). */
  later(undo: () => unknown): void {
    this.#undo.push(undo);
  }

  /** The old snapshot: two files, and what the test wrote before. */
  async begin(kind: 'save' | 'backup' = 'save'): Promise<void> {
    this.write('a.txt');
    this.write('docs/b.txt');
    const made = await this.quick(kind === 'save' ? ['save'] : ['backup', 'now']);
    this.old = String(made.result['snapshot_id']);
    expect([made.code, made.problems.filter(({ severity }) => severity === 'error')]).toEqual([0, []]);
    if (!this.#nobody) this.#known = await remember(this.#judged, this.#places());
  }

  /** Shell commands over and over, until the function that it gives is called or the test ends. */
  loop(commands: string): () => void {
    const child = spawn('/bin/sh', ['-c', `exec 2>/dev/null; while :; do ${commands}; done`], { stdio: 'ignore' });
    const stop = () => void child.kill('SIGKILL');
    this.later(stop);
    return stop;
  }

  /** `bin/cora ARGS` in the project with a time limit of its own, so that what hangs fails here. */
  async cora(args: readonly string[], options: Options = {}): Promise<Run> {
    const begun = performance.now();
    const run = await this.box.cora(args, options);
    this.#took(begun);
    return run;
  }

  /** Any program with the environment in which Cora finds this vault. */
  async run(program: string, args: readonly string[], options: Options = {}): Promise<Run> {
    const begun = performance.now();
    const run = await execute(findProgram(program) ?? program, args, {
      cwd: options.cwd ?? this.box.project,
      env: { ...this.env(), ...options.env },
    });
    this.#took(begun);
    return run;
  }

  env(): NodeJS.ProcessEnv {
    return { PATH, HOME: this.box.home, CORA_VAULT: this.box.vault, CORA_LOG: join(this.box.root, 'cora.log') };
  }

  /** Cora under strace with injected errors; one thread, so that the count of calls is the same each time. */
  strace(inject: readonly string[], args: readonly string[]): Promise<Run> {
    const env = { UV_THREADPOOL_SIZE: '1', CORA_WORKERS: '0' };
    return this.run('strace', ['-f', '-qq', '-o', '/dev/null', ...inject, CORA, ...args], { env });
  }

  #took(begun: number): void {
    expect((performance.now() - begun) / 1000).toBeLessThan(limitSeconds());
  }

  /** The exit code and the sentence of a run that was told to fail; one `cora:` line, no stack. */
  ends(run: Run, code: number, words: RegExp): void {
    expect([run.code, run.stderr + run.stdout]).toEqual([code, expect.stringMatching(words)]);
    expect(run.stderr + run.stdout).not.toMatch(/\n\s+at .*[:(]\d+/);
    if (code !== 0 && code !== 3 && code !== 21) expect(run.stderr.split('\n').filter((line) => line.startsWith('cora: '))).toHaveLength(1);
    this.#record(code, run);
  }

  #record(code: number, run: Run): void {
    const file = process.env['CORA_TEST_FAULT_RESULTS'];
    const words = firstLines(run);
    if (file !== undefined)
      appendFileSync(file, `${JSON.stringify({ fault: this.#number, test: expect.getState().currentTestName, code, words })}\n`);
  }

  /** A command before or after the fault: in this process, which takes a tenth of the time. */
  quick(args: readonly string[]): Promise<DocumentRun> {
    return this.#nobody ? this.box.json(args) : jsonHere(this.box, args);
  }

  /** Ids that are listed, oldest first. */
  async ids(): Promise<string[]> {
    const listed = await this.quick(['list']);
    return (listed.result['snapshots'] as { snapshot_id: string }[]).map(({ snapshot_id: id }) => id);
  }

  /**
   * What the judge of all fault tests asks: the snapshots of before are as they were, those since are whole too, the next run
   * works without help, all verifies after it, and nothing is left over.
   * @param code how the next run ends
   */
  async recovers(code: 0 | 3 = 0): Promise<void> {
    this.write('a.txt', `after the fault ${performance.now()}\n`);
    if (this.#nobody) {
      const next = await this.quick(['save']);
      expect([next.code, next.result?.['outcome']]).toEqual([code, 'saved']);
      return this.wholeOld();
    }
    const since = (await remember(this.#judged, this.#places())).filter(
      ({ kind, id }) => !this.#known.some((one) => one.kind === kind && one.id === id),
    );
    const older = [...this.#known, ...since];
    expect(await judge(this.#judged, this.#places(), { older, newTrees: [], end: undefined, makes: null, nextCodes: [code] })).toEqual([]);
  }

  readonly #judged = (args: readonly string[]) => coraHere(this.box, args);

  #places(): { readonly project: string; readonly vault: string; readonly scratch: string } {
    return { project: this.box.project, vault: this.box.vault, scratch: join(this.box.root, 'scratch') };
  }

  /** Short of the judge, in the middle of a test: all verifies, and the old snapshot gives back what was saved. */
  async wholeOld(): Promise<void> {
    const verified = await this.quick(['verify', '--all', '--deep']);
    expect([verified.code, verified.error]).toEqual([0, undefined]);
    expect(await this.ids()).toContain(this.old);
    const content = await this.quick(['cat', this.old, 'a.txt']);
    expect(Buffer.from(String(content.result['content_base64']), 'base64').toString()).toBe('a.txt as saved\n');
  }

  /** The vault on a small disk of its own; its directory. */
  async vaultOn(options: string): Promise<string> {
    const disk = join(this.box.root, 'disk');
    await this.tmpfs(disk, options);
    this.box.vault = join(disk, 'vault');
    return disk;
  }

  /** A file system in memory, taken away at the end. */
  async tmpfs(at: string, options = 'size=64m'): Promise<void> {
    mkdirSync(at, { recursive: true });
    const run = await execute('/bin/mount', ['-t', 'tmpfs', '-o', options, 'none', at]);
    if (run.code !== 0) throw new Error(run.stderr);
    this.later(() => execute('/bin/umount', ['-l', '--', at]));
  }

  async end(): Promise<void> {
    for (const undo of this.#undo.reverse()) await undo();
    await this.box.remove();
  }
}

function firstLines(run: Run): string {
  return (run.stderr.trim() || run.stdout.trim()).split('\n').slice(0, 4).join(' | ').slice(0, 600);
}

/** A report of the vault as it lies there. */
export function readJson(path: string): Record<string, unknown> {
  return JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
}
