// What recovery from a kind of remote can trip over: names of objects that each backend writes in its own way, and an object that was
// altered and kept its size and time, which ends with 21. Amounts and speeds are in matrix.test.ts.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { findProgram } from '../../src/os/run.ts';
import { heavy } from '../support/heavy.ts';
import { configureOffsite, copyPath, fillProject } from '../support/offsite.ts';
import { bucketRemote, cryptRemote, type Kind, localRemote, type Remote, s3Remote, servedRemote, whyNoRclone } from '../support/remotes.ts';
import { execute, Sandbox } from '../support/sandbox.ts';

const slow = process.env['CORA_TEST_SLOW'] === '1';
/** Over the size from which a download goes on in the middle of a file. */
const LARGE = 9_000_000;

const cleanUp: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step();
});

async function open(kind: Kind, sandbox: Sandbox): Promise<Remote | string> {
  if (kind === 'local') return localRemote(sandbox);
  if (kind === 'crypt') return cryptRemote(sandbox);
  if (kind === 's3') return s3Remote(sandbox);
  if (kind === 'webdav' || kind === 'sftp') return servedRemote(sandbox, kind);
  const server = heavy(kind);
  return typeof server === 'string' ? server : bucketRemote(sandbox, kind, server);
}

async function treeOf(directory: string): Promise<string> {
  const script = `find . -printf '%P %y %m %T@ %l\\n' | LC_ALL=C sort; find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum`;
  const run = await execute('/bin/sh', ['-euc', script], { cwd: directory });
  if (run.code !== 0) throw new Error(run.stderr);
  return run.stdout;
}

const kinds: readonly Kind[] = ['local', 'crypt', 'webdav', 'sftp', 's3', 'ceph', 'swift'];
const all = kinds.flatMap((kind) => [false, true].map((encrypted) => ({ kind, encrypted })));
/** Encrypted, the names of objects are our own. */
const cases = slow ? all : all.filter(({ kind, encrypted }) => !encrypted && ['crypt', 'webdav', 'ceph'].includes(kind));

test.for(cases)('$kind, encrypted: $encrypted', async ({ kind, encrypted }, context) => {
  if (whyNoRclone !== undefined) return context.skip(whyNoRclone);
  if (findProgram('age-keygen') === undefined) return context.skip('age is missing');
  const sandbox = new Sandbox();
  cleanUp.push(() => sandbox.remove());
  const remote = await open(kind, sandbox);
  if (typeof remote === 'string') return context.skip(remote);
  cleanUp.push(() => remote.stop());
  fillProject(sandbox, { bytes: LARGE });
  // Critical files lie in a copy under their own names.
  const odd = join(sandbox.project, '.env.d');
  mkdirSync(odd);
  writeFileSync(Buffer.concat([Buffer.from(`${sandbox.project}/.env-`), Buffer.from([0xff, 0x0a, 0x5c])]), 'not UTF-8');
  for (const name of ['.env', '.env two words', ".env'quote", '.env#hash%41', '.env:colon|pipe*star?', '.env–é', '.env~', '.env ']) {
    writeFileSync(join(sandbox.project, name), name);
  }
  const identity = join(sandbox.root, 'key.txt');
  await execute('/bin/sh', ['-euc', `umask 077; age-keygen -o ${identity}`]);
  const recipient = (await execute('age-keygen', ['-y', identity], { env: { PATH: '/usr/bin:/bin' } })).stdout.trim();
  configureOffsite(sandbox, [remote], encrypted ? `recipients = ["${recipient}"]` : 'allow_plaintext = true');
  const { id } = await sandbox.snapshot(['backup', 'now']);
  const tree = await treeOf(sandbox.project);

  const to = join(sandbox.root, 'back');
  const options = { cwd: '/', env: { CORA_VAULT: join(sandbox.root, 'new') } };
  const args = ['recover', remote.spec, '--latest', '--identity', identity, '--to'];
  const run = await sandbox.json([...args, to], options);
  expect(run).toMatchObject({ code: 0, result: { snapshot_id: id, encrypted } });
  expect(await treeOf(to)).toBe(tree);

  await remote.alter(`${copyPath(id)}/${encrypted ? 'archive.tar.gz.age' : 'project-full.tar.gz'}`);
  const again = { cwd: '/', env: { CORA_VAULT: join(sandbox.root, 'other') } };
  const harmed = await sandbox.json([...args, `${to}2`], again);
  expect(harmed).toMatchObject({ code: 21, error: { code: 'damaged' } });
  expect((await execute('ls', [`${to}2`, join(sandbox.root, 'other')])).code).not.toBe(0);
});
