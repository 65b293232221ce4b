// What goes wrong on the way to a remote and at it: each ends with its exit code and one sentence, nothing is claimed that is
// not there, the local backup stands, and the next run repairs it.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, renameSync, statSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { waitFor } from '../support/container.ts';
import {
  claimed,
  configureOffsite,
  copyPath,
  ENV,
  expectNothingClaimed,
  expectShipped,
  fillProject,
  lookInBucket,
  lookLocally,
  shipLines,
} from '../support/offsite.ts';
import { addS3, addSection, localRemote, s3Remote, whyNoRclone } from '../support/remotes.ts';
import { execute, isRoot, type Run, Sandbox } from '../support/sandbox.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';

let sandbox: Sandbox;
const cleanUp: (() => Promise<unknown>)[] = [];
beforeEach((context) => {
  if (whyNoRclone !== undefined) context.skip(whyNoRclone);
  sandbox = new Sandbox();
  cleanUp.push(() => sandbox.remove());
});
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step();
});

/** An S3 remote with a cable that the test holds, a project of `bytes`, and its backup. */
async function s3Project(bytes: number, ...lines: readonly string[]) {
  const remote = await s3Remote(sandbox);
  cleanUp.push(() => remote.stop());
  const proxy = await TcpProxy.start(remote.server.port);
  cleanUp.push(() => proxy.stop());
  const endpoint = { endpoint: `http://127.0.0.1:${proxy.port}`, accessKey: remote.server.accessKey, secretKey: remote.server.secretKey };
  addS3(sandbox, 's3', endpoint);
  configureOffsite(sandbox, [remote], 'after_backup = false', ...lines);
  fillProject(sandbox, { bytes });
  const { id } = await sandbox.snapshot(['backup', 'now']);
  return { remote, proxy, endpoint, id, look: lookInBucket(remote) };
}

/** A directory as the remote, a small project, and so many copies of it there. */
async function shippedLocally(copies: number) {
  const remote = localRemote(sandbox);
  configureOffsite(sandbox, [remote], 'after_backup = false');
  const ids: string[] = [];
  for (let i = 0; i < copies; i++) {
    fillProject(sandbox, { bytes: 20_000 });
    ids.push((await sandbox.snapshot(['backup', 'now'])).id);
  }
  await ship();
  return { remote, ids, look: lookLocally(remote) };
}

/** A run that ends well. */
async function ship(): Promise<Run> {
  const run = await sandbox.cora(['ship']);
  expect([run.code, run.stderr]).toEqual([0, expect.anything()]);
  return run;
}

test('kill -9 in the middle of an upload leaves no copy, and the next run makes it whole', async () => {
  const { remote, proxy, id, look } = await s3Project(6 << 20);
  proxy.rate = 2 << 20;
  const child = spawn(join(import.meta.dirname, '../..', 'bin', 'cora'), ['ship'], {
    cwd: sandbox.project,
    env: { PATH: '/usr/bin:/bin', HOME: sandbox.home, CORA_VAULT: sandbox.vault, CORA_LOG: '' },
    stdio: 'ignore',
  });
  const ended = once(child, 'close');
  while (proxy.sent < 1 << 20 && child.exitCode === null) await sleep(20);
  child.kill('SIGKILL');
  await ended;
  expect(child.signalCode).toBe('SIGKILL');
  expect(claimed(sandbox, remote)).toEqual([]);
  expect(shipLines(sandbox)).toEqual([]);
  expect([...look(ENV).keys()].filter((key) => key.endsWith('COMPLETE.json'))).toEqual([]);
  // An rclone that outlives Cora would write below the next run.
  await waitFor('the end of rclone', () => processesOf(sandbox.root).length === 0, 5000);
  proxy.mend();
  await ship();
  expectShipped(sandbox, remote, id, look);
});

