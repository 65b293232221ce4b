// A few worker threads and a queue. With no threads (CORA_WORKERS=0, or little to do) the same
// jobs run here, on this thread, in the same order.

import { Worker } from 'node:worker_threads';
import { CoraError, ERROR_EXIT, type ErrorCode } from '../base/errors.ts';
import { createDispatcher, type Dispatcher } from './dispatch.ts';
import type { Job, JobResult, PoolSetup } from './jobs.ts';

type Waiting = {
  readonly job: Job;
  readonly resolve: (value: never) => void;
  readonly reject: (reason: unknown) => void;
};

type Answer = { id: number; result?: unknown; failure?: { message: string; errno?: string; stack?: string } };

/** Jobs that lie at a worker at once: one it does and one that waits, so that it is never idle. */
const DEPTH = 2;

export class WorkerPool {
  readonly #workers: { worker: Worker; busy: Map<number, Waiting> }[] = [];
  readonly #queue: Waiting[] = [];
  readonly #local: Dispatcher | undefined;
  #next = 0;
  #failed: unknown;

  constructor(threads: number, setup: PoolSetup) {
    if (threads === 0) this.#local = createDispatcher(setup);
    for (let i = 0; i < threads; i++) this.#start(setup);
  }

  /** Does a job on the next free thread. Rejects with the worker's error; a worker that dies rejects all its jobs. */
  run<J extends Job>(job: J): Promise<JobResult<J>> {
    if (this.#local !== undefined) return this.#local.dispatch(job);
    if (this.#failed !== undefined) return Promise.reject(this.#failed);
    return new Promise<JobResult<J>>((resolve, reject) => {
      this.#queue.push({ job, resolve: resolve as (value: never) => void, reject });
      this.#pump();
    });
  }

  async close(): Promise<void> {
    this.#local?.close();
    await Promise.all(this.#workers.map(({ worker }) => worker.terminate()));
  }

  #start(setup: PoolSetup): void {
    const here = import.meta.url;
    const worker = new Worker(new URL(here.endsWith('.ts') ? './worker.ts' : './worker.js', here), {
      workerData: setup,
      // Buffers live outside the heap; a small young generation keeps a thread's memory small.
      resourceLimits: { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 512 },
      stdout: false,
      stderr: false,
    });
    const member = { worker, busy: new Map<number, Waiting>() };
    worker.on('message', (answer: Answer) => {
      const waiting = member.busy.get(answer.id);
      member.busy.delete(answer.id);
      if (answer.failure === undefined) waiting?.resolve(answer.result as never);
      else waiting?.reject(workerError(answer.failure));
      this.#pump();
    });
    worker.on('error', (error) => this.#fail(error));
    worker.on('exit', (code) => {
      if (member.busy.size > 0) this.#fail(new CoraError('internal', `A worker thread ended with code ${code} in the middle of its work`));
    });
    worker.unref();
    this.#workers.push(member);
  }

  #pump(): void {
    for (;;) {
      let free = this.#workers[0];
      for (const member of this.#workers) if (free === undefined || member.busy.size < free.busy.size) free = member;
      if (free === undefined || free.busy.size >= DEPTH) return;
      const waiting = this.#queue.shift();
      if (waiting === undefined) {
        for (const member of this.#workers) if (member.busy.size === 0) member.worker.unref();
        return;
      }
      const id = this.#next++;
      free.busy.set(id, waiting);
      free.worker.ref();
      free.worker.postMessage({ id, job: waiting.job });
    }
  }

  #fail(error: unknown): void {
    this.#failed ??= error;
    for (const { busy } of this.#workers) {
      for (const waiting of busy.values()) waiting.reject(error);
      busy.clear();
    }
    for (const waiting of this.#queue.splice(0)) waiting.reject(error);
  }
}

/** Gives an error that crossed a thread its code back, so that callers can tell a full disk from damage and from a bug. */
function workerError(failure: NonNullable<Answer['failure']>): Error {
  if (failure.errno !== undefined && isErrorCode(failure.errno)) return new CoraError(failure.errno, failure.message);
  const error = new Error(failure.message);
  if (failure.stack !== undefined) error.stack = failure.stack;
  if (failure.errno !== undefined) Object.assign(error, { code: failure.errno });
  return error;
}

function isErrorCode(word: string): word is ErrorCode {
  return Object.hasOwn(ERROR_EXIT, word);
}
