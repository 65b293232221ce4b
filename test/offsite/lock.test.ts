// Object Lock at real servers: Ceph has it and enforces it; Swift has none, and overwrites an object that somebody tries to lock.

import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { openS3, type S3 } from '../../src/os/s3.ts';
import { isFailure, type ObjectVersion } from '../../src/os/s3-answer.ts';
import { type Heavy, heavy } from '../support/heavy.ts';
import { addS3, bucketRemote, type Endpoint, Remote } from '../support/remotes.ts';
import { askS3, makeLockBucket } from '../support/s3-request.ts';
import { execute, Sandbox } from '../support/sandbox.ts';

const HOUR = 3_600_000;
type Lock = { readonly state: string; readonly mode?: string; readonly until?: string; readonly why?: string };
type Shipped = { readonly snapshot_id: string; readonly directory: string; readonly files: number; readonly lock: Lock };

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step();
});

function project(spec: string, offsite = ''): Sandbox {
  const sandbox = new Sandbox();
  cleanUp.push(() => sandbox.remove());
  mkdirSync(join(sandbox.project, 'src'));
  for (const name of ['a.txt', 'src/b.txt']) writeFileSync(join(sandbox.project, name), `${name}\n`.repeat(1000));
  writeFileSync(join(sandbox.project, 'cora.toml'), `[offsite]\nremote = "${spec}"\nafter_backup = false\n${offsite}`);
  return sandbox;
}

async function clientOf({ endpoint, accessKey, secretKey }: Endpoint): Promise<S3> {
  const settings = { endpoint, region: 'us-east-1', accessKeyId: accessKey, secretAccessKey: secretKey, pathStyle: true };
  const s3 = await openS3(settings, { signal: new AbortController().signal });
  cleanUp.push(() => s3.close());
  return s3;
}

async function versionsOf(s3: S3, bucket: string): Promise<readonly ObjectVersion[]> {
  const versions = await s3.versions(bucket, '');
  if (isFailure(versions)) throw new Error(versions.why);
  return versions;
}

/** `cora ship` that must end with 0 and ship one copy. */
async function ship(sandbox: Sandbox): Promise<{ readonly copy: Shipped; readonly problems: readonly string[] }> {
  const document = await sandbox.json(['ship']);
  expect(document.code, JSON.stringify(document)).toBe(0);
  const [remote] = document.result['remotes'] as readonly { readonly shipped: readonly Shipped[] }[];
  expect(remote?.shipped).toHaveLength(1);
  return { copy: remote?.shipped[0] as Shipped, problems: document.problems.map(({ code }) => code) };
}

/** What the ledger's state says of the only copy. */
function recorded(sandbox: Sandbox): Lock {
  const state = JSON.parse(readFileSync(join(sandbox.vault, 'ledger/offsite.json'), 'utf8')) as {
    readonly remotes: Readonly<Record<string, { readonly copies: Readonly<Record<string, { readonly lock: Lock }>> }>>;
  };
  return Object.values(Object.values(state.remotes)[0]?.copies ?? {})[0]?.lock as Lock;
}

function lockBucket(server: Heavy, sandbox: Sandbox, bucket: string): Remote {
  addS3(sandbox, 'ceph', server);
  return new Remote('ceph', sandbox, `ceph:${bucket}`, [server.secretKey], async () => undefined);
}

