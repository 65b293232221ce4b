// The steps of a drill, one after the other: each is timed, one that fails does not keep the next one from running, and a
// time limit ends the one that is under way and leaves out the rest.

import type { Context, Progress } from '../base/context.ts';
import { CoraError, messageOf } from '../base/errors.ts';

export type StepName = 'restore' | 'compare' | 'databases' | 'checks' | 'restore.sh' | 'compare restore.sh' | 'verify';

export type Step = {
  readonly name: StepName;
  /** False where it was cut off by the time limit or failed. */
  readonly done: boolean;
  readonly seconds: number;
  /** How far the time limit let it come. */
  readonly files?: number;
  readonly totalFiles?: number;
};

export class Steps {
  readonly done: Step[] = [];
  readonly #ctx: Context;
  readonly #deadline: AbortSignal | undefined;
  readonly #failed: (error: unknown, name: StepName) => void;
  #stopped = false;

  /** @param failed told of what a step throws, but for interruptions */
  constructor(ctx: Context, maxDuration: number | undefined, failed: (error: unknown, name: StepName) => void) {
    this.#ctx = ctx;
    this.#deadline = maxDuration === undefined ? undefined : AbortSignal.timeout(maxDuration);
    this.#failed = failed;
  }

  /** True where the time limit has left something out. */
  get stopped(): boolean {
    return this.#stopped;
  }

  #isLate(): boolean {
    return this.#deadline?.aborted === true;
  }

  /** @throws CoraError interrupted where a person or the system stops the whole run */
  async run<T>(name: StepName, work: (ctx: Context) => Promise<T>): Promise<T | undefined> {
    if (this.#stopped || this.#isLate()) {
      this.#stopped = true;
      this.done.push({ name, done: false, seconds: 0 });
      return undefined;
    }
    const begun = performance.now();
    let last: Progress | undefined;
    const progress = (far: Progress): void => {
      last = far;
      this.#ctx.monitor.progress(far);
    };
    const monitor = { ...this.#ctx.monitor, progress };
    const signal = this.#deadline === undefined ? this.#ctx.signal : AbortSignal.any([this.#ctx.signal, this.#deadline]);
    const seconds = () => (performance.now() - begun) / 1000;
    try {
      const result = await work({ ...this.#ctx, monitor, signal });
      this.done.push({ name, done: true, seconds: seconds() });
      return result;
    } catch (error) {
      if (this.#ctx.signal.aborted) throw error;
      const far = last === undefined ? {} : { files: last.files, totalFiles: last.totalFiles };
      this.done.push({ name, done: false, seconds: seconds(), ...far });
      if (this.#isLate()) this.#stopped = true;
      else this.#failed(error, name);
      return undefined;
    }
  }
}

/** What a step threw is damage of the vault, and not a slip of this machine's. */
export function isDamage(error: unknown): boolean {
  return error instanceof CoraError && error.exitCode === 21;
}

export const failureText = (error: unknown, name: StepName) => `The step "${name}" failed: ${messageOf(error)}`;
