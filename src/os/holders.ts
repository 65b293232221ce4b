// Which processes have a file open for writing, by /proc (proc(5)). Of other users' processes an ordinary
// user sees nothing; how many those are is told, so that nobody takes silence for an answer.

import { readdirSync, readFileSync, statSync } from 'node:fs';

export type Holder = { readonly pid: number; readonly program: string };

export type Holders = { readonly writers: readonly Holder[]; readonly unseen: number };

/** @param file device and inode, as stat gives them */
export function findWriters(file: { readonly dev: number; readonly ino: number }): Holders {
  const writers: Holder[] = [];
  let unseen = 0;
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    try {
      if (readdirSync(`/proc/${pid}/fd`).some((fd) => isWriter(pid, fd, file))) writers.push({ pid, program: programOf(pid) });
    } catch (error) {
      // It ended meanwhile, or it is not ours to look at.
      if (error instanceof Error && 'code' in error && error.code === 'EACCES') unseen += 1;
    }
  }
  return { writers, unseen };
}

function isWriter(pid: number, fd: string, file: { readonly dev: number; readonly ino: number }): boolean {
  try {
    const stat = statSync(`/proc/${pid}/fd/${fd}`);
    if (stat.ino !== file.ino || stat.dev !== file.dev) return false;
    const flags = /^flags:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'))?.[1] ?? '0';
    // O_WRONLY or O_RDWR.
    return (Number.parseInt(flags, 8) & 3) !== 0;
  } catch {
    return false;
  }
}

function programOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return 'unknown';
  }
}