test('what a bucket with a rule was given is locked, says until when, and cannot be deleted or unlocked with the shipping key', async (context) => {
  const server = heavy('ceph');
  if (typeof server === 'string') return context.skip(server);
  const bucket = `rule-${randomBytes(4).toString('hex')}`;
  await makeLockBucket(server, bucket, 1);
  const sandbox = project(`ceph:${bucket}`);
  const remote = lockBucket(server, sandbox, bucket);
  await sandbox.snapshot(['backup', 'now']);
  const before = Date.now();
  const { copy } = await ship(sandbox);
  expect(copy.lock).toMatchObject({ state: 'locked', mode: 'COMPLIANCE' });
  const until = Date.parse(copy.lock.until ?? '');
  expect(until).toBeGreaterThanOrEqual(before + 24 * HOUR - 2000);
  expect(until).toBeLessThan(Date.now() + 24 * HOUR + 2000);
  expect(recorded(sandbox)).toEqual(copy.lock);
  const words = `locked until ${copy.lock.until?.slice(0, 16).replace('T', ' ')} UTC`;
  expect((await sandbox.cora(['ship', '--check'])).stdout).toContain(words);
  const status = await sandbox.cora(['status']);
  expect(status.stdout).toContain(`locked until ${copy.lock.until?.slice(0, 10)}`);
  expect(status.stdout).toMatch(new RegExp(`immutable .*locked at ceph:${bucket}`));

  const s3 = await clientOf(server);
  const there = await versionsOf(s3, bucket);
  expect(there).toHaveLength(copy.files + 1);
  for (const { key, versionId } of [...there.slice(0, 2), ...there.slice(-1)]) {
    const path = `${bucket}/${key.split('/').map(encodeURIComponent).join('/')}?versionId=${encodeURIComponent(versionId)}`;
    expect((await askS3(server, { method: 'DELETE', path })).status).toBe(403);
    expect((await askS3(server, { method: 'DELETE', path, headers: { 'x-amz-bypass-governance-retention': 'true' } })).status).toBe(403);
    expect(await s3.setRetention(bucket, key, versionId, { mode: 'COMPLIANCE', until: new Date(Date.now() + 60_000) })).toMatchObject({
      failed: 'denied',
    });
    expect(await s3.setRetention(bucket, key, versionId, { mode: 'GOVERNANCE', until: new Date(Date.now() + 60_000) })).toMatchObject({
      failed: 'denied',
    });
  }
  const instant = new Date(Date.now() + 1000).toISOString().slice(0, 19).replace('T', ' ');
  await new Promise((resolve) => setTimeout(resolve, 2000));
  // A thief can hide it (a delete of a name adds a marker); every locked version stays.
  expect((await remote.rclone(['purge'], copy.directory)).code).not.toBe(0);
  expect((await remote.rclone(['delete'], copy.directory)).code).toBe(0);
  expect(await remote.files(copy.directory)).toEqual([]);
  const after = (await versionsOf(s3, bucket)).map(({ versionId }) => versionId);
  for (const { versionId } of there) expect(after).toContain(versionId);

  // Cora sees it, and the way back by hand gives every byte (docs/offsite.md).
  const check = await sandbox.json(['ship', '--check']);
  expect(check).toMatchObject({ code: 21, error: { code: 'damaged' } });
  const back = join(sandbox.root, 'back');
  const config = join(sandbox.home, '.config/rclone/rclone.conf');
  const args = ['--config', config, 'copy', '--s3-version-at', instant, `ceph:${bucket}/${copy.directory}`, back];
  expect((await execute('rclone', args, { env: { PATH: '/usr/bin:/bin', TZ: 'UTC', HOME: sandbox.home } })).code).toBe(0);
  expect((await execute('sha256sum', ['--quiet', '-c', 'SHA256SUMS.txt'], { cwd: back })).code).toBe(0);
  expect(JSON.parse(readFileSync(join(back, 'COMPLETE.json'), 'utf8'))).toMatchObject({ snapshot_id: copy.snapshot_id });

  // The next run puts it where it was.
  expect((await ship(sandbox)).copy.lock.state).toBe('locked');
  expect((await sandbox.json(['ship', '--check'])).code).toBe(0);
});

