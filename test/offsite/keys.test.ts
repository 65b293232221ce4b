// `cora key test` at real S3 servers, whose answers for what is not there differ.

import { test } from 'vitest';
import { heavy } from '../support/heavy.ts';
import { keyTestAt } from '../support/key-flow.ts';
import { bucketRemote, whyNoRclone } from '../support/remotes.ts';
import { Sandbox } from '../support/sandbox.ts';

test.for(['ceph', 'swift'] as const)('%s: a copy that is whole, altered or gone', async (kind, context) => {
  const server = heavy(kind);
  if (typeof server === 'string') return context.skip(server);
  if (whyNoRclone !== undefined) return context.skip(whyNoRclone);
  const sandbox = new Sandbox();
  const remote = await bucketRemote(sandbox, kind, server);
  try {
    await keyTestAt(remote, sandbox);
  } finally {
    await remote.stop();
    await sandbox.remove();
  }
});
