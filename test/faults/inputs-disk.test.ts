// docs/reliability.md, bad inputs 1 to 10: disks that are away, full, limited, read-only or broken.

import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { CORA, fault } from '../support/bad-input.ts';
import { execute } from '../support/sandbox.ts';

const strace = { programs: ['strace'] };

fault('1', 'an empty mount point in the place of the vault is no vault, and nothing is written there', {}, async (s) => {
  await s.begin();
  renameSync(s.box.vault, `${s.box.vault}.away`);
  mkdirSync(s.box.vault);
  for (const command of [['save'], ['backup', 'now'], ['list'], ['verify', '--all']])
    s.ends(await s.cora(command), 10, /has no VAULT\.json: it is not a vault, or its disk is not mounted; mount the disk/);
  expect(readdirSync(s.box.vault)).toEqual([]);
  await execute('/bin/rmdir', [s.box.vault]);
  renameSync(`${s.box.vault}.away`, s.box.vault);
  await s.recovers();
});

fault('2', 'a vault on the disk of the project: the save is made, and status warns of it', {}, async (s) => {
  await s.begin();
  s.ends(await s.cora(['status']), 0, /warning: The vault lies on the same disk as the project\. name a vault on another disk with --vault/);
  await s.recovers();
});

fault('3', 'a vault inside the project is refused, and nothing is made', {}, async (s) => {
  await s.begin();
  s.ends(await s.cora(['save', '--vault', s.at('backups')]), 2, /The vault .* lies inside the project .*; name a vault outside of it/);
  expect(readdirSync(s.box.project).sort()).toEqual(['a.txt', 'docs']);
  s.ends(await s.cora(['save'], { env: { CORA_VAULT: s.box.project } }), 2, /lies inside the project .*; name a vault outside of it with --vault/);
  await s.recovers();
});

fault('4', 'a disk that is full at the start, in the middle, and while the stage is removed', { root: true, ...strace }, async (s) => {
  const disk = await s.vaultOn('size=3m');
  await s.begin();
  s.write('large.bin', randomBytes(6_000_000));
  s.ends(await s.cora(['save']), 1, /No space left while writing .*; free space on that disk \(df -h, df -i\)/);
  await s.wholeOld();
  s.write('large.bin', randomBytes(1_000_000));
  await execute('/bin/sh', ['-c', `head -c 1400000 /dev/urandom > ${disk}/fill`]);
  s.ends(await s.cora(['backup', 'now']), 1, /The vault's disk has \d+ bytes left; this backup needs about \d+; free space on it/);
  s.write('large.bin', randomBytes(1_000_000));
  const stays = ['-e', 'trace=rmdir,unlink,unlinkat', '-e', 'inject=rmdir,unlink,unlinkat:error=ENOSPC'];
  s.ends(await s.strace(stays, ['save']), 1, /No space left|bytes left/);
  await execute('/bin/rm', [`${disk}/fill`]);
  await execute('/bin/mount', ['-o', 'remount,size=64m', 'none', disk]);
  await s.recovers();
  expect(readdirSync(join(s.box.vault, '.stage'))).toEqual(['intent']);
});

fault('5', 'a disk without inodes', { root: true }, async (s) => {
  const disk = await s.vaultOn('nr_inodes=34');
  await s.begin();
  for (let n = 0; n < 40; n++) s.write(`d${n}/AI_WORK_LOG.md`);
  s.ends(await s.cora(['backup', 'now']), 1, /No space left while writing .*; free space on that disk \(df -h, df -i\)/);
  await execute('/bin/mount', ['-o', 'remount,nr_inodes=10000', 'none', disk]);
  await s.recovers();
});

fault('6', 'a disk quota that ends', strace, async (s) => {
  await s.begin();
  s.write('more.txt');
  s.ends(
    await s.strace(['-e', 'trace=mkdir', '-e', 'inject=mkdir:error=EDQUOT:when=1+'], ['save']),
    1,
    /The disk quota ended while writing .*; raise the quota or free space/,
  );
  s.ends(
    await s.strace(['-e', 'trace=fsync', '-e', 'inject=fsync:error=EDQUOT:when=1'], ['save']),
    1,
    /The disk quota ended while writing .*; raise the quota or free space/,
  );
  await s.recovers();
});

fault('7', 'a limit on the size of files', {}, async (s) => {
  await s.begin();
  s.write('large.bin', randomBytes(3_000_000));
  s.ends(
    await s.run('sh', ['-c', 'ulimit -f 1000; exec "$0" save', CORA]),
    1,
    /The file size limit was reached while writing .*; raise the limit \(ulimit -f\)/,
  );
  await s.recovers();
});

fault('8', 'a read-only disk takes nothing and gives everything back', { root: true }, async (s) => {
  const disk = await s.vaultOn('size=64m');
  await s.begin();
  s.write('more.txt');
  await execute('/bin/mount', ['-o', 'remount,ro', 'none', disk]);
  for (const command of [['save'], ['backup', 'now']])
    s.ends(await s.cora(command), 1, /The file system of .* is read-only; remount it \(mount -o remount,rw\)/);
  s.ends(await s.cora(['restore', s.old, '--to', join(s.box.root, 'out')]), 0, /Restored/);
  expect(readFileSync(join(s.box.root, 'out/a.txt'), 'utf8')).toBe('a.txt as saved\n');
  await execute('/bin/mount', ['-o', 'remount,rw', 'none', disk]);
  await s.recovers();
});

fault('9', 'a file of the project that the disk cannot read', strace, async (s) => {
  const path = s.write('docs/bad.bin', 'good once\n');
  await s.begin();
  s.write('docs/bad.bin', 'later\n');
  const fails = ['-P', path, '-e', 'trace=read,pread64', '-e', 'inject=read,pread64:error=EIO'];
  s.ends(await s.strace(fails, ['save']), 3, /error: docs\/bad\.bin: The file cannot be read \(EIO\); it is not in this snapshot/);
  expect((await s.cora(['cat', s.old, 'docs/bad.bin'])).stdout).toBe('good once\n');
  await s.recovers();
  expect((await s.cora(['cat', 'latest', 'docs/bad.bin'])).stdout).toBe('later\n');
});

fault('10', 'an error of write, fsync, close or rename: no fsync is tried again', strace, async (s) => {
  await s.begin();
  s.write('more.txt');
  const trace = join(s.box.root, 'trace');
  for (const [call, words] of [
    ['fsync', /Writing .* failed: EIO: i\/o error, fsync; check the vault's disk/],
    ['rename', /Writing .* failed: EIO: i\/o error, rename/],
    ['pwrite64', /Writing .* failed: EIO: i\/o error, write/],
  ] as const) {
    const inject = ['-y', '-e', `trace=${call}`, '-e', `inject=${call}:error=EIO:when=1`];
    const env = { UV_THREADPOOL_SIZE: '1', CORA_WORKERS: '0' };
    s.ends(await s.run('strace', ['-f', '-qq', '-o', trace, ...inject, CORA, 'save'], { env }), 1, words);
    const lines = readFileSync(trace, 'utf8').split('\n');
    const failed = /fsync\(\d+(<[^>]*>)\).*INJECTED/.exec(lines.join('\n'))?.[1];
    if (call === 'fsync') expect(lines.filter((line) => line.includes(failed ?? 'no fsync failed'))).toHaveLength(1);
    expect(await s.ids()).toEqual([s.old]);
  }
  await s.recovers();
});
