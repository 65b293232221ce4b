// What happens while `cora serve` runs, for those who listen (server-sent events): what was told lately is kept, so
// that who was cut off hears the rest. Invariants: ids only grow; who does not read is dropped, nobody is waited for.

const KEPT = 1000;
const LISTENERS = 16;
/** Of one listener, what waits to be read. */
const WAITING_BYTES = 1_000_000;
const HEARTBEAT_MS = 15_000;

export type EventName = 'started' | 'phase' | 'progress' | 'note' | 'problem' | 'ended' | 'changed';

/** A run that goes on now. */
export type RunNow = { readonly run: string; readonly command: string; readonly since: string };

export type Events = {
  publish(name: EventName, data: Readonly<Record<string, unknown>>): void;
  /** Undefined where enough are listening. Ends with the signal. */
  follow(lastId: string | undefined, hello: Readonly<Record<string, unknown>>, signal: AbortSignal): AsyncIterable<Uint8Array> | undefined;
  readonly runs: Map<string, RunNow>;
  /** How many listen. */
  listeners(): number;
  /** What was asked to hear whether somebody listens; undefined takes it back. */
  onListeners(tell: ((count: number) => void) | undefined): void;
};

type Listener = { readonly queue: string[]; bytes: number; wake: () => void; gone: boolean };

/** @param now milliseconds since 1970 */
export function openEvents(now: () => number): Events {
  const kept: { readonly id: number; readonly text: string }[] = [];
  const listeners = new Set<Listener>();
  const runs = new Map<string, RunNow>();
  // An id of an earlier server must not be taken for one of this server.
  const first = now() * 1000;
  let last = first;
  let onListeners: ((count: number) => void) | undefined;
  const text = (name: string, data: Readonly<Record<string, unknown>>, id?: number) =>
    `${id === undefined ? '' : `id: ${id}\n`}event: ${name}\ndata: ${JSON.stringify({ at: new Date(now()).toISOString(), ...data })}\n\n`;
  const push = (listener: Listener, chunk: string) => {
    if (listener.gone) return;
    listener.queue.push(chunk);
    listener.bytes += chunk.length;
    if (listener.bytes > WAITING_BYTES) listener.gone = true;
    listener.wake();
  };
  const missed = (lastId: string | undefined): readonly string[] => {
    if (lastId === undefined) return [];
    const id = /^\d{1,16}$/.test(lastId) ? Number(lastId) : 0;
    const oldest = kept[0]?.id ?? last + 1;
    if (id < oldest - 1 || id > last) return [text('reset', {}, last)];
    return kept.filter((event) => event.id > id).map((event) => event.text);
  };
  return {
    runs,
    listeners: () => listeners.size,
    onListeners(tell) {
      onListeners = tell;
    },
    publish(name, data) {
      last += 1;
      const chunk = text(name, data, last);
      kept.push({ id: last, text: chunk });
      if (kept.length > KEPT) kept.shift();
      for (const listener of listeners) push(listener, chunk);
    },
    follow(lastId, hello, signal) {
      if (listeners.size >= LISTENERS) return undefined;
      const listener: Listener = { queue: [], bytes: 0, wake: () => undefined, gone: false };
      listeners.add(listener);
      onListeners?.(listeners.size);
      for (const chunk of [text('hello', { ...hello, runs: [...runs.values()] }), ...missed(lastId)]) push(listener, chunk);
      const leave = () => {
        listener.gone = true;
        if (listeners.delete(listener)) onListeners?.(listeners.size);
        listener.wake();
      };
      // Not left to the end of the iteration: who goes before the first chunk was read never began one.
      signal.addEventListener('abort', leave, { once: true });
      if (signal.aborted) leave();
      return read(listener, leave);
    },
  };
}

async function* read(listener: Listener, leave: () => void): AsyncIterable<Uint8Array> {
  const heart = setInterval(() => {
    listener.queue.push(': heartbeat\n\n');
    listener.wake();
  }, HEARTBEAT_MS);
  try {
    while (!listener.gone) {
      if (listener.queue.length === 0) {
        await new Promise<void>((resolve) => {
          listener.wake = resolve;
        });
        continue;
      }
      const chunk = listener.queue.splice(0).join('');
      listener.bytes = 0;
      yield Buffer.from(chunk);
    }
  } finally {
    clearInterval(heart);
    leave();
  }
}
