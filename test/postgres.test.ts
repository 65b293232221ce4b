// A real PostgreSQL server of this test's own: dumped by a command artefact, wrecked, restored, asked again.

import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { execute, isRoot, Sandbox, whyNotNobody } from './support/sandbox.ts';

const bin = findServer();
const why = bin === undefined ? 'no PostgreSQL server' : whyNotNobody();

function findServer(): string | undefined {
  try {
    const versions = readdirSync('/usr/lib/postgresql').filter((name) => readdirSync(`/usr/lib/postgresql/${name}/bin`).includes('initdb'));
    return versions.length === 0 ? undefined : `/usr/lib/postgresql/${versions.at(-1)}/bin`;
  } catch {
    return undefined;
  }
}

let sandbox: Sandbox;
let data: string;
beforeEach(() => {
  sandbox = new Sandbox({ nobody: true, fast: true });
  data = join(sandbox.root, 'pg');
});
afterEach(async () => {
  if (why === undefined) await pg('pg_ctl', '-D', data, '-m', 'immediate', 'stop');
  await sandbox.remove();
});

/** A server will not run as root. */
async function pg(program: string, ...args: string[]): Promise<string> {
  const who = isRoot ? ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', '--'] : [];
  const env = { PATH: '/usr/bin:/bin', HOME: sandbox.home, LC_ALL: 'C.UTF-8', PGHOST: sandbox.root };
  const [first, ...rest] = [...who, `${bin}/${program}`, ...args];
  const run = await execute(first ?? '', rest, { cwd: sandbox.home, env });
  return `${run.stdout}${run.code === 0 ? '' : `failed: ${run.stderr}`}`.trim();
}

async function startServer(): Promise<void> {
  expect(await pg('initdb', '-D', data, '-U', 'app', '-A', 'trust', '--no-sync')).toContain('Success');
  const options = `-k ${sandbox.root} -c listen_addresses='' -c fsync=off -c shared_buffers=16MB`;
  expect(await pg('pg_ctl', '-D', data, '-w', '-o', options, '-l', join(sandbox.root, 'pg.log'), 'start')).toContain('server started');
  expect(await pg('createdb', '-U', 'app', 'shop')).toBe('');
}

const sql = (text: string) => pg('psql', '-U', 'app', '-d', 'shop', '-qAt', '-v', 'ON_ERROR_STOP=1', '-c', text);

test.skipIf(why !== undefined)(
  'a PostgreSQL database that was dumped, wrecked and restored gives the same answers',
  { timeout: 120_000 },
  async () => {
    mkdirSync(join(sandbox.home, '.config/cora'), { recursive: true });
    const file = join(sandbox.home, '.config/cora/project.toml');
    writeFileSync(
      file,
      `[[artefacts]]
name = "shop"
kind = "command"
command = "${bin}/pg_dump -h ${sandbox.root} -U app --clean --if-exists shop"
restore = "${bin}/psql -h ${sandbox.root} -U app -q -v ON_ERROR_STOP=1 --single-transaction shop"
min_size = "1kB"
[[checks]]
name = "orders"
command = "test \\"$(${bin}/psql -h ${sandbox.root} -U app -qAt -c 'SELECT count(*) FROM orders' shop)\\" = 5000"
`,
    );
    sandbox.own(file);
    writeFileSync(join(sandbox.project, 'app.js'), '// the application\n');
    await startServer();
    await sql(`CREATE TABLE orders (id int PRIMARY KEY, buyer text, paid numeric);
    INSERT INTO orders SELECT n, 'Käufer ' || n, n * 1.25 FROM generate_series(1, 5000) n; CREATE VIEW rich AS SELECT * FROM orders WHERE paid > 6000`);
    const question = `SELECT count(*), sum(paid), md5(string_agg(buyer, ',' ORDER BY id)), (SELECT count(*) FROM rich) FROM orders`;
    const answer = await sql(question);
    expect(answer).toMatch(/^5000\|15628125\.00\|[0-9a-f]{32}\|200$/);

    const made = await sandbox.json(['backup', 'now']);
    expect([made.code, made.result['artefacts']]).toEqual([0, [expect.objectContaining({ name: 'shop', ok: true })]]);

    await sql('UPDATE orders SET buyer = NULL; DELETE FROM orders WHERE id > 10');
    expect(await sql(question)).not.toBe(answer);
    expect((await sandbox.cora(['artefact', 'restore', 'shop'])).code).toBe(20);
    const restored = await sandbox.json(['artefact', 'restore', 'shop', '--yes']);
    expect([restored.code, restored.result['checks']]).toEqual([0, [expect.objectContaining({ name: 'orders', ok: true })]]);
    expect(await sql(question)).toBe(answer);
    // What was there before can be had again, and is then what the check complains of.
    const back = await sandbox.json(['artefact', 'restore', 'shop', String(restored.result['safety_snapshot_id']), '--yes']);
    expect([back.code, back.problems.map(({ code }) => code), back.error]).toEqual([3, ['check_failed'], undefined]);
    expect(await sql('SELECT count(*), count(buyer) FROM orders')).toBe('10|0');

    // The server is gone: what is there now cannot be dumped, so nothing is done unless that is said to be wanted.
    await pg('pg_ctl', '-D', data, '-m', 'immediate', 'stop');
    await execute('rm', ['-rf', '--', data]);
    const refused = await sandbox.json(['artefact', 'restore', 'shop', made.result['snapshot_id'] as string, '--yes']);
    expect([refused.code, refused.error.code]).toEqual([1, 'validation_failed']);
    await startServer();
    const fresh = await sandbox.json(['artefact', 'restore', 'shop', made.result['snapshot_id'] as string, '--yes', '--no-pre-snapshot']);
    expect([fresh.code, fresh.result['safety_snapshot_id']]).toEqual([0, null]);
    expect(await sql(question)).toBe(answer);
  },
);