test('a network cut in the middle of an upload is exit 12, and the next run goes on', async () => {
  const { remote, proxy, id, look } = await s3Project(4 << 20, 'timeout = "3s"');
  proxy.cutAfter = 2 << 20;
  const run = await sandbox.cora(['ship']);
  expect(proxy.isCut).toBe(true);
  expectNothingClaimed(sandbox, remote, run, /s3:cora-backups .*/, look);
  expect((await sandbox.cora(['verify', id])).code).toBe(0);
  expect(await statusOf(remote)).toMatchObject({ copies: 0, unshipped: 1, error: expect.stringContaining('s3:cora-backups') });
  proxy.mend();
  await ship();
  expectShipped(sandbox, remote, id, look);
  expect(await statusOf(remote)).toMatchObject({ copies: 1, unshipped: 0, error: null });
});

test('wrong keys, a bucket that is not there, a server that hangs, a full account: each is exit 12 and says what it is; nothing is claimed', async () => {
  const { remote, endpoint, id, look } = await s3Project(1 << 20, 'timeout = "1s"');

  const wrong = 'wrong-canary-0123456789';
  addS3(sandbox, 's3', { ...endpoint, secretKey: wrong });
  const refused = await sandbox.cora(['ship']);
  expect(refused.stderr).not.toContain(wrong);
  expectNothingClaimed(sandbox, remote, refused, /SignatureDoesNotMatch[\s\S]*keys/, look);

  const hanging = await TcpProxy.start(0);
  cleanUp.push(() => hanging.stop());
  addS3(sandbox, 's3', { ...endpoint, endpoint: `http://127.0.0.1:${hanging.port}` });
  const started = performance.now();
  expectNothingClaimed(sandbox, remote, await sandbox.cora(['ship']), /timeout|in time/, look);
  expect(performance.now() - started).toBeLessThan(20_000);

  addS3(sandbox, 's3', endpoint);
  remote.server.buckets.set('elsewhere', remote.server.buckets.get(remote.bucket) ?? new Map());
  remote.server.buckets.delete(remote.bucket);
  expectNothingClaimed(sandbox, remote, await sandbox.cora(['ship']), /the bucket does not exist/, look);
  expect([...remote.server.buckets.keys()]).toEqual(['elsewhere']);
  remote.server.buckets.set(remote.bucket, new Map());

  remote.server.quota = 1 << 20;
  expectNothingClaimed(sandbox, remote, await sandbox.cora(['ship']), /QuotaExceeded|Forbidden/, look);
  remote.server.quota = Number.POSITIVE_INFINITY;

  expect((await sandbox.cora(['verify', id])).code).toBe(0);
  await ship();
  expectShipped(sandbox, remote, id, look);
});

test('a directory that is not there (an unmounted disk) is exit 12, and is not made', async () => {
  const { remote, ids } = await shippedLocally(1);
  renameSync(remote.spec, `${remote.spec}-away`);
  fillProject(sandbox, { bytes: 1000 });
  await sandbox.snapshot(['backup', 'now']);
  const run = await sandbox.cora(['ship']);
  expect([run.code, run.stderr]).toEqual([12, expect.stringContaining('not mounted')]);
  expect(existsSync(remote.spec)).toBe(false);
  // The disk may come back with its copy: what was proven is not unlearned while nobody can look, and nothing new is claimed.
  expect(claimed(sandbox, remote)).toEqual(ids);
});

test.skipIf(!isRoot)('a disk that is full is exit 12 and says so; with room the next run goes on (needs root)', async () => {
  const remote = localRemote(sandbox);
  expect(await execute('/bin/mount', ['-t', 'tmpfs', '-o', 'size=2m', 'none', remote.spec])).toMatchObject({ code: 0 });
  cleanUp.push(() => execute('/bin/umount', ['--', remote.spec]));
  configureOffsite(sandbox, [remote], 'after_backup = false');
  fillProject(sandbox, { bytes: 3 << 20 });
  const { id } = await sandbox.snapshot(['backup', 'now']);
  const look = lookLocally(remote);
  expectNothingClaimed(sandbox, remote, await sandbox.cora(['ship']), /space|too big/, look);
  expect(await execute('/bin/mount', ['-o', 'remount,size=64m', remote.spec])).toMatchObject({ code: 0 });
  await ship();
  expectShipped(sandbox, remote, id, look);
});

