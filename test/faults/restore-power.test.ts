// A power cut in the middle of a restore in place, on ext4 and xfs: the process is killed at one of its steps and the
// file system shut down without its log, so that nothing unsynced is left. After a mount and the next command
// the project is wholly old or wholly new, and there is a way back.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { compareTrees, readTree } from '../helpers/compare-trees.ts';
import { execute, Sandbox } from '../support/sandbox.ts';
import { Bench, Disk, KINDS, must, whyNoDisks } from './power/disk.ts';

const SLOW = process.env['CORA_TEST_SLOW'] === '1';
const CORA = join(import.meta.dirname, '../../bin/cora');
const why = whyNoDisks('mkfs.ext4', 'mkfs.xfs');

let sandbox: Sandbox;
let bench: Bench;
beforeEach(() => {
  sandbox = new Sandbox();
  bench = new Bench();
});
afterEach(async () => {
  bench.releaseSync();
  await sandbox.remove();
});

test.skipIf(why !== undefined).each([KINDS.ext4, KINDS.xfs])(
  `a power cut at any step of a restore on $name (needs root, a loop device, xfs_io and strace${why === undefined ? '' : `: ${why}`})`,
  { timeout: 1_200_000 },
  async (kind) => {
    const disk = await Disk.make(bench, kind, 'disk');
    const project = join(disk.mountPoint, 'project');
    const cora = (...args: string[]) => sandbox.cora([...args, '--yes', '--confirm-service-stopped'], { cwd: project });
    const back = ['restore', '--undo'];
    await disk.mount();
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
    await must('cp', '-a', project, spoiled);
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
        await must('rm', '-rf', project);
        await must('cp', '-a', spoiled, project);
        await must('sync', '-f', project);
        const inject = ['-f', '-qq', '-o', '/dev/null', '-e', `trace=${call}`, '-e', `inject=${call}:signal=KILL:when=${when}`];
        const { code } = await execute('strace', [...inject, CORA, ...forth, '--yes', '--confirm-service-stopped'], { cwd: project, env });
        await disk.off();
        await disk.unmount();
        await disk.mount();
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
    if (SLOW) process.stdout.write(`${kind.name}: ${cuts} power cuts\n`);
  },
);
