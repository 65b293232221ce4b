// One-time codes: the link that `cora serve` prints on a terminal carries one in its fragment, and the page changes
// it for the token. Invariant: a code is good once and for ten minutes; the token itself is never printed.

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

const LIFE_MS = 600_000;

export type Codes = {
  /** A new code; the one before is good no longer. */
  make(): string;
  take(code: string): boolean;
};

/** @param now milliseconds */
export function openCodes(now: () => number): Codes {
  let waiting: { readonly digest: Buffer; readonly until: number } | undefined;
  return {
    make() {
      const code = randomBytes(32).toString('base64url');
      waiting = { digest: digest(code), until: now() + LIFE_MS };
      return code;
    },
    take(code) {
      const is = waiting !== undefined && now() <= waiting.until && timingSafeEqual(waiting.digest, digest(code));
      if (is) waiting = undefined;
      return is;
    },
  };
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
