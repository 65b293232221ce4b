// Which processes have a file open, by /proc (proc(5)). Of other users' processes an ordinary user sees
// nothing; how many those are is told, so that nobody takes silence for an answer.

import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { basename } from 'node:path';

export type Holder = { readonly pid: number; readonly program: string };

/** `unseen`: processes that could not be looked at. */
export type Writers = { readonly writers: readonly Holder[]; readonly unseen: number };
export type Holders = { readonly holders: readonly Holder[]; readonly unseen: number };

/** A file by device and inode, as stat gives them. */
type FileIdentity = { readonly dev: number; readonly ino: number };

/** Processes that have the file open for writing; this one is left out. */
export function findWriters(file: FileIdentity): Writers {
  const { holders, unseen } = search([file], true);
  return { writers: holders, unseen };
}

/** Processes that have any of the files open, for reading too; this one is left out. */
export function findHolders(files: readonly FileIdentity[]): Holders {
  return search(files, false);
}

function search(files: readonly FileIdentity[], writing: boolean): Holders {
  const holders: Holder[] = [];
  let unseen = 0;
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    try {
      if (readdirSync(`/proc/${pid}/fd`).some((fd) => isOpen(pid, fd, files, writing))) holders.push({ pid, program: programOf(pid) });
    } catch (error) {
      // It ended meanwhile, or it is not ours to look at.
      if (error instanceof Error && 'code' in error && error.code === 'EACCES') unseen += 1;
    }
  }
  return { holders, unseen };
}

function isOpen(pid: number, fd: string, files: readonly FileIdentity[], writing: boolean): boolean {
  try {
    const stat = statSync(`/proc/${pid}/fd/${fd}`);
    if (!files.some(({ dev, ino }) => stat.ino === ino && stat.dev === dev)) return false;
    if (!writing) return true;
    const flags = /^flags:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'))?.[1] ?? '0';
    // O_WRONLY or O_RDWR.
    return (Number.parseInt(flags, 8) & 3) !== 0;
  } catch {
    return false;
  }
}

/** Node names its first thread, and so its process; its file's name says more. */
const NODE_THREAD = 'MainThread';

function programOf(pid: number): string {
  try {
    const name = readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
    return name === NODE_THREAD ? basename(readlinkSync(`/proc/${pid}/exe`)) : name;
  } catch {
    return 'unknown';
  }
}
