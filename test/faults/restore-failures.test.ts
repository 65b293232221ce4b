// Restores in place that meet a full disk, a locked database, links where directories were, and content that no save
// holds: each ends wholly old or goes on at the next command, and nothing that is nowhere else is deleted.

import { createHash } from 'node:crypto';
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { execute, isRoot, Sandbox, whyNotNobody } from '../support/sandbox.ts';

let sandbox: Sandbox;
beforeEach(() => {
  sandbox = new Sandbox();
});
afterEach(async () => {
  await execute('umount', [sandbox.project]);
  await sandbox.remove();
});

const at = (path: string) => join(sandbox.project, path);
const write = (path: string, text: string) => writeFileSync(at(path), text);
const read = (path: string) => readFileSync(at(path), 'utf8');

function sql(path: string, statement: string): unknown {
  const database = new Database(at(path));
  try {
    return database.prepare(statement).reader ? database.prepare(statement).pluck().all() : database.exec(statement);
  } finally {
    database.close();
  }
}

/** Everything below `.cora-restore/` that holds this text. */
async function kept(text: string): Promise<string[]> {
  return (await execute('grep', ['-rl', '--', text, at('.cora-restore')])).stdout.split('\n').filter((line) => line !== '');
}

test.skipIf(!isRoot)('no inode is left in the middle: wholly old, and the next commands work (needs root)', async () => {
  await execute('mount', ['-t', 'tmpfs', '-o', 'size=8m,nr_inodes=60', 'none', sandbox.project]);
  write('cora.toml', '');
  const names = Array.from({ length: 10 }, (_, n) => `d${n}`);
  for (const name of names) mkdirSync(at(name));
  for (const name of names) write(`${name}/f`, `old ${name}`);
  const { id } = await sandbox.snapshot(['save']);
  for (const name of names) write(`${name}/f`, `work on ${name}`);
  for (const args of [
    ['restore', id, '--yes'],
    ['restore', id, '--yes', '--no-pre-snapshot'],
  ]) {
    const run = await sandbox.cora(args);
    const now = names.map((name) => read(`${name}/f`));
    if (run.code === 0) expect(now).toEqual(names.map((name) => `old ${name}`));
    else expect([run.code, now]).toEqual([1, names.map((name) => `work on ${name}`)]);
    expect((await sandbox.cora(['save'])).code).toBe(0);
    for (const name of names) write(`${name}/f`, `work on ${name}`);
  }
});

