// No secret is anywhere but where it was put: a canary in each place that Cora takes keys from, then ships that go well, have the
// wrong key, or find nobody; and everything that was printed, written, sent or started is searched for it.

import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { encryptingProject, plainProject, Recorder } from '../support/canaries.ts';
import { addS3, canary, localRemote, whyNoRclone } from '../support/remotes.ts';
import { S3Server } from '../support/s3-server.ts';
import { Sandbox } from '../support/sandbox.ts';

const BUCKET = 'cora-backups';
const slow = process.env['CORA_TEST_SLOW'] === '1';
const cleanUp: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step();
});

function sandboxOf(): Sandbox {
  const sandbox = new Sandbox();
  cleanUp.push(() => sandbox.remove());
  return sandbox;
}

function recorderOf(sandbox: Sandbox, env: NodeJS.ProcessEnv = {}): Recorder {
  const recorder = new Recorder(sandbox, env);
  cleanUp.push(async () => recorder.stop());
  return recorder;
}

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

test.skipIf(whyNoRclone !== undefined).each(PLACES.filter((place) => slow || place.slow !== true))(
  '$name: the secret is nowhere else, whether a ship goes well, has the wrong key or finds nobody',
  async ({ remote, env, put }) => {
    const server = await S3Server.start(BUCKET);
    let isUp = true;
    cleanUp.push(async () => isUp && server.stop());
    const sandbox = sandboxOf();
    const { identity, secret: ageSecret } = await encryptingProject(sandbox, remote === '' ? '' : `remote = "${remote}"\n`);
    const file = put(sandbox, server, server.secretKey);
    const recorder = recorderOf(sandbox, env?.(sandbox));
    await recorder.run(['backup', 'now', '-v'], 0);
    expect(server.keys(BUCKET).some((key) => key.endsWith('/COMPLETE.json'))).toBe(true);
    await recorder.run(['ship', '--check', '--json'], 0);
    await recorder.expectNowhereBut({ [server.secretKey]: [file], [ageSecret]: [identity] }, { server, bucket: BUCKET });

    const wrong = canary('wrong');
    expect(put(sandbox, server, wrong)).toBe(file);
    const again = recorderOf(sandbox, env?.(sandbox));
    expect((await again.run(['backup', 'now', '-v'], 12)).stderr).toContain('SignatureDoesNotMatch');
    await server.stop();
    isUp = false;
    await again.run(['ship', '-v', '--json'], 12);
    await again.expectNowhereBut({ [wrong]: [file], [server.secretKey]: [], [ageSecret]: [identity] });
  },
);

test.skipIf(whyNoRclone !== undefined)(
  'an age identity that opens a copy, does not open it or is damaged is in no output, argument or file',
  async () => {
    const sandbox = sandboxOf();
    const { identity, secret } = await encryptingProject(sandbox, 'after_backup = false\n');
    const { spec } = localRemote(sandbox);
    const copies = ['--remote', spec];
    const recorder = recorderOf(sandbox);
    await recorder.run(['backup', 'now'], 0);
    await recorder.run(['ship', ...copies], 0);
    await recorder.run(['key', 'test', '--identity', identity, '--deep', '-v', ...copies], 0);
    await recorder.run(['key', 'show', identity, '--json'], 0);
    // The way back, on a machine that has another vault, or none.
    const back = ['--vault', join(sandbox.root, 'vault-back'), '--to', join(sandbox.root, 'back')];
    await recorder.run(['recover', spec, '--latest', '--identity', identity, '-v', ...back], 0);
    const other = join(sandbox.home, 'other.txt');
    await recorder.run(['key', 'new', '--out', other], 0);
    const wrong = /^AGE-SECRET-KEY-\S+$/m.exec(readFileSync(other, 'utf8'))?.[0] ?? '';
    await recorder.run(['key', 'test', '--identity', other, '-v', '--json', ...copies], 20);
    // One letter of it changed: what is wrong with it is said without it.
    const damaged = `${secret.slice(0, 30)}${secret[30] === 'Q' ? 'P' : 'Q'}${secret.slice(31)}`;
    const file = write(sandbox, 'home/damaged.txt', `${damaged}\n`);
    await recorder.run(['key', 'test', '--identity', file, '-v', '--json', ...copies], 20);
    await recorder.expectNowhereBut({ [secret]: [identity], [wrong]: [other], [damaged]: [file] });
  },
);

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
    const sandbox = sandboxOf();
    plainProject(sandbox, `remote = "s3:${BUCKET}"\n`);
    const secret = canary('malformed');
    const file = write(sandbox, 'home/.config/rclone/rclone.conf', text(secret));
    const recorder = recorderOf(sandbox);
    await sandbox.snapshot(['backup', 'now']);
    await recorder.run(['ship', '-v', '--json'], 12);
    await recorder.expectNowhereBut({ [secret]: [file] });
  },
);

test.skipIf(whyNoRclone !== undefined)(
  'a line of backup.env that cannot be read is named by its number, and everybody who may read the file is warned of',
  async () => {
    const sandbox = sandboxOf();
    plainProject(sandbox, '');
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
