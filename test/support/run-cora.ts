// Runs the built program as a user does: a process of its own, an environment from nothing.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const CORA = join(import.meta.dirname, '../../bin/cora');

export type CoraRun = { readonly code: number | null; readonly out: string; readonly err: string };

/** A scratch directory with a place for a project, a vault and a home. */
export type Scratch = {
  readonly root: string;
  readonly project: string;
  readonly vault: string;
  readonly env: Record<string, string>;
  readonly remove: () => void;
};

export function makeScratch(): Scratch {
  const root = mkdtempSync(join(tmpdir(), 'cora-e2e-'));
  const env = {
    PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin',
    HOME: join(root, 'home'),
    CORA_VAULT: join(root, 'vault'),
    CORA_LOG: join(root, 'cora.log'),
    LC_ALL: 'C.UTF-8',
  };
  return { root, project: join(root, 'project'), vault: env.CORA_VAULT, env, remove: () => removeSealed(root) };
}

/** Deletes a directory that may hold sealed backups. */
export function removeSealed(root: string): void {
  unseal(root);
  rmSync(root, { recursive: true, force: true });
}

/** Takes the flags away, so that a test can damage what no user could. */
export function unseal(root: string): void {
  spawnSync('chattr', ['-R', '-f', '-ia', root]);
}

export function cora(scratch: Scratch, args: readonly string[], env: Readonly<Record<string, string>> = {}): CoraRun {
  const run = spawnSync(CORA, args, { cwd: scratch.project, env: { ...scratch.env, ...env }, encoding: 'utf8', timeout: 60_000 });
  return { code: run.status, out: run.stdout, err: run.stderr };
}

/** The `result` of a `--json` run that ended with `code`. */
export function coraJson(scratch: Scratch, args: readonly string[], code = 0): Record<string, unknown> {
  const run = cora(scratch, [...args, '--json']);
  if (run.code !== code) throw new Error(`cora ${args.join(' ')} ended with ${run.code}: ${run.err}`);
  return (JSON.parse(run.out) as { result: Record<string, unknown> }).result;
}

/** Starts it in a process group of its own, so that a kill takes all of it. */
export function startCora(scratch: Scratch, args: readonly string[]): ChildProcess {
  return spawn(CORA, args, { cwd: scratch.project, env: scratch.env, stdio: 'ignore', detached: true });
}

export function sh(command: string, cwd: string): string {
  const run = spawnSync('/bin/sh', ['-c', command], {
    cwd,
    encoding: 'utf8',
    env: { PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin', LC_ALL: 'C', HOME: '/nonexistent' },
  });
  if (run.status !== 0) throw new Error(`${command}: ${run.stderr}`);
  return run.stdout;
}
