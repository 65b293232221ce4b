// The canaries of credentials-light.test.ts at real servers. Object Lock is asked for with the same keys: nothing that the servers
// say of a signature, and nothing of what Cora signs itself, shows a secret.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, test } from 'vitest';
import { encryptingProject, Recorder } from '../support/canaries.ts';
import { heavy } from '../support/heavy.ts';
import { addS3, addSection, bucketRemote, canary, servedRemote, whyNoRclone } from '../support/remotes.ts';
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

function recorderOf(sandbox: Sandbox): Recorder {
  const recorder = new Recorder(sandbox);
  cleanUp.push(async () => recorder.stop());
  return recorder;
}

test.for(['ceph', 'swift'] as const)('%s: a right and a wrong secret are nowhere but in rclone.conf', async (kind, context) => {
  const server = heavy(kind);
  if (typeof server === 'string') return context.skip(server);
  const sandbox = sandboxOf();
  const remote = await bucketRemote(sandbox, kind, server);
  cleanUp.push(async () => {
    addS3(sandbox, kind, server);
    await remote.stop();
  });
  const config = join(sandbox.home, '.config/rclone/rclone.conf');
  const { identity, secret } = await encryptingProject(sandbox, `remote = "${remote.spec}"\nlock = "1h"\n`);
  const recorder = recorderOf(sandbox);
  await recorder.run(['backup', 'now', '-v'], 0);
  await recorder.run(['ship', '--check', '--json'], 0);
  await recorder.expectNowhereBut({ [server.secretKey]: [config], [secret]: [identity] });

  const wrong = canary(kind);
  addS3(sandbox, kind, { ...server, secretKey: wrong });
  const again = recorderOf(sandbox);
  await again.run(['backup', 'now', '-v'], 12);
  await again.run(['ship', '--check', '--json'], 12);
  addS3(sandbox, kind, { ...server, secretKey: wrong, endpoint: 'http://127.0.0.1:1' });
  await again.run(['ship', '-v', '--json'], 12);
  await again.expectNowhereBut({ [wrong]: [config], [server.secretKey]: [] });
});

test('a password of webdav is nowhere else, neither as it is nor obscured', async (context) => {
  if (whyNoRclone !== undefined) return context.skip(whyNoRclone);
  const sandbox = sandboxOf();
  const { identity, secret } = await encryptingProject(sandbox, 'remote = "webdav:cora-backups"\n');
  const remote = await servedRemote(sandbox, 'webdav');
  cleanUp.push(() => remote.stop());
  const file = join(sandbox.home, '.config/rclone/rclone.conf');
  const obscured = /^pass = (\S+)$/m.exec(readFileSync(file, 'utf8'))?.[1] ?? '';
  const recorder = recorderOf(sandbox);
  await recorder.run(['backup', 'now', '-v'], 0);
  await recorder.run(['ship', '--check', '--json'], 0);
  addSection(sandbox, 'webdav', { type: 'webdav', url: 'http://127.0.0.1:1', vendor: 'other', user: 'cora', pass: obscured });
  await recorder.run(['ship', '--check', '-v'], 12);
  const [plain = ''] = remote.secrets;
  await recorder.expectNowhereBut({ [plain]: [], [obscured]: [file], [secret]: [identity] });
});
