// docs/reliability.md, bad inputs 49 and 54 to 60: programs that are missing, repositories of every kind, targets of a restore, clean-up beside others.

import { spawn } from 'node:child_process';
import { chownSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { findProgram } from '../../src/os/run.ts';
import { CORA, fault, type Scene } from '../support/bad-input.ts';
import { execute, PATH } from '../support/sandbox.ts';

const git = (s: Scene, ...args: string[]) =>
  execute('/usr/bin/git', ['-c', 'user.name=n', '-c', 'user.email=e@example.org', ...args], { cwd: s.box.project, env: { PATH, HOME: s.box.home } });

fault('49', 'a program that is missing is named with its package, before anything is written', { root: true, programs: ['unshare'] }, async (s) => {
  await s.begin();
  s.write('more.txt');
  const without = (program: string, ...args: string[]) => {
    const path = findProgram(program) ?? `/usr/bin/${program}`;
    return s.run('unshare', ['-m', 'sh', '-c', `mount --bind /dev/null '${path}' && exec "$0" "$@"`, CORA, ...args]);
  };
  s.ends(await without('flock', 'save'), 1, /The program flock is not installed; apt-get install util-linux/);
  expect(await s.ids()).toEqual([s.old]);
  s.ends(await without('chattr', 'backup', 'now'), 0, /Sealed +no: /);
  if (findProgram('rclone') !== undefined) {
    s.write('cora.toml', `[offsite]\nremote = "${s.box.root}/nas"\nenv = "prod"\n`);
    s.ends(await without('rclone', 'ship'), 1, /The program rclone is not installed; apt-get install rclone/);
    rmSync(s.at('cora.toml'));
  }
  s.ends(await without('git', 'save', '-m', 'x'), 0, /Saved/);
  await s.recovers();
});

fault('54', "a hook's variables of git do not lead the save to another repository", { programs: ['git'] }, async (s) => {
  await git(s, 'init', '-q');
  s.write('a.txt');
  await git(s, 'add', '.');
  await git(s, 'commit', '-qm', 'one');
  const sha = (await git(s, 'rev-parse', 'HEAD')).stdout.slice(0, 7);
  await s.begin();
  s.write('more.txt');
  const env = {
    GIT_DIR: '/nowhere/.git',
    GIT_WORK_TREE: '/',
    GIT_INDEX_FILE: '/nowhere/index',
    GIT_PREFIX: 'docs/',
    GIT_EXEC_PATH: '/nowhere',
    GIT_CONFIG_GLOBAL: '/nowhere',
  };
  s.ends(await s.cora(['backup', 'now'], { env }), 0, new RegExp(`Backup \\d{8}-\\d{6}-${sha}`));
  await s.recovers();
});

fault('55', 'no repository, no commit, a detached HEAD, a HEAD that is garbage, another owner: each is saved', { programs: ['git'] }, async (s) => {
  await s.begin();
  expect(s.old).toMatch(/-nogit$/);
  await git(s, 'init', '-q');
  s.ends(await s.cora(['save', '-m', 'no commit']), 0, /Saved \S+-nogit/);
  await git(s, 'add', '.');
  await git(s, 'commit', '-qm', 'one');
  await git(s, 'checkout', '-q', '--detach');
  const sha = (await git(s, 'rev-parse', 'HEAD')).stdout.slice(0, 7);
  s.ends(await s.cora(['save', '-m', 'detached']), 0, new RegExp(`Saved \\S+-${sha}`));
  if (process.getuid?.() === 0) {
    chownSync(s.at('.git'), 12_345, 12_345);
    chownSync(s.box.project, 12_345, 12_345);
    s.ends(await s.cora(['backup', 'now']), 0, new RegExp(`Backup \\S+-${sha}`));
    chownSync(s.box.project, 0, 0);
    chownSync(s.at('.git'), 0, 0);
  }
  writeFileSync(s.at('.git/HEAD'), 'garbage\n');
  s.ends(await s.cora(['save', '-m', 'garbage']), 0, /Saved \S+-nogit/);
  s.ends(await s.cora(['backup', 'now']), 0, /warning: Git's state is not complete: .*not a git repository/);
  rmSync(s.at('.git'), { recursive: true });
  await s.recovers();
});

fault('56', 'a target without room, one that is not empty, a project in use: refused, and nothing changes', { root: true }, async (s) => {
  s.write(
    'large.bin',
    Buffer.alloc(3_000_000, 'no zeros').map((byte, n) => byte ^ (n * 31)),
  );
  await s.begin();
  await s.tmpfs(join(s.box.root, 'small'), 'size=1m');
  s.ends(
    await s.cora(['restore', s.old, '--to', join(s.box.root, 'small/out')]),
    1,
    /No space left while writing .*small\/out; free space on that disk/,
  );
  s.ends(await s.cora(['restore', s.old, '--to', s.at('docs')]), 20, /docs is not empty; name a new directory/);
  s.write('a.txt', 'live\n');
  s.ends(await s.cora(['restore', s.old]), 20, /--yes/);
  expect(readFileSync(s.at('a.txt'), 'utf8')).toBe('live\n');
  s.ends(await s.cora(['restore', s.old, '--dry-run']), 0, /Restore save .* in place/);
  expect(readFileSync(s.at('a.txt'), 'utf8')).toBe('live\n');
  await s.recovers();
});

fault('59', 'clean-up waits for who reads, and removes nothing beneath them', {}, async (s) => {
  await s.begin();
  for (let n = 0; n < 3; n++) {
    s.write('a.txt', `${n}\n`);
    await s.quick(['save']);
  }
  const all = await s.ids();
  const reader = spawn('flock', ['-s', join(s.box.vault, '.gc-lock'), 'sleep', '60'], { stdio: 'ignore', detached: true });
  s.later(() => reader.pid !== undefined && process.kill(-reader.pid, 'SIGKILL'));
  for (let n = 0; n < 500 && (await execute('/usr/bin/flock', ['-n', '-x', join(s.box.vault, '.gc-lock'), 'true'])).code === 0; n++);
  s.ends(
    await s.cora(['prune', '--keep-last', '1', '--confirm', '--lock-wait', '200ms']),
    11,
    /Another Cora is reading this vault .*; wait until it ends/,
  );
  expect(await s.ids()).toEqual(all);
  s.write('a.txt', 'saves go on\n');
  s.ends(await s.cora(['save']), 0, /Saved/);
  await s.wholeOld();
});

fault('60', 'clean-up never leaves less than one good snapshot', {}, async (s) => {
  await s.begin('backup');
  s.ends(await s.cora(['prune', '--keep-last', '0', '--confirm']), 0, /Nothing was removed/);
  s.write('a.txt', 'newer\n');
  await s.quick(['save']);
  s.ends(await s.cora(['prune', '--keep-last', '0', '--confirm']), 0, /./);
  expect(await s.ids()).toContain(s.old);
  await s.recovers();
});
