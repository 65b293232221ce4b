// Faults at one file-system call of a run, by strace. A counting run lists the calls that Cora really makes; then the
// n-th call of a name fails, or the process dies at its entry. What was hit is read from strace's own record and not
// believed. Only Cora's own process is watched: programs that it starts are let go at their exec (`children.ts` has those).

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CoraEnd } from '../../../src/actions/judge.ts';
import type { Place } from './place.ts';

const repository = join(import.meta.dirname, '..', '..', '..');

/** Every call that changes something on a file system, as this kernel and Node name them. */
const CALLS =
  'mkdir,mkdirat,openat,write,pwrite64,writev,pwritev,fsync,fdatasync,sync_file_range,syncfs,sync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,rmdir,' +
  'chmod,fchmod,fchmodat,chown,fchown,lchown,fchownat,ftruncate,truncate,fallocate,copy_file_range,sendfile,ioctl,utimensat,symlink,symlinkat,mknod,mknodat,' +
  'setxattr,lsetxattr,fsetxattr,removexattr,lremovexattr,fremovexattr';

export type Call = {
  readonly name: string;
  /** What it works on, without what differs from run to run. */
  readonly what: string;
  /** The first of the files as it is called in that run: strace watches this one. Undefined where its name is no text. */
  readonly path: string | undefined;
  /** Its number among the calls of that name of its thread on that path, from 1; without a path among all of that name. */
  readonly number: number;
  /** Its number among the calls of the same name on the same thing, from 1. */
  readonly turn: number;
  /** 0: the thread that does the work. */
  readonly thread: number;
  /** The error that was injected, `KILL`, or undefined. */
  readonly injected: string | undefined;
};

/** LIE: the disk says that a byte was written, and has nothing of it. */
export const FAULTS = ['KILL', 'EIO', 'ENOSPC', 'EINTR', 'LIE'] as const;
export type Fault = (typeof FAULTS)[number];

const TAKES_SPACE = /^(?:mkdir|openat|write|pwrite|fsync|fdatasync|sync|rename|link|symlink|mknod|copy_file_range|sendfile|fallocate|l?f?setxattr)/;

/** The faults that this call can meet in life. */
export function faultsOf(call: Call): Fault[] {
  const faults: Fault[] = ['KILL', 'EIO'];
  if (TAKES_SPACE.test(call.name)) faults.push('ENOSPC');
  if (call.name === 'write' || call.name === 'openat' || call.name === 'fsync') faults.push('EINTR');
  // What is staged is read back before it counts.
  if (/^p?write/.test(call.name) && call.what.startsWith('vault/.stage/run-')) faults.push('LIE');
  return faults;
}

/** The launcher's last line, without the shell: its exec would end the watch. */
export function commandLine(): string[] {
  const launcher = readFileSync(join(repository, 'bin/cora'), 'utf8');
  const flags = /^NODE_FLAGS='(.*)'$/m.exec(launcher)?.[1]?.split(' ') ?? [];
  const carried = ['x64', 'arm64'].map((machine) => join(repository, `node_modules/node-linux-${machine}/bin/node`)).find(existsSync);
  return [carried ?? process.execPath, ...flags, '--require', join(import.meta.dirname, 'steady.cjs'), join(repository, 'dist/main.js')];
}

/** A run with all its calls recorded, and with one fault where `at` is given. */
export async function traced(place: Place, args: readonly string[], at?: { readonly call: Call; readonly fault: Fault }) {
  const record = join(place.root, 'trace');
  const watched = at?.call.path === undefined ? [] : ['-P', at.call.path];
  const inject = at === undefined ? [] : ['-e', `inject=${at.call.name}:${how(at.fault)}:when=${at.call.number}`, ...watched];
  const strace = ['-f', '-b', 'execve', '-y', '-q', '-s', '0', '-o', record, '-e', `trace=${CALLS}`, ...inject];
  const end = await place.run('strace', [...strace, ...commandLine(), ...args, '--json'], { CORA_FAULTS_NOW: String(place.startedAt) });
  const calls = parse(readFileSync(record, 'latin1'), place.root);
  return { end: clean(end), calls, hit: calls.find(({ injected }) => injected !== undefined) };
}

function how(fault: Fault): string {
  if (fault === 'KILL') return 'signal=KILL';
  if (fault === 'LIE') return 'retval=1';
  return `error=${fault}`;
}

