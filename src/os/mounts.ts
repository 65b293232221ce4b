// Mount points below a directory, and what a path is mounted on, from /proc/self/mountinfo (proc_pid_mountinfo(5)). A bind mount
// has its parent's device number, so stat alone does not tell: rename(2) over or out of one fails.

import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { type Bytes, bytes } from '../base/bytes.ts';

/** Relative paths of what is mounted below `root`, parents first; files that something is mounted on included. */
export function mountPointsBelow(root: Bytes): Bytes[] {
  const prefix = root === '/' ? '/' : `${root}/`;
  const found = new Set<string>();
  for (const line of readFileSync('/proc/self/mountinfo', 'latin1').split('\n')) {
    const field = line.split(' ')[4];
    if (field === undefined) continue;
    const path = unescaped(field);
    if (path.startsWith(prefix) && path !== prefix) found.add(path.slice(prefix.length));
  }
  return [...found].sort().map(bytes);
}

/** A file system as it is mounted. */
export type MountedOn = {
  /** `ext4`, `nfs4`, `fuse.sshfs`, ... */
  readonly type: string;
  /** `/dev/sda1`, `nas:/export`. */
  readonly source: string;
  readonly mountPoint: string;
  /** Of this mount and of the file system, parted by commas, each once. */
  readonly options: string;
};

const NETWORK =
  /^(nfs\d?|cifs|smb\d|smbfs|ncpfs|afs|ceph|glusterfs|lustre|beegfs|ocfs2|davfs\d?|fuse\.(sshfs|rclone|glusterfs|ceph|s3fs|gcsfuse|goofys|juicefs|davfs\d?|curlftpfs|mfs|moosefs))$/;

/**
 * What a path lies on, by its name alone: the path itself is not looked at, because a server that hangs would hang us.
 * Undefined where the table of mounts cannot be read.
 */
export function mountedOn(path: string): MountedOn | undefined {
  let table: string;
  try {
    table = readFileSync('/proc/self/mountinfo', 'utf8');
  } catch {
    return undefined;
  }
  let best: MountedOn | undefined;
  for (const line of table.split('\n')) {
    const fields = line.split(' ');
    const dash = fields.indexOf('-', 6);
    const [mountPoint, type, source] = [fields[4], fields[dash + 1], fields[dash + 2]].map((field) => field && unescaped(field));
    if (dash < 0 || mountPoint === undefined || type === undefined || source === undefined) continue;
    const isOn = mountPoint === '/' || path === mountPoint || path.startsWith(`${mountPoint}/`);
    // The last one of a place covers those before it.
    if (isOn && mountPoint.length >= (best?.mountPoint.length ?? 0)) {
      const options = [...new Set(`${fields[5] ?? ''},${fields[dash + 3] ?? ''}`.split(',').filter((option) => option !== ''))].join(',');
      best = { type, source, mountPoint, options };
    }
  }
  return best;
}

/** True where another machine holds the data. */
export function isNetworkMount({ type }: Omit<MountedOn, 'options'>): boolean {
  return NETWORK.test(type);
}

/** True where the first look would mount something, and nobody knows from where. */
export function isAutomount({ type }: Omit<MountedOn, 'options'>): boolean {
  return type === 'autofs';
}

/**
 * The disk that a device number is on, as a word: partitions and volumes of one disk share it.
 * @param device `st_dev`
 */
export function diskOf(device: number): string {
  const major = Math.floor(device / 256) % 4096;
  const minor = (device % 256) + Math.floor(device / 2 ** 20) * 256;
  try {
    return wholeDisk(realpathSync(`/sys/dev/block/${major}:${minor}`));
  } catch {
    // Not on one block device: tmpfs, overlay, btrfs.
    return `device ${device}`;
  }
}

function wholeDisk(path: string): string {
  if (existsSync(`${path}/partition`)) return basename(dirname(path));
  const below = existsSync(`${path}/slaves`) ? readdirSync(`${path}/slaves`) : [];
  const [only] = below;
  return below.length === 1 && only !== undefined ? wholeDisk(realpathSync(`${path}/slaves/${only}`)) : basename(path);
}

/** Blank, tab, newline and backslash stand as octal numbers. */
function unescaped(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
