// Off-site places for tests: each one is started on loopback or in the sandbox, and written into the rclone.conf of the
// sandbox's home, where Cora looks. Every secret in it is a canary: a text that may turn up nowhere else.
// `stop` ends what was started, by its own handle.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { appendFileSync, chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findProgram } from '../../src/os/run.ts';
import { S3Server } from './s3-server.ts';
import { execute, type Run, type Sandbox } from './sandbox.ts';

/** Where Cora finds rclone's configuration, below a home. */
const CONFIG = '.config/rclone/rclone.conf';
const BUCKET = 'cora-backups';

/** What tests of a kind of remote need beside rclone; the heavy ones are started by test/offsite/servers.ts. */
export type Kind = 'local' | 'crypt' | 'webdav' | 'sftp' | 's3' | 'ceph' | 'swift';

export type Endpoint = { readonly endpoint: string; readonly accessKey: string; readonly secretKey: string };

/** Why nothing can be shipped to a remote by name here, or undefined. */
export const whyNoRclone: string | undefined = findProgram('rclone') === undefined ? 'rclone is missing' : undefined;

export class Remote {
  readonly kind: Kind;
  /** As it stands in `[offsite] remote`. */
  readonly spec: string;
  readonly secrets: readonly string[];
  readonly #home: string;
  readonly #end: () => Promise<void>;

  constructor(kind: Kind, sandbox: Sandbox, spec: string, secrets: readonly string[], end: () => Promise<void>) {
    this.kind = kind;
    this.spec = spec;
    this.secrets = secrets;
    this.#home = sandbox.home;
    this.#end = end;
  }