/** strace ends as its child did: 128 and the signal from a shell, a signal from Node. */
function clean(end: CoraEnd): CoraEnd {
  return end.code === 137 ? { ...end, code: null } : end;
}

type Open = Pick<Call, 'thread' | 'name' | 'what' | 'path' | 'number'>;

/** The calls on files below `root` that change something, in their order. */
function parse(text: string, root: string): Call[] {
  const threads = new Map<string, number>();
  const numbers = new Map<string, number>();
  const turns = new Map<string, number>();
  const calls: Call[] = [];
  const killed = new Map<string, Call>();
  for (const line of text.split('\n')) {
    const match = /^(\d+) +(\w+)\((.*)$/s.exec(line);
    if (match === null) continue;
    const [, pid = '', name = '', rest = ''] = match;
    const thread = threads.get(pid) ?? threads.size;
    threads.set(pid, thread);
    const paths = pathsOf(rest, root);
    const count = (key: string): number => {
      numbers.set(key, (numbers.get(key) ?? 0) + 1);
      return numbers.get(key) ?? 1;
    };
    const all = count(`${pid} ${name}`);
    const own = paths.map((path) => count(`${pid} ${name} ${path}`));
    const path = paths[0] === undefined || paths[0].includes('\\') ? undefined : paths[0];
    const number = path === undefined ? all : (own[0] ?? all);
    killed.delete(pid);
    const open: Open = { thread, name, what: paths.map((one) => stable(one.slice(root.length + 6))).join(' '), path, number };
    const injected = /\(INJECTED\)/.test(rest) ? (/= -1 (\w+)/.exec(rest)?.[1] ?? 'LIE') : undefined;
    if (injected === undefined && !changes(open, rest)) {
      if (/(?:= \?|<unfinished \.\.\.>)\s*$/.test(rest)) killed.set(pid, { ...open, turn: 0, injected: 'KILL' });
      continue;
    }
    const turn = (turns.get(`${name} ${open.what}`) ?? 0) + 1;
    turns.set(`${name} ${open.what}`, turn);
    const call = { ...open, turn, injected };
    if (/= \?\s*$/.test(rest) || /<unfinished \.\.\.>\s*$/.test(rest)) killed.set(pid, call);
    calls.push(call);
  }
  // A call that never came back, in a process that was killed, is where it was killed.
  if (/\+\+\+ killed by SIGKILL/.test(text)) {
    const last = [...killed.values()].find(({ thread }) => thread === 0) ?? [...killed.values()][0];
    if (last !== undefined) return [...calls.filter((call) => call !== last), { ...last, injected: 'KILL' }];
  }
  return calls;
}

function changes({ name, what }: Open, rest: string): boolean {
  // Names of mkdtemp cannot be foretold; what is there is scratch.
  if (what === '' || what.startsWith('tmp/cora-')) return false;
  if (name === 'openat') return /O_(?:WRONLY|RDWR|CREAT|TRUNC)/.test(rest);
  if (name === 'ioctl') return /SETFLAGS/.test(rest);
  return true;
}

/** The files below the root that it names, each once; not the directory that paths are relative to, nor what it returned. */
function pathsOf(rest: string, root: string): string[] {
  const args = rest.replace(/AT_FDCWD<[^>]*>/g, '').replace(/\)\s+= [^=]*$/, '');
  const paths = [...args.matchAll(/[<"](\/[^>"]*)[>"]/g)].map((match) => match[1] ?? '');
  return [...new Set(paths.filter((path) => path.startsWith(`${root}/live`)))];
}

function stable(path: string): string {
  return path
    .replace(/\/\d{4}\/\d\d\/\d\d\/\d{6}-[0-9a-z]+(?:-\d+)?/g, '/SAVE')
    .replace(/\/\d{4}(?:\/\d\d)?(?:\/\d\d)?$/g, '/DAY')
    .replace(/\d{8}-\d{6}-[0-9a-z]+(?:-\d+)?/g, 'ID')
    .replace(/(run|new|tmp|part)-[0-9a-f]{6,}/g, '$1-*')
    .replace(/\.cora-restore-[0-9a-z]+-\d+-[0-9a-z]+-/g, '.cora-restore-*-')
    .replace(/\/(cora-[a-z-]*-?)[A-Za-z0-9]{6}(?=\/|$)/g, '/$1*');
}
