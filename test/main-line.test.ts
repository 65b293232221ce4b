// The whole path on one real project: save, backup, verify, restore by Cora, by restore.sh and by
// tar, with SQLite under write load, and what kill -9 leaves.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { compareTrees, readTree } from './helpers/compare-trees.ts';
import { cora, coraJson, makeScratch, type Scratch, sh, startCora } from './support/run-cora.ts';

const SLOW = process.env['CORA_TEST_SLOW'] === '1';
let scratch: Scratch;

beforeEach(() => {
  scratch = makeScratch();
  mkdirSync(join(scratch.project, 'src/deep/er'), { recursive: true });
  mkdirSync(join(scratch.project, 'empty'));
  writeFileSync(join(scratch.project, 'src/a.ts'), 'export const a = 1;\n');
  writeFileSync(join(scratch.project, 'src/deep/er/-rf'), 'not a flag\n');
  writeFileSync(join(scratch.project, 'AI_WORK_LOG.md'), 'day 1\n');
  writeFileSync(join(scratch.project, '.env'), 'KEY=value\n', { mode: 0o600 });
  writeFileSync(join(scratch.project, 'big.bin'), Buffer.alloc(3_000_001, 'cora'));
  sh(
    'ln -s ../nowhere link; ln src/a.ts src/hard.ts; mkfifo pipe; touch -d 1999-12-31T23:59:59.123456789 src/a.ts; mkdir node_modules; echo x > node_modules/x',
    scratch.project,
  );
});

afterEach(() => scratch.remove());

const withoutDatabases = (path: string): boolean => /(^|\/)(node_modules|\.git)(\/|$)|\.db(-wal|-shm)?$/.test(path);

function differences(restored: string): string[] {
  return compareTrees(readTree(scratch.project, { skip: withoutDatabases }), readTree(restored, { skip: withoutDatabases }));
}

test('what is saved and backed up comes back equal by Cora, by restore.sh and by tar', () => {
  const backup = coraJson(scratch, ['backup', 'now', '-l', 'first']);
  const id = String(backup['snapshot_id']);
  const directory = String(backup['path']);
  sh('sha256sum --quiet -c SHA256SUMS.txt', directory);
  expect(readdirSync(join(directory, 'critical')).sort()).toEqual(['.env', 'AI_WORK_LOG.md']);
  const places = ['by-cora', 'by-script', 'save-by-script', 'by-tar'].map((name) => join(scratch.root, name));
  const [byCora = '', byScript = '', saveByScript = '', byTar = ''] = places;
  expect(cora(scratch, ['restore', id, '--to', byCora]).code).toBe(0);
  sh(`env -i sh '${scratch.vault}/restore.sh' ${id} '${byScript}'`, '/');
  sh(`env -i sh '${scratch.vault}/restore.sh' --save ${id} '${saveByScript}'`, '/');
  mkdirSync(byTar);
  sh(`tar -xzf '${directory}/project-full.tar.gz' -C '${byTar}'`, '/');
  for (const place of places) expect([place, differences(place)]).toEqual([place, []]);
  expect(cora(scratch, ['verify', '--all', '--deep']).code).toBe(0);
});

test('a save of an unchanged project makes no snapshot; a change is a small delta that restores', () => {
  sh('find . -exec touch -h -d "1 hour ago" {} +', scratch.project);
  const first = coraJson(scratch, ['save']);
  sh('sleep 2.1', '/');
  coraJson(scratch, ['save']);
  const again = coraJson(scratch, ['save']);
  expect([again['changed'], again['snapshot_id']]).toEqual([false, first['snapshot_id']]);
  appendFileSync(join(scratch.project, 'AI_WORK_LOG.md'), 'day 2\n');
  const second = coraJson(scratch, ['save', '-m', 'day two']);
  expect([second['changed'], second['files_changed']]).toEqual([true, 1]);
  expect(readdirSync(String(second['path']))).toContain('DELTA.tsv.zst');
  const out = join(scratch.root, 'out');
  expect(cora(scratch, ['restore', 'day two', '--to', out]).code).toBe(0);
  expect(differences(out)).toEqual([]);
  expect(cora(scratch, ['restore', `${first['snapshot_id']}:AI_WORK_LOG.md`, '--yes']).code).toBe(0);
  expect(readFileSync(join(scratch.project, 'AI_WORK_LOG.md'), 'utf8')).toBe('day 1\n');
});

const WRITER = `
import Database from 'better-sqlite3';
const db = new Database(process.argv[1]);
db.pragma('journal_mode = ' + process.argv[2]);
db.exec('CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, pad TEXT)');
const insert = db.prepare('INSERT INTO t (pad) VALUES (?)');
const tick = () => { for (let i = 0; i < 5; i++) process.stdout.write(insert.run('x'.repeat(200)).lastInsertRowid + '\\n'); setTimeout(tick, 8); };
tick();
`;

