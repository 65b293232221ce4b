// For how long this process kept its clients waiting: work that is done in one go (a large file that is read back) stops
// everything, and what came in meanwhile must not be called late.

import type { Server } from 'node:http';

const TICK_MS = 100;
/** A tick that is late by less is one like any other. */
const SLACK_MS = 200;
/** How long a pause is held to our account: longer than a request may take. */
const HELD_MS = 20_000;

export type Lag = {
  /** Milliseconds of pauses that are not long ago, the one that may just have ended included. */
  now(): number;
  stop(): void;
};

export function watchLag(): Lag {
  let at = performance.now();
  let pauses: readonly { readonly until: number; readonly ms: number }[] = [];
  const late = () => performance.now() - at - TICK_MS;
  const timer = setInterval(() => {
    const now = performance.now();
    const ms = late();
    pauses = pauses.filter(({ until }) => until > now);
    if (ms > SLACK_MS) pauses = [...pauses, { until: now + HELD_MS, ms }];
    at = now;
  }, TICK_MS);
  timer.unref();
  return {
    now: () => pauses.reduce((sum, { ms }) => sum + ms, 0) + Math.max(0, late()),
    stop: () => clearInterval(timer),
  };
}

/**
 * Lets a server's look at its connections take our own pauses into account; Node would count them as the client's.
 * @param lag asked at each look
 */
export function forgive(server: Server, headersMs: number, requestMs: number, lag: Lag): void {
  Object.defineProperty(server, 'headersTimeout', { get: () => headersMs + lag.now() });
  Object.defineProperty(server, 'requestTimeout', { get: () => requestMs + lag.now() });
}
