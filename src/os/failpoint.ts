// A fault at one chosen call of a run: killed before or after it, or the call fails. It is there only for `cora torture`, which
// starts runs of its own with CORA_FAILPOINT. Invariant: it arms itself only where the run's vault lies in the same
// private directory as the file that the variable names, so it can never be turned on a vault that somebody uses.

import * as fs from 'node:fs';
import { createRequire, syncBuiltinESMExports } from 'node:module';
import { dirname, resolve } from 'node:path';

/** What happens at the chosen call: `count` lets every call be and writes down how many there were. */
export type FailAction = 'count' | 'kill-before' | 'kill-after' | 'EIO' | 'ENOSPC';

/** The content of the file: the `at`th call that changes something below `root`, from 1. */
export type Failpoint = { readonly action: FailAction; readonly at: number; readonly root: string };

/** Calls whose first argument is a path; the second of some is one too. */
const BY_PATH = ['mkdirSync', 'mkdtempSync', 'renameSync', 'linkSync', 'symlinkSync', 'unlinkSync', 'rmdirSync', 'rmSync', 'copyFileSync'];
const ATTRIBUTES = ['chmodSync', 'chownSync', 'lchownSync', 'utimesSync', 'lutimesSync', 'truncateSync', 'writeFileSync', 'appendFileSync'];
const BY_DESCRIPTOR = ['writeSync', 'fsyncSync', 'fdatasyncSync', 'ftruncateSync', 'fchmodSync', 'fchownSync', 'futimesSync'];
const NUMBERS = { EIO: -5, ENOSPC: -28 } as const;

type Call = (...args: unknown[]) => unknown;

/**
 * Puts the fault in place for this process; does nothing where the file does not fit.
 * @param file what CORA_FAILPOINT holds
 * @param vault what CORA_VAULT holds
 */
export function armFailpoint(file: string, vault: string | undefined): void {
  const point = readPoint(file);
  if (point === undefined || vault === undefined || !isBelow(vault, file) || !isBelow(point.root, file)) return;
  // The module's own object: a bundle reads its functions from there at each call.
  const functions = createRequire(import.meta.url)('node:fs') as Record<string, Call>;
  const opened = new Map<unknown, boolean>();
  let calls = 0;
  const isInside = (path: unknown): boolean => {
    const text = Buffer.isBuffer(path) ? path.toString() : path;
    return typeof text === 'string' && text.startsWith(`${point.root}/`);
  };
  const wrap = (name: string, matters: (args: unknown[]) => boolean): void => {
    const original = functions[name];
    if (original === undefined) return;
    functions[name] = (...args) => {
      if (!matters(args)) return original(...args);
      calls += 1;
      if (calls !== point.at || point.action === 'count') return original(...args);
      if (point.action === 'kill-before') process.kill(process.pid, 'SIGKILL');
      if (point.action === 'EIO' || point.action === 'ENOSPC') throw failure(name, point.action);
      const result = original(...args);
      process.kill(process.pid, 'SIGKILL');
      return result;
    };
  };
  for (const name of [...BY_PATH, ...ATTRIBUTES]) wrap(name, ([first, second]) => isInside(first) || (BY_PATH.includes(name) && isInside(second)));
  for (const name of BY_DESCRIPTOR) wrap(name, ([descriptor]) => opened.get(descriptor) === true);
  wrap('openSync', ([path, flags]) => isInside(path) && writes(flags));
  // After the wrapped one, so that a failed open is not remembered.
  const open = functions['openSync'];
  if (open !== undefined)
    functions['openSync'] = (...args) => {
      const descriptor = open(...args);
      opened.set(descriptor, isInside(args[0]));
      return descriptor;
    };
  syncBuiltinESMExports();
  if (point.action === 'count') process.on('exit', () => fs.writeFileSync(`${file}.count`, String(calls)));
}

/** True for the directory that the file lies in, and all below it. */
function isBelow(path: string, file: string): boolean {
  return `${resolve(path)}/`.startsWith(`${dirname(file)}/`);
}

function readPoint(file: string): Failpoint | undefined {
  try {
    const value = JSON.parse(fs.readFileSync(file, 'utf8')) as Partial<Failpoint>;
    if (fs.lstatSync(file).uid !== process.geteuid?.()) return undefined;
    const { action, at, root } = value;
    return action === undefined || typeof at !== 'number' || typeof root !== 'string' ? undefined : { action, at, root };
  } catch {
    return undefined;
  }
}

function writes(flags: unknown): boolean {
  if (typeof flags === 'number') return (flags & (fs.constants.O_WRONLY | fs.constants.O_RDWR | fs.constants.O_CREAT)) !== 0;
  return typeof flags === 'string' && flags !== 'r';
}

/** As Node itself would throw it. */
function failure(name: string, code: keyof typeof NUMBERS): Error {
  const syscall = name.replace(/Sync$/, '');
  const text = code === 'EIO' ? 'i/o error' : 'no space left on device';
  return Object.assign(new Error(`${code}: ${text}, ${syscall}`), { code, errno: NUMBERS[code], syscall });
}