test('offsite.lock locks what a bucket without a rule got, each object and the marker, no longer than asked', async (context) => {
  const server = heavy('ceph');
  if (typeof server === 'string') return context.skip(server);
  const bucket = `asked-${randomBytes(4).toString('hex')}`;
  await makeLockBucket(server, bucket);
  const sandbox = project(`ceph:${bucket}`);
  lockBucket(server, sandbox, bucket);
  await sandbox.snapshot(['backup', 'now']);
  const first = await ship(sandbox);
  expect(first.copy.lock).toEqual({ state: 'none', why: expect.stringContaining('offsite.lock') });
  expect((await sandbox.cora(['ship', '--check'])).stdout).toContain('a key without the right to delete is recommended');

  // Asked for later: --check sets it.
  const s3 = await clientOf(server);
  const sums = async () => (await versionsOf(s3, bucket)).map(({ key, size, versionId }) => `${key} ${size} ${versionId}`);
  const before = await sums();
  writeFileSync(join(sandbox.project, 'cora.toml'), `[offsite]\nremote = "ceph:${bucket}"\nafter_backup = false\nlock = "1h"\n`);
  const started = Date.now();
  expect((await sandbox.json(['ship', '--check'])).code).toBe(0);
  const lock = recorded(sandbox);
  expect(lock).toMatchObject({ state: 'locked', mode: 'COMPLIANCE' });
  expect(Date.parse(lock.until ?? '')).toBeGreaterThan(started + HOUR - 30_000);
  expect(Date.parse(lock.until ?? '')).toBeLessThan(Date.now() + HOUR + 1000);
  expect(await sums()).toEqual(before);

  // And for what is sent from now on, encrypted too.
  const identity = join(sandbox.home, '.config/cora/keys/project.txt');
  const key = await sandbox.json(['key', 'new', '--out', identity]);
  expect(key.code).toBe(0);
  const recipient = /age1[a-z0-9]+/.exec(readFileSync(identity, 'utf8'))?.[0];
  writeFileSync(
    join(sandbox.project, 'cora.toml'),
    `[offsite]\nremote = "ceph:${bucket}"\nafter_backup = false\nlock = "1h"\nrecipients = ["${recipient}"]\n`,
  );
  writeFileSync(join(sandbox.project, 'big'), randomBytes(7_000_000));
  await sandbox.snapshot(['backup', 'now']);
  const second = await ship(sandbox);
  expect(second.copy).toMatchObject({ encryption: 'age', lock: { state: 'locked', mode: 'COMPLIANCE' } });
  expect((await sandbox.json(['key', 'test', '--identity', identity])).code).toBe(0);
  for (const { key, versionId } of await versionsOf(s3, bucket)) {
    const path = `${bucket}/${key.split('/').map(encodeURIComponent).join('/')}?versionId=${encodeURIComponent(versionId)}`;
    expect((await askS3(server, { method: 'DELETE', path })).status).toBe(403);
  }
  expect((await sandbox.json(['ship', '--check'])).code).toBe(0);
});

