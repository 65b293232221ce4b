// The real S3 servers that `npm run test:offsite` started, for the tests of test/offsite.

import { join } from 'node:path';
import type { Endpoint } from './remotes.ts';
import { execute, type Run } from './sandbox.ts';

export type Heavy = Endpoint & { readonly directory: string; readonly limitedAccessKey?: string; readonly limitedSecretKey?: string };

/** The server, or why there is none. */
export function heavy(kind: 'ceph' | 'swift'): Heavy | string {
  const text = process.env[kind === 'ceph' ? 'CORA_TEST_CEPH' : 'CORA_TEST_SWIFT'];
  if (text === undefined) return 'started by npm run test:offsite only';
  const found = JSON.parse(text) as Heavy | { readonly why: string };
  return 'why' in found ? found.why : found;
}

/** radosgw-admin of the Ceph server: users and quotas. */
export async function cephAdmin(server: Heavy, args: readonly string[]): Promise<Run> {
  const script = join(import.meta.dirname, '..', '..', 'lab', 'ceph-rgw.sh');
  const run = await execute('sh', [script, 'admin', server.directory, ...args]);
  if (run.code !== 0) throw new Error(`radosgw-admin ${args.join(' ')} ended with ${run.code}: ${run.stderr}`);
  return run;
}
