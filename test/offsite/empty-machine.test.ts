// The machine is gone. On an empty one, with Cora, the keys of the bucket and the age identity, the project is back and its own tests
// pass. The bucket is Ceph's where that runs, else the light server's. docs/recovery.md has the seconds.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { findProgram } from '../../src/os/run.ts';
import { runOnEmptyMachine, whyNoEmptyMachine } from '../support/empty-machine.ts';
import { heavy } from '../support/heavy.ts';
import { configureOffsite } from '../support/offsite.ts';
import { bucketRemote, type Endpoint, s3Remote } from '../support/remotes.ts';
import { execute, Sandbox } from '../support/sandbox.ts';

const slow = process.env['CORA_TEST_SLOW'] === '1';
const MEGABYTES = slow ? 1000 : 100;
const missing = ['rclone', 'age', 'age-keygen', 'git', 'sqlite3'].filter((program) => findProgram(program) === undefined);
const why = missing.length > 0 ? `${missing.join(', ')} missing` : await whyNoEmptyMachine();

/** A service with a database, an .env that git ignores, work that is not committed, and tests that need all of it. */
const PROJECT = `
git init -q -b main && git config user.name me && git config user.email me@example.org && git remote add origin https://example.org/app.git
printf '{"name":"app","type":"module","scripts":{"test":"node --test"}}\\n' > package.json
printf '.env\\n*.db*\\nassets/\\n' > .gitignore
mkdir src test assets
cat > src/orders.js <<'JS'
import { readFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
export const key = () => /^KEY=(.*)$/m.exec(readFileSync('.env', 'utf8'))?.[1];
export const total = () => new DatabaseSync('app.db', { readOnly: true }).prepare('SELECT sum(amount) AS total FROM orders').get().total;
JS
cat > test/orders.test.js <<'JS'
import assert from 'node:assert';
import { execFileSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import test from 'node:test';
import { key, total } from '../src/orders.js';
const git = (...args) => execFileSync('git', args, { encoding: 'utf8' }).trim();
test('the orders add up', () => assert.equal(total(), 20001 * 10000));
test('the key is there, for its owner alone', () => { assert.equal(key(), 'k-123'); assert.equal(statSync('.env').mode & 0o777, 0o600); });
test('the assets are all there', () => assert.equal(readdirSync('assets').length, 50));
test('the branch, its commits and what was staged', () => {
  assert.equal(git('branch', '--show-current'), 'discount');
  assert.equal(git('log', '--format=%s').split('\\n').length, 2);
  assert.equal(git('status', '--porcelain'), 'M  src/discount.js\\n?? notes.md');
  assert.equal(git('stash', 'list').split('\\n').length, 1);
});
JS
git add . && git commit -q -m one && git switch -q -c discount && echo 'export const discount = 1;' > src/discount.js && git add . && git commit -q -m two
echo '// tried' > src/orders.js && git stash -q
echo 'export const discount = 2;' > src/discount.js && git add src/discount.js && echo 'call them' > notes.md
printf 'KEY=k-123\\n' > .env && chmod 600 .env
sqlite3 app.db "pragma journal_mode=wal; create table orders(amount); with recursive n(i) as (select 1 union all select i+1 from n where i<20000) insert into orders select i from n" > ../sqlite.out
for n in $(seq 50); do head -c ${Math.round((MEGABYTES * 1e6) / 50)} /dev/urandom > assets/$n.bin; done
node --test > ../before.out || { cat ../before.out; exit 1; }
`;

const cleanUp: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step();
});

test.skipIf(why !== undefined)(
  `from an empty machine: ${MEGABYTES} MB, and the project's own tests pass${why === undefined ? '' : ` (skipped: ${why})`}`,
  async () => {
    const sandbox = new Sandbox();
    cleanUp.push(() => sandbox.remove());
    const ceph = heavy('ceph');
    let server: Endpoint;
    let spec: string;
    if (typeof ceph === 'string') {
      const remote = await s3Remote(sandbox);
      cleanUp.push(() => remote.stop());
      [server, spec] = [remote.server, remote.spec];
    } else {
      const remote = await bucketRemote(sandbox, 'ceph', ceph);
      cleanUp.push(() => remote.stop());
      [server, spec] = [ceph, remote.spec];
    }
    const path = `${join(import.meta.dirname, '../../node_modules/.bin')}:/usr/sbin:/usr/bin:/sbin:/bin`;
    const must = async (script: string) => {
      const run = await execute('/bin/sh', ['-euc', script], { cwd: sandbox.project, env: { PATH: path, HOME: sandbox.home } });
      if (run.code !== 0) throw new Error(`${run.code}: ${run.stdout}${run.stderr}`);
      return run.stdout.trim();
    };
    const kept = join(sandbox.root, 'kept');
    const keys = join(kept, 'root/.config/cora/keys');
    mkdirSync(keys, { recursive: true });
    mkdirSync(join(kept, 'etc/cora'), { recursive: true });
    await must(`umask 077 && age-keygen -o ${keys}/app.txt 2> ${sandbox.root}/keygen.log`);
    const recipient = await must(`age-keygen -y ${keys}/app.txt`);
    configureOffsite(sandbox, [{ spec }], `recipients = ["${recipient}"]`);
    await must(PROJECT);
    const made = await sandbox.snapshot(['backup', 'now', '-l', 'the last one']);

    // The machine is gone: what is left is the bucket, its keys and the identity.
    const bucket = spec.slice(spec.indexOf(':') + 1);
    const env = [`SPACES_ACCESS_KEY=${server.accessKey}`, `SPACES_SECRET_KEY=${server.secretKey}`, `SPACES_ENDPOINT=${server.endpoint}`];
    writeFileSync(join(kept, 'etc/cora/backup.env'), `${[...env, `BACKUP_BUCKET=${bucket}`].join('\n')}\n`, { mode: 0o600 });
    const run = await runOnEmptyMachine(
      kept,
      `
      began=$(date +%s%3N)
      cora=/opt/cora/bin/cora
      $cora recover
      $cora recover --latest --to /srv/app
      cd /srv/app
      PATH=/opt/cora/node_modules/.bin:$PATH node --test
      echo "ready after $(($(date +%s%3N) - began)) ms"
      $cora save
      $cora verify --all --deep
      $cora status | grep '^Vault'
      $cora ship --remote spaces:${bucket} --check || echo "check ended with $?"
      `,
    );
    const milliseconds = Number(/^ready after (\d+) ms$/m.exec(run.stdout)?.[1]);
    const where = typeof ceph === 'string' ? 'the light S3 server' : 'Ceph';
    process.stdout.write(
      `${run.stdout}${run.stderr}\nfrom nothing to passing tests, ${MEGABYTES} MB of ${where}: ${(milliseconds / 60_000).toFixed(2)} minutes\n`,
    );
    expect(run).toMatchObject({ code: 0 });
    expect(run.stdout).toContain(made.id);
    expect(run.stdout).toMatch(/pass 4\n.*fail 0\n/s);
    expect(run.stdout).toMatch(/^Vault +\/var\/backups\/project/m);
    expect(run.stdout).not.toContain('check ended');
    for (const secret of [server.secretKey, 'k-123']) expect(run.stdout + run.stderr).not.toContain(secret);
  },
  300_000,
);
