// Faults at one call of the kernel, by strace: which calls a run makes is read from a trace of it, and the same run is then
// started with a fault at one of them. strace counts the calls of each kind in each thread, and so does this.

import { readFileSync } from 'node:fs';

/** The `at`th call of its kind in a thread, from 1. */
export type TracedCall = {
  readonly name: string;
  readonly at: number;
  /** True where it changes something; a read can fail, but nothing is torn by a kill before it. */
  readonly writes: boolean;
  /** True where it is about something of the project: what it cannot read, a snapshot says and lacks. */
  readonly ofProject: boolean;
};

const WRITES = [
  ...['mkdir', 'mkdirat', 'write', 'writev', 'pwrite64', 'pwritev', 'fsync', 'fdatasync', 'ftruncate', 'truncate', 'fallocate'],
  ...['rename', 'renameat', 'renameat2', 'link', 'linkat', 'symlink', 'symlinkat', 'unlink', 'unlinkat', 'rmdir'],
  ...['chmod', 'fchmod', 'fchmodat', 'chown', 'fchown', 'lchown', 'fchownat', 'utimensat', 'copy_file_range', 'sendfile'],
];
const READS = ['read', 'pread64', 'openat'];
const OPENS_TO_WRITE = /O_CREAT|O_WRONLY|O_RDWR/;

/** For the run that is only counted. */
export function traceArguments(log: string): string[] {
  return ['-f', '-qq', '-y', '-s', '0', '-o', log, '-e', `trace=${[...WRITES, ...READS].map((name) => `?${name}`).join(',')}`, '-e', 'signal=none'];
}

/** @param fault as strace spells it: `signal=KILL`, `error=EIO` */
export function injectArguments({ name, at }: TracedCall, fault: string, log: string): string[] {
  return ['-f', '-qq', '-o', log, '-e', `trace=${name}`, '-e', `inject=${name}:${fault}:when=${at}`, '-e', 'signal=none'];
}

/** Whether the fault that was injected met a call: one failed by it, or one never came back. */
export function wasMet(log: string): boolean {
  return /\(INJECTED\)|= \?/.test(readFileSync(log, 'latin1'));
}

/** The calls that name something below `directory`, by path or by descriptor; each place once. */
export function countTraced(trace: string, directory: string, project: string): TracedCall[] {
  const seen = new Map<string, number>();
  const found = new Map<string, TracedCall>();
  for (const line of trace.split('\n')) {
    const match = /^(\d+)\s+([a-z0-9_]+)\((.*)$/.exec(line);
    if (match === null) continue;
    const [, thread = '', name = '', rest = ''] = match;
    const at = (seen.get(`${thread} ${name}`) ?? 0) + 1;
    seen.set(`${thread} ${name}`, at);
    // The working directory lies there too, and stands in each relative call.
    const named = rest.replace(/AT_FDCWD<[^>]*>/g, '');
    if (!named.includes(`${directory}/`)) continue;
    const writes = name === 'openat' ? OPENS_TO_WRITE.test(named) : WRITES.includes(name);
    const key = `${name} ${at}`;
    if (found.get(key)?.writes !== true) found.set(key, { name, at, writes, ofProject: named.includes(`${project}/`) });
  }
  return [...found.values()];
}

/** The errors that a call of this kind can meet on a real disk. */
export function errorsOf({ name, writes }: TracedCall): readonly ('EIO' | 'ENOSPC')[] {
  if (!writes) return ['EIO'];
  if (/sync$/.test(name)) return ['EIO'];
  return /^(unlink|rmdir|chmod|fchmod|chown|fchown|lchown|utime)/.test(name) ? ['EIO'] : ['EIO', 'ENOSPC'];
}