  /** The way Cora's user would look at it; the last words are paths below the remote's top. */
  rclone(command: readonly string[], path = ''): Promise<Run> {
    const target = path === '' ? this.spec : `${this.spec}/${path}`;
    return rclone(this.#home, [...command, target]);
  }

  /** All files below `path`, sorted; empty when nothing is there. */
  async files(path = ''): Promise<string[]> {
    const run = await this.rclone(['lsf', '-R', '--files-only'], path);
    if (run.code !== 0) {
      if (run.stderr.includes('directory not found')) return [];
      throw new Error(`rclone lsf ended with ${run.code}: ${run.stderr}`);
    }
    return run.stdout
      .split('\n')
      .filter((line) => line !== '')
      .sort();
  }

  /** Another byte in the middle of a file, size and time as they were. */
  async alter(path: string): Promise<void> {
    const directory = mkdtempSync(join(tmpdir(), 'cora-alter-'));
    try {
      const file = join(directory, 'f');
      await this.#must(['copyto', `${this.spec}/${path}`, file]);
      const bytes = readFileSync(file);
      const at = bytes.length >> 1;
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      writeFileSync(file, bytes);
      await this.#must(['copyto', '--ignore-times', file, `${this.spec}/${path}`]);
    } finally {
      rmSync(directory, { recursive: true });
    }
  }

  delete(path: string): Promise<Run> {
    return this.#must(['deletefile', `${this.spec}/${path}`]);
  }

  /** Ends what was started for it. */
  stop(): Promise<void> {
    return this.#end();
  }

  async #must(args: readonly string[]): Promise<Run> {
    const run = await rclone(this.#home, args);
    if (run.code !== 0) throw new Error(`rclone ${args[0]} ended with ${run.code}: ${run.stderr}`);
    return run;
  }
}

/** A directory beside the project: another disk. */
export function localRemote(sandbox: Sandbox, name = 'disk'): Remote {
  const path = join(sandbox.root, name);
  mkdirSync(path, { recursive: true });
  sandbox.own(path);
  return new Remote('local', sandbox, path, [], async () => undefined);
}

/** rclone's own encryption over a directory. */
export function cryptRemote(sandbox: Sandbox): Remote {
  const path = join(sandbox.root, 'crypt');
  mkdirSync(path);
  sandbox.own(path);
  const secret = canary('crypt');
  addSection(sandbox, 'crypt', { type: 'crypt', remote: path, password: obscure(secret) });
  return new Remote('crypt', sandbox, 'crypt:', [secret, obscure(secret)], async () => undefined);
}

/** `rclone serve webdav` or `sftp`, with a password, over a directory. */
export async function servedRemote(sandbox: Sandbox, kind: 'webdav' | 'sftp'): Promise<Remote> {
  const secret = canary(kind);
  const served = await serve(kind, secret);
  mkdirSync(join(served.directory, BUCKET));
  const where: Record<string, string> =
    kind === 'webdav'
      ? { type: 'webdav', url: `http://127.0.0.1:${served.port}`, vendor: 'other' }
      : { type: 'sftp', host: '127.0.0.1', port: String(served.port), shell_type: 'unix' };
  addSection(sandbox, kind, { ...where, user: 'cora', pass: obscure(secret) });
  return new Remote(kind, sandbox, `${kind}:${BUCKET}`, [secret], served.stop);
}

/** The light S3 server, which the test may also turn against Cora. */
export async function s3Remote(sandbox: Sandbox): Promise<Remote & { readonly server: S3Server; readonly bucket: string }> {
  const server = await S3Server.start(BUCKET);
  addS3(sandbox, 's3', server);
  const remote = new Remote('s3', sandbox, `s3:${BUCKET}`, [server.secretKey], () => server.stop());
  return Object.assign(remote, { server, bucket: BUCKET });
}

/** A bucket of a real S3 server that runs already; the bucket is this test's own, and goes when the server goes. */
export async function bucketRemote(sandbox: Sandbox, kind: 'ceph' | 'swift', endpoint: Endpoint): Promise<Remote> {
  const bucket = `cora-${randomBytes(4).toString('hex')}`;
  addS3(sandbox, kind, endpoint);
  const made = await rclone(sandbox.home, ['mkdir', `${kind}:${bucket}`]);
  if (made.code !== 0) throw new Error(`No bucket: ${made.stderr}`);
  return new Remote(kind, sandbox, `${kind}:${bucket}`, [endpoint.secretKey], async () => undefined);
}

/** An S3 section in the sandbox's rclone.conf, replacing one of the same name. */
export function addS3(sandbox: Sandbox, name: string, { endpoint, accessKey, secretKey }: Endpoint): void {
  addSection(sandbox, name, {
    type: 's3',
    provider: 'Other',
    endpoint,
    access_key_id: accessKey,
    secret_access_key: secretKey,
    region: 'us-east-1',
    force_path_style: 'true',
  });
}

/** Writes a section; a later one of the same name takes the place of the earlier. */
export function addSection(sandbox: Sandbox, name: string, values: Readonly<Record<string, string>>): void {
  const file = join(sandbox.home, CONFIG);
  for (const directory of ['.config', '.config/rclone']) {
    mkdirSync(join(sandbox.home, directory), { recursive: true, mode: 0o700 });
    sandbox.own(join(sandbox.home, directory));
  }
  const old = existsSync(file) ? readFileSync(file, 'utf8') : '';
  const others = old.split(/^(?=\[)/m).filter((section) => section !== '' && !section.startsWith(`[${name}]`));
  writeFileSync(file, others.join(''), { mode: 0o600 });
  const lines = Object.entries(values).map(([key, value]) => `${key} = ${value}\n`);
  appendFileSync(file, `[${name}]\n${lines.join('')}\n`);
  chmodSync(file, 0o600);
  sandbox.own(file);
}

/** A secret that names where it was put. */
export function canary(place: string): string {
  return `${place}-canary-${randomBytes(12).toString('hex')}`;
}

async function rclone(home: string, args: readonly string[]): Promise<Run> {
  const program = findProgram('rclone');
  if (program === undefined) throw new Error('rclone is missing');
  const limits = ['--retries', '1', '--low-level-retries', '2', '--contimeout', '10s'];
  return execute(program, ['--config', join(home, CONFIG), ...limits, ...args], { env: { PATH: '/usr/bin:/bin', HOME: home } });
}

/** rclone's reversible form of a password, which it wants in its configuration. The password is never an argument. */
function obscure(secret: string): string {
  const run = spawnSync(findProgram('rclone') ?? 'rclone', ['--config', '/dev/null', 'obscure', '-'], { input: secret, encoding: 'utf8' });
  if (run.status !== 0) throw new Error(`rclone obscure: ${run.stderr}`);
  return run.stdout.trim();
}

type Served = { readonly port: number; readonly directory: string; readonly stop: () => Promise<void> };

async function serve(kind: 'webdav' | 'sftp', secret: string): Promise<Served> {
  const root = mkdtempSync(join(tmpdir(), `cora-${kind}-`));
  const directory = join(root, 'data');
  mkdirSync(directory);
  const env = { PATH: '/usr/bin:/bin', HOME: root, RCLONE_USER: 'cora', RCLONE_PASS: secret };
  const args = ['--config', '/dev/null', '-v', 'serve', kind, directory, '--addr', '127.0.0.1:0'];
  const child = spawn(findProgram('rclone') ?? 'rclone', args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  const atExit = (): void => void child.kill('SIGKILL');
  process.on('exit', atExit);
  const stop = async (): Promise<void> => {
    process.off('exit', atExit);
    if (child.exitCode === null && child.kill('SIGKILL')) await once(child, 'close');
    rmSync(root, { recursive: true, force: true });
  };
  try {
    return { port: await portOf(child), directory, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The port that it says it listens on. */
function portOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    let said = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      const port = /(?:http:\/\/|listening on )127\.0\.0\.1:(\d+)/.exec(said)?.[1];
      if (port !== undefined && port !== '0') resolve(Number(port));
    });
    child.on('close', () => reject(new Error(`rclone serve ended: ${said}`)));
    setTimeout(() => reject(new Error(`rclone serve did not listen in 10 s: ${said}`)), 10_000).unref();
  });
}
