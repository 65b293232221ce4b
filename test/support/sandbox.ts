// A project, a vault and a home in one temporary directory, and the real `bin/cora` run in them with
// an environment of nothing but PATH, HOME and CORA_VAULT. Nothing outside the directory is touched.

import { spawn } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { findProgram, runSync } from '../../src/os/run.ts';

const NOBODY = 65_534;
export const isRoot = process.getuid?.() === 0;

const repository = join(import.meta.dirname, '..', '..');
const CORA = join(repository, 'bin', 'cora');
export const PATH = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'].join(delimiter);
/** A memory file system smaller than this is left alone. */
const ROOM = 1 << 30;

export type Run = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

/** The one document of `--json`. */
export type Document = {
  readonly ok: boolean;
  readonly result: Record<string, unknown>;
  readonly error: { readonly code: string };
  readonly problems: readonly { readonly code: string; readonly path?: string; readonly severity: string; readonly message: string }[];
};

export type Program = { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv };

/** Runs a program to its end without blocking this process, its input empty. */
export function execute(program: string, args: readonly string[], { cwd = '/', env = { PATH } }: Program = {}): Promise<Run> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() }));
  });
}

/** Why Cora cannot be run without root's rights here, or undefined. */
export function whyNotNobody(): string | undefined {
  if (!isRoot) return undefined;
  const setpriv = findProgram('setpriv');
  if (setpriv === undefined) return 'no setpriv';
  const args = ['--reuid', String(NOBODY), '--regid', String(NOBODY), '--clear-groups', '--', CORA, '--version'];
  return runSync(setpriv, args).exitCode === 0 ? undefined : 'nobody cannot read this clone';
}

export class Sandbox {
  readonly root: string;
  readonly project: string;
  /** Where Cora is told that the vault is; a test may move it. */
  vault: string;
  readonly home: string;
  readonly #nobody: boolean;

  /** @param options `nobody`: run by root, all is owned by, and Cora runs as, the user nobody; `fast`: in memory where there is room */
  constructor(options: { readonly nobody?: boolean; readonly fast?: boolean } = {}) {
    const fast = options.fast === true && existsSync('/dev/shm') && roomIn('/dev/shm') > ROOM;
    this.root = mkdtempSync(join(fast ? '/dev/shm' : tmpdir(), 'cora-sandbox-'));
    this.project = join(this.root, 'project');
    this.vault = join(this.root, 'vault');
    this.home = join(this.root, 'home');
    this.#nobody = options.nobody === true && isRoot;
    for (const path of [this.project, this.home]) mkdirSync(path);
    for (const path of [this.root, this.project, this.home]) this.own(path);
  }

  /** `bin/cora ARGS` in the project. */
  cora(args: readonly string[], options: Program = {}): Promise<Run> {
    const env = { PATH, HOME: this.home, CORA_VAULT: this.vault, CORA_LOG: join(this.root, 'cora.log'), ...options.env };
    const cwd = options.cwd ?? this.project;
    if (!this.#nobody) return execute(CORA, args, { cwd, env });
    return execute('setpriv', ['--reuid', String(NOBODY), '--regid', String(NOBODY), '--clear-groups', '--', CORA, ...args], { cwd, env });
  }

  /** The exit code and the document of `bin/cora ARGS --json`. */
  async json(args: readonly string[], options: Program = {}): Promise<Document & { readonly code: number | null; readonly stderr: string }> {
    const run = await this.cora([...args, '--json'], options);
    try {
      return { ...(JSON.parse(run.stdout) as Document), code: run.code, stderr: run.stderr };
    } catch {
      throw new Error(`cora ${args.join(' ')} ended with ${run.code} and printed no document: ${run.stdout}${run.stderr}`);
    }
  }

  /** A save or a backup that must end with one of `codes`; gives its id and absolute path. */
  async snapshot(args: readonly string[], ...codes: readonly number[]): Promise<{ readonly id: string; readonly path: string }> {
    const made = await this.json(args);
    const { snapshot_id: id, path } = made.result ?? {};
    if (!(codes.length === 0 ? [0] : codes).includes(made.code ?? -1) || typeof id !== 'string' || typeof path !== 'string')
      throw new Error(`cora ${args.join(' ')} ended with ${made.code}: ${JSON.stringify(made)}`);
    return { id, path };
  }

  /** The vault's restore.sh with an empty environment. */
  restoreScript(args: readonly string[]): Promise<Run> {
    return execute('/usr/bin/env', ['-i', '/bin/sh', join(this.vault, 'restore.sh'), ...args], { cwd: this.root });
  }

  /** Gives a path to whoever Cora runs as. */
  own(path: string): void {
    if (this.#nobody) chownSync(path, NOBODY, NOBODY);
  }

  /** Deletes everything, whatever its modes and depth. */
  async remove(): Promise<void> {
    forgetProjects(this.root);
    if (!isRoot) await execute('chmod', ['-R', 'u+rwx', '--', this.root]);
    else await execute('chattr', ['-R', '-f', '-ia', this.root]);
    await execute('rm', ['-rf', '--', this.root]);
  }
}

function roomIn(path: string): number {
  const { bavail, bsize } = statfsSync(path);
  return bavail * bsize;
}

/** What root's Cora remembers of projects in a sandbox (`cora recover --vault`) lies outside of it. */
function forgetProjects(root: string): void {
  const directory = '/var/lib/cora/projects';
  if (!isRoot || !existsSync(directory)) return;
  for (const name of readdirSync(directory)) {
    const file = join(directory, name);
    try {
      if (readFileSync(file, 'utf8').includes(`"root":"${root}/`)) rmSync(file);
    } catch {
      // Another test's, which has just removed it.
    }
  }
}
