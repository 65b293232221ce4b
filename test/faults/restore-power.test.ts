// A power cut in the middle of a restore in place, on ext4 and xfs: the process is killed at one of its steps and the
// file system shut down without its log, so that nothing unsynced is left. After a mount and the next command
// the project is wholly old or wholly new, and there is a way back.

import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findProgram } from '../../src/os/run.ts';
import { compareTrees, readTree } from '../helpers/compare-trees.ts';
import { execute, isRoot, Sandbox } from '../support/sandbox.ts';

const SLOW = process.env['CORA_TEST_SLOW'] === '1';
const CORA = join(import.meta.dirname, '../../bin/cora');
const missing = ['strace', 'xfs_io', 'mkfs.ext4', 'mkfs.xfs', 'mount'].filter((name) => findProgram(name) === undefined);
const able = isRoot && missing.length === 0 && existsSync('/dev/loop-control');

let sandbox: Sandbox;
let mountPoint = '';
beforeEach(() => {
  sandbox = new Sandbox();
  mountPoint = join(sandbox.root, 'disk');
  mkdirSync(mountPoint);
});
afterEach(async () => {
  await execute('umount', [mountPoint]);
  await sandbox.remove();
});

async function run(program: string, ...args: string[]): Promise<void> {
  const result = await execute(program, args);
  if (result.code !== 0) throw new Error(`${program} ${args.join(' ')}: ${result.stderr}`);
}

test.skipIf(!able).each([
  ['ext4', 48],
  ['xfs', 320],
] as const)(
  'a power cut at any step of a restore on %s (needs root, a loop device, xfs_io and strace)',
  { timeout: 1_200_000 },
  async (kind, megabytes) => {
    const image = join(sandbox.root, 'image');
    await run('truncate', '-s', `${megabytes}M`, image);
    await run(`mkfs.${kind}`, kind === 'ext4' ? '-qF' : '-qf', image);
    const mount = () => run('mount', '-o', 'loop', image, mountPoint);
    const project = join(mountPoint, 'project');
    const cora = (...args: string[]) => sandbox.cora([...args, '--yes', '--confirm-service-stopped'], { cwd: project });
    const back = ['restore', '--undo'];
    await mount();
    mkdirSync(join(project, 'src/deep'), { recursive: true });
    // The same points as the kills of restore-in-place.test.ts in the slow mode.
    const more = Array.from({ length: SLOW ? 36 : 1 }, (_, n) => `more-${n}`);
    for (const name of ['a', 'deep/b', 'deep/c', ...more]) writeFileSync(join(project, 'src', name), `${name} as saved`);
    const sql = (statement: string): unknown => {
      const database = new Database(join(project, 'notes.db'));
      try {
        return database.prepare(statement).reader ? database.prepare(statement).pluck().all() : database.exec(statement);
      } finally {
        database.close();
      }
    };
    sql('PRAGMA journal_mode = wal');
    sql('CREATE TABLE note (text)');
    sql("INSERT INTO note VALUES ('saved')");
    const made = await sandbox.json(['save'], { cwd: project });
    const id = String(made.result['snapshot_id']);
    const forth = ['restore', id, '--no-pre-snapshot', '--modes', 'snapshot'];
    for (const name of ['a', ...more]) writeFileSync(join(project, 'src', name), 'wrecked');
    rmSync(join(project, 'src/deep'), { recursive: true });
    sql("INSERT INTO note VALUES ('since')");
    const spoiled = join(sandbox.root, 'spoiled');
    await run('cp', '-a', project, spoiled);
    const state = () => ({
      files: readTree(project, { skip: (path) => path.startsWith('.cora-restore') }),
      rows: String(sql('SELECT text FROM note ORDER BY rowid')),
    });
    const old = state();
    expect((await cora(...forth)).code).toBe(0);
    const fresh = state();
    const judge = (): string => {
      const now = state();
      const same = (one: typeof old) =>
        one.rows === now.rows &&
        compareTrees(one.files, now.files, { ignore: ['mtime'] }).filter((line) => !line.startsWith('notes.db')).length === 0;
      return same(old) ? 'old' : same(fresh) ? 'new' : `mixed: ${now.rows}; ${compareTrees(old.files, now.files, { ignore: ['mtime'] }).join('; ')}`;
    };
    const env = { PATH: '/usr/bin:/bin', HOME: sandbox.home, CORA_VAULT: sandbox.vault, CORA_LOG: '', CORA_WORKERS: '0' };
    const seen = new Set<string>();
    let cuts = 0;
    for (const call of ['rename', 'fsync']) {
      for (let when = 1; ; when += SLOW ? 1 : call === 'rename' ? 6 : 20) {
        await run('rm', '-rf', project);
        await run('cp', '-a', spoiled, project);
        await run('sync', '-f', project);
        const inject = ['-f', '-qq', '-o', '/dev/null', '-e', `trace=${call}`, '-e', `inject=${call}:signal=KILL:when=${when}`];
        const { code } = await execute('strace', [...inject, CORA, ...forth, '--yes', '--confirm-service-stopped'], { cwd: project, env });
        await run('xfs_io', '-x', '-c', 'shutdown', mountPoint);
        await run('umount', mountPoint);
        await mount();
        expect((await sandbox.cora(['status'], { cwd: project })).code).toBe(0);
        const verdict = judge();
        expect([call, when, verdict]).toEqual([call, when, code === 0 ? 'new' : expect.stringMatching(/^(old|new)$/)]);
        seen.add(verdict);
        cuts += 1;
        if (verdict === 'new') {
          expect((await cora(...back)).code).toBe(0);
          expect([call, when, judge()]).toEqual([call, when, 'old']);
        }
        if (code === 0) break;
      }
    }
    expect([...seen].sort()).toEqual(['new', 'old']);
    if (SLOW) process.stdout.write(`${kind}: ${cuts} power cuts\n`);
  },
);