test.skipIf(!isRoot)('no space is left for a live database: it is as it was, and saves go on (needs root)', async () => {
  for (const size of ['3600k', '4600k']) {
    await execute('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'none', sandbox.project]);
    write('cora.toml', '');
    sql('app.db', 'CREATE TABLE t (n, b)');
    sql('app.db', 'INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 1000) SELECT n, randomblob(900) FROM c');
    const { id } = await sandbox.snapshot(['save']);
    sql('app.db', 'UPDATE t SET n = -n');
    expect((await sandbox.cora(['restore', id, '--yes', '--live'])).code).toBe(1);
    expect(sql('app.db', 'SELECT max(n) FROM t')).toEqual([-1]);
    expect((await sandbox.cora(['save', '-m', 'after'])).code).toBe(0);
    await execute('umount', [sandbox.project]);
    rmSync(sandbox.vault, { recursive: true });
  }
});

test.skipIf(process.env['CORA_TEST_SLOW'] !== '1')(
  'a database that stays locked for 30 s is not written to, also not by the way back (slow)',
  async () => {
    sql('b.db', 'CREATE TABLE t (n)');
    sql('b.db', 'PRAGMA journal_mode = wal');
    sql('b.db', 'INSERT INTO t VALUES (1)');
    const { id } = await sandbox.snapshot(['save']);
    sql('b.db', 'INSERT INTO t VALUES (2)');
    const program = new Database(at('b.db'));
    program.exec("BEGIN IMMEDIATE; INSERT INTO t VALUES ('program')");
    const run = sandbox.cora(['restore', id, '--yes', '--live']);
    await new Promise((resolve) => setTimeout(resolve, 33_000));
    program.exec('COMMIT');
    expect(await run).toMatchObject({ code: 11 });
    expect(program.prepare('SELECT n FROM t').pluck().all()).toEqual([1, 2, 'program']);
    program.close();
    expect((await sandbox.cora(['save'])).code).toBe(0);
  },
);

test('what was done after a restore is saved before it is taken back, and stays there', async () => {
  write('f', 'v1');
  write('g', '1');
  const { id } = await sandbox.snapshot(['save']);
  write('f', 'v2');
  expect((await sandbox.cora(['restore', id, 'f', '--yes'])).code).toBe(0);
  write('f', 'hours of work');
  expect((await sandbox.cora(['restore', '--undo', '--yes'])).code).toBe(0);
  expect(read('f')).toBe('v2');
  write('g', '2');
  expect((await sandbox.cora(['restore', id, 'g', '--yes'])).code).toBe(0);
  const saves = (await sandbox.json(['list', '--saves'])).result['snapshots'] as { snapshot_id?: string; id?: string }[];
  const texts = await Promise.all(
    saves.map(async (one, index) => {
      const to = join(sandbox.root, `out-${index}`);
      await sandbox.cora(['restore', String(one.snapshot_id ?? one.id), 'f', '--to', to]);
      return readFileSync(join(to, 'f'), 'utf8');
    }),
  );
  expect(texts).toContain('hours of work');
});

test('rows written since come back with the redo, in a live restore and through a -wal', async () => {
  sql('app.db', 'CREATE TABLE t (n)');
  sql('app.db', 'INSERT INTO t VALUES (1)');
  const { id } = await sandbox.snapshot(['save']);
  for (const how of ['--live', '--confirm-service-stopped']) {
    sql('app.db', 'INSERT INTO t VALUES (2)');
    expect((await sandbox.cora(['restore', id, 'app.db', '--yes', how])).code).toBe(0);
    sql('app.db', "INSERT INTO t VALUES ('work after it')");
    expect((await sandbox.cora(['restore', '--undo', '--yes', how])).code).toBe(0);
    expect(sql('app.db', 'SELECT n FROM t')).toEqual([1, 2]);
    expect((await sandbox.cora(['restore', '--undo', '--yes', how])).code).toBe(0);
    expect(sql('app.db', 'SELECT n FROM t')).toEqual([1, 'work after it']);
    expect((await sandbox.cora(['restore', id, 'app.db', '--yes', how])).code).toBe(0);
  }
});

test('what is in no save is said, and no later restore deletes it', async () => {
  mkdirSync(at('data'));
  write('data/x', 'saved');
  write('y', 'saved');
  const { id } = await sandbox.snapshot(['save']);
  write('cora.toml', '[scan]\nexclude = ["data/"]\n');
  write('data/x', 'PRECIOUS');
  const run = await sandbox.json(['restore', id, 'data/x', '--yes']);
  expect(run).toMatchObject({ code: 3 });
  expect(run.problems).toContainEqual(expect.objectContaining({ code: 'not_saved', path: 'data/x' }));
  for (const text of ['one', 'two']) {
    write('y', text);
    expect((await sandbox.cora(['restore', id, 'y', '--yes'])).code).toBe(0);
  }
  expect(await kept('PRECIOUS')).toHaveLength(1);
  // Marked once more, and once more.
  write('data/x', 'PRECIOUS');
  expect((await sandbox.cora(['restore', id, 'data/x', '--yes'])).code).toBe(3);
  for (const code of [3, 3]) expect((await sandbox.cora(['restore', '--undo', '--yes'])).code).toBe(code);
});

test('a link where a directory was is not followed by the way back', async () => {
  mkdirSync(at('d'));
  write('d/f', 'one');
  const { id } = await sandbox.snapshot(['save']);
  write('d/f', 'two');
  expect((await sandbox.cora(['restore', id, '--yes'])).code).toBe(0);
  const outside = join(sandbox.root, 'outside');
  mkdirSync(outside);
  writeFileSync(join(outside, 'f'), 'OUTSIDE');
  rmSync(at('d'), { recursive: true });
  symlinkSync(outside, at('d'));
  const run = await sandbox.cora(['restore', '--undo', '--yes']);
  expect([run.code, run.stderr, readFileSync(join(outside, 'f'), 'utf8')]).toEqual([20, expect.stringContaining('d was a directory'), 'OUTSIDE']);
  rmSync(at('d'));
  write('d', 'a file');
  expect((await sandbox.cora(['restore', '--undo', '--yes'])).code).toBe(20);
  rmSync(at('d'));
  expect((await sandbox.cora(['restore', '--undo', '--yes'])).code).toBe(0);
  expect(read('d/f')).toBe('two');
});

test('a way back that is gone is refused, and the save that has it is named', async () => {
  write('f', 'one');
  const { id } = await sandbox.snapshot(['save']);
  write('f', 'two');
  const { result } = await sandbox.json(['restore', id, '--yes']);
  const run = readdirSync(at('.cora-restore')).find((name) => name.startsWith('run-')) ?? '';
  rmSync(at(`.cora-restore/${run}/old`), { recursive: true });
  const undo = await sandbox.cora(['restore', '--undo', '--yes']);
  expect([undo.code, undo.stderr, read('f')]).toEqual([1, expect.stringContaining(`cora restore ${String(result['pre_restore_snapshot'])}`), 'one']);
});

test('a record that is damaged in the middle stops no save; it says that it holds a mix', async () => {
  write('f', 'one');
  const { id } = await sandbox.snapshot(['save']);
  write('f', 'two');
  expect((await sandbox.cora(['restore', id, '--yes'])).code).toBe(0);
  const record = JSON.parse(read('.cora-restore/RESTORE.json')) as { run: string };
  write('.cora-restore/RESTORE.json', JSON.stringify({ ...record, phase: 'swapping' }));
  rmSync(at(`.cora-restore/${record.run}/moves.tsv`));
  const saved = await sandbox.json(['save', '-m', 'all the same']);
  expect([saved.code, saved.problems.map(({ code }) => code)]).toEqual([3, ['restore_unfinished']]);
  expect((await sandbox.cora(['status'])).code).toBe(21);
});

test.skipIf(whyNotNobody() !== undefined)('directories that their owner may not write to go back and forth', async () => {
  const user = new Sandbox({ nobody: true });
  try {
    const own = (path: string) => join(user.project, path);
    mkdirSync(own('d'));
    writeFileSync(own('d/f'), '1');
    for (const path of ['d', 'd/f']) user.own(own(path));
    chmodSync(own('d'), 0o555);
    const { id } = await user.snapshot(['save']);
    chmodSync(own('d'), 0o755);
    rmSync(own('d'), { recursive: true });
    for (const args of [
      ['restore', id],
      ['restore', '--undo'],
      ['restore', '--undo'],
      ['restore', id],
    ]) {
      expect(await user.cora([...args, '--yes'])).toMatchObject({ code: 0 });
      if (args[1] === id && isRoot) chownSync(own('d'), 65_534, 65_534);
    }
    expect((await user.cora(['save'])).code).toBe(0);
    expect(existsSync(own('d/f'))).toBe(true);
  } finally {
    await user.remove();
  }
});

test('what a killed restore left beside its files goes with the next one; what a living process writes stays', async () => {
  mkdirSync(at('d'));
  write('d/f', 'text');
  const { id } = await sandbox.snapshot(['save']);
  const out = join(sandbox.root, 'out');
  expect((await sandbox.cora(['restore', id, '--to', out])).code).toBe(0);
  const gone = (await execute('sh', ['-c', 'echo $$'])).stdout.trim();
  const name = (pid: number | string) => `.cora-restore-${Number(pid).toString(36)}-0-mk0000000-1`;
  mkdirSync(join(out, name(gone), 'half'), { recursive: true });
  writeFileSync(join(out, 'd', name(gone)), 'half');
  writeFileSync(join(out, 'd', name(process.pid)), 'being written');
  writeFileSync(join(out, 'd', '.cora-restore-mine'), 'no name of ours');
  expect((await sandbox.cora(['restore', id, '--to', out, '--overwrite', 'always'])).code).toBe(0);
  expect([readdirSync(out), readdirSync(join(out, 'd')).toSorted()]).toEqual([['d'], [name(process.pid), '.cora-restore-mine', 'f'].toSorted()]);
});

test('an archive made anew with another content and sums to fit gives nothing that the listing does not vouch for', async () => {
  write('plan.md', 'as it was saved\n');
  write('other.md', 'other\n');
  const { id, path } = await sandbox.snapshot(['backup', 'now']);
  await execute('chattr', ['-R', '-f', '-i', path]);
  const name = readdirSync(path).find((one) => one.endsWith('-full.tar.gz')) ?? '';
  const scratch = join(sandbox.root, 'scratch');
  mkdirSync(scratch);
  expect((await execute('tar', ['-xzf', join(path, name), '-C', scratch])).code).toBe(0);
  const inside = (await execute('find', [scratch, '-name', 'plan.md'])).stdout.trim();
  writeFileSync(inside, 'as I like it now\n');
  expect((await execute('tar', ['-czf', join(path, name), '-C', scratch, ...readdirSync(scratch)])).code).toBe(0);
  const sums = join(path, 'SHA256SUMS.txt');
  const sum = createHash('sha256')
    .update(readFileSync(join(path, name)))
    .digest('hex');
  writeFileSync(sums, readFileSync(sums, 'utf8').replace(new RegExp(`^[0-9a-f]{64}(?=  \\S*${name}$)`, 'm'), sum));
  const out = join(sandbox.root, 'out');
  const restored = await sandbox.json(['restore', id, '--to', out, '--partial']);
  expect(restored.code).toBe(21);
  expect(JSON.stringify(restored)).toContain('plan.md');
  expect(existsSync(join(out, 'plan.md')) && readFileSync(join(out, 'plan.md'), 'utf8') !== 'as it was saved\n').toBe(false);
});