test('a rule in mode governance: said so, and made longer in its mode', async (context) => {
  const server = heavy('ceph');
  if (typeof server === 'string') return context.skip(server);
  const bucket = `soft-${randomBytes(4).toString('hex')}`;
  await makeLockBucket(server, bucket, 1, 'GOVERNANCE');
  const sandbox = project(`ceph:${bucket}`);
  lockBucket(server, sandbox, bucket);
  await sandbox.snapshot(['backup', 'now']);
  expect((await sandbox.cora(['ship'])).stdout).toMatch(/locked until .* \(governance: /);
  expect(recorded(sandbox)).toMatchObject({ state: 'locked', mode: 'GOVERNANCE' });
  writeFileSync(join(sandbox.project, 'cora.toml'), `[offsite]\nremote = "ceph:${bucket}"\nafter_backup = false\nlock = "2d"\n`);
  expect((await sandbox.json(['ship', '--check'])).code).toBe(0);
  const lock = recorded(sandbox);
  expect(lock.mode).toBe('GOVERNANCE');
  expect(Date.parse(lock.until ?? '')).toBeGreaterThan(Date.now() + 47 * HOUR);
});

test('a bucket without Object Lock: said so, nothing is set, and the copy stands', async (context) => {
  const server = heavy('ceph');
  if (typeof server === 'string') return context.skip(server);
  const sandbox = project('');
  const remote = await bucketRemote(sandbox, 'ceph', server);
  cleanUp.push(() => remote.stop());
  writeFileSync(join(sandbox.project, 'cora.toml'), `[offsite]\nremote = "${remote.spec}"\nafter_backup = false\nlock = "1h"\n`);
  await sandbox.snapshot(['backup', 'now']);
  const { copy, problems } = await ship(sandbox);
  expect(copy.lock).toEqual({ state: 'none', why: 'the bucket has no Object Lock' });
  expect(problems).toEqual(['not_locked']);
  const body = '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>';
  const bucket = remote.spec.slice(remote.spec.indexOf(':') + 1);
  expect((await askS3(server, { method: 'PUT', path: `${bucket}?versioning`, body })).status).toBe(200);
  expect((await sandbox.json(['ship', '--check'])).code).toBe(0);
  expect(recorded(sandbox)).toEqual({ state: 'none', why: 'the bucket keeps versions, and nothing locks them' });
});

test('the policy of docs/offsite.md: its key ships and checks, and cannot delete anything of a bucket that keeps versions', async (context) => {
  const server = heavy('ceph') as Heavy & { readonly limitedAccessKey: string; readonly limitedSecretKey: string };
  if (typeof server === 'string') return context.skip(server);
  const bucket = `policy-${randomBytes(4).toString('hex')}`;
  await makeLockBucket(server, bucket);
  const page = readFileSync(join(import.meta.dirname, '../../docs/offsite.md'), 'utf8');
  const text = /```json\n(\{\s+"Version"[\s\S]*?)```/.exec(page)?.[1] ?? '';
  const policy = JSON.parse(text.replaceAll('cora-backups', bucket)) as { readonly Statement: Record<string, unknown>[] };
  // What IAM knows by whom it is given to, a bucket's policy has to say.
  for (const statement of policy.Statement) statement['Principal'] = { AWS: ['arn:aws:iam:::user/limited'] };
  expect((await askS3(server, { method: 'PUT', path: `${bucket}?policy`, body: JSON.stringify(policy) })).status).toBeLessThan(300);

  const limited = { endpoint: server.endpoint, accessKey: server.limitedAccessKey, secretKey: server.limitedSecretKey };
  const sandbox = project(`limited:${bucket}`, 'lock = "1h"\n');
  addS3(sandbox, 'limited', limited);
  writeFileSync(join(sandbox.project, 'big'), randomBytes(7_000_000));
  await sandbox.snapshot(['backup', 'now']);
  const { copy, problems } = await ship(sandbox);
  expect(problems).toEqual([]);
  expect(copy.lock).toMatchObject({ state: 'locked' });
  expect((await sandbox.json(['ship', '--check'])).code).toBe(0);
  const remote = new Remote('ceph', sandbox, `limited:${bucket}`, [], async () => undefined);
  const files = await remote.files();
  expect((await remote.rclone(['delete'])).code).not.toBe(0);
  expect((await remote.rclone(['purge'])).code).not.toBe(0);
  expect(await remote.files()).toEqual(files);
  expect((await askS3(limited, { method: 'PUT', path: `${bucket}?policy`, body: JSON.stringify(policy) })).status).toBe(403);
  expect((await sandbox.json(['ship', '--check'])).code).toBe(0);
});

test('Swift overwrites an object that somebody locks: Cora sets nothing there, and every byte is as it was', async (context) => {
  const server = heavy('swift');
  if (typeof server === 'string') return context.skip(server);
  const sandbox = project('');
  const remote = await bucketRemote(sandbox, 'swift', server);
  cleanUp.push(() => remote.stop());
  writeFileSync(join(sandbox.project, 'cora.toml'), `[offsite]\nremote = "${remote.spec}"\nafter_backup = false\nlock = "1h"\n`);
  await sandbox.snapshot(['backup', 'now']);
  const { copy, problems } = await ship(sandbox);
  expect(copy.lock).toMatchObject({ state: 'unknown' });
  expect(problems).toEqual(['not_locked']);
  expect((await sandbox.json(['ship', '--check'])).code).toBe(0);

  // The trap itself, so that this test notices when it is gone: the request is taken for an upload, and read back as a lock.
  const s3 = await clientOf(server);
  const bucket = remote.spec.slice(remote.spec.indexOf(':') + 1);
  const key = `${copy.directory}/MANIFEST.txt`;
  expect(await s3.setRetention(bucket, key, undefined, { mode: 'COMPLIANCE', until: new Date(Date.now() + HOUR) })).toMatchObject({
    failed: 'unclear',
  });
  expect((await askS3(server, { method: 'GET', path: `${bucket}/${key}` })).text).toMatch(/^<Retention /);
  expect(await s3.retention(bucket, key)).toMatchObject({ failed: 'unclear' });
  const check = await sandbox.json(['ship', '--check']);
  expect(check).toMatchObject({ code: 21, error: { code: 'damaged' } });
  await ship(sandbox);
  expect((await sandbox.json(['ship', '--check'])).code).toBe(0);
});
