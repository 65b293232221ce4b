// Runs one command line in this process with captured streams and an engine of the test's own.

import { bytes } from '../../src/base/bytes.ts';
import { defaultConfig } from '../../src/base/config.ts';
import type { Engine } from '../../src/cli/engine.ts';
import type { Host } from '../../src/cli/session.ts';
import { main } from '../../src/cli.ts';
import type { Project } from '../../src/vault/project.ts';

export type CliRun = { readonly code: number; readonly stdout: string; readonly stderr: string };

export const project: Project = { root: bytes('/srv/app'), name: 'app', config: defaultConfig, warnings: [] };

/** An engine that knows the project above, fails for all else, and is completed by the test. */
export function engineOf(parts: Partial<Engine>): Engine {
  const missing = (): never => {
    throw new Error('the test gave no such action');
  };
  return {
    findProject: async () => project,
    locateVault: async (_project, _configured, env) => ({
      path: env.explicit ?? '/var/backups/app',
      source: 'default',
      expectedId: undefined,
      memory: undefined,
    }),
    save: missing,
    backup: missing,
    verify: missing,
    planRestore: missing,
    applyRestore: missing,
    restoreInPlace: missing,
    list: missing,
    show: missing,
    status: missing,
    ...parts,
  };
}

export async function cli(
  args: readonly string[],
  parts: Partial<Engine> = {},
  env: NodeJS.ProcessEnv = {},
  overrides: Partial<Host> & { readonly tty?: boolean } = {},
): Promise<CliRun> {
  let stdout = '';
  let stderr = '';
  const { tty = false, ...host } = overrides;
  const code = await main(args, env, {
    engine: engineOf(parts),
    stdout: {
      write: (text) => {
        stdout += text;
      },
    },
    stderr: {
      write: (text) => {
        stderr += text;
      },
      isTTY: tty,
      columns: 80,
    },
    cwd: () => bytes('/srv/app'),
    now: () => Date.UTC(2026, 10, 21, 14, 42, 0),
    record: () => undefined,
    ask: undefined,
    ...host,
  });
  return { code, stdout, stderr };
}
