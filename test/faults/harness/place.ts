// Where trials happen: one directory with a project, a vault, a home and a remote, put back to the same start before each
// trial. Cora runs there as a process of its own, or in this one where nothing is to be injected. Everything is removed
// again, flags and what root's Cora remembers of it too.

import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CoraEnd } from '../../../src/actions/judge.ts';
import { bytes } from '../../../src/base/bytes.ts';
import { engine } from '../../../src/cli/engine.ts';
import { cli } from '../../support/cli-run.ts';
import { isRoot, PATH } from '../../support/sandbox.ts';

const repository = join(import.meta.dirname, '..', '..', '..');
const CORA = join(repository, 'bin', 'cora');
/** No step of a trial takes longer. */
const LIMIT_MS = 60_000;

export class Place {
  readonly root: string;
  readonly #flags = new Map<string, Flagged[]>();
  #startedAt = 0;

  /** @param parent a directory on a disk: a memory file system would keep no promise */
  constructor(parent = process.env['CORA_FAULTS_DIR'] ?? tmpdir()) {
    this.root = mkdtempSync(join(parent, 'cora-faults-'));
    for (const name of ['project', 'home', 'remote', 'tmp']) mkdirSync(this.at(name), { recursive: true });
  }

  at(...path: string[]): string {
    return join(this.root, 'live', ...path);
  }

  get project(): string {
    return this.at('project');
  }

  get vault(): string {
    return this.at('vault');
  }

  get scratch(): string {
    return join(this.root, 'scratch');
  }

  /** The whole environment of a run. One thread does all the work, so that calls can be counted. */
  get env(): Record<string, string> {
    return {
      PATH,
      HOME: this.at('home'),
      TMPDIR: this.at('tmp'),
      CORA_VAULT: this.vault,
      CORA_LOG: this.at('cora.log'),
      CORA_WORKERS: '0',
      UV_THREADPOOL_SIZE: '1',
      UV_USE_IO_URING: '0',
      TZ: 'UTC',
    };
  }

  /** `bin/cora ARGS` in the project. */
  readonly cora = (args: readonly string[]): Promise<CoraEnd> => this.run(CORA, args);

  /** The same in this process: a quarter of the time, for looks that nothing is injected into. */
  readonly coraHere = async (args: readonly string[]): Promise<CoraEnd> => {
    const run = await cli(args, engine, { ...this.env, CORA_LOG: '' }, { cwd: () => bytes(this.project), now: Date.now, stdio: undefined as never });
    return run;
  };

  /** A program in the project, waited for with all that it started. */
  async run(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<CoraEnd> {
    const child = spawn(program, args, { cwd: this.project, env: { ...this.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    running.add(child.pid ?? 0);
    const limit = setTimeout(() => endGroup(child.pid ?? 0), LIMIT_MS);
    try {
      const code = await new Promise<number | null>((resolve, reject) => {
        child.on('error', reject);
        child.on('close', (exit, signal) => resolve(signal === null ? exit : null));
      });
      await groupEnded(child.pid ?? 0);
      return { code, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() };
    } finally {
      clearTimeout(limit);
      endGroup(child.pid ?? 0);
      running.delete(child.pid ?? 0);
    }
  }

  /** The clock of each traced run, in milliseconds since 1970: a second that no snapshot has yet. */
  get startedAt(): number {
    return this.#startedAt;
  }

  /** What is there now is the start of each trial; by another name a state to come back to. */
  keep(name: 'start' | 'cut' | 'base' = 'start'): void {
    if (name === 'start') this.#startedAt = (Math.floor(Date.now() / 1000) + 1) * 1000;
    this.#flags.set(name, isRoot ? flagged(this.at()) : []);
    this.#clear(join(this.root, name));
    execFileSync('cp', ['-a', '--', this.at(), join(this.root, name)]);
  }

  /** Back to what was kept; attribute flags too, which cp does not take along. */
  reset(name: 'start' | 'cut' | 'base' = 'start'): void {
    this.#clear(this.at());
    execFileSync('cp', ['-a', '--', join(this.root, name), this.at()]);
    for (const flag of ['+i', '+a'] as const) {
      const paths = (this.#flags.get(name) ?? []).filter((one) => one.flag === flag).map(({ path }) => path);
      if (paths.length > 0) execFileSync('chattr', [flag, '--', ...paths]);
    }
  }

  #clear(path: string): void {
    if (isRoot && existsSync(path)) spawnSync('chattr', ['-R', '-f', '-ia', '--', path]);
    rmSync(path, { recursive: true, force: true });
  }

  /** Removes all of it. Safe to call twice. */
  remove(): void {
    this.#clear(this.root);
    forget(this.root);
  }
}

type Flagged = { readonly flag: '+i' | '+a'; readonly path: string };

/** Deepest first. Names of flagged files in trials hold no newline. */
function flagged(top: string): Flagged[] {
  const lines = spawnSync('lsattr', ['-R', '-a', '--', top], { encoding: 'utf8', maxBuffer: 64 << 20 }).stdout.split('\n');
  const found = lines.flatMap((line): Flagged[] => {
    const match = /^([a-zA-Z-]{10,}) (\/.*)$/.exec(line);
    const flag = match?.[1]?.includes('i') === true ? '+i' : match?.[1]?.includes('a') === true ? '+a' : undefined;
    const path = match?.[2] ?? '';
    return flag === undefined || path.endsWith('/.') || path.endsWith('/..') ? [] : [{ flag, path }];
  });
  return found.sort((a, b) => b.path.length - a.path.length);
}

const running = new Set<number>();

/** For a runner that is told to stop. */
export function endAllRuns(): void {
  for (const pid of running) endGroup(pid);
}

function endGroup(pid: number): void {
  if (pid <= 0) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // All of it has ended.
  }
}

/** Children of a killed run end by themselves; nobody judges before. */
async function groupEnded(pid: number): Promise<void> {
  for (let waited = 0; waited < 10_000; waited += 20) {
    try {
      process.kill(-pid, 0);
    } catch {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** What root's Cora remembers of projects lies outside of the place. */
function forget(root: string): void {
  const directory = '/var/lib/cora/projects';
  if (!isRoot || !existsSync(directory)) return;
  for (const name of readdirSync(directory)) {
    const file = join(directory, name);
    try {
      if (readFileSync(file, 'utf8').includes(`"root":"${root}/`)) rmSync(file);
    } catch {
      // Another's, which has just removed it.
    }
  }
}
