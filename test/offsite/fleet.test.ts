// Clean-up and the look at several projects, at real servers: what is locked stays, what a bucket keeps versions of is said to be
// hidden only, and keys without the right to delete are no reason to claim anything.

import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { type Heavy, heavy } from '../support/heavy.ts';
import { addS3, bucketRemote, cryptRemote, localRemote, Remote, servedRemote } from '../support/remotes.ts';
import { askS3, makeLockBucket } from '../support/s3-request.ts';
import { Sandbox } from '../support/sandbox.ts';

type Entry = { readonly snapshot_id: string; readonly reason: string };
type Pruned = {
  readonly kept: readonly Entry[];
  readonly would_delete?: readonly Entry[];
  readonly deleted?: readonly Entry[];
  readonly keeps_versions: boolean;
};

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step();
});

function sandbox(): Sandbox {
  const box = new Sandbox();
  cleanUp.push(() => box.remove());
  writeFileSync(join(box.project, 'a.txt'), 'a\n'.repeat(1000));
  return box;
}

const configure = (box: Sandbox, spec: string) =>
  writeFileSync(join(box.project, 'cora.toml'), `[offsite]\nremote = "${spec}"\nafter_backup = false\nretention = { last = 1 }\n`);

/** Two backups that are shipped: the older one is what `last = 1` lets go. */
async function twoCopies(box: Sandbox, spec: string): Promise<readonly [string, string]> {
  configure(box, spec);
  const first = await box.snapshot(['backup', 'now']);
  const second = await box.snapshot(['backup', 'now']);
  const run = await box.json(['ship']);
  expect(run.code, JSON.stringify(run)).toBe(0);
  return [first.id, second.id];
}

async function prune(box: Sandbox, ...args: readonly string[]) {
  const run = await box.json(['ship', '--prune', ...args]);
  const result = (run.result ?? (run.error as unknown as { details: unknown }).details) as { remotes: readonly Pruned[] };
  return { ...run, remote: result.remotes[0] as Pruned };
}

const ids = (entries: readonly Entry[] | undefined) => entries?.map(({ snapshot_id }) => snapshot_id);

function onCeph(box: Sandbox, server: Heavy, bucket: string): Remote {
  addS3(box, 'ceph', server);
  return new Remote('ceph', box, `ceph:${bucket}`, [server.secretKey], async () => undefined);
}

test('what is locked stays, also where the record has forgotten that it is', async (context) => {
  const server = heavy('ceph');
  if (typeof server === 'string') return context.skip(server);
  const bucket = `prune-${randomBytes(4).toString('hex')}`;
  await makeLockBucket(server, bucket, 1);
  const box = sandbox();
  const remote = onCeph(box, server, bucket);
  const [first, second] = await twoCopies(box, remote.spec);
  const held = await prune(box, '--confirm');
  expect(held).toMatchObject({ code: 0, remote: { would_delete: [] } });
  expect(held.remote.kept.find(({ snapshot_id }) => snapshot_id === first)?.reason).toMatch(/^locked there until 20/);
  const record = join(box.vault, 'ledger/offsite.json');
  writeFileSync(record, readFileSync(record, 'utf8').replaceAll('"state": "locked"', '"state": "none", "why": "nobody asked"'));
  expect(ids((await prune(box)).remote.kept)).toEqual([first, second]);
  expect((await remote.files()).filter((name) => name.endsWith('COMPLETE.json'))).toHaveLength(2);
  const [state] = (await box.json(['status'])).result['offsite'] as { newest: { snapshot_id: string } }[];
  expect((await box.cora(['status'])).stdout).toMatch(/locked at ceph:\S+ .* until 20\d\d-\d\d-\d\d|can be deleted there/);
  expect(state?.newest.snapshot_id).toBe(second);
});

test('a bucket that keeps versions: the copy goes, and what that means there is said', async (context) => {
  const server = heavy('ceph');
  if (typeof server === 'string') return context.skip(server);
  const box = sandbox();
  const remote = await bucketRemote(box, 'ceph', server);
  cleanUp.push(() => remote.stop());
  const bucket = remote.spec.slice('ceph:'.length);
  const body = '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>';
  expect((await askS3(server, { method: 'PUT', path: `${bucket}?versioning`, body })).status).toBe(200);
  const [first, second] = await twoCopies(box, remote.spec);
  const done = await prune(box, '--confirm');
  expect(done).toMatchObject({ code: 0, remote: { deleted: [{ snapshot_id: first }], keeps_versions: true } });
  const listed = await box.json(['status', '--remote', remote.spec], { cwd: '/' });
  expect(listed.result['remotes']).toMatchObject([{ projects: [{ copies: 1, newest: { snapshot_id: second } }] }]);
  // Hidden, and still there.
  expect((await askS3(server, { method: 'GET', path: `${bucket}?versions` })).text).toContain(first);
  expect((await box.cora(['verify', '--chain', '--offsite'])).code).toBe(0);
});

