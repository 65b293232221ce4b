// Where there is no sync(1) with -f (busybox, a bare container), each file and directory is synced by itself. sync is hidden in
// a mount namespace of the trial's own.

import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { findProgram } from '../../src/os/run.ts';

const UNSHARED = ['-m', '--propagation', 'private'];
const sync = findProgram('sync') ?? '/usr/bin/sync';
const unshare = findProgram('unshare') ?? '';
const missing = ['strace', 'unshare', 'mkfifo'].filter((name) => findProgram(name) === undefined);
const may = missing.length === 0 && spawnSync(unshare, [...UNSHARED, 'mount', '--bind', '/etc/hostname', sync]).status === 0;

describe.skipIf(!may)(`without sync -f${may ? '' : ' (needs root, mount namespaces and strace)'}`, () => {
  const root = mkdtempSync(join(tmpdir(), 'cora-sync-'));
  afterAll(() => rmSync(root, { recursive: true, force: true }));
  const top = join(root, 'top');
  const odd = Buffer.concat([Buffer.from(join(top, 'a/b/')), Buffer.from('odd \xff', 'latin1')]);
  mkdirSync(join(top, 'a/b'), { recursive: true });
  for (const path of [join(top, 'one'), join(top, 'a/two'), odd, join(root, 'outside')]) writeFileSync(path, 'x');
  symlinkSync('../outside', join(top, 'link'));
  execFileSync(findProgram('mkfifo') ?? '', [join(top, 'pipe')]);
  const code = `import { syncFileSystem } from ${JSON.stringify(join(import.meta.dirname, '../../src/os/sync.ts'))};
    try { syncFileSystem(${JSON.stringify(top)}); } catch (error) { console.log(error.code); process.exit(1); }`;

  /** What was synced, in order, with `instead` in the place of sync(1). */
  function run(instead: string, inject: readonly string[] = []) {
    const trace = join(root, 'trace');
    const node = [process.execPath, '--input-type=module', '-e', code];
    const traced = ['strace', '-f', '-y', '-qq', '-e', 'trace=fsync,fdatasync,syncfs,sync', ...inject, '-o', trace, ...node];
    const { status, stdout } = spawnSync(
      unshare,
      [...UNSHARED, 'sh', '-c', 'mount --bind "$0" "$1" && shift && exec "$@"', instead, sync, ...traced],
      {
        encoding: 'utf8',
        timeout: 60_000,
      },
    );
    const lines = execFileSync('cat', [trace], { encoding: 'latin1' }).split('\n');
    const synced = lines.flatMap((line) => {
      const match = /^\d+ +(\w+)\(\d+<(.*)>\) += (-?\d)/.exec(line);
      return match === null ? [] : [`${match[1]} ${(match[2] ?? '').slice(root.length + 1)}`];
    });
    return { status, said: stdout.trim(), synced };
  }

  it('each file and each directory is synced, a directory after what is in it, and nothing outside', () => {
    const empty = join(root, 'empty');
    writeFileSync(empty, '', { mode: 0o644 });
    const busybox = join(root, 'busybox');
    writeFileSync(busybox, "#!/bin/sh\necho \"sync: invalid option -- 'f'\" >&2\necho 'Usage: sync' >&2\nexit 1\n");
    chmodSync(busybox, 0o755);
    for (const instead of [empty, busybox]) {
      const { status, synced } = run(instead);
      expect(status).toBe(0);
      const wanted = ['top', 'top/a', 'top/a/b', 'top/a/b/odd \\377', 'top/a/two', 'top/one'].map((path) => `fsync ${path}`);
      expect(synced.toSorted()).toEqual(wanted);
      for (const directory of ['top', 'top/a', 'top/a/b']) {
        const within = synced.filter((line) => line.startsWith(`fsync ${directory}/`)).map((line) => synced.indexOf(line));
        expect(Math.max(...within)).toBeLessThan(synced.indexOf(`fsync ${directory}`));
      }
    }
  });

  it('an error of one of them is an error', () => {
    const empty = join(root, 'empty');
    writeFileSync(empty, '', { mode: 0o644 });
    expect(run(empty, ['-e', 'inject=fsync:error=EIO:when=2'])).toMatchObject({ status: 1, said: 'EIO' });
  });

  it('a sync that the disk refuses is an error of its own, and is not tried again file by file', () => {
    const broken = join(root, 'broken');
    writeFileSync(broken, "#!/bin/sh\necho 'sync: error syncing: Input/output error' >&2\nexit 1\n");
    chmodSync(broken, 0o755);
    expect(run(broken)).toEqual({ status: 1, said: 'io', synced: [] });
  });
});
