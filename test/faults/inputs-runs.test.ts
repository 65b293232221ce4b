// docs/reliability.md, bad inputs 32 to 39 and 50 to 53: clocks, runs beside each other, runs that die, what they leave, and the limits of a process.

import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { findProgram } from '../../src/os/run.ts';
import { CORA, fault, type Scene } from '../support/bad-input.ts';
import { execute } from '../support/sandbox.ts';

const newest = async (s: Scene) => (await s.ids()).at(-1);

fault(
  '32',
  'clocks that go back, far ahead and stand: ids stay apart, order is the ledger, and clean-up waits',
  { programs: ['faketime'] },
  async (s) => {
    await s.begin();
    const made = [s.old];
    for (const [n, time] of ['2019-03-31 02:30:00', '1971-01-01 00:00:01', '2020-01-01 00:00:00', '2020-01-01 00:00:00', '+2d'].entries()) {
      s.write('a.txt', `clock ${n}\n`);
      s.ends(await s.run('faketime', ['-f', time, CORA, 'save']), 0, /Saved/);
      made.push((await newest(s)) ?? '');
    }
    expect([new Set(made).size, await s.ids()]).toEqual([6, made]);
    expect(made[4]).toMatch(/-2$/);
    s.ends(await s.cora(['prune', '--keep-last', '1', '--confirm']), 20, /is dated in the future: a clock is or was wrong/);
    expect(await s.ids()).toEqual(made);
    await s.recovers();
  },
);

fault('33', 'a run that meets another: it waits, then ends with 11, and changes nothing', {}, async (s) => {
  await s.begin();
  s.write('more.txt');
  const holder = spawn('flock', ['-x', join(s.box.vault, '.lock'), 'sleep', '60'], { stdio: 'ignore', detached: true });
  // The group: the lock is held by the sleep as well.
  const release = () => holder.pid !== undefined && holder.exitCode === null && holder.signalCode === null && process.kill(-holder.pid, 'SIGKILL');
  s.later(release);
  await held(join(s.box.vault, '.lock'));
  s.ends(
    await s.cora(['save', '--lock-wait', '300ms']),
    11,
    /Another Cora is working in this vault \(.*\); wait until it ends, or give it more time with --lock-wait 5m/,
  );
  expect(await s.ids()).toEqual([s.old]);
  release();
  await s.recovers();
});

