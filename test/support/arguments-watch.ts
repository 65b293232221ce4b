// The arguments of every process on the machine, sampled while something runs: what `ps` shows to everybody.

import { readdirSync, readFileSync } from 'node:fs';

const EVERY_MS = 5;

export class ArgumentsWatch {
  readonly #seen = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  start(): void {
    this.#timer = setInterval(() => this.#sample(), EVERY_MS);
  }

  /** Every command line that was seen, its words parted by spaces. */
  stop(): string[] {
    clearInterval(this.#timer);
    return [...this.#seen];
  }

  #sample(): void {
    for (const name of readdirSync('/proc')) {
      if (!/^\d+$/.test(name)) continue;
      try {
        this.#seen.add(readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' '));
      } catch {
        // It has ended.
      }
    }
  }
}
