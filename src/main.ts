// Where the process starts: everything that must be so before any other module is loaded.
// Invariant: the exit code is 70 until a command has really ended, so a lost promise or an
// aborted start never looks like success. It imports nothing of ours statically: where a part of the
// installation is gone, it must still be able to hand a save over to scripts/save.sh.

import { chmodSync, existsSync, lstatSync, mkdirSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

/** `EXIT.internal` of base/errors.ts. */
const INTERNAL = 70;
process.exitCode = INTERNAL;
/** The caller's, for a command that runs on the caller's behalf (cora guard). */
const umask = process.umask(0o077);

// Without this an exception nobody caught would end with 1, which means "failed cleanly".
process.on('uncaughtException', (error) => {
  process.stderr.write(`cora: internal error, please report it\n${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exit(INTERNAL);
});

/** `EXIT.failed` of base/errors.ts. */
const FAILED = 1;
/** True when an answer could not be written. */
let unheard = false;

// `cora list | head`: the reader left. That ends no run (a backup goes on), only the printing.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE' || unheard) return;
  unheard = true;
  process.stderr.write(`cora: The answer cannot be written to its place (${error.code}), what was done stands; cora status tells\n`);
});
// What cannot be written there has no other place to go: the exit code tells.
process.stderr.on('error', () => undefined);

const args = process.argv.slice(2);
void start();

async function start(): Promise<void> {
  const main = await load();
  const code = await main(args, process.env, { fallBack, asCaller });
  // Errors of what was written last come with the next turn.
  process.once('beforeExit', () => {
    if (unheard && code === 0) process.exitCode = FAILED;
  });
  process.exitCode = unheard && code === 0 ? FAILED : code;
}

async function load(): Promise<typeof import('./cli.ts').main> {
  try {
    const { VERSION } = await import('./base/version.ts');
    useCompileCache(VERSION);
    return (await import('./cli.ts')).main;
  } catch (error) {
    if (isSave()) fallBack(error instanceof Error ? error.message : String(error));
    throw error;
  }
}

/** As bin/cora finds it: the first word that is no option, nor an option's value. */
function isSave(): boolean {
  const valued = ['--vault', '--lock-wait', '--progress'];
  return args.find((word, at) => !word.startsWith('-') && !valued.includes(args[at - 1] ?? '')) === 'save';
}

function asCaller<T>(work: () => T): T {
  const ours = process.umask(umask);
  try {
    return work();
  } finally {
    process.umask(ours);
  }
}

/** Becomes scripts/save.sh, a save without the engine; returns where that is not there, or it is save.sh that asks. */
function fallBack(reason: string): void {
  const script = join(import.meta.dirname, '..', 'scripts', 'save.sh');
  if ((process.env['CORA_FALLBACK'] ?? '') !== '' || process.execve === undefined || !existsSync(script)) return;
  const environment = { ...process.env, CORA_FALLBACK: '1', CORA_FALLBACK_REASON: reason.split('\n', 1)[0] };
  process.execve('/bin/sh', ['sh', script, ...args], environment);
}

/** Compiled code of this version, in a directory that only the caller can write: what lies there is executed. */
function useCompileCache(version: string): void {
  const base = cacheBase();
  if (base === undefined) return;
  try {
    if (!existsSync(base)) mkdirSync(base, { mode: 0o700 });
    for (const directory of [`${base}/cora`, `${base}/cora/compile-${version}`]) {
      if (!existsSync(directory)) mkdirSync(directory, { mode: 0o700 });
      const state = lstatSync(directory);
      if (!state.isDirectory() || state.uid !== process.geteuid?.()) return;
      if ((state.mode & 0o077) !== 0) chmodSync(directory, 0o700);
    }
    enableCompileCache(`${base}/cora/compile-${version}`);
  } catch {
    // A cache only saves time; a read-only or full disk must not stop a command here.
  }
}

/** Never a shared temporary directory, and for root never a home that sudo may have left in HOME. */
function cacheBase(): string | undefined {
  if (process.geteuid?.() === 0) return '/var/cache';
  const { XDG_CACHE_HOME: cache, HOME: home } = process.env;
  if (cache?.startsWith('/')) return cache;
  return home?.startsWith('/') ? `${home}/.cache` : undefined;
}
