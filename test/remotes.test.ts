// The places that the off-site tests ship to do what they are for: without this a test of a fault proves nothing.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { addS3, cryptRemote, localRemote, Remote, s3Remote, servedRemote, whyNoRclone } from './support/remotes.ts';
import { execute, Sandbox } from './support/sandbox.ts';
import { TcpProxy } from './support/tcp-proxy.ts';

const cleanUp: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step();
});

function sandboxOf(): Sandbox {
  const sandbox = new Sandbox();
  cleanUp.push(() => sandbox.remove());
  return sandbox;
}

function keep<R extends Remote>(remote: R): R {
  cleanUp.push(() => remote.stop());
  return remote;
}

const KINDS: Readonly<Record<string, (sandbox: Sandbox) => Remote | Promise<Remote>>> = {
  local: localRemote,
  crypt: cryptRemote,
  webdav: (sandbox) => servedRemote(sandbox, 'webdav'),
  sftp: (sandbox) => servedRemote(sandbox, 'sftp'),
  s3: s3Remote,
};

// The other kinds have their turn in test/offsite/matrix.test.ts, which ships to them.
const often = process.env['CORA_TEST_SLOW'] === '1' ? Object.keys(KINDS) : ['crypt', 's3'];

test.skipIf(whyNoRclone !== undefined).each(often)('a %s remote keeps, shows, alters and deletes a file', async (kind) => {
  const sandbox = sandboxOf();
  const remote = keep(await KINDS[kind]!(sandbox));
  const file = join(sandbox.root, 'file');
  writeFileSync(file, 'twelve bytes');
  expect(await remote.files()).toEqual([]);
  const target = new Remote(remote.kind, sandbox, `${remote.spec}/a b/f'1`, [], async () => undefined);
  expect(await target.rclone(['copyto', file])).toMatchObject({ code: 0 });
  expect(await remote.files()).toEqual([`a b/f'1`]);
  await remote.alter(`a b/f'1`);
  const altered = await remote.rclone(['cat'], `a b/f'1`);
  expect(altered.stdout).not.toBe('twelve bytes');
  expect(altered.stdout).toHaveLength(12);
  await remote.delete(`a b/f'1`);
  expect(await remote.files()).toEqual([]);
});

test.skipIf(whyNoRclone !== undefined)('the light S3 server checks the secret, makes no bucket by a write, and has a limit', async () => {
  const sandbox = sandboxOf();
  const remote = keep(await s3Remote(sandbox));
  const file = join(sandbox.root, 'file');
  writeFileSync(file, 'x'.repeat(1000));
  const put = (spec: string) => new Remote('s3', sandbox, spec, [], async () => undefined).rclone(['copyto', '--s3-no-check-bucket', file]);
  expect(await put('s3:typo/a')).toMatchObject({ code: 1 });
  expect([...remote.server.buckets.keys()]).toEqual([remote.bucket]);
  remote.server.quota = 999;
  expect((await put(`${remote.spec}/a`)).stderr).toMatch(/QuotaExceeded|Forbidden/);
  remote.server.quota = 1000;
  expect(await put(`${remote.spec}/a`)).toMatchObject({ code: 0 });
  addS3(sandbox, 's3', { endpoint: remote.server.endpoint, accessKey: remote.server.accessKey, secretKey: 'wrong' });
  expect((await remote.rclone(['lsf'])).stderr).toContain('SignatureDoesNotMatch');
  expect(await put(`${remote.spec}/b`)).toMatchObject({ code: 1 });
  expect(remote.server.keys(remote.bucket)).toEqual(['a']);
});

test.skipIf(whyNoRclone !== undefined)('a cut line leaves no object behind', async () => {
  const sandbox = sandboxOf();
  const remote = keep(await s3Remote(sandbox));
  const proxy = await TcpProxy.start(remote.server.port);
  cleanUp.push(() => proxy.stop());
  addS3(sandbox, 's3', { endpoint: `http://127.0.0.1:${proxy.port}`, accessKey: remote.server.accessKey, secretKey: remote.server.secretKey });
  const file = join(sandbox.root, 'file');
  await execute('truncate', ['-s', '8M', file]);
  const target = new Remote('s3', sandbox, `${remote.spec}/a`, [], async () => undefined);
  proxy.cutAfter = 2 << 20;
  expect(await target.rclone(['copyto', file])).toMatchObject({ code: 1 });
  expect(proxy.isCut).toBe(true);
  expect(remote.server.keys(remote.bucket)).toEqual([]);
  proxy.mend();
  expect(await target.rclone(['copyto', file])).toMatchObject({ code: 0 });
  expect(remote.server.keys(remote.bucket)).toEqual(['a']);
});
