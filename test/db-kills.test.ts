// `cora db restore` killed at its system calls, one after the other: afterwards the target is wholly old or wholly new, and
// where it is new, all of the old content is beside it. CORA_TEST_SLOW=1 takes every call of a kind, else a few.

import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, linkSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findProgram } from '../src/os/run.ts';
import { makeContent, sideOf } from './support/live-program.ts';

const strace = findProgram('strace');
const slow = process.env['CORA_TEST_SLOW'] === '1';
const cora = join(import.meta.dirname, '../bin/cora');
const CALLS = slow
  ? ['rename', 'link', 'unlink', 'rmdir', 'mkdir', 'fsync', 'fchmod', 'fchown', 'ftruncate', 'pwrite64', 'openat', 'close', 'write']
  : ['rename', 'unlink', 'fsync', 'pwrite64'];
/** Kills for each kind of call. */
const POINTS = slow ? 30 : 2;
const PADS = [301, 400] as const;
let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'cora-db-kills-'));
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

/** `app.db`, whose last row is only in its -wal, as a killed program leaves it; and `copy.db`. */
function makeSample(directory: string): void {
  mkdirSync(directory);
  const origin = join(directory, 'origin.db');
  makeContent(origin, 0, PADS[0] - 1, 'wal');
  const program = new Database(origin);
  program.exec("INSERT INTO pad VALUES (0, 'only in the -wal')");
  for (const suffix of ['', '-wal']) copyFileSync(origin + suffix, join(directory, `app.db${suffix}`));
  program.close();
  rmSync(origin);
  makeContent(join(directory, 'copy.db'), 1, PADS[1], 'delete');
}

test.skipIf(strace === undefined).each(['replace', 'into'])(
  'killed at any system call: wholly old or wholly new, and what was there is kept (%s; needs strace)',
  (way) => {
    const sample = join(root, 'sample');
    makeSample(sample);
    const work = join(root, 'work');
    const live = join(work, 'app.db');
    const env = { PATH: process.env['PATH'], HOME: root, CORA_LOG: '/dev/null', CORA_WORKERS: '0', UV_THREADPOOL_SIZE: '1' };
    const restore = (options: readonly string[]) => {
      rmSync(work, { recursive: true, force: true });
      mkdirSync(work);
      for (const name of readdirSync(sample)) copyFileSync(join(sample, name), join(work, name));
      // A file of two names is written into, as one that a program has open.
      if (way === 'into') linkSync(live, join(work, 'second.db'));
      const args = ['-qq', ...options, cora, 'db', 'restore', join(work, 'copy.db'), '--db', live, '--force'];
      return spawnSync(strace ?? '', args, { env, encoding: 'utf8' });
    };
    const trace = join(root, 'trace');
    expect(restore(['-o', trace, '-e', `trace=${CALLS.join(',')}`])).toMatchObject({ status: 0 });
    expect(sideOf(live, PADS)).toBe(1);
    const lines = readFileSync(trace, 'utf8').split('\n');
    const seen = new Set<number>();
    let kills = 0;
    for (const call of CALLS) {
      const total = lines.filter((line) => line.startsWith(`${call}(`)).length;
      const points = Math.min(POINTS, total);
      for (let point = 0; point < points; point++) {
        // The first and the last, and some between.
        const when = points === 1 ? 1 : 1 + Math.round((point * (total - 1)) / (points - 1));
        restore(['-o', '/dev/null', '-e', `trace=${call}`, '-e', `inject=${call}:signal=KILL:when=${when}`]);
        kills += 1;
        expect(existsSync(live), `${call} ${when}`).toBe(true);
        const side = sideOf(live, PADS);
        seen.add(side);
        if (side === 0) continue;
        const [kept] = readdirSync(work).filter((name) => /\.pre-restore-\d{8}-\d{6}$/.test(name));
        expect(sideOf(join(work, kept ?? ''), PADS), `${call} ${when}`).toBe(0);
      }
    }
    expect(kills).toBeGreaterThan(CALLS.length);
    expect([...seen].toSorted()).toEqual([0, 1]);
  },
  1_800_000,
);
