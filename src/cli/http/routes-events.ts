// What goes on, as server-sent events, and a look at the ledger's end while somebody listens: timers and terminals work
// in the same vault, and a page should see it.

import { statSync } from 'node:fs';
import { VERSION } from '../../base/version.ts';
import { findLast, readHead } from '../../vault/chain.ts';
import { NAMES } from '../../vault/layout.ts';
import type { Events } from './events.ts';
import { refusal } from './problem.ts';
import { type Route, route } from './route.ts';

const LOOK_MS = 2000;

export const EVENT_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/api/v1/events',
    summary: 'What goes on',
    about:
      'Server-sent events: hello, started, phase, progress, note, problem, ended, changed, reset (docs/http.md). Last-Event-ID gives what was missed.',
    free: true,
    outputType: 'text/event-stream',
    failures: [503],
    run: async (_input, _session, call) => {
      const bytes = call.events.follow(call.header('last-event-id'), { version: VERSION }, call.signal);
      if (bytes === undefined) return refusal('http_busy', 'Enough are listening already', 'close another page', { 'Retry-After': '10' });
      return { bytes, type: 'text/event-stream; charset=utf-8', headers: { 'X-Accel-Buffering': 'no' } };
    },
  }),
];

/** Tells of new lines in the ledger while somebody listens, until the signal. */
export function watchLedger(vaultRoot: string, events: Events, signal: AbortSignal): void {
  let timer: NodeJS.Timeout | undefined;
  let seen = '';
  const look = () => {
    const stat = statSync(`${vaultRoot}/${NAMES.chain}`, { throwIfNoEntry: false });
    const now = `${stat?.size} ${stat?.mtimeMs} ${stat?.ino}`;
    if (now === seen) return;
    const isFirst = seen === '';
    seen = now;
    if (isFirst) return;
    const line = findLast(vaultRoot, () => true);
    events.publish('changed', { sequence: readHead(vaultRoot).sequence, kind: line?.kind ?? null, snapshot_id: line?.id ?? null });
  };
  const stop = () => {
    clearInterval(timer);
    timer = undefined;
    seen = '';
  };
  events.onListeners((count) => {
    if (count === 0 || signal.aborted) return stop();
    if (timer !== undefined) return;
    tryLook(look);
    timer = setInterval(() => tryLook(look), LOOK_MS);
    timer.unref();
  });
  signal.addEventListener('abort', stop, { once: true });
}

/** A vault that cannot be read now is told of by whoever wants something of it. */
function tryLook(look: () => void): void {
  try {
    look();
  } catch {
    // the next look tells
  }
}