test('a key without the right to delete: 12, nothing is claimed, every copy stays', async (context) => {
  const server = heavy('ceph');
  if (typeof server === 'string' || server.limitedAccessKey === undefined || server.limitedSecretKey === undefined)
    return context.skip(typeof server === 'string' ? server : 'no limited key');
  const box = sandbox();
  const remote = await bucketRemote(box, 'ceph', server);
  cleanUp.push(() => remote.stop());
  const bucket = remote.spec.slice('ceph:'.length);
  const allow = {
    Effect: 'Allow',
    Principal: { AWS: ['arn:aws:iam:::user/limited'] },
    Resource: [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`],
  };
  const policy = { Version: '2012-10-17', Statement: [{ ...allow, Action: ['s3:ListBucket', 's3:GetObject', 's3:PutObject'] }] };
  const set = await askS3(server, { method: 'PUT', path: `${bucket}?policy`, body: JSON.stringify(policy) });
  expect(set.status, set.text).toBeLessThan(300);
  addS3(box, 'small', { ...server, accessKey: server.limitedAccessKey, secretKey: server.limitedSecretKey });
  const [first, second] = await twoCopies(box, `small:${bucket}`);
  const refused = await prune(box, '--confirm');
  expect(refused).toMatchObject({ code: 12, error: { code: 'remote_failed' }, remote: { deleted: [] } });
  expect(refused.stderr).toContain('does not let us remove');
  const [state] = (await box.json(['status'])).result['offsite'] as { copies: number; unshipped: number }[];
  expect(state).toMatchObject({ copies: 2, unshipped: 0 });
  const whole = (await remote.files()).filter((name) => name.endsWith('COMPLETE.json')).map((name) => name.split('/')[2]);
  // Two of one second: `-2/` is listed before `/`.
  expect(new Set(whole)).toEqual(new Set([first, second]));
});

const PLACES = {
  local: async (box: Sandbox) => localRemote(box),
  crypt: async (box: Sandbox) => cryptRemote(box),
  webdav: (box: Sandbox) => servedRemote(box, 'webdav'),
  sftp: (box: Sandbox) => servedRemote(box, 'sftp'),
  ceph: (box: Sandbox) => onHeavy(box, 'ceph'),
  swift: (box: Sandbox) => onHeavy(box, 'swift'),
} as const;

async function onHeavy(box: Sandbox, kind: 'ceph' | 'swift'): Promise<Remote | string> {
  const server = heavy(kind);
  return typeof server === 'string' ? server : bucketRemote(box, kind, server);
}

test.for(Object.keys(PLACES) as (keyof typeof PLACES)[])(
  'two projects at %s: both are listed; clean-up of one takes its old copy and nothing else',
  async (kind, context) => {
    const box = sandbox();
    const remote = await PLACES[kind](box);
    if (typeof remote === 'string') return context.skip(remote);
    cleanUp.push(() => remote.stop());
    const [first, second] = await twoCopies(box, remote.spec);
    const other = join(box.root, 'other');
    mkdirSync(other);
    writeFileSync(join(other, 'b'), 'b');
    const env = { CORA_VAULT: join(box.root, 'vault2') };
    await box.cora(['backup', 'now', '--no-ship'], { cwd: other, env });
    expect((await box.cora(['ship', '--remote', remote.spec], { cwd: other, env })).code).toBe(0);
    const theirs = await remote.files('other');
    expect(await prune(box, '--confirm')).toMatchObject({ code: 0, remote: { deleted: [{ snapshot_id: first }] } });
    expect(await remote.files('other')).toEqual(theirs);
    expect((await remote.files('project')).every((name) => name.includes(second))).toBe(true);
    const listed = await box.json(['status', '--remote', remote.spec], { cwd: '/' });
    expect(listed.result['remotes']).toMatchObject([
      {
        projects: [
          { env: 'other', copies: 1 },
          { env: 'project', copies: 1, newest: { snapshot_id: second } },
        ],
        damaged: [],
      },
    ]);
    expect((await box.cora(['ship', '--check'])).code).toBe(0);
  },
);