test.each(['wal', 'delete'])('a database under write load (%s) is consistent and holds every row acknowledged before', async (mode) => {
  const file = join(scratch.project, 'live.db');
  const writer = spawn(process.execPath, ['--input-type=module', '-e', WRITER, file, mode], {
    cwd: join(import.meta.dirname, '..'),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let acknowledged = 0;
  writer.stdout.on('data', (data: Buffer) => {
    acknowledged = Number(data.toString().trim().split('\n').at(-1));
  });
  await once(writer.stdout, 'data');
  try {
    for (let round = 0; round < (SLOW ? 100 : 5); round++) {
      await new Promise((resolve) => setTimeout(resolve, 60));
      const before = acknowledged;
      const run = spawn(join(import.meta.dirname, '../bin/cora'), round % 2 === 0 ? ['save', '--json'] : ['backup', 'now', '--json'], {
        cwd: scratch.project,
        env: scratch.env,
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let out = '';
      run.stdout.on('data', (data: Buffer) => {
        out += data.toString();
      });
      const [code] = (await once(run, 'close')) as [number];
      expect(code).toBe(0);
      const { result } = JSON.parse(out) as {
        result: { snapshot_id: string; path: string; databases: { stored: string; journal_mode: string; check_result: string }[] };
      };
      expect(result.databases).toMatchObject([{ stored: 'copy', journal_mode: mode, check_result: 'ok' }]);
      const to = join(scratch.root, `round-${round}`);
      expect(cora(scratch, ['restore', result.snapshot_id, '--to', to]).code).toBe(0);
      const copy = new Database(join(to, 'live.db'));
      expect(copy.pragma('integrity_check', { simple: true })).toBe('ok');
      expect(copy.pragma('journal_mode', { simple: true })).toBe(mode);
      expect(Number(copy.prepare('SELECT max(n) FROM t').pluck().get())).toBeGreaterThanOrEqual(before);
      copy.close();
      expect(readdirSync(to).filter((name) => name.startsWith('live.db'))).toEqual(['live.db']);
    }
  } finally {
    writer.kill('SIGKILL');
    await once(writer, 'close');
  }
});

test('kill -9 at any moment leaves older snapshots whole and nothing half, and the next run works', async () => {
  coraJson(scratch, ['save']);
  const rounds = SLOW ? 300 : 14;
  for (let round = 0; round < rounds; round++) {
    writeFileSync(join(scratch.project, `new-${round % 7}.bin`), Buffer.alloc(400_000, `${round}`));
    const child = startCora(scratch, round % 2 === 0 ? ['save'] : ['backup', 'now']);
    const closed = once(child, 'close');
    await new Promise((resolve) => setTimeout(resolve, Math.random() * (round % 2 === 0 ? 250 : 600)));
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    } catch {
      // It was quicker.
    }
    await closed;
    if (round % 6 === 5) expect(cora(scratch, ['verify', '--all']).code).toBe(0);
  }
  expect(cora(scratch, ['backup', 'now']).code).toBe(0);
  expect(cora(scratch, ['verify', '--all', '--deep']).code).toBe(0);
  expect(readdirSync(join(scratch.vault, '.stage')).filter((name) => name.startsWith('run-'))).toEqual([]);
  const out = join(scratch.root, 'out');
  expect(cora(scratch, ['restore', 'latest', '--to', out]).code).toBe(0);
  expect(differences(out)).toEqual([]);
});

test('a place that is no vault, another project, a held lock and a project inside are refused with their codes', () => {
  mkdirSync(scratch.vault);
  expect(cora(scratch, ['save']).code).toBe(10);
  expect(readdirSync(scratch.vault)).toEqual([]);
  sh(`rmdir '${scratch.vault}'`, '/');
  expect(cora(scratch, ['save']).code).toBe(0);
  const other = { ...scratch, project: join(scratch.root, 'other') };
  mkdirSync(other.project);
  writeFileSync(join(other.project, 'x'), 'x');
  expect(cora(other, ['save']).code).toBe(10);
  expect(cora(scratch, ['save'], { CORA_VAULT: join(scratch.project, 'inside') }).code).toBe(2);
  expect(existsSync(join(scratch.project, 'inside'))).toBe(false);
  const held = sh(
    `flock '${scratch.vault}/.lock' sh -c 'cd "${scratch.project}" && CORA_VAULT="${scratch.vault}" "${join(import.meta.dirname, '../bin/cora')}" save --lock-wait 100ms; echo $?' 2>&1`,
    '/',
  );
  expect(held.trim().split('\n').at(-1)).toBe('11');
});
