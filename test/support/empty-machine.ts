// A machine with nothing on it: a root in memory that has Debian's programs (/usr, read only), Cora (/opt/cora, read only) and empty
// /etc, /home, /root, /tmp and /var, in a mount and process namespace of its own. What runs in it cannot reach the host's files, and
// everything is gone with its last process. Only the network is the host's, where the servers of the tests listen.

import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findProgram } from '../../src/os/run.ts';
import { execute, isRoot, type Run } from './sandbox.ts';

const repository = join(import.meta.dirname, '..', '..');

/** $1 where to mount, $2 the tree with Cora, $3 what is laid into the root, $4 the script to run there, in /root. */
const BOOT = `
set -e
mount -t tmpfs -o size=2g,mode=0755 none "$1"
cd "$1"
mkdir -m 755 usr etc etc/alternatives dev proc home opt opt/cora var var/backups var/lib && mkdir -m 700 root && mkdir -m 1777 tmp var/tmp
mount --rbind -o ro /usr usr
mount --bind -o ro /etc/alternatives etc/alternatives
mount --bind -o ro "$2" opt/cora
mount --rbind /dev dev
mount -t proc none proc
for name in bin sbin lib lib32 lib64 libx32; do [ ! -L "/$name" ] || cp -P "/$name" .; done
cp /etc/passwd /etc/group /etc/nsswitch.conf /etc/ld.so.cache etc/
[ -z "$3" ] || cp -a "$3"/. .
exec chroot . /usr/bin/env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 /bin/sh -euc "cd /root; $4"
`;

/** Why there can be no such machine here, or undefined. */
export async function whyNoEmptyMachine(): Promise<string | undefined> {
  if (!isRoot) return 'not root';
  for (const program of ['unshare', 'chroot', 'mount']) if (findProgram(program) === undefined) return `${program} is missing`;
  if (!existsSync('/usr/bin/sh')) return '/bin is not a part of /usr here';
  const run = await runOnEmptyMachine('', 'test -x /opt/cora/bin/cora && test ! -e /root/.config && ls /var/backups');
  return run.code === 0 && run.stdout === '' ? undefined : `no namespace, or no mount in it (${run.stderr.trim()})`;
}

/**
 * Runs a script there, to its end; then the machine is gone.
 * @param files a directory whose content is laid into the root first, or none
 */
export async function runOnEmptyMachine(files: string, script: string): Promise<Run> {
  const directory = mkdtempSync(join(tmpdir(), 'cora-empty-'));
  try {
    const args = ['--mount', '--pid', '--fork', '--kill-child', 'sh', '-c', BOOT, 'boot', directory, repository, files, script];
    return await execute('unshare', args);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
