// `cora ARGS --json` of a sandbox run in this process with the real layers: a test of many short runs takes a third of the time.

import { bytes } from '../../src/base/bytes.ts';
import { engine } from '../../src/cli/engine.ts';
import { type CliRun, cli } from './cli-run.ts';
import type { Document, Sandbox } from './sandbox.ts';

export type DocumentRun = Document & { readonly code: number | null; readonly stderr: string };

/** The same contract as `sandbox.cora`; `cwd` is relative to the project. */
export function coraHere(sandbox: Sandbox, args: readonly string[], cwd = '', more: NodeJS.ProcessEnv = {}): Promise<CliRun> {
  const env = { HOME: sandbox.home, CORA_VAULT: sandbox.vault, CORA_LOG: '', CORA_WORKERS: '0', ...more };
  const directory = bytes(cwd === '' ? sandbox.project : `${sandbox.project}/${cwd}`);
  return cli(args, engine, env, { cwd: () => directory, now: Date.now });
}

/** The same contract as `sandbox.json`; `cwd` is relative to the project. */
export async function jsonHere(sandbox: Sandbox, args: readonly string[], cwd = '', more: NodeJS.ProcessEnv = {}): Promise<DocumentRun> {
  const run = await coraHere(sandbox, ['--json', ...args], cwd, more);
  return { ...(JSON.parse(run.stdout) as Document), code: run.code, stderr: run.stderr };
}
