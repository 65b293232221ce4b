// What running all the time may use up, read from /proc and the disk: memory, open files, processes that were left,
// files that were left, bytes in a vault. Nothing here changes anything.

import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

const PROC = '/proc';

/** Kilobytes of a line of /proc/PID/status (`VmHWM`: the most it ever had; `VmRSS`: now), or undefined when it has ended. */
export function memoryOf(pid: number, line: 'VmHWM' | 'VmRSS'): number | undefined {
  const kilobytes = new RegExp(`^${line}:\\s+(\\d+) kB`, 'm').exec(read(`${PROC}/${pid}/status`) ?? '')?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes);
}

/** How many descriptors a process has open. */
export function openFilesOf(pid: number): number {
  return names(`${PROC}/${pid}/fd`).length;
}

/** `PID COMMAND` of each process that works in or with `directory` (working directory, arguments, environment, open files) and is not in `known`. */
export function processesIn(directory: string, known: readonly (number | undefined)[]): string[] {
  const found: string[] = [];
  for (const name of names(PROC)) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid || known.includes(pid)) continue;
    const words = read(`${PROC}/${pid}/cmdline`) ?? '';
    const about = [
      words,
      read(`${PROC}/${pid}/environ`) ?? '',
      link(`${PROC}/${pid}/cwd`),
      ...names(`${PROC}/${pid}/fd`).map((fd) => link(`${PROC}/${pid}/fd/${fd}`)),
    ];
    if (words !== '' && about.some((text) => text.includes(directory))) found.push(`${pid} ${words.replaceAll('\0', ' ').slice(0, 200)}`);
  }
  return found;
}

/** Every path below a directory, relative to it, directories too, and its bytes; what is not there is empty. */
export function filesIn(directory: string): Map<string, number> {
  const found = new Map<string, number>();
  const walk = (below: string): void => {
    for (const name of names(join(directory, below))) {
      const path = below === '' ? name : `${below}/${name}`;
      const stats = lstatSync(join(directory, path), { throwIfNoEntry: false });
      if (stats === undefined) continue;
      found.set(path, stats.isFile() ? stats.size : 0);
      if (stats.isDirectory()) walk(path);
    }
  };
  walk('');
  return found;
}

/** Bytes of the files below a directory. */
export function bytesIn(directory: string): number {
  let total = 0;
  for (const size of filesIn(directory).values()) total += size;
  return total;
}

function names(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return []; // Ended, or never there.
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