/** Until somebody else has the lock. */
async function held(path: string): Promise<void> {
  for (let n = 0; n < 500; n++) {
    if ((await execute('/usr/bin/flock', ['-n', path, 'true'])).code === 1) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

fault('34', 'a lock file of a process that was killed, with the number of one that lives, keeps nobody out', {}, async (s) => {
  await s.begin();
  for (const name of ['.lock', '.gc-lock']) writeFileSync(join(s.box.vault, name), `pid ${process.pid}\n`);
  s.write('more.txt');
  s.ends(await s.cora(['save', '--lock-wait', '0s']), 0, /Saved/);
  await s.recovers();
});

fault('35', 'a file system without locks', { programs: ['strace'] }, async (s) => {
  await s.begin();
  s.write('more.txt');
  for (const error of ['ENOLCK', 'EOPNOTSUPP'])
    s.ends(
      await s.strace(['-e', 'trace=flock', '-e', `inject=flock:error=${error}`], ['save']),
      1,
      /The file system of .* has no locks: .*; put the vault on a local file system \(ext4, xfs, btrfs\) with --vault/,
    );
  expect(await s.ids()).toEqual([s.old]);
  await s.recovers();
});

fault('36', 'a child that outlives a killed run harms no later one', {}, async (s) => {
  await s.begin();
  const settings = join(s.box.home, '.config/cora/project.toml');
  mkdirSync(join(settings, '..'), { recursive: true });
  writeFileSync(settings, '[[artefacts]]\nname = "slow"\nkind = "command"\ncommand = "sleep 3; echo late"\n');
  const child = spawn(CORA, ['backup', 'now'], { cwd: s.box.project, env: s.env(), stdio: 'ignore' });
  const running = () => readdirSync(join(s.box.vault, '.stage')).some((name) => /^run-.{6}$/.test(name));
  for (let n = 0; n < 1000 && !running(); n++) await new Promise((resolve) => setTimeout(resolve, 10));
  expect(child.kill('SIGKILL')).toBe(true);
  rmSync(settings);
  s.ends(await s.cora(['save', '-m', 'beside the orphan']), 0, /Saved/);
  expect(readdirSync(join(s.box.vault, '.stage')).filter((name) => name !== 'intent')).toEqual([]);
  await s.recovers();
});

fault('37', 'a directory in the place of the next snapshot is not replaced, empty or not', { programs: ['faketime'] }, async (s) => {
  await s.begin();
  s.write('a.txt', 'later\n');
  const at = join(s.box.vault, 'progress/2030/01/02');
  for (const [name, full] of [
    ['000000-nogit', false],
    ['000001-nogit', true],
  ] as const) {
    execFile('mkdir', ['-p', join(at, name)]);
    if (full) writeFileSync(join(at, name, 'theirs.txt'), 'theirs\n');
  }
  const frozen = ['2030-01-02 00:00:00', CORA, 'save', '-m', 'x'];
  for (let n = 0; n < 2; n++) s.ends(await s.run('faketime', frozen), 0, /Saved 20300102-00000\d-nogit/);
  expect([readdirSync(join(at, '000000-nogit')), readdirSync(join(at, '000001-nogit'))]).toEqual([[], ['theirs.txt']]);
  await execute('rm', ['-r', join(at, '000000-nogit'), join(at, '000001-nogit')]);
  await s.wholeOld();
});

function execFile(program: string, args: readonly string[]): void {
  spawnSync(findProgram(program) ?? program, args);
}

fault('38', 'what a dead run left is removed, what is not ours there stays, and what cannot be removed stops nobody', { root: true }, async (s) => {
  await s.begin();
  const stage = join(s.box.vault, '.stage');
  for (const name of ['run-abc123', 'run-fff000', 'theirs']) {
    mkdirSync(join(stage, name));
    writeFileSync(join(stage, name, 'half'), 'half');
  }
  const outside = join(s.box.root, 'outside');
  mkdirSync(outside);
  writeFileSync(join(outside, 'precious'), 'precious');
  symlinkSync(outside, join(stage, 'run-aaaaaa'));
  await execute('chattr', ['+i', join(stage, 'run-fff000/half')]);
  s.ends(await s.cora(['save', '-m', 'x']), 0, /What a run that broke off left in .*run-fff000 cannot be removed \(lsattr -R shows why\)/);
  expect(readdirSync(stage)).toEqual(expect.arrayContaining(['theirs', 'run-fff000']));
  expect(existsSync(join(stage, 'run-abc123'))).toBe(false);
  expect(readFileSync(join(outside, 'precious'), 'utf8')).toBe('precious');
  await execute('chattr', ['-i', join(stage, 'run-fff000/half')]);
  rmSync(join(stage, 'theirs'), { recursive: true });
  await s.recovers();
  expect(existsSync(join(stage, 'run-fff000'))).toBe(false);
});

fault('39', 'a vault behind a link works; one whose place another one took is refused', {}, async (s) => {
  await s.begin();
  const link = join(s.box.root, 'link');
  symlinkSync(s.box.vault, link);
  s.write('more.txt');
  s.ends(await s.cora(['save', '--vault', link]), 0, /Saved/);
  const other = join(s.box.root, 'other');
  mkdirSync(other);
  writeFileSync(join(other, 'b.txt'), 'other\n');
  await s.cora(['save', '--vault', join(s.box.root, 'foreign')], { cwd: other });
  rmSync(link);
  symlinkSync(join(s.box.root, 'foreign'), link);
  s.ends(await s.cora(['save', '--vault', link]), 10, /The vault .* belongs to .*, not to .*; name another vault with --vault/);
  // The vault's own place taken by a link to another project's.
  renameSync(s.box.vault, `${s.box.vault}.away`);
  symlinkSync(join(s.box.root, 'foreign'), s.box.vault);
  s.ends(await s.cora(['save']), 10, /The vault .* belongs to .*, not to/);
  rmSync(s.box.vault);
  renameSync(`${s.box.vault}.away`, s.box.vault);
  await s.recovers();
});

fault('50', 'a reader of stdout or stderr that leaves ends no save', {}, async (s) => {
  await s.begin();
  for (const [n, shell] of [`"${CORA}" save | true`, `"${CORA}" save 2>&1 | head -c 1`, `"${CORA}" save >&-`].entries()) {
    s.write('a.txt', `reader ${n}\n`);
    const before = await s.ids();
    const run = await s.run('bash', ['-c', `set -o pipefail; ${shell}`]);
    expect([shell, run.code, (await s.ids()).length]).toEqual([shell, 0, before.length + 1]);
    expect(run.stderr).not.toMatch(/\n\s+at /);
  }
  s.write('a.txt', 'nowhere to write to\n');
  const words = /The answer cannot be written to its place \(ENOSPC\), what was done stands; cora status tells/;
  s.ends(await s.run('bash', ['-c', `"${CORA}" save >/dev/full`]), 1, words);
  s.ends(await s.run('bash', ['-c', `"${CORA}" list --json >/dev/full`]), 1, words);
  await s.recovers();
});

fault('51', 'SIGTERM, SIGINT and SIGHUP end a run within 5 s, and nothing half is left', {}, async (s) => {
  for (let n = 0; n < 10; n++) s.write(`f${n}.bin`, randomBytes(400_000));
  await s.begin();
  for (const signal of ['TERM', 'INT', 'HUP'] as const) {
    for (let n = 0; n < 10; n++) s.write(`f${n}.bin`, randomBytes(400_000));
    const begun = `until ls "$1"/.stage/run-* >/dev/null 2>&1 || ! kill -0 $pid 2>/dev/null; do sleep 0.01; done`;
    const script = `set -m; "$0" backup now & pid=$!; ${begun}; kill -${signal} $pid; wait $pid`;
    const run = await s.run('bash', ['-c', script, CORA, s.box.vault]);
    // On a machine too busy to clean up within the 4.5 s that it has, the signal itself ends the process.
    if (run.code !== 130) expect([signal, run.code]).toEqual([signal, 128 + constants.signals[`SIG${signal}`]]);
    else s.ends(run, 130, new RegExp(`Interrupted by SIG${signal}; nothing half made is listed; run the command again`));
  }
  await s.recovers();
});

fault('52', 'too little memory: nothing half is listed, and the next run works', {}, async (s) => {
  s.write('large.bin', randomBytes(3_000_000));
  await s.begin();
  s.write('large.bin', randomBytes(3_000_000));
  for (const limit of [400_000, 700_000]) {
    const run = await s.run('bash', ['-c', `ulimit -v ${limit}; ulimit -c 0; exec "$0" save`, CORA]);
    expect(run.code).not.toBe(0);
    expect(await s.ids()).toEqual([s.old]);
  }
  await s.recovers();
});

fault('53', 'few file handles', {}, async (s) => {
  for (let n = 0; n < 60; n++) s.write(`d${n}/f.txt`);
  await s.begin();
  for (let n = 0; n < 60; n++) s.write(`d${n}/f.txt`, `later ${n}\n`);
  s.ends(await s.run('bash', ['-c', 'ulimit -n 64; exec "$0" backup now', CORA]), 0, /Backup/);
  s.write('a.txt', 'with fewer\n');
  s.ends(await s.run('bash', ['-c', 'ulimit -n 30; exec "$0" save', CORA]), 1, /EMFILE.*; raise the limit of open files \(ulimit -n\)/);
  await s.recovers();
});
