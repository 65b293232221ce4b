// A disk that says it took a write and stores nothing of it: one write of one file, by strace.

import { readFileSync } from 'node:fs';
import { execute, type Run } from './sandbox.ts';

/**
 * Runs a command again and again, each time on what `prepare` makes, until the lie met the file.
 * @param name how the path of the file ends, as strace writes it
 * @param prepare makes the start anew, and gives the command with its environment
 * @returns the run in which nothing of the file was stored
 */
export async function withLyingWrite(
  name: string,
  trace: string,
  prepare: () => Promise<{ readonly argv: readonly string[]; readonly cwd?: string; readonly env?: NodeJS.ProcessEnv }>,
): Promise<Run> {
  const run = async (...inject: readonly string[]) => {
    const { argv, ...options } = await prepare();
    // A lie that hits what wakes a thread has it sleep for ever.
    const limited = ['timeout', '-s', 'KILL', '15', ...argv];
    const done = await execute('strace', ['-f', '-y', '-qq', '-o', trace, '-e', 'trace=write', ...inject, ...limited], options);
    return { done, lines: readFileSync(trace, 'latin1').split('\n') };
  };
  const { lines } = await run();
  const met = lines.find((line) => line.includes(`${name}>`) && /^\d+ +write\(/.test(line)) ?? '';
  const task = met.split(' ', 1)[0] ?? '';
  const writes = lines.filter((line) => line.startsWith(`${task} `) && /^\d+ +write\(/.test(line));
  const at = 1 + writes.indexOf(met);
  const size = / = (\d+)$/.exec(met)?.[1];
  if (size === undefined) throw new Error(`nothing is written to ${name} in one call`);
  // Node wakes its threads by writes, too, and not always as often.
  for (const nth of Array.from({ length: 17 }, (_, n) => at + (n % 2 === 0 ? n / 2 : -(n + 1) / 2))) {
    const tried = await run('-e', `inject=write:retval=${size}:when=${nth}`);
    if (tried.lines.some((line) => line.includes(`${name}>`) && line.includes('INJECTED'))) return tried.done;
  }
  throw new Error(`no write of ${name} was met`);
}
