// The real servers do what the tests of Cora count on: they check the secret, make no bucket by a write, and are full when
// they are full.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { cephAdmin, heavy } from '../support/heavy.ts';
import { addS3, bucketRemote, Remote } from '../support/remotes.ts';
import { Sandbox } from '../support/sandbox.ts';

const cleanUp: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step();
});

function sandboxOf(): Sandbox {
  const sandbox = new Sandbox();
  cleanUp.push(() => sandbox.remove());
  return sandbox;
}

const put = (sandbox: Sandbox, spec: string, file: string) =>
  new Remote('s3', sandbox, spec, [], async () => undefined).rclone(['copyto', '--s3-no-check-bucket', file]);

test.for(['ceph', 'swift'] as const)('%s checks the secret and makes no bucket by a write', async (kind, context) => {
  const server = heavy(kind);
  if (typeof server === 'string') return context.skip(server);
  const sandbox = sandboxOf();
  const remote = await bucketRemote(sandbox, kind, server);
  cleanUp.push(() => remote.stop());
  const file = join(sandbox.root, 'file');
  writeFileSync(file, 'x'.repeat(1000));
  expect((await put(sandbox, `${kind}:typo-${process.pid}/a`, file)).stderr).toContain('NoSuchBucket');
  expect(await put(sandbox, `${remote.spec}/a`, file)).toMatchObject({ code: 0 });
  addS3(sandbox, 'wrong', { ...server, secretKey: 'wrong' });
  const wrong = new Remote(kind, sandbox, remote.spec.replace(kind, 'wrong'), [], async () => undefined);
  expect((await wrong.rclone(['lsf'])).stderr).toContain('SignatureDoesNotMatch');
  expect(await put(sandbox, `${wrong.spec}/b`, file)).toMatchObject({ code: 1 });
  expect(await remote.files()).toEqual(['a']);
});

test('ceph refuses what passes its quota', async (context) => {
  const server = heavy('ceph');
  if (typeof server === 'string') return context.skip(server);
  const sandbox = sandboxOf();
  const remote = await bucketRemote(sandbox, 'ceph', server);
  cleanUp.push(() => remote.stop());
  const file = join(sandbox.root, 'file');
  writeFileSync(file, 'x'.repeat(100_000));
  await cephAdmin(server, ['quota', 'set', '--uid=cora', '--quota-scope=bucket', '--max-size=150000']);
  await cephAdmin(server, ['quota', 'enable', '--uid=cora', '--quota-scope=bucket']);
  cleanUp.push(() => cephAdmin(server, ['quota', 'disable', '--uid=cora', '--quota-scope=bucket']));
  expect(await put(sandbox, `${remote.spec}/a`, file)).toMatchObject({ code: 0 });
  expect(await put(sandbox, `${remote.spec}/b`, file)).toMatchObject({ code: 1 });
  expect(await remote.files()).toEqual(['a']);
});
