// Who waits for whom among the calls of one connection. The vault's locks stop the whole process while they are
// waited for, so that two calls of one process would wait for each other in vain: they wait here, where a call
// can be cancelled.

import { setImmediate } from 'node:timers/promises';

/** Each may hold a history of all paths. */
const MOST_LOOKS = 4;

type Work<T> = () => Promise<T>;

export type Turns = {
  /** What adds or changes something: one such thing at a time. */
  turn<T>(work: Work<T>): Promise<T>;
  /** What looks: at any time but while something is alone, and not all of a flood at once. */
  look<T>(work: Work<T>): Promise<T>;
  /** Within a turn, what nobody may look at meanwhile: live entries that change places. */
  alone<T>(work: Work<T>): Promise<T>;
};

export function openTurns(): Turns {
  let last: Promise<unknown> = Promise.resolve();
  let shut: Promise<unknown> | undefined;
  const looking = new Set<Promise<unknown>>();
  return {
    turn(work) {
      const next = last.then(work, work);
      last = next.catch(() => undefined);
      return next;
    },
    async look(work) {
      for (;;) {
        if (shut !== undefined) await shut;
        else if (looking.size >= MOST_LOOKS) await Promise.race(looking);
        else break;
      }
      // A cancellation, or the end of the client, that waits to be heard is heard before the next one begins.
      const begun = setImmediate().then(work);
      const settled = begun.catch(() => undefined);
      looking.add(settled);
      try {
        return await begun;
      } finally {
        looking.delete(settled);
      }
    },
    async alone(work) {
      const done = Promise.withResolvers<void>();
      shut = done.promise;
      try {
        await Promise.all(looking);
        return await work();
      } finally {
        shut = undefined;
        done.resolve();
      }
    },
  };
}