test('an object altered with the same size, one deleted, a marker altered: exit 21 names each, none is claimed, all are sent again', async () => {
  const { remote, ids, look } = await shippedLocally(3);
  const [altered = '', deleted = '', forged = ''] = ids;
  const within = (id: string, name: string) => join(remote.spec, copyPath(id), name);
  flipByte(within(altered, 'project-full.tar.gz'));
  unlinkSync(within(deleted, 'project-full.tar.gz'));
  flipByte(within(forged, 'COMPLETE.json'));
  const check = await sandbox.cora(['ship', '--check']);
  expect(check.code).toBe(21);
  const damaged = check.stdout.split('\n').filter((line) => line.startsWith('DAMAGED'));
  expect(damaged.sort()).toEqual([
    expect.stringMatching(`${altered}.*project-full.tar.gz differs`),
    expect.stringMatching(`${deleted}.*project-full.tar.gz is missing`),
    expect.stringMatching(`${forged}.*COMPLETE.json`),
  ]);
  expect(claimed(sandbox, remote)).toEqual([]);
  await ship();
  for (const id of ids) expectShipped(sandbox, remote, id, look);

  // What is gone, the next run sees without being asked to read anything.
  unlinkSync(within(deleted, 'project-full.tar.gz'));
  unlinkSync(within(forged, 'COMPLETE.json'));
  const { stdout, stderr } = await ship();
  for (const id of [deleted, forged]) {
    expect(stdout).toContain(`Shipped ${id}`);
    expect(stderr).toContain(`copy of ${id}`);
  }
  for (const id of ids) expectShipped(sandbox, remote, id, look);
});

test('no secret of rclone.conf is in any argument, output, log, record or remote object', async () => {
  const { remote, proxy, id } = await s3Project(2 << 20);
  addSection(sandbox, 'other', { type: 'webdav', url: 'http://127.0.0.1:9', user: 'u', pass: 'obscured-canary-0123456789' });
  const secrets = [...remote.secrets, 'obscured-canary-0123456789'];
  proxy.rate = 4 << 20;
  const seen = new Set<string>();
  let done = false;
  const running = sandbox.cora(['ship', '--verbose']).finally(() => {
    done = true;
  });
  while (!done) {
    for (const line of processesOf('', true)) seen.add(line);
    await sleep(20);
  }
  const run = await running;
  expect([...seen].some((line) => line.includes('rclone') && line.includes('s3:cora-backups'))).toBe(true);
  const other = await sandbox.cora(['ship', '--json', '--remote', 'other:x']);
  expect(other.code).toBe(12);
  const texts = [...seen, run.stdout, run.stderr, other.stdout, other.stderr];
  for (const key of remote.server.keys(remote.bucket)) texts.push(remote.server.read(remote.bucket, key).toString('latin1'));
  for (const file of readdirSync(sandbox.root, { recursive: true, withFileTypes: true })) {
    const path = join(file.parentPath, file.name);
    if (file.isFile() && !path.endsWith('/rclone.conf')) texts.push(readFileSync(path, 'latin1'));
  }
  for (const secret of secrets) expect(texts.filter((text) => text.includes(secret))).toEqual([]);
  expect(claimed(sandbox, remote)).toEqual([id]);
});

/** What `cora status` says of the remote. */
async function statusOf({ spec }: { readonly spec: string }): Promise<unknown> {
  const { result } = await sandbox.json(['status']);
  const remotes = result['offsite'] as readonly { readonly remote: string }[];
  return remotes.find(({ remote }) => remote === spec);
}

/** Another byte in the middle; size and time stay. */
function flipByte(path: string): void {
  const { atime, mtime } = statSync(path);
  const bytes = readFileSync(path);
  const at = bytes.length >> 1;
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(path, bytes);
  utimesSync(path, atime, mtime);
}

/** Command lines of running processes that name `part` in their command line or environment. */
function processesOf(part: string, argumentsOnly = false): string[] {
  return readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid) || pid === String(process.pid)) return [];
    const [line, environment] = ['cmdline', 'environ'].map((name) => {
      try {
        return readFileSync(`/proc/${pid}/${name}`, 'latin1').replaceAll('\0', ' ');
      } catch {
        return '';
      }
    });
    const text = argumentsOnly ? line : `${line} ${environment}`;
    return text?.includes(part) === true && line !== '' && line !== undefined ? [line] : [];
  });
}
