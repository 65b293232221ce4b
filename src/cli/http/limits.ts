// How often somebody may ask `cora serve`: buckets that fill again with time. Invariant: what is remembered is
// bounded, however many addresses ask.

/** Asked at once, and then a second: a page with long lists stays far below. */
const BURST = 300;
const PER_SECOND = 60;
/** Wrong tokens at once, and then a minute. */
const FAILURES = 10;
const MINUTE_MS = 60_000;
const KEPT = 1000;

/** Milliseconds to wait, or undefined where it may go on. */
type Wait = number | undefined;

export function rateLimit(now: () => number): { taken(who: string): Wait } {
  const bucket = buckets(BURST, PER_SECOND / 1000, now);
  return { taken: bucket };
}

export function failureLimit(now: () => number): { failed(who: string): Wait } {
  const bucket = buckets(FAILURES, FAILURES / MINUTE_MS, now);
  return { failed: bucket };
}

function buckets(most: number, perMs: number, now: () => number): (who: string) => Wait {
  const left = new Map<string, { tokens: number; at: number }>();
  return (who) => {
    const at = now();
    const last = left.get(who) ?? { tokens: most, at };
    // A clock that was set back fills nothing, and takes nothing.
    const tokens = Math.min(most, last.tokens + Math.max(0, at - last.at) * perMs);
    left.delete(who);
    const [oldest] = left.keys();
    if (left.size >= KEPT && oldest !== undefined) left.delete(oldest);
    left.set(who, { tokens: tokens < 1 ? tokens : tokens - 1, at });
    return tokens < 1 ? (1 - tokens) / perMs : undefined;
  };
}
