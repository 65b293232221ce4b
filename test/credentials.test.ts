// No secret is anywhere but where it was put: a canary in each place that Cora takes keys from, then ships that go well, have the
// wrong key, or find nobody; and everything that was printed, written, sent or started is searched for it.

import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { ArgumentsWatch } from './support/arguments-watch.ts';
import { addS3, addSection, canary, servedRemote, whyNoRclone } from './support/remotes.ts';
import { S3Server } from './support/s3-server.ts';
import { execute, type Run, Sandbox } from './support/sandbox.ts';

const BUCKET = 'cora-backups';
const slow = process.env['CORA_TEST_SLOW'] === '1';
const cleanUp: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step();
});

/** Where a secret is put. `put` writes it there; the same call with another secret replaces it. */
type Place = {
  readonly name: string;
  readonly remote: string;
  /** Only in the long run: it is like another one. */
  readonly slow?: true;
  readonly env?: (sandbox: Sandbox) => NodeJS.ProcessEnv;
  readonly put: (sandbox: Sandbox, server: S3Server, secret: string) => string;
};

function write(sandbox: Sandbox, path: string, text: string): string {
  const file = join(sandbox.root, path);
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, text, { mode: 0o600 });
  return file;
}

const backupEnv = ({ endpoint, accessKey }: S3Server, secret: string) =>
  `# keys of the bucket\nexport SPACES_ACCESS_KEY=${accessKey}\nSPACES_SECRET_KEY="${secret}"\nSPACES_ENDPOINT=${endpoint}\nBACKUP_BUCKET=${BUCKET}\n`;
const rcloneConf = ({ endpoint, accessKey }: S3Server, secret: string) =>
  `[s3]\ntype = s3\nprovider = Other\nendpoint = ${endpoint}\naccess_key_id = ${accessKey}\nsecret_access_key = ${secret}\nforce_path_style = true\n`;
const systemd = (sandbox: Sandbox) => ({ CREDENTIALS_DIRECTORY: join(sandbox.root, 'credentials') });

const PLACES: readonly Place[] = [
  {
    name: 'backup.env of the home',
    remote: '',
    put: (sandbox, server, secret) => write(sandbox, 'home/.config/cora/backup.env', backupEnv(server, secret)),
  },
  {
    name: 'backup.env as a systemd credential',
    remote: '',
    slow: true,
    env: systemd,
    put: (sandbox, server, secret) => write(sandbox, 'credentials/backup.env', backupEnv(server, secret)),
  },
  {
    name: 'rclone.conf of the home',
    remote: `s3:${BUCKET}`,
    slow: true,
    put: (sandbox, server, secret) => {
      addS3(sandbox, 's3', { endpoint: server.endpoint, accessKey: server.accessKey, secretKey: secret });
      return join(sandbox.home, '.config/rclone/rclone.conf');
    },
  },
  {
    name: 'rclone.conf as a systemd credential',
    remote: `s3:${BUCKET}`,
    env: systemd,
    put: (sandbox, server, secret) => write(sandbox, 'credentials/rclone.conf', rcloneConf(server, secret)),
  },
];

/** A project whose copies are encrypted for an identity of its own; the identity's file and its secret line. */
async function project(offsite: string): Promise<{ readonly sandbox: Sandbox; readonly identity: string; readonly secret: string }> {
  const sandbox = new Sandbox();
  cleanUp.push(() => sandbox.remove());
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
  return { sandbox, identity, secret };
}

/** One whose backups stay here until somebody ships them, with nothing secret in it. */
function plainProject(offsite: string): Sandbox {
  const sandbox = new Sandbox();
  cleanUp.push(() => sandbox.remove());
  mkdirSync(join(sandbox.root, 'tmp'));
  writeFileSync(join(sandbox.project, 'cora.toml'), `[offsite]\nafter_backup = false\ntimeout = "5s"\n${offsite}`);
  return sandbox;
}

