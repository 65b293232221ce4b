// `cora restore` over the live project: the way back, databases in use and not, what it moves aside, and what
// a kill at any step leaves. Wholly old or wholly new after the next command, and never without a way back.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findProgram } from '../../src/os/run.ts';
import { compareTrees, readTree } from '../helpers/compare-trees.ts';
import { LiveProgram, makeContent, sideOf } from '../support/live-program.ts';
import { execute, isRoot, Sandbox } from '../support/sandbox.ts';

const SLOW = process.env['CORA_TEST_SLOW'] === '1';
const CORA = join(import.meta.dirname, '../../bin/cora');
const strace = findProgram('strace');

let sandbox: Sandbox;
let cleanUp: (() => unknown)[] = [];
beforeEach(() => {
  sandbox = new Sandbox();
});
afterEach(async () => {
  for (const step of cleanUp.reverse()) await step();
  cleanUp = [];
  await sandbox.remove();
});

const at = (path: string) => join(sandbox.project, path);
const read = (path: string) => readFileSync(at(path), 'utf8');
const ours = (path: string) => path.startsWith('.cora-restore');
const tree = () => readTree(sandbox.project, { skip: ours });
const timeless = { ignore: ['mtime'] } as const;

/** Rows that a program wrote and left in the -wal when it was killed. */
async function writeAndDie(path: string, sql: string): Promise<void> {
  const program = `const D = require('better-sqlite3'); const d = new D(process.argv[1]); d.pragma('wal_autocheckpoint = 0'); d.exec(process.argv[2]); console.log('done'); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['-e', program, at(path), sql], {
    cwd: join(import.meta.dirname, '../..'),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'close');
}

function makeDatabase(path: string, mode = 'wal'): void {
  const database = new Database(at(path));
  database.pragma(`journal_mode = ${mode}`);
  database.exec("CREATE TABLE note (text); INSERT INTO note VALUES ('saved')");
  database.close();
}

function rowsOf(path: string): string[] {
  const database = new Database(at(path));
  try {
    return database.prepare('SELECT text FROM note ORDER BY rowid').pluck().all() as string[];
  } finally {
    database.close();
  }
}

async function makeProject(): Promise<string> {
  mkdirSync(at('src/deep/er'), { recursive: true });
  for (const name of ['a', 'deep/b', 'deep/c', 'deep/er/d']) writeFileSync(at(`src/${name}`), `${name} as saved`);
  writeFileSync(at('.env'), 'KEY=saved');
  symlinkSync('a', at('src/link'));
  mkdirSync(at('empty'));
  makeDatabase('notes.db');
  return (await sandbox.snapshot(['backup', 'now'])).id;
}

/** The first accident: files changed, gone and new, a database with rows that are only in its -wal. */
async function wreck(): Promise<void> {
  writeFileSync(at('src/a'), 'a wrecked');
  rmSync(at('src/deep'), { recursive: true });
  rmSync(at('src/link'));
  writeFileSync(at('src/new'), 'made since');
  await writeAndDie('notes.db', "INSERT INTO note VALUES ('only in the wal')");
}

test('what was there is saved first, and --undo brings it back, rows that were only in a -wal too', async () => {
  const id = await makeProject();
  await wreck();
  expect(existsSync(at('notes.db-wal'))).toBe(true);
  const before = tree();
  const run = await sandbox.json(['restore', id, '--yes', '--confirm-service-stopped']);
  expect(run).toMatchObject({ code: 0, result: { db_restored: true, restored_integrity_ok: true, target_db: 'notes.db', stamp: id } });
  expect([read('src/a'), read('src/deep/er/d'), read('src/new'), rowsOf('notes.db')]).toEqual([
    'a as saved',
    'deep/er/d as saved',
    'made since',
    ['saved'],
  ]);
  expect(readdirSync(sandbox.project).filter((name) => /-(wal|shm|journal)$/.test(name))).toEqual([]);
  const safety = String(run.result['pre_restore_snapshot']);
  const listed = await sandbox.json(['show', safety]);
  expect(JSON.stringify(listed.result)).toContain('pre-restore-safety');
  // What was replaced is nobody's latest.
  expect((await sandbox.json(['show', 'latest'])).result['snapshot_id']).toBe(id);
  const undone = await sandbox.cora(['restore', '--undo', '--yes', '--confirm-service-stopped']);
  expect([undone.code, undone.stdout]).toEqual([0, expect.stringContaining('is taken back')]);
  expect(rowsOf('notes.db')).toEqual(['saved', 'only in the wal']);
  const database = (line: string) => !line.startsWith('notes.db') && !/^(\.|src): mtime/.test(line);
  expect(compareTrees(before, tree()).filter(database)).toEqual([]);
  // Once more, the other way round.
  expect((await sandbox.cora(['restore', '--undo', '--yes', '--confirm-service-stopped'])).code).toBe(0);
  expect([read('src/a'), rowsOf('notes.db')]).toEqual(['a as saved', ['saved']]);
  expect((await sandbox.cora(['restore', safety, 'src/a', '--to', join(sandbox.root, 'out')])).code).toBe(0);
  expect(readFileSync(join(sandbox.root, 'out/src/a'), 'utf8')).toBe('a wrecked');
});

test('without a word about the database it is refused with 20 and nothing changes, in place and in undo', async () => {
  const id = await makeProject();
  await wreck();
  const before = readTree(sandbox.project);
  for (const args of [
    ['restore', id, '--yes'],
    ['restore', id, '--confirm-service-stopped'],
    ['restore', id, '--databases', '--yes'],
  ]) {
    expect(await sandbox.json(args)).toMatchObject({ code: 20, error: { code: 'refused' } });
  }
  expect(compareTrees(before, readTree(sandbox.project))).toEqual([]);
  expect((await sandbox.cora(['restore', id, '--databases', '--yes', '--confirm-service-stopped'])).code).toBe(0);
  expect([rowsOf('notes.db'), read('src/a')]).toEqual([['saved'], 'a wrecked']);
  for (const args of [['--undo'], ['--undo', '--yes'], ['--undo', '--confirm-service-stopped']]) {
    expect((await sandbox.cora(['restore', ...args])).code).toBe(20);
    expect(rowsOf('notes.db')).toEqual(['saved']);
  }
});

test('who has the database open is named, and nothing changes; with --live its program sees old or new content only', async () => {
  makeContent(at('app.db'), 0, 200, 'wal');
  writeFileSync(at('a.txt'), 'saved');
  const { id } = await sandbox.snapshot(['save']);
  rmSync(at('app.db'));
  makeContent(at('app.db'), 1, 400, 'wal');
  writeFileSync(at('a.txt'), 'changed');
  const program = new LiveProgram(at('app.db'));
  cleanUp.push(() => program.stop());
  await program.go(20);
  const held = await sandbox.cora(['restore', id, '--yes', '--confirm-service-stopped']);
  expect([held.code, held.stderr]).toEqual([20, expect.stringContaining(`process ${program.pid}`)]);
  expect([read('a.txt'), program.errors]).toEqual(['changed', '']);
  const inode = statSync(at('app.db')).ino;
  const live = await sandbox.json(['restore', id, '--yes', '--live']);
  expect(live).toMatchObject({ code: 0, result: { restored_integrity_ok: true } });
  await program.go(20);
  expect([statSync(at('app.db')).ino, program.errors, program.sides]).toEqual([inode, '', '10']);
  expect((await sandbox.cora(['restore', '--undo', '--yes', '--live'])).code).toBe(0);
  await program.go(20);
  expect([program.errors, read('a.txt')]).toEqual(['', 'changed']);
  await program.stop();
  expect(sideOf(at('app.db'), [200, 400])).toBe(1);
});

test('a stale -wal beside a database that is gone is never replayed into the restored one', async () => {
  const id = await makeProject();
  await writeAndDie('notes.db', "DELETE FROM note; INSERT INTO note VALUES ('wrecked')");
  rmSync(at('notes.db'));
  expect((await sandbox.cora(['restore', id, 'notes.db', '--yes'])).code).toBe(20);
  expect((await sandbox.cora(['restore', id, 'notes.db', '--yes', '--confirm-service-stopped'])).code).toBe(0);
  expect(rowsOf('notes.db')).toEqual(['saved']);
});

test('a database that is gone altogether needs no more than a yes', async () => {
  const id = await makeProject();
  rmSync(at('notes.db'));
  expect((await sandbox.cora(['restore', id, 'notes.db', '--yes'])).code).toBe(0);
  expect(rowsOf('notes.db')).toEqual(['saved']);
});

test('--delete moves what the snapshot does not hold aside, never what is excluded, and undo brings it back', async () => {
  const id = await makeProject();
  const saved = tree();
  mkdirSync(at('extra/sub'), { recursive: true });
  writeFileSync(at('extra/sub/x'), 'extra');
  writeFileSync(at('src/y'), 'extra');
  mkdirSync(at('node_modules'));
  writeFileSync(at('node_modules/z'), 'excluded');
  const before = tree();
  const args = ['restore', id, '--yes', '--confirm-service-stopped', '--delete'];
  const dry = await sandbox.json([...args, '--dry-run']);
  expect(JSON.stringify(dry.result['move_aside'])).toContain('extra/sub/x');
  expect(await sandbox.json(args)).toMatchObject({ code: 0, result: { moved_aside: 2 } });
  expect(read('node_modules/z')).toBe('excluded');
  const database = (line: string) => !line.startsWith('notes.db');
  expect(
    compareTrees(saved, readTree(sandbox.project, { skip: (path) => ours(path) || /^node_modules/.test(path) }), timeless).filter(database),
  ).toEqual([]);
  expect((await sandbox.cora(['restore', '--undo', '--yes', '--confirm-service-stopped'])).code).toBe(0);
  expect(compareTrees(before, tree(), timeless).filter(database)).toEqual([]);
});

test('--with and --without choose artefacts, and a word says where parts are of different moments', async () => {
  writeFileSync(
    at('cora.toml'),
    '[[artefacts]]\nname = "registry"\nkind = "json"\npath = "registry.json"\n[[artefacts]]\nname = "store"\nkind = "directory"\npath = "store"\n',
  );
  mkdirSync(at('store'));
  const write = (word: string) => {
    for (const name of ['registry.json', 'store/x', 'other']) writeFileSync(at(name), JSON.stringify(word));
  };
  makeDatabase('notes.db');
  write('saved');
  const { id } = await sandbox.snapshot(['save']);
  const state = () => ['registry.json', 'store/x', 'other'].map((name) => JSON.parse(read(name)) as string);
  write('changed');
  expect((await sandbox.cora(['restore', id, '--with', 'registry', '--yes'])).code).toBe(0);
  expect(state()).toEqual(['saved', 'changed', 'changed']);
  const without = await sandbox.cora(['restore', id, '--without', 'store', '--yes', '--confirm-service-stopped']);
  expect([without.code, without.stderr]).toEqual([0, expect.stringContaining('of different moments')]);
  expect(state()).toEqual(['saved', 'changed', 'saved']);
  const unknown = await sandbox.cora(['restore', id, '--with', 'nothing', '--yes']);
  expect([unknown.code, unknown.stderr]).toEqual([1, expect.stringContaining('it has registry, store')]);
});

test('a damaged snapshot changes nothing and ends with 21', async () => {
  for (const name of ['a', 'b']) writeFileSync(at(name), `${name} as saved `.repeat(400));
  const { id, path } = await sandbox.snapshot(['save']);
  writeFileSync(at('a'), 'a changed');
  writeFileSync(at('b'), 'b changed');
  await sandbox.snapshot(['save']);
  // The content of one file is gone from the vault.
  const pack = join(path, 'objects.tar.zst');
  const content = readFileSync(pack);
  chmodSync(pack, 0o600);
  writeFileSync(pack, content.fill(0, 0, Math.floor(content.length / 2)));
  rmSync(join(sandbox.vault, '.cache'), { recursive: true });
  const before = tree();
  const run = await sandbox.cora(['restore', id, '--yes', '--no-pre-snapshot']);
  expect([run.code, run.stderr]).toEqual([21, expect.stringContaining('nothing was changed')]);
  expect(compareTrees(before, tree(), timeless)).toEqual([]);
  expect(existsSync(at('.cora-restore/RESTORE.json'))).toBe(false);
});

test('--partial brings what is whole, names the rest and ends with 21', async () => {
  writeFileSync(at('a'), 'a as saved '.repeat(400));
  const first = await sandbox.snapshot(['save']);
  writeFileSync(at('b'), 'b as saved');
  const { id } = await sandbox.snapshot(['save']);
  for (const name of ['a', 'b']) writeFileSync(at(name), `${name} changed`);
  await sandbox.snapshot(['save']);
  const pack = join(first.path, 'objects.tar.zst');
  chmodSync(pack, 0o600);
  writeFileSync(pack, readFileSync(pack).fill(0, 20));
  rmSync(join(sandbox.vault, '.cache'), { recursive: true });
  expect((await sandbox.cora(['restore', id, '--yes', '--no-pre-snapshot'])).code).toBe(21);
  expect([read('a'), read('b')]).toEqual(['a changed', 'b changed']);
  const run = await sandbox.cora(['restore', id, '--yes', '--no-pre-snapshot', '--partial']);
  expect([run.code, run.stderr, read('a'), read('b')]).toEqual([21, expect.stringMatching(/\ba\b/), 'a changed', 'b as saved']);
});

test('owner and mode of what is overwritten stay; --modes snapshot brings those that were saved (needs root)', async () => {
  writeFileSync(at('a'), 'saved', { mode: 0o640 });
  const { id } = await sandbox.snapshot(['save']);
  writeFileSync(at('a'), 'changed');
  chmodSync(at('a'), 0o604);
  if (isRoot) chownSync(at('a'), 1234, 1235);
  expect((await sandbox.cora(['restore', id, '--yes'])).code).toBe(0);
  const { mode, uid, gid } = lstatSync(at('a'));
  expect([read('a'), mode & 0o777, uid, gid]).toEqual(['saved', 0o604, ...(isRoot ? [1234, 1235] : [uid, gid])]);
  expect((await sandbox.cora(['restore', id, '--yes', '--modes', 'snapshot'])).code).toBe(0);
  expect([lstatSync(at('a')).mode & 0o777, lstatSync(at('a')).uid]).toEqual([0o640, process.getuid?.()]);
});

test.skipIf(!isRoot)('an append-only file is restored and append-only again, in undo too (needs root)', async () => {
  writeFileSync(at('AI_WORK_LOG.md'), 'saved\n');
  writeFileSync(at('cora.toml'), '[critical]\nappend_only = ["AI_WORK_LOG.md"]\n');
  const { id } = await sandbox.snapshot(['save']);
  appendFileSync(at('AI_WORK_LOG.md'), 'since\n');
  expect((await sandbox.cora(['protect'])).code).toBe(0);
  const isAppendOnly = async () => (await execute('lsattr', [at('AI_WORK_LOG.md')])).stdout.slice(0, 22).includes('a');
  expect((await sandbox.cora(['restore', id, '--yes'])).code).toBe(0);
  expect([read('AI_WORK_LOG.md'), await isAppendOnly()]).toEqual(['saved\n', true]);
  expect((await sandbox.cora(['restore', '--undo', '--yes'])).code).toBe(0);
  expect([read('AI_WORK_LOG.md'), await isAppendOnly()]).toEqual(['saved\nsince\n', true]);
});

test.skipIf(!isRoot)('a mount point is filled, not replaced, and so is a file that something is mounted on (needs root)', async () => {
  writeFileSync(at('cora.toml'), '[scan]\none_file_system = false\n');
  mkdirSync(at('data'));
  writeFileSync(at('.env'), 'KEY=saved');
  const volume = join(sandbox.root, 'volume');
  mkdirSync(join(volume, 'sub'), { recursive: true });
  writeFileSync(join(volume, 'sub/x'), 'x as saved');
  writeFileSync(join(sandbox.root, 'env'), 'KEY=saved');
  for (const [from, to] of [
    [volume, at('data')],
    [join(sandbox.root, 'env'), at('.env')],
  ] as const) {
    const mounted = await execute('mount', ['--bind', from, to]);
    if (mounted.code !== 0) throw new Error(`no bind mounts here: ${mounted.stderr}`);
    cleanUp.push(() => execute('umount', [to]));
  }
  const { id } = await sandbox.snapshot(['save']);
  writeFileSync(at('data/sub/x'), 'x changed');
  writeFileSync(at('data/new'), 'new');
  writeFileSync(at('.env'), 'KEY=changed');
  expect((await sandbox.cora(['restore', id, '--yes'])).code).toBe(0);
  const state = () => [
    readFileSync(join(volume, 'sub/x'), 'utf8'),
    readFileSync(join(volume, 'new'), 'utf8'),
    readFileSync(join(sandbox.root, 'env'), 'utf8'),
  ];
  expect(state()).toEqual(['x as saved', 'new', 'KEY=saved']);
  expect((await sandbox.cora(['restore', '--undo', '--yes'])).code).toBe(0);
  expect(state()).toEqual(['x changed', 'new', 'KEY=changed']);
});

test('a snapshot of another deployment says so and asks', async () => {
  writeFileSync(at('a'), 'saved');
  const { id } = await sandbox.snapshot(['save']);
  const moved = join(sandbox.root, 'moved');
  renameSync(sandbox.project, moved);
  mkdirSync(sandbox.project);
  writeFileSync(join(moved, 'a'), 'changed');
  const asked = await sandbox.cora(['restore', id, '--vault', sandbox.vault], { cwd: moved });
  expect([asked.code, asked.stderr]).toEqual([20, expect.stringContaining('Another deployment')]);
  expect(readFileSync(join(moved, 'a'), 'utf8')).toBe('changed');
});

test('stop and start run around it, checks after it, and a check that fails takes the restore back', async () => {
  const id = await makeProject();
  await writeAndDie('notes.db', "INSERT INTO note VALUES ('only in the wal')");
  writeFileSync(at('src/a'), 'a wrecked');
  const log = join(sandbox.root, 'log');
  const commands = `[restore]\nstop = "echo stop >> ${log}"\nstart = "echo start $CORA_ID >> ${log}"\n`;
  const check = (words: string) => `[[checks]]\nname = "reads-${words}"\ncommand = "grep -q '${words}' src/a"\n`;
  // What a repository says runs only once a person allowed it; nothing is changed then.
  writeFileSync(at('cora.toml'), commands);
  const refused = await sandbox.cora(['restore', id, '--yes']);
  expect([refused.code, refused.stderr, read('src/a')]).toEqual([20, expect.stringContaining('cora trust'), 'a wrecked']);
  rmSync(at('cora.toml'));
  mkdirSync(join(sandbox.home, '.config/cora'), { recursive: true });
  const machine = join(sandbox.home, '.config/cora/project.toml');
  writeFileSync(machine, commands + check('wrecked'));
  const taken = await sandbox.cora(['restore', id, '--yes', '--rollback', 'auto']);
  expect([taken.code, taken.stderr]).toEqual([1, expect.stringContaining('was taken back, because a check failed')]);
  expect([read('src/a'), rowsOf('notes.db')]).toEqual(['a wrecked', ['saved', 'only in the wal']]);
  expect(readFileSync(log, 'utf8')).toBe(`stop\nstart ${id}\nstop\nstart ${id}\n`);
  const kept = await sandbox.json(['restore', id, '--yes']);
  expect(kept).toMatchObject({ code: 3, result: { rolled_back: false, checks: [{ name: 'reads-wrecked', ok: false }] } });
  expect(read('src/a')).toBe('a as saved');
  writeFileSync(machine, commands.replace('echo stop', 'false; #') + check('saved'));
  const stopless = await sandbox.cora(['restore', id, '--yes']);
  expect([stopless.code, stopless.stderr]).toEqual([20, expect.stringContaining('restore.stop')]);
  expect(await sandbox.json(['restore', id, '--yes', '--confirm-service-stopped'])).toMatchObject({ code: 0, result: { checks: [{ ok: true }] } });
});

const FORTH = ['--yes', '--confirm-service-stopped', '--no-pre-snapshot', '--modes', 'snapshot'];
const BACK = ['restore', '--undo', '--yes', '--confirm-service-stopped'];

/** Runs a command under strace; the `when`-th `call` kills it. Gives true where it was killed. */
async function killedAt(args: readonly string[], call: string, when: number): Promise<boolean> {
  const inject = ['-f', '-qq', '-o', '/dev/null', '-e', `trace=${call}`, '-e', `inject=${call}:signal=KILL:when=${when}`];
  const env = { PATH: '/usr/bin:/bin', HOME: sandbox.home, CORA_VAULT: sandbox.vault, CORA_LOG: '', CORA_WORKERS: '0' };
  const { code } = await execute(strace ?? 'strace', [...inject, CORA, ...args], { cwd: sandbox.project, env });
  if (code === 0) return false;
  // strace dies by the signal that it gave.
  expect(code).toBe(null);
  return true;
}

test.skipIf(strace === undefined)(
  'killed at any step of restore and undo: wholly old or wholly new at the next command (needs strace)',
  { timeout: 1_200_000 },
  async () => {
    // At least 200 points in the slow mode.
    const more = Array.from({ length: SLOW ? 36 : 1 }, (_, n) => `more-${n}`);
    for (const name of more) writeFileSync(at(name), 'as saved');
    const id = await makeProject();
    await writeAndDie('notes.db', "INSERT INTO note VALUES ('only in the wal')");
    for (const name of ['src/a', ...more]) writeFileSync(at(name), 'wrecked');
    rmSync(at('src/deep'), { recursive: true });
    const spoiled = join(sandbox.root, 'spoiled');
    await execute('cp', ['-a', sandbox.project, spoiled]);
    const old = { files: tree(), rows: ['saved', 'only in the wal'] };
    expect((await sandbox.cora(['restore', id, '--yes', '--confirm-service-stopped', '--no-pre-snapshot', '--modes', 'snapshot'])).code).toBe(0);
    const restored = { files: tree(), rows: ['saved'] };
    const database = (line: string) => !line.startsWith('notes.db');
    const judge = (): string => {
      const [now, rows] = [tree(), rowsOf('notes.db').join()];
      for (const [name, state] of Object.entries({ old, new: restored })) {
        if (rows === state.rows.join() && compareTrees(state.files, now, timeless).filter(database).length === 0) return name;
      }
      return `mixed: ${rows}; ${compareTrees(old.files, now, timeless).join('; ')} / ${compareTrees(restored.files, now, timeless).join('; ')}`;
    };
    const reset = async (): Promise<void> => {
      await execute('rm', ['-rf', sandbox.project]);
      await execute('cp', ['-a', spoiled, sandbox.project]);
    };
    const seen = { restore: new Set<string>(), undo: new Set<string>() };
    let points = 0;
    for (const way of ['restore', 'undo'] as const) {
      for (const call of ['rename', 'mkdir', 'fsync', 'unlink']) {
        for (let when = 1; ; when += SLOW ? 1 : call === 'rename' ? 9 : 25) {
          await reset();
          if (way === 'undo') expect((await sandbox.cora(['restore', id, ...FORTH])).code).toBe(0);
          if (!(await killedAt(way === 'undo' ? BACK : ['restore', id, ...FORTH], call, when))) break;
          points += 1;
          expect((await sandbox.cora(['status'])).code).toBe(0);
          const verdict = judge();
          expect([way, call, when, verdict]).toEqual([way, call, when, expect.stringMatching(/^(old|new)$/)]);
          seen[way].add(verdict);
          // Never without a way back.
          if (way === 'undo' || verdict === 'old') continue;
          expect((await sandbox.cora(BACK)).code).toBe(0);
          expect([call, when, judge()]).toEqual([call, when, 'old']);
        }
      }
    }
    const both = ['new', 'old'];
    expect([[...seen.restore].sort(), [...seen.undo].sort()]).toEqual([both, both]);
    expect(points).toBeGreaterThan(7);
    if (SLOW) process.stdout.write(`${points} kills\n`);
  },
);
