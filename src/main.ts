// Where the process starts: everything that must be so before any other module is loaded.
// Invariant: the exit code is 70 until a command has really ended, so a lost promise or an
// aborted start never looks like success.

import { chmodSync, existsSync, lstatSync, mkdirSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { EXIT } from './base/errors.ts';
import { VERSION } from './base/version.ts';

process.exitCode = EXIT.internal;
process.umask(0o077);

// Without this an exception nobody caught would end with 1, which means "failed cleanly".
process.on('uncaughtException', (error) => {
  process.stderr.write(`cora: internal error, please report it\n${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exit(EXIT.internal);
});

// `cora list | head`: the reader left. That ends no run (a backup goes on), only the printing.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

useCompileCache();
const { main } = await import('./cli.ts');
process.exitCode = await main(process.argv.slice(2), process.env);

/** Compiled code of this version, in a directory that only the caller can write: what lies there is executed. */
function useCompileCache(): void {
  const base = cacheBase();
  if (base === undefined) return;
  try {
    if (!existsSync(base)) mkdirSync(base, { mode: 0o700 });
    for (const directory of [`${base}/cora`, `${base}/cora/compile-${VERSION}`]) {
      if (!existsSync(directory)) mkdirSync(directory, { mode: 0o700 });
      const state = lstatSync(directory);
      if (!state.isDirectory() || state.uid !== process.geteuid?.()) return;
      if ((state.mode & 0o077) !== 0) chmodSync(directory, 0o700);
    }
    enableCompileCache(`${base}/cora/compile-${VERSION}`);
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
