// For the tests that no secret is anywhere but where it was put: projects that ship, and a recorder of all that Cora prints,
// writes, sends and starts meanwhile, which is searched for canaries in the end.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { ArgumentsWatch } from './arguments-watch.ts';
import type { S3Server } from './s3-server.ts';
import { execute, type Run, type Sandbox } from './sandbox.ts';

/** A project whose copies are encrypted for an identity of its own; the identity's file and its secret line. */
export async function encryptingProject(sandbox: Sandbox, offsite: string): Promise<{ readonly identity: string; readonly secret: string }> {
  mkdirSync(join(sandbox.root, 'tmp'));
  writeFileSync(join(sandbox.project, 'a.txt'), 'a\n'.repeat(5000));
  const identity = join(sandbox.home, '.config/cora/keys/project.txt');
  const made = await sandbox.json(['key', 'new', '--out', identity]);
  expect(made.code, JSON.stringify(made)).toBe(0);
  const text = readFileSync(identity, 'utf8');
  const secret = /^AGE-SECRET-KEY-\S+$/m.exec(text)?.[0] ?? '';
  const recipient = /age1[a-z0-9]+/.exec(text)?.[0] ?? '';
  expect(secret).not.toBe('');
  expect(JSON.stringify(made)).not.toContain(secret);
  writeFileSync(join(sandbox.project, 'cora.toml'), `[offsite]\nrecipients = ["${recipient}"]\ntimeout = "5s"\n${offsite}`);
  return { identity, secret };
}

/** One whose backups stay here until somebody ships them, with nothing secret in it. */
export function plainProject(sandbox: Sandbox, offsite: string): void {
  mkdirSync(join(sandbox.root, 'tmp'));
  writeFileSync(join(sandbox.project, 'cora.toml'), `[offsite]\nafter_backup = false\ntimeout = "5s"\n${offsite}`);
}

/** Runs Cora and keeps whatever it printed, and what any process had for arguments meanwhile. */
export class Recorder {
  readonly #sandbox: Sandbox;
  readonly #env: NodeJS.ProcessEnv;
  readonly #printed: string[] = [];
  readonly #watch = new ArgumentsWatch();

  constructor(sandbox: Sandbox, env: NodeJS.ProcessEnv = {}) {
    this.#sandbox = sandbox;
    this.#env = { TMPDIR: join(sandbox.root, 'tmp'), ...env };
    this.#watch.start();
  }

  /** @param code which it must end with */
  async run(args: readonly string[], code: number): Promise<Run> {
    const run = await this.#sandbox.cora(args, { env: this.#env });
    this.#printed.push(run.stdout, run.stderr);
    expect(run.code, `cora ${args.join(' ')}: ${run.stdout}${run.stderr}`).toBe(code);
    return run;
  }

  /** Ends the sampling, which would keep the process. */
  stop(): void {
    this.#watch.stop();
  }

  /** Each canary is in the files that are named and nowhere else: not printed, started with, written or sent. */
  async expectNowhereBut(
    canaries: Readonly<Record<string, readonly string[]>>,
    remote?: { readonly server: S3Server; readonly bucket: string },
  ): Promise<void> {
    const started = this.#watch.stop();
    const { server, bucket = '' } = remote ?? {};
    // Else nothing was watched.
    expect(started.some((line) => line.includes('rclone') && line.includes('--use-json-log'))).toBe(true);
    for (const [secret, places] of Object.entries(canaries)) {
      expect(this.#printed.filter((text) => text.includes(secret))).toEqual([]);
      expect(started.filter((line) => line.includes(secret))).toEqual([]);
      const found = await execute('grep', ['-rlaF', '-e', secret, this.#sandbox.root]);
      expect(found.stdout.split('\n').filter(Boolean).sort()).toEqual([...places].sort());
      for (const key of server?.keys(bucket) ?? []) expect(server?.read(bucket, key).includes(secret)).toBe(false);
      expect(server?.requests.filter((line) => line.includes(secret)) ?? []).toEqual([]);
    }
  }
}
