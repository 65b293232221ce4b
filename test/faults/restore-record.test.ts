// A restore in place that is killed between its last move and its end: the next run ends it, and does not take what a
// person brought back for a loss.

import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { findProgram } from '../../src/os/run.ts';
import { execute, Sandbox } from '../support/sandbox.ts';

const sandbox = new Sandbox();
afterEach(() => sandbox.remove());

const failpoint = join(sandbox.root, 'failpoint.json');
const CHILD = { CORA_FAILPOINT: failpoint, CORA_WORKERS: '0' };
const arm = (action: string, at: number) => writeFileSync(failpoint, JSON.stringify({ action, at, root: sandbox.root }));

test.skipIf(findProgram('sqlite3') === undefined)(
  'an older database that a killed restore brought back is no loss for the next save (needs sqlite3)',
  { timeout: 300_000 },
  async () => {
    const database = join(sandbox.project, 'app.db');
    const rows = (sql: string) => execFileSync('sqlite3', [database, sql], { encoding: 'utf8' }).trim();
    writeFileSync(join(sandbox.project, 'a.txt'), 'one\n');
    rows('CREATE TABLE t (x); INSERT INTO t VALUES (1), (2)');
    const { id } = await sandbox.snapshot(['save']);
    writeFileSync(join(sandbox.project, 'a.txt'), 'two\n');
    rows('INSERT INTO t VALUES (3), (4)');
    await sandbox.snapshot(['save']);
    const start = join(sandbox.root, 'start');
    await execute('cp', ['-a', '--', sandbox.vault, `${start}-vault`]);
    await execute('cp', ['-a', '--', sandbox.project, `${start}-project`]);
    const restore = ['restore', id, '--yes', '--confirm-service-stopped'];
    arm('count', 0);
    expect((await sandbox.cora(restore, { env: CHILD })).code).toBe(0);
    const calls = Number(readFileSync(`${failpoint}.count`, 'utf8'));
    let completed = 0;
    for (let at = calls; at > calls - 24; at -= 6) {
      for (const name of ['vault', 'project']) {
        await execute('rm', ['-rf', '--', join(sandbox.root, name)]);
        await execute('cp', ['-a', '--', `${start}-${name}`, join(sandbox.root, name)]);
      }
      arm('kill-before', at);
      expect((await sandbox.cora(restore, { env: CHILD })).code).toBeNull();
      const next = await sandbox.cora(['save']);
      expect([at - calls, next.code, next.stderr]).toEqual([at - calls, 0, expect.not.stringContaining('LOST')]);
      if (rows('SELECT count(*) FROM t') === '2') completed += 1;
    }
    // Else it would have been killed before anything had changed places.
    expect(completed).toBeGreaterThan(1);
  },
);
