// A clock that a test sets and that goes on from there, for every process it is given to: libfaketime with an
// offset to the machine's clock. Timers and monotonic clocks stay real. Processes that live on read the offset from a file.
// The library's segment in /dev/shm belongs to one process that waits here, so that no kill and no exec leaves one behind.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram } from '../../../src/os/run.ts';

/** True where faketime is installed. */
export const hasFaketime = findProgram('faketime') !== undefined;

export class FakeClock {
  readonly #holder: ChildProcess;
  readonly #shared: Readonly<Record<string, string>>;
  readonly #file: string;
  #offset = 0;

  private constructor(holder: ChildProcess, preload: string, segment: string, directory: string) {
    this.#holder = holder;
    this.#shared = { LD_PRELOAD: preload, FAKETIME_SHARED: segment, DONT_FAKE_MONOTONIC: '1' };
    this.#file = join(directory, 'clock');
  }

  /** @param directory where the file for processes that live on is put */
  static async open(directory: string): Promise<FakeClock> {
    const script = 'printf "%s\\n%s\\n" "$LD_PRELOAD" "$FAKETIME_SHARED"; exec cat';
    const holder = spawn(findProgram('faketime') ?? 'faketime', ['-f', '+0s', '/bin/sh', '-c', script], { stdio: ['pipe', 'pipe', 'ignore'] });
    let said = '';
    for await (const data of holder.stdout) {
      said += String(data);
      if (said.split('\n').length > 2) break;
    }
    const [preload = '', segment = ''] = said.split('\n');
    return new FakeClock(holder, preload, segment, directory);
  }

  /** Milliseconds since 1970, as the processes see it. */
  get now(): number {
    return Date.now() + this.#offset * 1000;
  }

  /** Sets it to `time` (milliseconds since 1970), but never back. */
  set(time: number): void {
    if (time > this.now || this.#offset === 0) this.#offset = Math.ceil((time - Date.now()) / 1000);
    writeFileSync(`${this.#file}.new`, `${this.#spec()}\n`);
    renameSync(`${this.#file}.new`, this.#file);
  }

  #spec(): string {
    return `${this.#offset < 0 ? '' : '+'}${this.#offset}s`;
  }

  /** For a process that ends before the clock is set again. */
  environment(): Record<string, string> {
    return { ...this.#shared, FAKETIME: this.#spec() };
  }

  /** For a process that lives on while the clock is set. */
  livingEnvironment(): Record<string, string> {
    return { ...this.#shared, FAKETIME_TIMESTAMP_FILE: this.#file, FAKETIME_NO_CACHE: '1' };
  }

  async close(): Promise<void> {
    if (this.#holder.exitCode !== null) return;
    this.#holder.stdin?.end();
    await once(this.#holder, 'close');
  }
}