/** Runs Cora and keeps whatever it printed, and what any process had for arguments meanwhile. */
class Recorder {
  readonly #sandbox: Sandbox;
  readonly #env: NodeJS.ProcessEnv;
  readonly #printed: string[] = [];
  readonly #watch = new ArgumentsWatch();

  constructor(sandbox: Sandbox, env: NodeJS.ProcessEnv = {}) {
    this.#sandbox = sandbox;
    this.#env = { TMPDIR: join(sandbox.root, 'tmp'), ...env };
    this.#watch.start();
    cleanUp.push(async () => this.#watch.stop());
  }

  /** @param code which it must end with */
  async run(args: readonly string[], code: number): Promise<Run> {
    const run = await this.#sandbox.cora(args, { env: this.#env });
    this.#printed.push(run.stdout, run.stderr);
    expect(run.code, `cora ${args.join(' ')}: ${run.stdout}${run.stderr}`).toBe(code);
    return run;
  }

  /** Each canary is in the files that are named and nowhere else: not printed, started with, written or sent. */
  async expectNowhereBut(canaries: Readonly<Record<string, readonly string[]>>, server: S3Server | undefined): Promise<void> {
    const started = this.#watch.stop();
    // Else nothing was watched.
    expect(started.some((line) => line.includes('rclone') && line.includes('--use-json-log'))).toBe(true);
    for (const [secret, places] of Object.entries(canaries)) {
      expect(this.#printed.filter((text) => text.includes(secret))).toEqual([]);
      expect(started.filter((line) => line.includes(secret))).toEqual([]);
      const found = await execute('grep', ['-rlaF', '-e', secret, this.#sandbox.root]);
      expect(found.stdout.split('\n').filter(Boolean).sort()).toEqual([...places].sort());
      for (const key of server?.keys(BUCKET) ?? []) expect(server?.read(BUCKET, key).includes(secret)).toBe(false);
      expect(server?.requests.filter((line) => line.includes(secret)) ?? []).toEqual([]);
    }
  }
}

test.skipIf(whyNoRclone !== undefined).each(PLACES.filter((place) => slow || place.slow !== true))(
  '$name: the secret is nowhere else, whether a ship goes well, has the wrong key or finds nobody',
  async ({ remote, env, put }) => {
    const server = await S3Server.start(BUCKET);
    let isUp = true;
    cleanUp.push(async () => isUp && server.stop());
    const { sandbox, identity, secret: ageSecret } = await project(remote === '' ? '' : `remote = "${remote}"\n`);
    const file = put(sandbox, server, server.secretKey);
    const recorder = new Recorder(sandbox, env?.(sandbox));
    await recorder.run(['backup', 'now', '-v'], 0);
    expect(server.keys(BUCKET).some((key) => key.endsWith('/COMPLETE.json'))).toBe(true);
    await recorder.run(['ship', '--check', '--json'], 0);
    await recorder.expectNowhereBut({ [server.secretKey]: [file], [ageSecret]: [identity] }, server);

    const wrong = canary('wrong');
    expect(put(sandbox, server, wrong)).toBe(file);
    const again = new Recorder(sandbox, env?.(sandbox));
    expect((await again.run(['backup', 'now', '-v'], 12)).stderr).toContain('SignatureDoesNotMatch');
    await again.run(['ship', '--json'], 12);
    await server.stop();
    isUp = false;
    await again.run(['ship', '-v'], 12);
    await again.run(['status'], 0);
    await again.expectNowhereBut({ [wrong]: [file], [server.secretKey]: [], [ageSecret]: [identity] }, undefined);
  },
);

test.skipIf(whyNoRclone !== undefined)('a password of webdav is nowhere else, neither as it is nor obscured', async () => {
  const { sandbox, identity, secret } = await project('remote = "webdav:cora-backups"\n');
  const remote = await servedRemote(sandbox, 'webdav');
  cleanUp.push(() => remote.stop());
  const file = join(sandbox.home, '.config/rclone/rclone.conf');
  const obscured = /^pass = (\S+)$/m.exec(readFileSync(file, 'utf8'))?.[1] ?? '';
  const recorder = new Recorder(sandbox);
  await recorder.run(['backup', 'now', '-v'], 0);
  await recorder.run(['ship', '--check', '--json'], 0);
  addSection(sandbox, 'webdav', { type: 'webdav', url: 'http://127.0.0.1:1', vendor: 'other', user: 'cora', pass: obscured });
  await recorder.run(['ship', '--check', '-v'], 12);
  const [plain = ''] = remote.secrets;
  await recorder.expectNowhereBut({ [plain]: [], [obscured]: [file], [secret]: [identity] }, undefined);
});

// rclone quotes a line that it cannot read, and a value that is none of the kind it wants.
type Malformed = readonly [name: string, text: (secret: string) => string, slow?: true];
const MALFORMED: readonly Malformed[] = [
  ['a line without its equals sign', (secret: string) => `[s3]\ntype = s3\nsecret_access_key ${secret}\n`],
  [
    'a colon for it',
    (secret: string) => `[s3]\ntype : s3\nprovider: Other\nsecret_access_key: ${secret}\naccess_key_id: k\nendpoint: http://127.0.0.1:1\n`,
    true,
  ],
  ['a section that does not end', (secret: string) => `[s3 ${secret}\ntype = s3\n`, true],
  ['a password that is not obscured', (secret: string) => `[s3]\ntype = webdav\nurl = http://127.0.0.1:1\npass = ${secret}\n`, true],
  ['a password in an address', (secret: string) => `[s3]\ntype = webdav\nurl = http://cora:${secret}@127.0.0.1:1/\n`],
  [
    'an address of S3 with a password',
    (secret: string) => `[s3]\ntype = s3\nprovider = Other\nendpoint = http://cora:${secret}@127.0.0.1:1\naccess_key_id = k\nsecret_access_key = s\n`,
    true,
  ],
];

test.skipIf(whyNoRclone !== undefined).for(MALFORMED.filter(([, , long]) => slow || long !== true))(
  'rclone.conf with %s: the error does not show it',
  async ([, text]) => {
    const sandbox = plainProject(`remote = "s3:${BUCKET}"\n`);
    const secret = canary('malformed');
    const file = write(sandbox, 'home/.config/rclone/rclone.conf', text(secret));
    const recorder = new Recorder(sandbox);
    await sandbox.snapshot(['backup', 'now']);
    await recorder.run(['ship', '-v', '--json'], 12);
    await recorder.expectNowhereBut({ [secret]: [file] }, undefined);
  },
);

test.skipIf(whyNoRclone !== undefined)(
  'a line of backup.env that cannot be read is named by its number, and everybody who may read the file is warned of',
  async () => {
    const sandbox = plainProject('');
    const secret = canary('env');
    const file = write(sandbox, 'home/.config/cora/backup.env', `SPACES_ACCESS_KEY=x\nSPACES_SECRET_KEY ${secret}\n`);
    await sandbox.snapshot(['backup', 'now']);
    for (const args of [
      ['ship', '-v'],
      ['ship', '--json'],
    ]) {
      const run = await sandbox.cora(args);
      expect(run.code).toBe(2);
      expect(run.stdout + run.stderr).toContain(`Line 2 of ${file}`);
      expect(run.stdout + run.stderr).not.toContain(secret);
    }
    writeFileSync(file, `SPACES_ACCESS_KEY=xxxxxx\nSPACES_SECRET_KEY=${secret}\nSPACES_ENDPOINT=http://127.0.0.1:1\nBACKUP_BUCKET=b\n`);
    chmodSync(file, 0o644);
    const run = await sandbox.cora(['ship']);
    expect(run).toMatchObject({ code: 12, stderr: expect.stringContaining(`chmod 600 ${file}`) });
    expect(run.stdout + run.stderr).not.toContain(secret);
  },
);
